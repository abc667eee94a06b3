package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A hostile is a header made to cost much more than its length.
type hostile struct {
	name   string
	refuse error // nil if the file is legal
	make   func() []byte
}

// hostiles are legal where they can be: an error early on would end the cost.
func hostiles() []hostile {
	one := func(fields string) []byte {
		return withLength(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]`+fields+`}}`, 1)
	}
	return []hostile{
		{"10 million dimensions", nil, func() []byte {
			return withLength(`{"a":{"dtype":"U8","shape":[`+strings.Repeat("1,", 9_999_999)+`1],"data_offsets":[0,1]}}`, 1)
		}},
		{"6.7 million empty arrays", nil, func() []byte {
			return one(`,"x":[` + strings.Repeat("[],", 6_699_999) + `[]]`)
		}},
		{"deep nesting again and again", nil, func() []byte {
			return one(`,"x":[` + strings.Repeat(strings.Repeat("[", 124)+strings.Repeat("]", 124)+",", 80_000) + `[]]`)
		}},
		{"nesting without end", ErrSyntax, func() []byte { return one(`,"x":` + strings.Repeat("[", 20_000_000)) }},
		{"2 million metadata keys", nil, func() []byte { return metadataKeys(2_000_000, "%07d") }},
		{"1 million escaped metadata keys", nil, func() []byte { return metadataKeys(1_000_000, `\u0041%06d`) }},
		{"the shortest metadata keys", nil, func() []byte { return metadataKeys(100_000, "%d") }},
		{"100 MB of metadata", nil, func() []byte {
			return withLength(`{"__metadata__":{"k":"`+strings.Repeat(`\u000a`, 16_666_000)+`"}}`, 0)
		}},
		{"100 MB of spaces", nil, func() []byte { return withLength("{}"+strings.Repeat(" ", maxHeaderLen-2), 0) }},
		{"tiny tensors", nil, func() []byte { return tiny(400_000, "%d", "") }},
		{"tiny tensors behind a long name", nil, func() []byte { return tiny(400_000, "%d", strings.Repeat("n", 1000)) }},
		{"escaped names", nil, func() []byte { return tiny(300_000, `\u0041%d`, "") }},
		{"names outside of ASCII", nil, func() []byte { return tiny(300_000, `é%d`, "") }},
		{"an escaped name of 20 MB", nil, func() []byte { return tiny(1, "%d", strings.Repeat(`\n`, 10_000_000)) }},
		{"two escaped names of 10 MB that are one", ErrDuplicate, func() []byte {
			name := strings.Repeat(`\n`, 5_000_000)
			return tiny(1, name+"%.0d", name)
		}},
		{"two escaped metadata keys of 10 MB that are one", ErrDuplicate, func() []byte {
			key := strings.Repeat(`\n`, 5_000_000)
			return withLength(`{"__metadata__":{"`+key+`":"","`+key+`":""}}`, 0)
		}},
		{"a million unknown fields under a name of 1 MB", nil, func() []byte {
			return withLength(`{"`+strings.Repeat("n", 1_000_000)+`":{`+strings.Repeat(`"":0,`, 1_000_000)+
				`"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)
		}},
		{"an unknown field in each tensor", nil, func() []byte {
			var b strings.Builder
			for i := range 200_000 {
				fmt.Fprintf(&b, `,"%d":{"x":0,"dtype":"U8","shape":[],"data_offsets":[%d,%d]}`, i, i, i+1)
			}
			return withLength("{"+b.String()[1:]+"}", 200_000)
		}},
		{"tensors in reverse", nil, func() []byte {
			var b strings.Builder
			for i := range 200_000 {
				fmt.Fprintf(&b, `,"%d":{"dtype":"U8","shape":[],"data_offsets":[%d,%d]}`, i, 199_999-i, 200_000-i)
			}
			return withLength("{"+b.String()[1:]+"}", 200_000)
		}},
		{"a syntax error behind all that", ErrSyntax, func() []byte {
			file := tiny(400_000, "%d", "")
			file[8+binary.LittleEndian.Uint64(file)-1] = ']'
			return file
		}},
	}
}

func metadataKeys(n int, format string) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"`+format+`":""`, i)
	}
	return withLength(`{"__metadata__":{`+b.String()[1:]+`}}`, 0)
}

// tiny returns a file of n tensors of one byte, in entries as short as they
// can be, behind one called first, if that is not empty.
func tiny(n int, format, first string) []byte {
	var b strings.Builder
	at := 0
	entry := func(name string) {
		fmt.Fprintf(&b, `,"%s":{"dtype":"U8","shape":[],"data_offsets":[%d,%d]}`, name, at, at+1)
		at++
	}
	if first != "" {
		entry(first)
	}
	for i := range n {
		entry(fmt.Sprintf(format, i))
	}
	return withLength("{"+b.String()[1:]+"}", at)
}

// allocated returns the bytes that f allocates, whether they are freed
// meanwhile or not: an upper bound of what it takes at any time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemory holds NewFile to the bound of the package's documentation: all
// it allocates, the header's own text included, is below four times the
// header and one MiB.
func TestMemory(t *testing.T) {
	if RaceDetector {
		t.Skip("the race detector allocates, too")
	}
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			file := h.make()
			length := binary.LittleEndian.Uint64(file)
			var err error
			n := allocated(func() { _, err = NewFile(bytes.NewReader(file), int64(len(file))) })
			if limit := 4*length + 1<<20; n > limit {
				t.Errorf("%d bytes allocated for a header of %d, %.1f times its length", n, length, float64(n)/float64(length))
			}
			e, _ := err.(*FormatError)
			if (h.refuse == nil) != (err == nil) || err != nil && (e == nil || e.Err != h.refuse) {
				t.Errorf("%.200v, want %v", err, h.refuse)
			}
			t.Logf("%.2f times its length", float64(n)/float64(length))
		})
	}
}

// TestMemoryOfClaims states that what a file merely claims costs nothing.
func TestMemoryOfClaims(t *testing.T) {
	for name, file := range map[string][]byte{
		"a header of 100 MB":     append(binary.LittleEndian.AppendUint64(nil, maxHeaderLen), '{'),
		"a header of 2^63 bytes": append(binary.LittleEndian.AppendUint64(nil, 1<<63), '{'),
		"a tensor of 2^60 bytes": withLength(`{"a":{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,1152921504606846976]}}`, 8),
	} {
		var err error
		n := allocated(func() { _, err = NewFile(bytes.NewReader(file), int64(len(file))) })
		if err == nil || n > 1<<16 {
			t.Errorf("%s: %d bytes allocated, error %v", name, n, err)
		}
	}
}

func TestAllocations(t *testing.T) {
	if RaceDetector {
		t.Skip("the race detector allocates, too")
	}
	file := heavyHeader(100_000)
	length := binary.LittleEndian.Uint64(file)
	parse := func() {
		if _, err := NewFile(bytes.NewReader(file), int64(len(file))); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(3, parse); n > 20 {
		t.Errorf("%.0f allocations for 100,000 tensors, want at most 20", n)
	}
	if n := allocated(parse); n > 3*length {
		t.Errorf("%d bytes allocated for a header of %d, want at most three times that", n, length)
	}

	name := filepath.Join(t.TempDir(), "300.safetensors")
	if err := os.WriteFile(name, heavyHeader(300), 0o666); err != nil {
		t.Fatal(err)
	}
	for way, open := range map[string]func(string) (*File, error){"Open": Open, "Map": Map} {
		n := testing.AllocsPerRun(20, func() {
			f, err := open(name)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		})
		if n > 25 {
			t.Errorf("%s: %.0f allocations for 300 tensors, want at most 25", way, n)
		}
		t.Logf("%s: %.0f allocations", way, n)
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, h := range hostiles() {
		b.Run(h.name, func(b *testing.B) {
			file := h.make()
			b.SetBytes(int64(binary.LittleEndian.Uint64(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewFile(bytes.NewReader(file), int64(len(file))); (err == nil) != (h.refuse == nil) {
					b.Fatal(err)
				}
			}
		})
	}
}
