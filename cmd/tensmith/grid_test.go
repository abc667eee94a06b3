package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// Python's own answers: list(range(dim))[text], for indices a list of one.
func TestParseSlice(t *testing.T) {
	for _, c := range []struct {
		text string
		dim  uint64
		want []uint64
		ok   bool
	}{
		{"[:]", 3, []uint64{0, 1, 2}, true},
		{"[-2:]", 5, []uint64{3, 4}, true},
		{"[:-2]", 5, []uint64{0, 1, 2}, true},
		{"[1:100]", 4, []uint64{1, 2, 3}, true},
		{"[-100:2]", 4, []uint64{0, 1}, true},
		{"[3:1]", 4, nil, true},
		{"[::3]", 8, []uint64{0, 3, 6}, true},
		{"[1::9223372036854775807]", 8, []uint64{1}, true},
		{"[ 1 : 3 ]", 8, []uint64{1, 2}, true},
		{"[-1]", 8, []uint64{7}, true},
		{"[...]", 2, []uint64{0, 1}, true},
		{"[..., 1]", 2, []uint64{1}, true},
		{"[1, ...]", 2, []uint64{1}, true},
		{"[2]", 2, nil, false},
		{"[-3]", 2, nil, false},
		{"[]", 2, nil, false},
		{"[0,0]", 2, nil, false},
		{"[0,...,0]", 2, nil, false},
		{"[::0]", 2, nil, false},
		{"[::-1]", 2, nil, false},
		{"[1:2:3:4]", 2, nil, false},
		{"[9223372036854775808]", 2, nil, false},
		{"[x]", 2, nil, false},
		{"[0]", math.MaxUint64, nil, false},
	} {
		axes, err := parseSlice(c.text, []uint64{c.dim})
		if (err == nil) != c.ok {
			t.Errorf("%s of %d: %v", c.text, c.dim, err)
			continue
		}
		if err != nil {
			continue
		}
		var got []uint64
		for i := range axes[0].n {
			got = append(got, axes[0].start+i*axes[0].step)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s of %d (-want +got):\n%s", c.text, c.dim, diff)
		}
	}
}

// FuzzGrid compares the values that a grid reads with those that the library's
// slice of the same ranges has, wherever the library can make one.
func FuzzGrid(f *testing.F) {
	f.Add(uint8(safetensors.F32), uint8(3), uint8(4), "[1:,::2]")
	f.Add(uint8(safetensors.F4), uint8(3), uint8(8), "[:,2:6]")
	f.Add(uint8(safetensors.F6E2M3), uint8(2), uint8(8), "[1]")
	f.Add(uint8(safetensors.C64), uint8(2), uint8(3), "[-1,-2:]")
	f.Fuzz(func(t *testing.T, d, rows, columns uint8, text string) {
		dtype := safetensors.DType(d)
		bits := uint64(dtype.Bits())
		n := uint64(rows) * uint64(columns)
		if bits == 0 || n*bits%8 != 0 {
			return
		}
		data := make([]byte, n*bits/8)
		for i := range data {
			data[i] = byte(i*37 + 11)
		}
		var b bytes.Buffer
		info := safetensors.Info{Name: "x", DType: dtype, Shape: []uint64{uint64(rows), uint64(columns)}}
		if err := new(safetensors.Encoder).Encode(&b, []safetensors.Entry{{Info: info, Data: bytes.NewReader(data)}}); err != nil {
			t.Fatal(err)
		}
		file, err := safetensors.NewFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		x, err := file.Tensor("x")
		if err != nil {
			t.Fatal(err)
		}
		axes, err := parseSlice(text, x.Shape)
		if err != nil {
			return
		}
		var got []string
		g := &grid{ctx: t.Context(), t: x, axes: axes, out: bufio.NewWriter(io.Discard)}
		err = g.each(func(text []byte) error { got = append(got, string(text)); return nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(got)) != g.count() {
			t.Fatalf("%d values, want %d", len(got), g.count())
		}
		var spans []safetensors.Range
		for _, ax := range axes {
			span := safetensors.Span(ax.start, min(ax.start+ax.n*ax.step, ax.start+(max(ax.n, 1)-1)*ax.step+min(ax.n, 1)))
			if ax.step <= 1<<32 {
				span = span.Every(ax.step)
			}
			spans = append(spans, span)
		}
		part, err := x.Slice(spans...)
		if errors.Is(err, safetensors.ErrMisaligned) {
			return // a grid reads those, too
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := part.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range got {
			want, err := numeric.AppendText(nil, dtype, raw, i)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != text {
				t.Fatalf("value %d is %s, want %s", i, text, want)
			}
		}
		if err := g.human(80); err != nil {
			t.Fatal(err)
		}
	})
}

// JSON has to be able to carry every text that a value has.
func TestJSONValue(t *testing.T) {
	for text, want := range map[string]string{
		"1e-05": "1e-05", "NaN": `"NaN"`, "+Inf": `"Infinity"`, "-Inf": `"-Infinity"`, "true": "true",
		"(1+2i)": "[1,2]", "(-1e-05-2e+06i)": "[-1e-05,-2e+06]", "(NaN+NaNi)": `["NaN","NaN"]`,
	} {
		if got := jsonValue([]byte(text)); got != want {
			t.Errorf("jsonValue(%s) = %s, want %s", text, got, want)
		}
	}
	// What AppendText really writes of every pattern of four complex numbers.
	for _, part := range []float32{0, float32(math.Copysign(0, -1)), 1e-30, -2.5e30, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		raw := make([]byte, 8)
		if err := numeric.Encode(raw, safetensors.C64, []float32{part, -part}, numeric.ToSpecial); err != nil {
			t.Fatal(err)
		}
		text, err := numeric.AppendText(nil, safetensors.C64, raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		spell := func(f float32) string {
			s := strconv.FormatFloat(float64(f), 'g', -1, 32)
			return jsonValue([]byte(s))
		}
		if got, want := jsonValue(text), "["+spell(part)+","+spell(-part)+"]"; got != want {
			t.Errorf("jsonValue(%s) = %s, want %s", text, got, want)
		}
	}
}
