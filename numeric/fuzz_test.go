package numeric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// FuzzCodecs decodes bytes as a type and states what holds of any codec here:
// values go back to their bytes, a chunk of one group decodes as the same group
// in a bulk call, float32 and float64 agree, and the order of numbers and their
// signs survive rounding.
func FuzzCodecs(f *testing.F) {
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		f.Add(uint8(d), []byte("\x00\x01\x7f\x80\xff\xfe\x3c\x00\x7c\x00\xfc\x01\x80\x7f\x80\xff\xc0\x7f\x00\x00\x80\x3f\x55\xaa"), 1.5, -0.1)
	}
	f.Fuzz(func(t *testing.T, kind uint8, src []byte, x, y float64) {
		d := safetensors.DType(kind)
		if d.Bits() == 0 {
			if err := Decode(make([]float64, 1), d, src); !errors.Is(err, safetensors.ErrDType) {
				t.Fatal(err)
			}
			return
		}
		group := 24 // bytes: whole elements of every type
		src = src[:min(len(src), 480)/group*group]
		if len(src) == 0 {
			return
		}
		checkTwins(t, d, src)
		for len(src) < 2*tableWorth && d.Bits() <= 8 {
			src = bytes.Repeat(src, 2) // reach the bulk path
		}
		numbers := len(src) * 8 / d.Bits()
		if d == safetensors.C64 {
			numbers *= 2
		}
		wide, narrow := make([]float64, numbers), make([]float32, numbers)
		if err := errors.Join(Decode(wide, d, src), Decode(narrow, d, src)); err != nil {
			t.Fatal(err)
		}
		for i := range wide {
			if !same32(float32(wide[i]), narrow[i]) && d.Bits() < 64 {
				t.Fatalf("%s %d: float64 %v, float32 %v", d, i, wide[i], narrow[i])
			}
		}
		checkGroups(t, d, src, wide, group)
		checkBack(t, d, src, wide)
		if _, ok := LimitsOf(d); ok && x == x && y == y {
			checkOrder(t, d, x, y)
		}
	})
}

// checkTwins reads src as float32 and as float64 and rounds them by all ways.
func checkTwins(t *testing.T, d safetensors.DType, src []byte) {
	l, ok := layoutOf(d)
	if !ok || d.Bits() > 16 {
		return
	}
	for i := 0; i+4 <= len(src); i += 4 {
		x := math.Float32frombits(binary.LittleEndian.Uint32(src[i:]))
		if x != x && l.special == finite {
			continue
		}
		for _, mode := range []Overflow{ToSpecial, Saturate} {
			r := newRounder(l, mode)
			if one, two := r.round(x), l.code(float64(x), mode); one != two {
				t.Fatalf("%s of %v, mode %d: %#x by rounder, %#x by layout", d, x, mode, one, two)
			}
		}
	}
}

// checkGroups decodes src one group at a time.
func checkGroups(t *testing.T, d safetensors.DType, src []byte, wide []float64, group int) {
	each := group * len(wide) / len(src)
	part := make([]float64, each)
	for i := 0; i*group < len(src); i++ {
		if err := Decode(part, d, src[i*group:(i+1)*group]); err != nil {
			t.Fatal(err)
		}
		for j, v := range part {
			if math.Float64bits(v) != math.Float64bits(wide[i*each+j]) {
				t.Fatalf("%s %d: bulk %v, group %v", d, i*each+j, wide[i*each+j], v)
			}
		}
	}
}

// checkBack encodes what was decoded; a NaN has to stay one.
func checkBack(t *testing.T, d safetensors.DType, src []byte, wide []float64) {
	out := make([]byte, len(src))
	if _, ok := wholeRange(d); ok {
		checkWhole(t, d, src)
		return
	}
	if err := Encode(out, d, wide, ToSpecial); err != nil {
		t.Fatal(err)
	}
	again := make([]float64, len(wide))
	if err := Decode(again, d, out); err != nil {
		t.Fatal(err)
	}
	for i, v := range wide {
		if math.Float64bits(v) != math.Float64bits(again[i]) && (v == v || again[i] == again[i]) {
			t.Fatalf("%s %d: %v became %v", d, i, v, again[i])
		}
		if v != v {
			wide[i] = 0
		}
	}
	if bytes.Equal(src, out) {
		return
	}
	// Bytes may differ in the payloads of NaN only. One value a code means that
	// equal values are equal codes, so that the comparison above has shown it.
	for _, v := range again {
		if v != v {
			return
		}
	}
	t.Fatalf("%s: %x became %x without a NaN", d, src, out)
}

func checkWhole(t *testing.T, d safetensors.DType, src []byte) {
	out := make([]byte, len(src))
	signed, unsigned := make([]int64, len(src)*8/d.Bits()), make([]uint64, len(src)*8/d.Bits())
	one, two := DecodeInt(signed, d, src), DecodeInt(unsigned, d, src)
	if one != nil && two != nil {
		t.Fatal(one, two)
	}
	var err error
	if one == nil {
		err = EncodeInt(out, d, signed)
	} else {
		err = EncodeInt(out, d, unsigned)
	}
	if d == safetensors.Bool && errors.Is(err, ErrRange) {
		return
	}
	if err != nil || !bytes.Equal(src, out) {
		t.Fatalf("%s: %x became %x, %v", d, src, out, err)
	}
}

func checkOrder(t *testing.T, d safetensors.DType, x, y float64) {
	for _, mode := range []Overflow{ToSpecial, Saturate} {
		in := []float64{x, y, -x, -y}
		out := make([]byte, 4*d.Bits()/8/parts(d))
		got := make([]float64, 4)
		if err := errors.Join(Encode(out, d, in, mode), Decode(got, d, out)); err != nil {
			t.Fatal(err)
		}
		ordered := got[0] == got[0] && got[1] == got[1]
		if ordered && (x < y && got[0] > got[1] || x > y && got[0] < got[1]) {
			t.Fatalf("%s: %v, %v became %v, %v", d, x, y, got[0], got[1])
		}
		if l, _ := LimitsOf(d); l.Signed && (got[0] != -got[2] || got[1] != -got[3]) && ordered {
			t.Fatalf("%s: %v became %v", d, in, got)
		}
		if mode == Saturate && !ordered && d != safetensors.F8E8M0 {
			t.Fatalf("%s: saturated %v became %v", d, in, got)
		}
	}
}

func parts(d safetensors.DType) int {
	if d == safetensors.C64 {
		return 2
	}
	return 1
}

// FuzzCompare compares any bytes as two types: by kernels, in pieces, and by the
// plain loop over all of it decoded.
func FuzzCompare(f *testing.F) {
	for d := safetensors.Bool; d <= safetensors.U64; d++ {
		f.Add(uint8(d), uint8(d), []byte("\x00\x01\x7f\x00\xff\xfe\x3c\x00\x78\x00\xf8\x01\x80\x37\x80\xf3\xc0\x77\x00\x00\x80\x3f\x55\xaa"), 0.125, 0.0, uint8(3))
		f.Add(uint8(d), uint8(safetensors.F32), []byte("\x00\x01\x7f\x80\xff\xfe\x3c\x00\x7c\x00\xfc\x01\x80\x7f\x80\xff\xc0\x7f\x00\x00\x80\x3f\x55\xaa"), 1e-5, 1e-8, uint8(20))
	}
	f.Fuzz(func(t *testing.T, one, other uint8, src []byte, relative, absolute float64, times uint8) {
		d, e := safetensors.DType(one), safetensors.DType(other)
		if d.Bits() == 0 || e.Bits() == 0 || d.Bits() == 64 && d == e && d != safetensors.F64 {
			return // 64-bit integers are told apart where no float64 is
		}
		half := len(src) / 2 / 24 * 24
		a, b := bytes.Repeat(src[:half], int(times%64)), bytes.Repeat(src[half:2*half], int(times%64))
		n := min(len(a)*8/d.Bits()*parts(d), len(b)*8/e.Bits()*parts(e), blockNumbers) &^ 7
		a, b = a[:bytesOf(d, int64(n))], b[:bytesOf(e, int64(n))]
		if n == 0 || d == e && bytes.Equal(a, b) {
			return
		}
		got, err := Scan{Workers: 1}.Compare(t.Context(), Data{d, Memory(a), int64(len(a))}, Data{e, Memory(b), int64(len(b))}, Tolerance{Rel: relative, Abs: absolute})
		x, y := make([]float64, n), make([]float64, n)
		if err := errors.Join(err, Decode(x, d, a), Decode(y, e, b)); err != nil {
			t.Fatal(err)
		}
		p := pairs{relative: relative, absolute: absolute}
		addPairs(&p, x, y)
		want := p.diff(n)
		if (d == safetensors.F64 || e == safetensors.F64) && p.vanish(a, b) || !p.addTo(&want) {
			err := want.addCareful(func(use func(i int, x, y float64)) error {
				for i := range x {
					if x[i]-x[i] == 0 && y[i]-y[i] == 0 {
						use(i, x[i], y[i])
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		changed, most := true, want.MaxAbs > 0
		for i := range x {
			if changed && x[i] != y[i] && (x[i] == x[i] || y[i] == y[i]) {
				want.First, changed = uint64(i), false
			}
			if most && math.Abs(x[i]-y[i]) == want.MaxAbs && x[i]-x[i] == 0 && y[i]-y[i] == 0 {
				want.MaxAbsAt, most = uint64(i), false
			}
		}
		merged := new(Diff) // sums have a form of their own before
		merged.union(&want)
		if diff := cmp.Diff(merged, got, unexported); diff != "" {
			t.Fatalf("%s and %s, relative %v, absolute %v: %s\n%v\n%v", d, e, relative, absolute, diff, x, y)
		}
	})
}

// wholeDiff returns what was found in count pairs, with the sums.
func wholeDiff(p *pairs, count int) Diff {
	d := p.diff(count)
	p.addTo(&d)
	return d
}
