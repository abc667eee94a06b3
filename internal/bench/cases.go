package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// Cases returns the cases of this module and the probes.
func Cases(s Setting) []Case {
	all := append(loading(), []Case{
		{Name: "save/plain", Who: Ours, About: "write the tensors of a model from memory, without waiting for the disk",
			Limits: []string{"probe/write"}, Goal: 0.9, Peers: 1.3, Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{NoSync: true}, false)},
		{Name: "save/durable", Who: Ours, About: "the same, and make file, name and directory durable",
			Limits: []string{"probe/write-direct"}, Goal: 0.9, Peers: 1.8, Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{}, false)},
		{Name: "save/direct", Who: Ours, About: "the same, past the page cache",
			Limits: []string{"probe/write-direct"}, Goal: 0.9, Peers: 1.8, Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{Direct: true}, false)},
		{Name: "save/durable-then-read", Who: Ours, About: "save durably, and read the file into memory that has been touched",
			Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{}, true)},
		{Name: "save/direct-then-read", Who: Ours, About: "the same, saved past the page cache",
			Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{Direct: true}, true)},
		{Name: "edit/in-place", Who: Ours, About: "change metadata where the header has room, durably",
			Files: []string{editFile}, Run: editInPlace, Note: func(r *Result) string {
				return fmt.Sprintf("%s takes %.2f ms, however large the file is; the goal is less than 5 ms", r.Name, float64(r.Min)/1e6)
			}},
		{Name: "edit/moved", Who: Ours, About: "change metadata where it has none: the file is written anew, durably",
			Limits: []string{"probe/copy-file"}, Goal: 0.9, Peers: 2, Files: []string{bigFile, crammed}, Writes: true, Run: editMoved},
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
			Files: []string{countedFile(n)}, Run: openCounted(n), Growth: "the goal for tensors is linear"})
	}
	for i, n := range s.sizes() {
		all = append(all, Case{Name: "bytes/" + strconv.FormatInt(n, 10), Who: Ours, About: "open a file of so many bytes and 300 tensors, list them, look one up",
			Files: []string{sizedFile(i)}, Run: openSized(i), Growth: "the goal for bytes is flat"})
	}
	return append(all, probes()...)
}

func memoryOfOne(r *Result) string {
	if r.Peak < 0 {
		return ""
	}
	return fmt.Sprintf("%s takes %.1f MiB of memory besides the tensor, and %.1f of the program itself; the goal is at most 16 in all", r.Name,
		float64(r.Peak-r.Mapped-r.Bytes)/(1<<20), float64(r.Mapped)/(1<<20))
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

const outFile = "out.safetensors"

// model returns the tensors of the large file, each in memory of its own, as a
// program has them that computed them.
func (c *Clock) model() ([]safetensors.Entry, error) {
	if err := c.warmed(bigFile); err != nil {
		return nil, err
	}
	f, err := safetensors.Open(c.path(bigFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []safetensors.Entry
	for t := range f.All() {
		data, err := t.Bytes()
		if err != nil {
			return nil, err
		}
		entries = append(entries, safetensors.Entry{Info: t.Info, Data: bytes.NewReader(data)})
		c.Bytes += t.Size()
	}
	return entries, nil
}

// save times the writing of the model, and of reading it again if that is to
// follow.
func save(e safetensors.Encoder, thenRead bool) func(*Clock) error {
	e.Metadata = map[string]string{"format": "pt"}
	return func(c *Clock) error {
		entries, err := c.model()
		if err != nil {
			return err
		}
		to := []byte{}
		if thenRead {
			var free func()
			if to, free, err = faulted(c.Bytes); err != nil {
				return err
			}
			defer free()
		}
		name := c.path(outFile)
		defer os.Remove(name)
		for range twice {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err := c.Time(func() error {
				if err := e.WriteFile(c.Context, name, entries); err != nil || !thenRead {
					return err
				}
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				defer f.Close()
				return preadAll(f, to, threads())
			}); err != nil {
				return err
			}
		}
		return c.checkFile(name)
	}
}

// twice is how often a file is written by one process. The first time memory
// for the page cache may have to come from the host of a virtual machine, which
// takes longer than everything else; the second time it is that which the
// first has given back.
const twice = 2

// edit times one edit of a file's metadata.
func (c *Clock) edit(file, value string, wantInPlace bool) error {
	name := c.path(file)
	if err := c.warmed(file); err != nil {
		return err
	}
	f, err := safetensors.Open(name)
	if err != nil {
		return err
	}
	c.Bytes = f.Size()
	if wantInPlace {
		c.Bytes = f.DataOffset()
	}
	if err := f.Close(); err != nil {
		return err
	}
	metadata := map[string]string{"format": "pt", "note": value}
	return c.Time(func() error {
		inPlace, err := safetensors.EditMetadata(c.Context, name, metadata)
		if err == nil && inPlace != wantInPlace {
			err = fmt.Errorf("%s: in place %v, not %v", name, inPlace, wantInPlace)
		}
		return err
	})
}

func editInPlace(c *Clock) error {
	// Another value each time; the first one may find no room yet.
	note := strconv.Itoa(os.Getpid())
	metadata := map[string]string{"format": "pt", "note": strings.Repeat("x", 100)}
	if _, err := safetensors.EditMetadata(c.Context, c.path(editFile), metadata); err != nil {
		return err
	}
	for i := range 5 {
		if err := c.edit(editFile, note+strconv.Itoa(i), true); err != nil {
			return err
		}
	}
	return c.checkMetadata(editFile, note+"4")
}

func editMoved(c *Clock) error {
	f, err := safetensors.Open(c.path(crammed))
	if err != nil {
		return err
	}
	// An edit leaves room for up to 5119 bytes; each of these needs more.
	value := f.Metadata()["note"]
	if err := f.Close(); err != nil {
		return err
	}
	for range twice {
		if value += strings.Repeat("y", 8192); len(value) > 1_000_000 {
			return errors.New("too many edits of one file")
		}
		if err := c.edit(crammed, value, false); err != nil {
			return err
		}
	}
	if err := c.checkMetadata(crammed, value); err != nil {
		return err
	}
	return c.checkFile(c.path(crammed))
}

func (c *Clock) checkMetadata(file, want string) error {
	f, err := safetensors.Open(c.path(file))
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Metadata()["note"] != want {
		return fmt.Errorf("%s: the metadata is not what was written", f.Name())
	}
	return nil
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
