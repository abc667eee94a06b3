package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/safetensors"
)

// TestStuff states that the bytes at an offset are the same however they are
// asked for.
func TestStuff(t *testing.T) {
	const size = 1003
	s := stuff{1234567, size}
	var whole bytes.Buffer
	if n, err := s.WriteTo(&whole); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	// The published first outputs of SplitMix64 for this seed.
	var want []byte
	for _, n := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		want = binary.LittleEndian.AppendUint64(want, n)
	}
	if got := whole.Bytes()[:len(want)]; !bytes.Equal(got, want) {
		t.Errorf("begins with % x, want % x", got, want)
	}
	for off := int64(0); off < size; off += 13 {
		for _, n := range []int64{0, 1, 7, 8, 9, 100} {
			p := make([]byte, n)
			got, err := s.ReadAt(p, off)
			want := whole.Bytes()[off:min(off+n, size)]
			if !bytes.Equal(p[:got], want) || (err == io.EOF) != (off+n > size) {
				t.Fatalf("%d bytes from %d on: % x, %v, want % x", n, off, p[:got], err, want)
			}
		}
	}
}

// TestMake makes the files twice: same seed, same bytes, another one, others;
// and what was made and then damaged is noticed.
func TestMake(t *testing.T) {
	read := func(seed uint64) (Setting, []byte) {
		s := Setting{Dir: t.TempDir(), Size: 1_000_000, Tensors: 10, Seed: seed}
		if err := Make(t.Context(), s, []Case{{Files: []string{bigFile}}}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(s.Dir, bigFile))
		if err != nil {
			t.Fatal(err)
		}
		return s, data
	}
	s, first := read(1)
	_, second := read(1)
	_, other := read(2)
	if !bytes.Equal(first, second) {
		t.Error("one seed makes two files")
	}
	if bytes.Equal(first, other) {
		t.Error("two seeds make one file")
	}
	f, err := safetensors.NewFile(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Size() - f.DataOffset(); f.Len() != bigTensors || got < s.Size*99/100 || got > s.Size*101/100 {
		t.Errorf("%d tensors of %d bytes, want %d of about %d", f.Len(), got, bigTensors, s.Size)
	}
	c := &Clock{Setting: s, Context: t.Context()}
	name := filepath.Join(s.Dir, bigFile)
	if err := c.checkFile(name); err != nil {
		t.Error(err)
	}
	first[len(first)-1] ^= 1
	if err := os.WriteFile(name, first, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := c.checkFile(name); err == nil {
		t.Error("a byte that differs is not noticed")
	}
	if err := readOne(c); err != nil {
		t.Error("a tensor is blamed for another:", err)
	}
}

// TestChecks lets each case that loads meet a file that is not as it should be.
func TestChecks(t *testing.T) {
	s := Setting{Dir: t.TempDir(), Size: 1_000_000, Tensors: 10}
	if err := Make(t.Context(), s, []Case{{Files: []string{bigFile}}}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.Dir, bigFile)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.NewFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for tensor := range f.All() {
		data[tensor.Offset()] ^= 1
	}
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range Cases(s) {
		if c.Who != Ours || !slices.Contains(c.Files, bigFile) || len(c.Files) > 1 || c.Growth != "" {
			continue
		}
		err := c.Run(&Clock{Setting: s, Context: t.Context()})
		if absent := (errAbsent{}); err == nil {
			t.Errorf("%s notices nothing", c.Name)
		} else if errors.As(err, &absent) {
			t.Logf("%s: %v", c.Name, err)
		}
	}
}

// TestRun holds figures to what the samples give.
func TestRun(t *testing.T) {
	n := 0
	sample := func(walls ...int64) func(context.Context, Setting) (Sample, error) {
		i := -1
		return func(context.Context, Setting) (Sample, error) {
			n++
			i++
			return Sample{Bytes: 1000, Wall: walls[i], CPU: walls[i] / 2, Peak: walls[i], Allocs: walls[i]}, nil
		}
	}
	steps := 0
	r, err := Run(t.Context(), Config{Setting: Setting{Seed: 3}, Rounds: 3, Step: func(int, *Case) { steps++ }, Cases: []Case{
		{Name: "load", Who: Ours, Limits: []string{"slow", "fast", "gone"}, Outside: sample(1, 30, 20, 40)}, // the first does not count
		{Name: "load", Who: "one", Outside: sample(1, 70, 60, 80)},
		{Name: "load", Who: "two", Outside: sample(1, 90, 50, 90)},
		{Name: "slow", Who: Probe, Outside: sample(1, 15, 15, 15)},
		{Name: "fast", Who: Probe, Outside: sample(1, 12, 10, 11)},
		{Name: "gone", Who: Probe, Outside: func(context.Context, Setting) (Sample, error) {
			n++
			return Sample{}, Absent("no such %s", "thing")
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n != 5*4+1 || steps != 6*4 {
		t.Errorf("%d runs and %d steps", n, steps)
	}
	type row struct {
		Min, Median, Max, CPU, Peak, Allocs int64
		Limit                               string
		Share                               float64
		Peer                                string
		Faster                              float64
		Absent                              string
	}
	var got []row
	for _, c := range r.Cases {
		got = append(got, row{c.Min, c.Median, c.Max, c.CPU, c.Peak, c.Allocs, c.Limit, c.Share, c.Peer, c.Faster, c.Absent})
	}
	want := []row{
		{20, 30, 40, 10, 40, 20, "fast", 0.5, "two", 2.5, ""},
		{60, 70, 80, 30, 80, 60, "", 0, "", 0, ""},
		{50, 90, 90, 25, 90, 50, "", 0, "", 0, ""},
		{15, 15, 15, 7, 15, 15, "", 0, "", 0, ""},
		{10, 11, 12, 5, 12, 10, "", 0, "", 0, ""},
		{0, 0, 0, -1, -1, -1, "", 0, "", 0, "no such thing"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// With no time for more, one round counts.
	n = 0
	r, err = Run(t.Context(), Config{Rounds: 5, For: 1, Cases: []Case{{Name: "load", Who: Ours, Outside: sample(1, 2)}}})
	if err != nil || n != 2 || r.Rounds != 1 || r.Cases[0].Min != 2 {
		t.Errorf("%d runs, %+v, %v", n, r, err)
	}
	broken := errors.New("broken")
	_, err = Run(t.Context(), Config{Rounds: 1, Cases: []Case{{Name: "x", Who: Ours, Outside: func(context.Context, Setting) (Sample, error) { return Sample{}, broken }}}})
	if !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}

// TestSelect: what is asked for comes with its limits.
func TestSelect(t *testing.T) {
	got := []string{}
	for _, c := range Select(Cases(Setting{Size: 1_000_000, Tensors: 10}), func(name string) bool { return name == "save/durable" }) {
		got = append(got, c.Name)
	}
	if diff := cmp.Diff([]string{"save/durable", "probe/write-direct"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestCases: names are used once, and limits are probes.
func TestCases(t *testing.T) {
	all := Cases(Setting{Size: 1_000_000, Tensors: 1_000_000})
	who := map[string]string{}
	for _, c := range all {
		if who[c.Name] != "" {
			t.Errorf("there are two cases %s", c.Name)
		}
		who[c.Name] = c.Who
	}
	for _, c := range all {
		for _, limit := range c.Limits {
			if who[limit] != Probe {
				t.Errorf("%s: the limit %s is no probe", c.Name, limit)
			}
		}
		if c.About == "" || c.Run == nil {
			t.Errorf("%s lacks something", c.Name)
		}
	}
}

// TestColdInMemory: a file system of memory cannot be cold, which is told and
// is no failure.
func TestColdInMemory(t *testing.T) {
	const shm = "/dev/shm"
	if fileSystem(shm) != "tmpfs" {
		t.Skip("there is no tmpfs")
	}
	dir, err := os.MkdirTemp(shm, "tensmith-test-*")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	s := Setting{Dir: dir, Size: 1_000_000, Tensors: 10}
	if err := Make(t.Context(), s, []Case{{Files: []string{bigFile}}}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	err = probeCold(false)(&Clock{Setting: s, Context: t.Context()})
	if absent := (errAbsent{}); !errors.As(err, &absent) {
		t.Errorf("%v, want that it is not present", err)
	}
}

// TestNeed holds what a run is said to take to what its files take.
func TestNeed(t *testing.T) {
	s := Setting{Dir: t.TempDir(), Size: 3_000_000, Tensors: 5000, Seed: 1}
	reading := slices.DeleteFunc(Cases(s), func(c Case) bool { return c.Writes })
	if err := Make(t.Context(), s, reading, func(string) {}); err != nil {
		t.Fatal(err)
	}
	took := int64(0)
	err := filepath.WalkDir(s.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			took += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if need := Need(s, reading); need < took*9/10 || need > took*13/10 {
		t.Errorf("%d bytes are needed, and %d were taken", need, took)
	}
	for _, c := range Cases(s) {
		if more := Need(s, []Case{c}); c.Writes && more < 3*s.Size {
			t.Errorf("%s is said to take %d bytes", c.Name, more)
		}
	}
}

// TestNotes: what a case says of its figures is said when it has some.
func TestNotes(t *testing.T) {
	for _, c := range Cases(Setting{Size: 1_000_000, Tensors: 10}) {
		if c.Note == nil {
			continue
		}
		r, err := Run(t.Context(), Config{Rounds: 1, Cases: []Case{{Name: c.Name, Who: Ours, Note: c.Note, Outside: func(context.Context, Setting) (Sample, error) {
			return Sample{Bytes: 2 << 20, Wall: 1_500_000, Read: 3 << 20, Peak: 12 << 20, Mapped: 4 << 20}, nil
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"edit/in-place":   "edit/in-place takes 1.50 ms, however large the file is; the goal is less than 5 ms",
			"tensor/one":      "tensor/one takes 6.0 MiB of memory besides the tensor, and 4.0 of pages of this program's own file; the goal is at most 16, of a program that has the library alone",
			"slice/rows-read": "slice/rows-read reads 1.500 × the bytes of the slice; the goal is at most 1.05",
		}[c.Name]
		if diff := cmp.Diff([]string{want}, r.Notes); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.Name, diff)
		}
	}
}
