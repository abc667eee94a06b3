package numeric

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// lossy are numbers of many magnitudes. One in a hundred of the first block is
// large, or no number at all.
func lossy(n int) []float32 {
	r := rand.New(rand.NewPCG(5, 1))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(20)-16)))
		if i < blockNumbers && r.IntN(100) == 0 {
			values[i] = []float32{1e6, -465, 3e38, 464, float32(math.NaN()), float32(math.Inf(-1))}[r.IntN(6)]
		}
	}
	return values
}

// castOf makes numbers those of a type first.
func castOf(t *testing.T, values []float32, from, to safetensors.DType, mode Overflow) *Cast {
	t.Helper()
	raw := make([]byte, bytesOf(from, int64(len(values))))
	if err := Encode(raw, from, values, ToSpecial); err != nil {
		t.Fatal(err)
	}
	c, err := NewCast(Data{DType: from, Source: Memory(raw), Size: int64(len(raw))}, to, mode)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantLoss is by Compare, and overflows one by one: those are what becomes the
// largest value and should have become more.
func wantLoss(t *testing.T, c *Cast) Loss {
	t.Helper()
	d, err := Scan{}.Compare(t.Context(), c.from, c.Data(), Tolerance{})
	if err != nil {
		t.Fatal(err)
	}
	want := Loss{Count: d.Count, MaxAbs: d.MaxAbs, SQNR: d.SQNR(), Overflow: d.Special}
	if limits, _ := LimitsOf(c.to); c.mode == Saturate && limits.NaN && c.to.Bits() <= 32 {
		values := make([]float64, d.Count)
		if err := Decode(values, c.from.DType, c.from.Source.(Memory)); err != nil {
			t.Fatal(err)
		}
		special := make([]byte, c.size)
		if err := Encode(special, c.to, values, ToSpecial); err != nil {
			t.Fatal(err)
		}
		after := make([]float64, d.Count)
		if err := Decode(after, c.to, special); err != nil {
			t.Fatal(err)
		}
		want.Overflow = 0
		for i, v := range values {
			if v == v && after[i]-after[i] != 0 {
				want.Overflow++
			}
		}
	}
	return want
}

// TestMeasure reads casts in ways of all kinds, and holds what was measured on
// the way to a second pass.
func TestMeasure(t *testing.T) {
	const n = 3*blockNumbers + 4*77
	ways := map[string]func(c *Cast) error{
		"not at all": func(c *Cast) error { return nil },
		"whole": func(c *Cast) error {
			_, err := c.WriteTo(io.Discard)
			return err
		},
		"twice, in odd pieces, by several": func(c *Cast) error {
			var all sync.WaitGroup
			failed := make([]error, 2)
			for i, piece := range []int64{70001, 33333} {
				all.Go(func() {
					p := make([]byte, piece)
					for off := int64(0); off < c.size; off += piece {
						if _, err := c.ReadAt(p, off); err != nil && err != io.EOF {
							failed[i] = err
						}
					}
				})
			}
			all.Wait()
			return errors.Join(failed...)
		},
		"backwards, by few": func(c *Cast) error {
			p := make([]byte, 4099)
			for off := (c.size - 1) / 4099 * 4099; off >= 0; off -= 4099 {
				if _, err := c.ReadAt(p, off); err != nil && err != io.EOF {
					return err
				}
			}
			return nil
		},
		"in part": func(c *Cast) error {
			_, err := c.ReadAt(make([]byte, c.size/3), c.size/5)
			return err
		},
	}
	for _, test := range []struct {
		from, to safetensors.DType
		mode     Overflow
	}{
		{safetensors.F32, safetensors.BF16, ToSpecial},
		{safetensors.F32, safetensors.F16, ToSpecial},
		{safetensors.F32, safetensors.F16, Saturate},
		{safetensors.F32, safetensors.F8E4M3, ToSpecial},
		{safetensors.F32, safetensors.F8E4M3, Saturate},
		{safetensors.F32, safetensors.F8E5M2FNUZ, Saturate},
		{safetensors.F32, safetensors.F32, Saturate},
		{safetensors.F32, safetensors.F64, ToSpecial},
		{safetensors.F64, safetensors.F32, ToSpecial},
		{safetensors.F64, safetensors.BF16, Saturate},
		{safetensors.BF16, safetensors.F8E5M2, ToSpecial},
		{safetensors.F16, safetensors.BF16, ToSpecial},
		{safetensors.BF16, safetensors.F32, ToSpecial},
	} {
		for _, values := range [][]float32{lossy(n), lossy(n)[blockNumbers:], lossy(40), nil} {
			c := castOf(t, values, test.from, test.to, test.mode)
			want := wantLoss(t, c)
			for name, read := range ways {
				if len(values) == 0 && name == "in part" {
					continue
				}
				c := castOf(t, values, test.from, test.to, test.mode)
				c.Measure()
				if err := read(c); err != nil {
					t.Fatal(err)
				}
				over := c.Overflows()
				part := name == "in part" || name == "not at all"
				if got := c.known() != nil; got == part && len(values) > blockNumbers {
					t.Errorf("%s to %s, read %s: known %v", test.from, test.to, name, got)
				}
				got, err := Scan{}.Loss(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, *got); diff != "" {
					t.Errorf("%s to %s, mode %d, %d numbers read %s:\n%s", test.from, test.to, test.mode, len(values), name, diff)
				}
				if c.Overflows() != over {
					t.Errorf("%s to %s: measuring counts overflows", test.from, test.to)
				}
			}
			// What is measured is cast no differently.
			measured := castOf(t, values, test.from, test.to, test.mode)
			measured.Measure()
			var with, without bytes.Buffer
			if _, err := measured.WriteTo(&with); err != nil {
				t.Fatal(err)
			}
			if _, err := castOf(t, values, test.from, test.to, test.mode).WriteTo(&without); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(with.Bytes(), without.Bytes()) {
				t.Errorf("%s to %s: measuring changes what is cast", test.from, test.to)
			}
		}
	}
}

// A brittle source fails from an offset on, until it is mended.
type brittle struct {
	Memory
	from   int64
	broken bool
}

var errBrittle = errors.New("brittle")

func (b *brittle) ReadAt(p []byte, off int64) (int, error) {
	if b.broken && off+int64(len(p)) > b.from {
		return 0, errBrittle
	}
	return b.Memory.ReadAt(p, off)
}

// TestMeasureFailure has a block end where its source cannot be read: what was
// asked for is read all the same, and the loss is an error or right.
func TestMeasureFailure(t *testing.T) {
	raw := make([]byte, 4*2*blockNumbers)
	if err := Encode(raw, safetensors.F32, lossy(2*blockNumbers), ToSpecial); err != nil {
		t.Fatal(err)
	}
	source := &brittle{raw, 4 * (blockNumbers + 100), true}
	c, err := NewCast(Data{DType: safetensors.F32, Source: source, Size: int64(len(raw))}, safetensors.BF16, ToSpecial)
	if err != nil {
		t.Fatal(err)
	}
	c.Measure()
	if _, err := c.ReadAt(make([]byte, 2*(blockNumbers+100)), 0); err != nil {
		t.Errorf("what can be read: %v", err)
	}
	if _, err := (Scan{}).Loss(t.Context(), c); !errors.Is(err, errBrittle) {
		t.Errorf("the loss of what cannot be read: %v", err)
	}
	source.broken = false
	got, err := Scan{}.Loss(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := NewCast(Data{DType: safetensors.F32, Source: Memory(raw), Size: int64(len(raw))}, safetensors.BF16, ToSpecial)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantLoss(t, whole), *got); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Scan{}).Loss(ctx, whole); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzMeasure holds what is measured of any float32 to a second pass.
func FuzzMeasure(f *testing.F) {
	seed := make([]byte, 4*200)
	for i, v := range lossy(200) {
		binary.LittleEndian.PutUint32(seed[4*i:], math.Float32bits(v))
	}
	for which := range uint8(16) {
		f.Add(seed, which)
	}
	f.Fuzz(func(t *testing.T, raw []byte, which uint8) {
		to := []safetensors.DType{
			safetensors.BF16, safetensors.F16, safetensors.F8E4M3, safetensors.F8E5M2,
			safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ, safetensors.F32, safetensors.F64,
		}[which%8]
		// Only multiples of blocks go through whole steps of all kernels.
		if len(raw) > 0 && which&16 != 0 {
			raw = bytes.Repeat(raw, 1+4*200/len(raw))
		}
		raw = raw[:len(raw)/4*4]
		c, err := NewCast(Data{DType: safetensors.F32, Source: Memory(raw), Size: int64(len(raw))}, to, Overflow(which/8%2))
		if err != nil {
			t.Fatal(err)
		}
		want := wantLoss(t, c)
		c.Measure()
		if _, err := c.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
		got := c.known()
		if got == nil {
			t.Fatal("nothing is known of what was read whole")
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Fatalf("%s mode %d:\n%s", to, c.mode, diff)
		}
	})
}
