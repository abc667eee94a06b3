package numeric

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/safetensors"
)

// tabled is Stats of data all of which is counted in tables of words, whatever
// its size.
func tabled(t *testing.T, data Data) *Stats {
	t.Helper()
	plain, err := Scan{Workers: 1}.Stats(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	src := []byte(data.Source.(Memory))
	c := newCounter(data.DType, true)
	if data.DType.Bits() == 16 {
		c.table(len(src) / 2).count(src)
	} else {
		c.table(len(src) / 4).countUpper(src)
		c.stats.tally.middle = true
	}
	c.flush()
	plain.tally = c.stats.tally
	return plain
}

// answers are all that a tally is asked for.
func answers(s *Stats) string {
	var text strings.Builder
	for _, q := range []float64{0, 0.3, 1} {
		v, ok := s.Quantile(q)
		fmt.Fprintf(&text, "%g %t %x\n", q, ok, math.Float64bits(v))
	}
	fmt.Fprintln(&text, s.Histogram(LinearEdges(-2, 2, 37)), s.Magnitudes(LogEdges(1e-30, 1e30, 50)))
	if s.tally != nil {
		for v, n := range s.tally.ascending() {
			fmt.Fprintf(&text, "%x:%d ", math.Float64bits(v), n)
		}
	}
	return text.String()
}

// few returns n numbers, with some of each kind that there is but subnormals.
func few(d safetensors.DType, n int, seed uint64) Data {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	kinds := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1, 1.5, -3.25, math.MaxFloat32, -0x1p-100}
	var src []byte
	for range n {
		v := float32(r.NormFloat64())
		if seed%2 == 1 && r.IntN(4) == 0 {
			v = kinds[r.IntN(len(kinds))]
		}
		bits := math.Float32bits(v)
		switch {
		case d.Bits() == 16 && seed%4 >= 2: // any code there is
			src = binary.LittleEndian.AppendUint16(src, uint16(r.Uint32()))
		case d.Bits() == 16:
			src = binary.LittleEndian.AppendUint16(src, uint16(bits>>16))
		default:
			src = binary.LittleEndian.AppendUint32(src, bits)
		}
	}
	return Data{DType: d, Source: Memory(src), Size: int64(len(src))}
}

// TestFew holds that a tensor that is kept as a list is told in the same way,
// to the last bit, as one that is counted in tables; alone, merged and cloned.
func TestFew(t *testing.T) {
	for _, d := range []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.I16} {
		var all, tables Stats
		for seed, n := range []int{1, 2, 3, 16, 64, 255, 600, fewNumbers - 1, fewNumbers, fewNumbers + 1, blockNumbers + 3} {
			data := few(d, n, uint64(seed))
			want, got := tabled(t, data), statsOf(t, Scan{Quantiles: true}, data)
			// Blocks that are not all finite are counted one by one.
			if listed := !got.tally.hasTables(); (d != safetensors.F32 || seed%2 == 0) && listed != (n <= fewNumbers) {
				t.Errorf("%s: of %d numbers a list: %t", d, n, listed)
			}
			if diff := cmp.Diff(answers(want), answers(got)); diff != "" {
				t.Errorf("%s: %d numbers: %s", d, n, diff)
			}
			tables.Merge(want)
			all.Merge(got)
			if diff := cmp.Diff(answers(&tables), answers(&all)); diff != "" {
				t.Errorf("%s: merged up to %d numbers: %s", d, n, diff)
			}
		}
		// Neither has the first changed, which the others were merged with.
		first := few(d, 1, 0)
		all = Stats{}
		kept := statsOf(t, Scan{Quantiles: true}, first)
		all.Merge(kept)
		all.Merge(statsOf(t, Scan{Quantiles: true}, few(d, 9, 0)))
		if diff := cmp.Diff(answers(tabled(t, first)), answers(kept)); diff != "" {
			t.Errorf("%s: merging has changed what was merged: %s", d, diff)
		}
		// Types meet in a sketch.
		other := few(safetensors.F32, 40, 3)
		if d == safetensors.F32 {
			other = few(safetensors.BF16, 40, 1)
		}
		data := few(d, 50, 1)
		want, got := tabled(t, data), statsOf(t, Scan{Quantiles: true}, data)
		want.Merge(tabled(t, other))
		got.Merge(statsOf(t, Scan{Quantiles: true}, other))
		if diff := cmp.Diff(answers(want), answers(got)); diff != "" {
			t.Errorf("%s and another: %s", d, diff)
		}
	}
}
