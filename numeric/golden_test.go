package numeric

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// floats are the types of testdata/make.py, those of at most 16 bits.
var floats = []safetensors.DType{
	safetensors.F4, safetensors.F6E2M3, safetensors.F6E3M2, safetensors.F8E5M2, safetensors.F8E4M3,
	safetensors.F8E8M0, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ, safetensors.F16, safetensors.BF16,
}

// A golden reads testdata/golden.bin.gz, which testdata/make.py describes.
type golden struct {
	t    *testing.T
	data []byte
}

func openGolden(t *testing.T) *golden {
	t.Helper()
	packed, err := os.ReadFile("testdata/golden.bin.gz")
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return &golden{t, data}
}

// table returns the columns of the table with that name; widths are in bytes.
func (g *golden) table(name string, widths ...int) [][]uint64 {
	g.t.Helper()
	key := make([]byte, 24)
	copy(key, name)
	at := bytes.Index(g.data, key)
	if at < 0 {
		g.t.Fatalf("no table %q", name)
	}
	data := g.data[at+24:]
	rows := int(binary.LittleEndian.Uint32(data))
	data = data[4:]
	var columns [][]uint64
	for _, width := range widths {
		column := make([]uint64, rows)
		for plane := range width {
			for i := range column {
				column[i] |= uint64(data[i]) << (8 * plane)
			}
			data = data[rows:]
		}
		columns = append(columns, column)
	}
	return columns
}

func codeBytes(d safetensors.DType) int { return (d.Bits() + 7) / 8 }

// pack stores codes as elements of d, in the documented order, one bit at a
// time: slow, and unlike the code under test.
func pack(d safetensors.DType, codes []uint64) []byte {
	out := make([]byte, len(codes)*d.Bits()/8)
	for i, c := range codes {
		for b := range d.Bits() {
			at := i*d.Bits() + b
			out[at/8] |= byte(c>>b&1) << (at % 8)
		}
	}
	return out
}

func unpack(d safetensors.DType, src []byte) []uint64 {
	codes := make([]uint64, len(src)*8/d.Bits())
	for i := range codes {
		for b := range d.Bits() {
			at := i*d.Bits() + b
			codes[i] |= uint64(src[at/8]>>(at%8)&1) << b
		}
	}
	return codes
}

func same32(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// TestDecodeGolden decodes every code of every float of at most 16 bits.
func TestDecodeGolden(t *testing.T) {
	g := openGolden(t)
	for _, d := range floats {
		columns := g.table("decode "+d.String(), 4, 4)
		n := len(columns[0])
		if n != 1<<d.Bits() {
			t.Fatalf("%s: %d codes", d, n)
		}
		codes := make([]uint64, n)
		for i := range codes {
			codes[i] = uint64(i)
		}
		src := pack(d, codes)
		got32, got64 := make([]float32, n), make([]float64, n)
		if err := Decode(got32, d, src); err != nil {
			t.Fatal(err)
		}
		if err := Decode(got64, d, src); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for _, column := range columns {
				want := math.Float32frombits(uint32(column[i]))
				if !same32(got32[i], want) || !same32(float32(got64[i]), want) {
					t.Fatalf("%s code %#x: got %v and %v, want %v", d, i, got32[i], got64[i], want)
				}
			}
		}
	}
}

// skipNaN drops the inputs that F4 and F6 refuse.
func skipNaN(d safetensors.DType, isNaN bool) bool { return d.Bits() < 8 && isNaN }

func TestEncodeGolden(t *testing.T) {
	g := openGolden(t)
	for _, d := range floats {
		width := codeBytes(d)
		table := g.table("enc32 "+d.String(), 4, width, width)
		var in32 []float32
		var in64 []float64
		var want, torch []uint64
		for i, word := range table[0] {
			x := math.Float32frombits(uint32(word))
			if skipNaN(d, x != x) {
				continue
			}
			in32, in64 = append(in32, x), append(in64, float64(x))
			want, torch = append(want, table[1][i]), append(torch, table[2][i])
		}
		for d.Bits() < 8 && len(in32)%4 != 0 {
			in32, in64, want, torch = append(in32, 0), append(in64, 0), append(want, 0), append(torch, 0)
		}
		compareCodes(t, d, encode(t, d, in32, ToSpecial), want, in64, "float32, ml_dtypes")
		compareCodes(t, d, encode(t, d, in64, ToSpecial), want, in64, "float32 as float64, ml_dtypes")

		// PyTorch, where it is not the same by choice or by its own bits of NaN.
		mode, keep := ToSpecial, func(x float64) bool { return x == x }
		switch d {
		case safetensors.F8E4M3:
			mode = Saturate
		case safetensors.F8E8M0:
			keep = func(x float64) bool { return x > 0 }
		}
		got := encode(t, d, in32, mode)
		for i, x := range in64 {
			if !keep(x) {
				got[i] = torch[i]
			}
		}
		compareCodes(t, d, got, torch, in64, "float32, torch")

		if d == safetensors.F8E8M0 {
			continue // a scale has no mantissa to round twice: enc32 covers it
		}
		exact := g.table("enc64 "+d.String(), 8, width)
		in64, want = nil, exact[1]
		for _, word := range exact[0] {
			in64 = append(in64, math.Float64frombits(word))
		}
		for d.Bits() < 8 && len(in64)%4 != 0 {
			in64, want = append(in64, 0), append(want, 0)
		}
		compareCodes(t, d, encode(t, d, in64, ToSpecial), want, in64, "float64")
	}
}

func encode[T float32 | float64](t *testing.T, d safetensors.DType, in []T, mode Overflow) []uint64 {
	t.Helper()
	out := make([]byte, len(in)*d.Bits()/8)
	if err := Encode(out, d, in, mode); err != nil {
		t.Fatalf("%s: %v", d, err)
	}
	return unpack(d, out)
}

func compareCodes(t *testing.T, d safetensors.DType, got, want []uint64, in []float64, what string) {
	t.Helper()
	bad := 0
	for i := range want {
		if got[i] != want[i] && bad < 5 {
			bad++
			t.Errorf("%s of %s: %v (%#x): got %#x, want %#x", d, what, in[i], math.Float64bits(in[i]), got[i], want[i])
		}
	}
}

// TestTextDigits holds F16 text to numpy's shortest, code by code.
func TestTextDigits(t *testing.T) {
	numpy := openGolden(t).table("digits F16", 1)[0]
	compared := 0
	for code := range uint64(1 << 16) {
		text := textOf(t, safetensors.F16, code)
		mantissa, _, scientific := strings.Cut(text, "e")
		digits := len(strings.TrimLeft(strings.ReplaceAll(strings.TrimLeft(mantissa, "-"), ".", ""), "0"))
		if digits == 0 || strings.ContainsAny(text, "NI") || !scientific && !strings.Contains(text, ".") {
			continue // zero, special, or a whole number, whose digits are all there
		}
		compared++
		if digits != int(numpy[code]) {
			t.Errorf("code %#x: %s has not %d digits", code, text, numpy[code])
		}
	}
	if compared < 49000 {
		t.Errorf("compared only %d", compared)
	}
}

func textOf(t *testing.T, d safetensors.DType, code uint64) string {
	t.Helper()
	codes := make([]uint64, 4)
	codes[3] = code
	b, err := AppendText(nil, d, pack(d, codes), 3)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
