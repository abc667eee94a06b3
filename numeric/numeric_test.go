package numeric

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"slices"
	"strconv"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// TestTextShortest holds the text of every code of every narrow float to what
// it promises: it reads back, and no text with a digit less after the point does.
func TestTextShortest(t *testing.T) {
	for _, d := range floats {
		back := func(text string) (uint64, bool) {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			l, _ := LimitsOf(d)
			if !l.Inf && !l.NaN && math.Abs(v) > l.Max {
				return 0, false
			}
			return encode(t, d, []float64{v, v, v, v}, ToSpecial)[0], true
		}
		step := uint64(1)
		if d.Bits() == 16 {
			step = 4*thin - 3
		}
		for code := uint64(0); code < 1<<d.Bits(); code += step {
			text := textOf(t, d, code)
			if text == "NaN" {
				continue
			}
			if got, ok := back(text); !ok || got != code {
				t.Fatalf("%s %#x: %s reads back as %#x", d, code, text, got)
			}
			mantissa, exponent, found := bytes.Cut([]byte(text), []byte("e"))
			point := bytes.IndexByte(mantissa, '.')
			if point < 0 || d == safetensors.F8E8M0 && code == 0 {
				continue
			}
			// One digit less: the two texts around.
			cut := mantissa[:len(mantissa)-1]
			r, _ := new(big.Rat).SetString(string(bytes.TrimSuffix(cut, []byte("."))))
			step := new(big.Rat).SetFrac64(1, int64(math.Pow10(len(cut)-point-1)))
			if mantissa[0] == '-' {
				step.Neg(step)
			}
			for range 2 {
				short := r.FloatString(12)
				if found {
					short += "e" + string(exponent)
				}
				if got, ok := back(short); ok && got == code {
					t.Fatalf("%s %#x: %s does for %s", d, code, short, text)
				}
				r.Add(r, step)
			}
		}
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		d    safetensors.DType
		code uint64
		want string
	}{
		{safetensors.BF16, 0x3DCD, "0.1"},
		{safetensors.BF16, 0x8000, "-0"},
		{safetensors.BF16, 0xFF80, "-Inf"},
		{safetensors.BF16, 0x7F7F, "3.39e+38"},
		{safetensors.F16, 0x7BFF, "65504"},
		{safetensors.F16, 0x7C00, "+Inf"},
		{safetensors.F16, 0x0001, "6e-08"},
		{safetensors.F8E4M3, 0x7E, "448"},
		{safetensors.F8E4M3, 0xFF, "NaN"},
		{safetensors.F8E5M2, 0x7B, "57344"},
		{safetensors.F8E5M2FNUZ, 0x80, "NaN"},
		{safetensors.F8E8M0, 0x7F, "1"},
		{safetensors.F8E8M0, 0x00, "5.877e-39"},
		{safetensors.F8E8M0, 0xFE, "2e+38"},
		{safetensors.F6E2M3, 0x1F, "7.5"},
		{safetensors.F6E3M2, 0x3F, "-28"},
		{safetensors.F4, 0x9, "-0.5"},
		{safetensors.F32, 0x3DCCCCCD, "0.1"},
		{safetensors.F32, 0x7FC00000, "NaN"},
		{safetensors.F64, 0x3FB999999999999A, "0.1"},
		{safetensors.Bool, 0, "false"},
		{safetensors.Bool, 1, "true"},
		{safetensors.Bool, 7, "7"},
		{safetensors.U8, 255, "255"},
		{safetensors.I8, 255, "-1"},
		{safetensors.I16, 0x8000, "-32768"},
		{safetensors.U16, 0x8000, "32768"},
		{safetensors.I32, 1 << 31, "-2147483648"},
		{safetensors.I64, 1 << 63, "-9223372036854775808"},
		{safetensors.U64, math.MaxUint64, "18446744073709551615"},
		{safetensors.C64, 0x40000000_3F800000, "(1+2i)"},
		{safetensors.C64, 0xFF800000_7FC00000, "(NaN-Infi)"},
		{safetensors.C64, 0x7F800000_80000000, "(-0+Infi)"},
	} {
		if got := textOf(t, test.d, test.code); got != test.want {
			t.Errorf("%s %#x: got %s, want %s", test.d, test.code, got, test.want)
		}
	}
	for i := range 4 { // every place in a group
		b, err := AppendText([]byte("x"), safetensors.F6E3M2, pack(safetensors.F6E3M2, []uint64{0x0C, 0x10, 0x2C, 0x1F}), i)
		if want := "x" + []string{"1", "2", "-1", "28"}[i]; err != nil || string(b) != want {
			t.Errorf("F6 element %d: %q %v, want %q", i, b, err, want)
		}
	}
	for _, i := range []int{-1, 2, math.MaxInt} {
		if _, err := AppendText(nil, safetensors.F4, []byte{0x10}, i); !errors.Is(err, ErrSize) {
			t.Errorf("element %d: %v", i, err)
		}
	}
	if _, err := AppendText(nil, 0, []byte{0x10}, 0); !errors.Is(err, safetensors.ErrDType) {
		t.Errorf("no type: %v", err)
	}
}

func TestSaturate(t *testing.T) {
	inf := math.Inf(1)
	for _, test := range []struct {
		d    safetensors.DType
		in   float64
		mode Overflow
		want uint64
	}{
		{safetensors.F8E4M3, 464, ToSpecial, 0x7E},
		{safetensors.F8E4M3, 465, ToSpecial, 0x7F},
		{safetensors.F8E4M3, -465, Saturate, 0xFE},
		{safetensors.F8E4M3, inf, Saturate, 0x7E},
		{safetensors.F8E5M2, 61440, ToSpecial, 0x7C},
		{safetensors.F8E5M2, 61440, Saturate, 0x7B},
		{safetensors.F8E5M2, -inf, Saturate, 0xFB},
		{safetensors.F8E4M3FNUZ, 1e9, ToSpecial, 0x80},
		{safetensors.F8E4M3FNUZ, 1e9, Saturate, 0x7F},
		{safetensors.F8E5M2FNUZ, -1e9, Saturate, 0xFF},
		{safetensors.F8E8M0, 1e300, Saturate, 0xFE},
		{safetensors.F8E8M0, 0, Saturate, 0x00},
		{safetensors.F8E8M0, -1, Saturate, 0xFF},
		{safetensors.F8E8M0, math.NaN(), Saturate, 0xFF},
		{safetensors.F16, 65520, ToSpecial, 0x7C00},
		{safetensors.F16, 65520, Saturate, 0x7BFF},
		{safetensors.BF16, math.MaxFloat32, ToSpecial, 0x7F80},
		{safetensors.BF16, -math.MaxFloat32, Saturate, 0xFF7F},
		{safetensors.BF16, math.NaN(), Saturate, 0x7FC0},
		{safetensors.F32, 1e300, ToSpecial, 0x7F800000},
		{safetensors.F32, -1e300, Saturate, 0xFF7FFFFF},
		{safetensors.F64, inf, Saturate, 0x7FEFFFFFFFFFFFFF},
	} {
		if got := encode(t, test.d, []float64{test.in}, test.mode)[0]; got != test.want {
			t.Errorf("%v as %s, mode %d: got %#x, want %#x", test.in, test.d, test.mode, got, test.want)
		}
	}
}

func TestIntegers(t *testing.T) {
	for d, edge := range map[safetensors.DType]struct {
		low  int64
		high uint64
	}{
		safetensors.Bool: {0, 1},
		safetensors.U8:   {0, math.MaxUint8}, safetensors.I8: {math.MinInt8, math.MaxInt8},
		safetensors.U16: {0, math.MaxUint16}, safetensors.I16: {math.MinInt16, math.MaxInt16},
		safetensors.U32: {0, math.MaxUint32}, safetensors.I32: {math.MinInt32, math.MaxInt32},
		safetensors.U64: {0, math.MaxUint64}, safetensors.I64: {math.MinInt64, math.MaxInt64},
	} {
		size := d.Bits() / 8
		raw := make([]byte, 2*size)
		signed, back := []int64{edge.low, int64(min(edge.high, math.MaxInt64))}, make([]int64, 2)
		if err := errors.Join(EncodeInt(raw, d, signed), DecodeInt(back, d, raw)); err != nil {
			t.Error(err)
		}
		if !slices.Equal(signed, back) {
			t.Errorf("%s: got %v, want %v", d, back, signed)
		}
		want, got := []uint64{0, edge.high}, make([]uint64, 2)
		if err := errors.Join(EncodeInt(raw, d, want), DecodeInt(got, d, raw)); err != nil {
			t.Error(err)
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s: got %v, want %v", d, got, want)
		}
		var bad *ValueError
		if edge.low > math.MinInt64 {
			if err := EncodeInt(raw, d, []int64{0, edge.low - 1}); !errors.As(err, &bad) || bad.Index != 1 || !errors.Is(err, ErrRange) {
				t.Errorf("%s below: %v", d, err)
			}
		}
		if edge.high < math.MaxUint64 {
			if err := EncodeInt(raw, d, []uint64{0, edge.high + 1}); !errors.As(err, &bad) || bad.Index != 1 || !errors.Is(err, ErrRange) {
				t.Errorf("%s above: %v", d, err)
			}
		}
		beyond := new(big.Float).SetUint64(edge.high)
		f, _ := beyond.Add(beyond, big.NewFloat(1)).Float64()
		for in, want := range map[float64]error{
			f: ErrRange, math.Inf(1): ErrRange, math.Inf(-1): ErrRange, float64(edge.low)*2 - 1: ErrRange,
			0.5: ErrFraction, math.NaN(): ErrNaN, 1: nil, float64(edge.low): nil, math.Copysign(0, -1): nil,
		} {
			if err := Encode(raw, d, []float64{0, in}, ToSpecial); !errors.Is(err, want) {
				t.Errorf("%v as %s: %v, want %v", in, d, err, want)
			}
		}
	}
	minus := bytes.Repeat([]byte{0xFF}, 16)
	for _, d := range []safetensors.DType{safetensors.I8, safetensors.I16, safetensors.I32, safetensors.I64} {
		if err := DecodeInt(make([]uint64, 2), d, minus[:d.Bits()/4]); !errors.Is(err, ErrRange) {
			t.Errorf("-1 of %s as uint64: %v", d, err)
		}
	}
	if err := DecodeInt(make([]int64, 2), safetensors.U64, minus); !errors.Is(err, ErrRange) {
		t.Errorf("2^64-1 as int64: %v", err)
	}
	if err := DecodeInt(make([]int64, 2), safetensors.F64, minus); !errors.Is(err, ErrKind) {
		t.Errorf("F64 as int64: %v", err)
	}
	// One rounding from 64 bits to float32: 2^40+2^16+1 is just above a middle.
	raw := make([]byte, 8)
	got := make([]float32, 1)
	err := errors.Join(EncodeInt(raw, safetensors.I64, []int64{1<<40 + 1<<16 + 1}), Decode(got, safetensors.I64, raw))
	if err != nil || got[0] != 1<<40+1<<17 {
		t.Errorf("I64 as float32: %v %v", got[0], err)
	}
	err = errors.Join(EncodeInt(raw, safetensors.U64, []uint64{1<<63 + 1<<39 + 1}), Decode(got, safetensors.U64, raw))
	if err != nil || got[0] != 1<<63+1<<40 {
		t.Errorf("U64 as float32: %v %v", got[0], err)
	}
}

func TestRefused(t *testing.T) {
	nan := math.NaN()
	for _, d := range []safetensors.DType{safetensors.F4, safetensors.F6E2M3, safetensors.F6E3M2} {
		var bad *ValueError
		err := Encode(make([]byte, d.Bits()), d, []float64{0, 0, 0, 0, 0, nan, 0, 0}, ToSpecial)
		if !errors.As(err, &bad) || bad.Index != 5 || bad.DType != d || !errors.Is(err, ErrNaN) {
			t.Errorf("NaN as %s: %v", d, err)
		}
	}
	for _, test := range []struct {
		d       safetensors.DType
		numbers int
		size    int
		want    error
	}{
		{safetensors.F4, 3, 2, ErrSize}, {safetensors.F4, 2, 1, nil}, {safetensors.F6E2M3, 4, 3, nil},
		{safetensors.F6E2M3, 2, 2, ErrSize}, {safetensors.C64, 2, 8, nil}, {safetensors.C64, 1, 4, ErrSize},
		{safetensors.F32, 2, 4, ErrSize}, {safetensors.F32, 0, 0, nil}, {0, 0, 0, safetensors.ErrDType},
		{99, 1, 1, safetensors.ErrDType},
	} {
		if err := Decode(make([]float64, test.numbers), test.d, make([]byte, test.size)); !errors.Is(err, test.want) {
			t.Errorf("decode %d of %s in %d: %v", test.numbers, test.d, test.size, err)
		}
		if err := Encode(make([]byte, test.size), test.d, make([]float64, test.numbers), 0); !errors.Is(err, test.want) {
			t.Errorf("encode %d of %s in %d: %v", test.numbers, test.d, test.size, err)
		}
	}
}

func TestLimits(t *testing.T) {
	// By ml_dtypes.finfo (numpy.finfo for F16): max, smallest_normal,
	// smallest_subnormal, eps.
	for d, want := range map[safetensors.DType]Limits{
		safetensors.F4:         {6, 1, 0.5, 0.5, false, false, true},
		safetensors.F6E2M3:     {7.5, 1, 0.125, 0.125, false, false, true},
		safetensors.F6E3M2:     {28, 0.25, 0.0625, 0.25, false, false, true},
		safetensors.F8E5M2:     {57344, 0x1p-14, 0x1p-16, 0.25, true, true, true},
		safetensors.F8E4M3:     {448, 0x1p-6, 0x1p-9, 0.125, false, true, true},
		safetensors.F8E4M3FNUZ: {240, 0x1p-7, 0x1p-10, 0.125, false, true, true},
		safetensors.F8E5M2FNUZ: {57344, 0x1p-15, 0x1p-17, 0.25, false, true, true},
		safetensors.F8E8M0:     {0x1p127, 0x1p-127, 0x1p-127, 1, false, true, false},
		safetensors.F16:        {65504, 0x1p-14, 0x1p-24, 0x1p-10, true, true, true},
		safetensors.BF16:       {0x1.FEp127, 0x1p-126, 0x1p-133, 0x1p-7, true, true, true},
		safetensors.F32:        {math.MaxFloat32, 0x1p-126, 0x1p-149, 0x1p-23, true, true, true},
		safetensors.F64:        {math.MaxFloat64, 0x1p-1022, 0x1p-1074, 0x1p-52, true, true, true},
	} {
		if got, ok := LimitsOf(d); !ok || got != want {
			t.Errorf("%s: got %+v, want %+v", d, got, want)
		}
	}
	if _, ok := LimitsOf(safetensors.I8); ok {
		t.Error("I8 is no float type")
	}
}

// TestRounder holds the float32 rounding to its slow twin across all exponents
// and signs. The step is a prime, so that every low bit pattern comes up.
func TestRounder(t *testing.T) {
	for _, d := range floats {
		l, ok := layoutOf(d)
		if !ok {
			continue // F8_E8M0 has one way only
		}
		for _, mode := range []Overflow{ToSpecial, Saturate} {
			r := newRounder(l, mode)
			for bits := uint64(0); bits < 1<<32; bits += 12289 {
				x := math.Float32frombits(uint32(bits))
				if x != x && l.special == finite {
					continue
				}
				if fast, slow := r.round(x), l.code(float64(x), mode); fast != slow {
					t.Fatalf("%s of %v (%#x): %#x, twin %#x", d, x, bits, fast, slow)
				}
			}
		}
	}
}
