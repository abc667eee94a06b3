package numeric

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// opaque hides that data is in memory.
type opaque struct{ io.ReaderAt }

func castable() (all []safetensors.DType) {
	return append([]safetensors.DType{safetensors.F32, safetensors.F64}, floats...)
}

// castBySteps is the cast without a Cast: one Decode, one Encode.
func castBySteps(t *testing.T, data Data, to safetensors.DType, mode Overflow) []byte {
	t.Helper()
	n, err := data.numbers()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, bytesOf(to, n))
	if exact32(data.DType) {
		values := make([]float32, n)
		if err := errors.Join(Decode(values, data.DType, data.Source.(Memory)), Encode(out, to, values, mode)); err != nil {
			t.Fatal(err)
		}
		return out
	}
	values := make([]float64, n)
	if err := errors.Join(Decode(values, data.DType, data.Source.(Memory)), Encode(out, to, values, mode)); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCast casts every float type to every other and reads it in several ways.
func TestCast(t *testing.T) {
	for _, from := range castable() {
		data := series(t, from.String(), "weights")
		for _, to := range castable() {
			if from == safetensors.F8E8M0 && to.Bits() < 8 {
				continue // the negative weights are NaN
			}
			for _, mode := range []Overflow{ToSpecial, Saturate} {
				want := castBySteps(t, data, to, mode)
				for _, source := range []io.ReaderAt{data.Source, opaque{data.Source}} {
					c, err := NewCast(Data{from, source, data.Size}, to, mode)
					if err != nil {
						t.Fatal(err)
					}
					var out bytes.Buffer
					if n, err := c.WriteTo(&out); err != nil || n != c.Size() || !bytes.Equal(out.Bytes(), want) {
						t.Fatalf("%s to %s: %d of %d bytes, %v, equal %v", from, to, n, c.Size(), err, bytes.Equal(out.Bytes(), want))
					}
					for _, part := range [][2]int{{0, 1}, {1, 1}, {1, 2}, {3, 5}, {2, 40}, {7, 4096}, {13, 30001}, {len(want) - 3, 3}, {len(want) - 1, 1}} {
						p := make([]byte, part[1])
						n, err := c.ReadAt(p, int64(part[0]))
						end := min(part[0]+part[1], len(want))
						if !bytes.Equal(p[:n], want[part[0]:end]) || n < len(p) && err != io.EOF || n == len(p) && err != nil {
							t.Fatalf("%s to %s at %v: %d bytes, %v", from, to, part, n, err)
						}
					}
				}
			}
		}
	}
}

// TestOverflows counts what is beyond the largest finite value of a type: 65504
// for F16, (2-2^-7)·2^127 for BF16, 448 for F8_E4M3 and 57344 for F8_E5M2.
func TestOverflows(t *testing.T) {
	inf := math.Inf(1)
	values := []float64{0, 1, -1, 448, -449, 57344, 57345, 65504, -65505, 1e6, 0x1.fep127, -0x1.ffp127, inf, -inf, math.NaN()}
	wide := append([]float64{1e300, -0x1.fffffep127, 0x1.fffffe0001p127}, values...)
	for _, test := range []struct {
		from, to safetensors.DType
		values   []float64
		want     int64
	}{
		{safetensors.F32, safetensors.F32, values, 0},
		{safetensors.F32, safetensors.F64, values, 0},
		{safetensors.F32, safetensors.BF16, values, 1},
		{safetensors.F32, safetensors.F16, values, 4},
		{safetensors.F32, safetensors.F8E5M2, values, 6},
		{safetensors.F32, safetensors.F8E4M3, values, 8},
		{safetensors.F64, safetensors.F32, wide, 2},
		{safetensors.F64, safetensors.BF16, wide, 4},
		{safetensors.F16, safetensors.F8E5M2, []float64{57344, 57376, -65504, inf}, 2},
		{safetensors.F16, safetensors.BF16, []float64{65504}, 0},
		{safetensors.BF16, safetensors.F16, []float64{65280, 65536, -0x1.fep127, inf}, 2},
		{safetensors.F8E5M2, safetensors.F8E4M3, []float64{448, 512, -57344, inf}, 2},
	} {
		g := groupOf(test.from)
		raw := make(Memory, int64(len(test.values))*g.bytes)
		if err := Encode(raw, test.from, test.values, ToSpecial); err != nil {
			t.Fatal(err)
		}
		c, err := NewCast(Data{test.from, opaque{raw}, int64(len(raw))}, test.to, ToSpecial)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteTo(io.Discard); err != nil || c.Overflows() != test.want {
			t.Errorf("%s to %s: %d, not %d beyond the range, %v", test.from, test.to, c.Overflows(), test.want, err)
		}
	}
}

func TestCastErrors(t *testing.T) {
	four := Memory{0, 0, 0xC0, 0x7F, 0, 0, 0xC0, 0x7F, 0, 0, 0xC0, 0x7F, 0, 0, 0xC0, 0x7F}
	for _, test := range []struct {
		data Data
		to   safetensors.DType
		want error
	}{
		{Data{safetensors.I32, four, 16}, safetensors.F32, ErrFloat},
		{Data{safetensors.F32, four, 16}, safetensors.I8, ErrFloat},
		{Data{safetensors.C64, four, 16}, safetensors.F32, ErrFloat},
		{Data{safetensors.F32, four, 15}, safetensors.F16, ErrSize},
		{Data{safetensors.F32, four, 20}, safetensors.F16, ErrSize},
		{Data{safetensors.F32, four, -4}, safetensors.F16, ErrSize},
		{Data{safetensors.F32, four, 12}, safetensors.F4, ErrSize},
		{Data{0, four, 12}, safetensors.F32, safetensors.ErrDType},
	} {
		if _, err := NewCast(test.data, test.to, ToSpecial); !errors.Is(err, test.want) {
			t.Errorf("%s to %s: %v, want %v", test.data.DType, test.to, err, test.want)
		}
	}
	c, err := NewCast(Data{safetensors.F32, four, 16}, safetensors.F4, Saturate)
	if err != nil {
		t.Fatal(err)
	}
	var refused *ValueError
	if _, err := c.ReadAt(make([]byte, 1), 1); !errors.As(err, &refused) || refused.Index != 0 || refused.Err != ErrNaN {
		t.Errorf("NaN as F4: %v", err)
	}
	if n, err := c.ReadAt(make([]byte, 1), 2); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if _, err := c.ReadAt(make([]byte, 1), -1); !errors.Is(err, ErrRange) {
		t.Errorf("before the beginning: %v", err)
	}
	// A source that is shorter than it should be.
	c, err = NewCast(Data{safetensors.F32, opaque{four}, 32}, safetensors.BF16, ToSpecial)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo(io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short source: %v", err)
	}
}

// TestCastEncoded writes a cast by the encoder's workers.
func TestCastEncoded(t *testing.T) {
	raw := make(Memory, 9<<20)
	for i := range raw {
		raw[i] = byte(splitmix64(uint64(i/4)) >> (8 * (i % 4)))
	}
	data := Data{safetensors.F32, raw, int64(len(raw))}
	c, err := NewCast(data, safetensors.BF16, ToSpecial)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "cast.safetensors")
	entry := safetensors.Entry{Info: safetensors.Info{Name: "w", DType: safetensors.BF16, Shape: []uint64{9 << 18}}, Data: c}
	if err := new(safetensors.Encoder).WriteFile(t.Context(), name, []safetensors.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if want := castBySteps(t, data, safetensors.BF16, ToSpecial); !bytes.Equal(file[len(file)-len(want):], want) {
		t.Error("the file does not hold the cast")
	}
}

// TestCastError asks what a cast has lost, and holds it to the definitions.
func TestCastError(t *testing.T) {
	data := series(t, "F32", "weights")
	c, err := NewCast(data, safetensors.F8E4M3, Saturate)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Scan{}.Compare(t.Context(), data, c.Data(), Tolerance{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]float64, goldenCount), make([]float64, goldenCount)
	if err := errors.Join(Decode(a, data.DType, data.Source.(Memory)), Decode(b, safetensors.F8E4M3, castBySteps(t, data, safetensors.F8E4M3, Saturate))); err != nil {
		t.Fatal(err)
	}
	var signal, noise, most float64
	for i := range a {
		signal += a[i] * a[i]
		noise += (a[i] - b[i]) * (a[i] - b[i])
		most = max(most, math.Abs(a[i]-b[i]))
	}
	if want := 10 * math.Log10(signal/noise); !near(d.SQNR(), want, 1e-9) || d.MaxAbs != most {
		t.Errorf("SQNR %v, want %v; max-abs %v, want %v", d.SQNR(), want, d.MaxAbs, most)
	}
	// A mantissa of three bits: half a unit is 2^-4 of a normal number at most.
	if d.SQNR() < 25 || d.SQNR() > 35 {
		t.Errorf("SQNR of F8_E4M3 is %v dB", d.SQNR())
	}
}

// FuzzCast casts between all pairs of types, and holds parts to the whole, and the
// whole, of which kernels do the most, to the plain loops.
func FuzzCast(f *testing.F) {
	for d := range castable() {
		f.Add([]byte("\x00\x01\x7f\x80\xff\xfe\x3c\x00\x7c\x00\xfc\x01\x80\x7f\x80\xff\xc0\x7f\x00\x00\x80\x3f\x55\xaa"), uint8(d), uint8(d+1), uint8(d), uint16(d), uint16(7))
	}
	f.Fuzz(func(t *testing.T, src []byte, from, to, mode uint8, off, length uint16) {
		types := castable()
		d, e := types[int(from)%len(types)], types[int(to)%len(types)]
		for len(src) > 0 && len(src) < 3000 {
			src = append(src, src...)
		}
		src = src[:len(src)/96*96] // groups of every type, and as many numbers as those of every other
		data := Data{d, opaque{Memory(src)}, int64(len(src))}
		c, err := NewCast(data, e, Overflow(mode%2))
		if err != nil {
			t.Fatal(err)
		}
		var whole bytes.Buffer
		if _, err := c.WriteTo(&whole); err != nil {
			if !errors.Is(err, ErrNaN) {
				t.Fatal(err)
			}
			return
		}
		p := make([]byte, length)
		n, err := c.ReadAt(p, int64(off))
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		want := whole.Bytes()[min(int(off), whole.Len()):min(int(off)+len(p), whole.Len())]
		if !bytes.Equal(p[:n], want) {
			t.Fatalf("%s to %s at %d: %x, want %x", d, e, off, p[:n], want)
		}
		// Four numbers at a time are none for a kernel.
		in, out := 4*d.Bits()/8, 4*e.Bits()/8
		for i, got := 0, whole.Bytes(); i < len(src)/in; i++ {
			part := Data{d, Memory(src[i*in : (i+1)*in]), int64(in)}
			if d == e && mode%2 == 0 {
				break // a copy, payloads of NaN too
			}
			if want := castBySteps(t, part, e, Overflow(mode%2)); !bytes.Equal(got[i*out:(i+1)*out], want) {
				t.Fatalf("%s to %s at group %d: %x, want %x", d, e, i, got[i*out:(i+1)*out], want)
			}
		}
	})
}

// TestScanCancelled holds that a cancelled context ends a scan with its cause.
func TestScanCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := (Scan{}).Stats(ctx, series(t, "F32", "weights")); !errors.Is(err, cause) {
		t.Error(err)
	}
}
