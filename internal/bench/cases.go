package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/tensmith/tensmith/safetensors"
)

// Cases returns the cases of this module and the probes.
func Cases(s Setting) []Case {
	all := append(append(loading(), saving()...), []Case{
		{Name: "tensor/one", Who: Ours, About: "open the file, read one tensor, close",
			Limits: []string{"probe/pread-one"}, Goal: 1 / 1.5, Peers: 2, Files: []string{bigFile}, Run: readOne, Note: memoryOfOne},
		{Name: "slice/columns-mapped", Who: Ours, About: "copy [:, :half] of a matrix out of a mapping",
			Limits: []string{"probe/strided"}, Goal: 1 / 1.1, Files: []string{bigFile}, Run: sliceColumns(safetensors.Map)},
		{Name: "slice/columns-read", Who: Ours, About: "read [:, :half] of a matrix",
			Limits: []string{"probe/strided"}, Files: []string{bigFile}, Run: sliceColumns(safetensors.Open)},
		{Name: "slice/rows-read", Who: Ours, About: "read [:half] of a matrix; it is to read hardly more than that",
			Files: []string{bigFile}, Run: sliceRows, Note: readOfSlice},
	}...)
	for _, n := range s.counts() {
		all = append(all, Case{Name: fmt.Sprintf("tensors/%d", n), Who: Ours, About: "open a file of so many tensors, list them, look one up",
			Files: []string{countedFile(n)}, Run: openCounted(n), Growth: byTensors, Count: int64(n)})
	}
	for i, n := range s.sizes() {
		all = append(all, Case{Name: "bytes/" + strconv.FormatInt(n, 10), Who: Ours, About: "open a file of so many bytes and 300 tensors, list them, look one up",
			Files: []string{sizedFile(i)}, Run: openSized(i), Growth: byBytes, Count: n})
	}
	return append(all, probes()...)
}

func memoryOfOne(r *Result) string {
	if r.Peak < 0 {
		return ""
	}
	return fmt.Sprintf("%s takes %.1f MiB of memory besides the tensor, and %.1f of pages of this program's own file; the goal is at most 16, of a program that has the library alone",
		r.Name, float64(r.Peak-r.Mapped-r.Bytes)/(1<<20), float64(r.Mapped)/(1<<20))
}

func readOfSlice(r *Result) string {
	if r.Read < 0 {
		return ""
	}
	return fmt.Sprintf("%s reads %.3f × the bytes of the slice; the goal is at most 1.05", r.Name, float64(r.Read)/float64(r.Bytes))
}

// counts are the numbers of tensors that growth is measured at.
func (s Setting) counts() (counts []int) {
	for n := 1000; n < s.Tensors; n *= 10 {
		counts = append(counts, n)
	}
	return append(counts, s.Tensors)
}

func countedFile(n int) string { return fmt.Sprintf("tensors-%d.safetensors", n) }

// sizes are the sizes of file that it is measured at.
func (s Setting) sizes() []int64 { return []int64{s.Size / 64, s.Size / 8, s.Size} }

func sizedFile(i int) string {
	if i == 2 {
		return bigFile
	}
	return fmt.Sprintf("bytes-%d.safetensors", i)
}

// oneTensor and matrix return a tensor of the large file, which is open.
func (c *Clock) oneTensor() (*safetensors.Tensor, error) {
	return open(c.path(bigFile), safetensors.Open, single)
}

func (c *Clock) matrix() (*safetensors.Tensor, error) {
	return open(c.path(bigFile), safetensors.Open, wide)
}

func open(name string, open func(string) (*safetensors.File, error), tensor string) (*safetensors.Tensor, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	t, err := f.Tensor(tensor)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func readOne(c *Clock) error {
	if err := c.warmed(bigFile); err != nil {
		return err
	}
	sums, err := c.sums()
	if err != nil {
		return err
	}
	var data []byte
	for range 5 {
		data = nil
		err := c.Time(func() error {
			t, err := c.oneTensor()
			if err != nil {
				return err
			}
			defer t.File().Close()
			data, err = t.Bytes()
			return err
		})
		if err != nil {
			return err
		}
	}
	c.Bytes = int64(len(data))
	return checkTensor(sums, single, data)
}

func sliceColumns(way func(string) (*safetensors.File, error)) func(*Clock) error {
	return func(c *Clock) error {
		return c.slice(way, safetensors.Range{}, safetensors.Span(0, columns/2))
	}
}

func sliceRows(c *Clock) error {
	t, err := c.matrix()
	if err != nil {
		return err
	}
	rows := t.Shape[0]
	if err := t.File().Close(); err != nil {
		return err
	}
	return c.slice(safetensors.Open, safetensors.Span(0, (rows+1)/2))
}

// slice times the reading of a part of a matrix whose file is open: the probe
// has a mapping already.
func (c *Clock) slice(way func(string) (*safetensors.File, error), ranges ...safetensors.Range) error {
	if err := c.warmed(bigFile); err != nil {
		return err
	}
	t, err := open(c.path(bigFile), way, wide)
	if err != nil {
		return err
	}
	defer t.File().Close()
	sums, err := c.sums()
	if err != nil {
		return err
	}
	var got []byte
	for range 5 {
		got = nil
		err := c.Time(func() error {
			s, err := t.Slice(ranges...)
			if err == nil {
				got, err = s.Bytes()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	c.Bytes = int64(len(got))
	whole, err := t.Bytes()
	if err != nil {
		return err
	}
	if err := checkTensor(sums, wide, whole); err != nil {
		return err
	}
	return checkSlice(got, whole, len(ranges) == 2)
}

// checkSlice holds a slice to the whole matrix of two bytes an element.
func checkSlice(got, whole []byte, halfRows bool) error {
	const row = 2 * columns
	take := row
	if halfRows {
		take = row / 2
	}
	for i := 0; len(got) > 0; i++ {
		if !bytes.Equal(got[:take], whole[i*row:i*row+take]) {
			return fmt.Errorf("row %d of a slice is not what was written", i)
		}
		got = got[take:]
	}
	return nil
}

func openCounted(n int) func(*Clock) error {
	return func(c *Clock) error { return c.openAll(countedFile(n), n, tinyName(n/2), 3) }
}

func openSized(i int) func(*Clock) error {
	return func(c *Clock) error { return c.openAll(sizedFile(i), bigTensors, single, 20) }
}

// openAll times the opening of a file, a list of its tensors, and the finding
// of one.
func (c *Clock) openAll(file string, tensors int, name string, times int) error {
	if err := c.warmed(file); err != nil {
		return err
	}
	for range times {
		err := c.Time(func() error {
			f, err := safetensors.Open(c.path(file))
			if err != nil {
				return err
			}
			defer f.Close()
			n := 0
			for t := range f.All() {
				if t.Name != "" {
					n++
				}
			}
			if _, err := f.Tensor(name); err != nil {
				return err
			}
			if n != tensors {
				return fmt.Errorf("%s has %d tensors, not %d", file, n, tensors)
			}
			c.Bytes = f.DataOffset()
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
