package bench

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGrowth holds verdicts to figures that are in proportion, that are not,
// and that are too few.
func TestGrowth(t *testing.T) {
	const ms, mib = 1_000_000, 1 << 20
	for _, c := range []struct {
		of     string
		points []Point
		want   string
	}{
		{byTensors, []Point{{1000, ms / 10, 8 * mib}, {10_000, ms, 10 * mib}, {100_000, 11 * ms, 30 * mib}, {1_000_000, 110 * ms, 223 * mib}},
			"from 1000 to 1000000 tensors: 0.100, 1.00, 11.0, 110 ms and 8, 10, 30, 223 MiB; each more takes 100, 111, 110 ns and 233, 233, 225 bytes, step by step; linear: yes"},
		{byTensors, []Point{{1000, ms, 8 * mib}, {10_000, 100 * ms, 10 * mib}, {100_000, 10_000 * ms, 30 * mib}},
			"from 1000 to 100000 tensors: 1.00, 100, 10000 ms and 8, 10, 30 MiB; each more takes 11000, 110000 ns and 233, 233 bytes, step by step; linear: no"},
		{byTensors, []Point{{1000, ms, 8 * mib}, {10_000, 10 * ms, 10 * mib}, {100_000, 100 * ms, 300 * mib}},
			"from 1000 to 100000 tensors: 1.00, 10.0, 100 ms and 8, 10, 300 MiB; each more takes 1000, 1000 ns and 233, 3379 bytes, step by step; linear: no"},
		{byTensors, []Point{{1000, ms, -1}, {10_000, 10 * ms, -1}, {100_000, 100 * ms, -1}},
			"from 1000 to 100000 tensors: 1.00, 10.0, 100 ms; each more takes 1000, 1000 ns; linear: yes"},
		{byTensors, []Point{{1000, ms, 8 * mib}, {2000, 2 * ms, 9 * mib}},
			"from 1000 to 2000 tensors: 1.00, 2.00 ms and 8, 9 MiB; each more takes 1000 ns and 1049 bytes, step by step; linear: unknown"},
		{byBytes, []Point{{1, ms, 8 * mib}, {1000, ms * 11 / 10, 8 * mib}},
			"from 1 to 1000 bytes: 1.00, 1.10 ms and 8, 8 MiB; the most is 1.10 × the least in time, 1.00 × in memory; flat: yes"},
		{byBytes, []Point{{1, ms, 8 * mib}, {1000, ms, 11 * mib}},
			"from 1 to 1000 bytes: 1.00, 1.00 ms and 8, 11 MiB; the most is 1.00 × the least in time, 1.38 × in memory; flat: no"},
	} {
		r := &Report{}
		var cases []Case
		for i, p := range c.points {
			cases = append(cases, Case{Name: fmt.Sprint(i), Who: Ours, Growth: c.of, Count: p.Count}, Case{Who: Ours})
			r.Cases = append(r.Cases, Result{Min: p.Min, Peak: p.Peak}, Result{Min: 1})
		}
		if diff := cmp.Diff(c.want, r.growth(c.of, cases).String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
