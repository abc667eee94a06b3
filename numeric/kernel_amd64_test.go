//go:build !purego

package numeric

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// checkAll holds all kernels that summarise to the plain loops.
func checkAll(t *testing.T, v level, src []byte) {
	t.Helper()
	checkSums(t, v, src)
	checkPairs(t, v, floatsIn(src))
	checkLoss(t, v, src[:len(src)/4*4])
	checkWide(t, v, src)
	checkCodes(t, v, src)
	checkPairTypes(t, v, src[:len(src)/2], src[len(src)/2:])
	checkClose(t, v, src[:len(src)/2], src[len(src)/2:])
}

// checkPairTypes holds the kernels that compare floats of a byte, and those of 16
// bits with those of 32, to the plain loop.
func checkPairTypes(t *testing.T, v level, one, other []byte) {
	t.Helper()
	for _, d := range [][2]safetensors.DType{
		{safetensors.F8E4M3, safetensors.F8E4M3}, {safetensors.F8E5M2, safetensors.F8E5M2},
		{safetensors.F8E4M3FNUZ, safetensors.F8E4M3FNUZ}, {safetensors.F8E5M2FNUZ, safetensors.F8E5M2FNUZ},
		{safetensors.BF16, safetensors.F32}, {safetensors.F32, safetensors.BF16},
		{safetensors.F16, safetensors.F32}, {safetensors.F32, safetensors.F16},
	} {
		var words *[256]byte
		if d[0] == d[1] {
			words = newWords(d[0])
		}
		if v < avx512 || d[0] == d[1] && v < vnni {
			if n := v.pairBytes(&pairs{words: words}, d[0], d[1], one, one); n != 0 {
				t.Fatalf("level %d, %s and %s: %d done", v, d[0], d[1], n)
			}
			continue
		}
		n := min(len(one)*8/d[0].Bits(), len(other)*8/d[1].Bits())
		x, y := make([]float32, n), make([]float32, n)
		a, b := one[:n*d[0].Bits()/8], other[:n*d[1].Bits()/8]
		if err := errors.Join(Decode(x, d[0], a), Decode(y, d[1], b)); err != nil {
			t.Fatal(err)
		}
		comparePairs(t, v, x, y, words, func(p *pairs) int { return v.pairBytes(p, d[0], d[1], a, b) })
	}
}

// TestKernelPairs compares every code of a byte with every other, every BF16 and
// F16 with what is near it and far from it, and float32 that differ by the
// tolerance, or by a little more or less.
func TestKernelPairs(t *testing.T) {
	all := levels(t)
	for _, d := range []safetensors.DType{safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ} {
		var a, b []byte
		for x := range 256 {
			for y := range 256 {
				if v, w := value8(d, uint8(x)), value8(d, uint8(y)); v-v == 0 && w-w == 0 {
					a, b = append(a, byte(x)), append(b, byte(y))
				}
			}
		}
		one, other := make([]float32, len(a)), make([]float32, len(b))
		if err := errors.Join(Decode(one, d, a), Decode(other, d, b)); err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			if v == vnni {
				comparePairs(t, v, one, other, newWords(d), func(p *pairs) int { return v.pairBytes(p, d, d, a, b) })
			}
		}
	}
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16} {
		inf := uint16(0x7F80)
		if d == safetensors.F16 {
			inf = 0x7C00
		}
		for _, other := range []func(uint16) uint16{
			func(x uint16) uint16 { return x ^ 1 }, func(x uint16) uint16 { return x ^ 0x8000 }, func(x uint16) uint16 { return x },
			func(uint16) uint16 { return 0 }, func(x uint16) uint16 { return x ^ 0x80 }, func(x uint16) uint16 { return x * 40503 },
		} {
			var a, b []byte
			for x := range uint16(0xFFFF) {
				if y := other(x); x&0x7FFF < inf && y&0x7FFF < inf {
					a, b = binary.LittleEndian.AppendUint16(a, x), binary.LittleEndian.AppendUint16(b, y)
				}
			}
			x, y := make([]float32, len(a)/2), make([]float32, len(a)/2)
			if err := errors.Join(Decode(x, d, a), Decode(y, d, b)); err != nil {
				t.Fatal(err)
			}
			for _, v := range all {
				comparePairs(t, v, x, y, nil, func(p *pairs) int { return v.pairBytes(p, d, d, a, b) })
			}
		}
	}
	for _, start := range comparisons {
		a, b := make([]float32, 4096), make([]float32, 4096)
		for i := range b {
			random := splitmix64(uint64(i))
			b[i] = math.Float32frombits(uint32(random)&0x807FFFFF | uint32(random>>32%250)<<23)
			limit := start.absolute + float64(start.relative*math.Abs(float64(b[i])))
			if limit-limit != 0 {
				limit = 1
			}
			bits := math.Float32bits(float32(float64(b[i]) + limit))
			if a[i] = math.Float32frombits(bits + uint32(random>>50%5) - 2); a[i]-a[i] != 0 {
				a[i] = 0
			}
		}
		for _, v := range all {
			comparePairs(t, v, a, b, nil, func(p *pairs) int { return v.pairFloats(p, a, b) })
		}
	}
}

// TestKernelWords holds that there is a kernel for each of these, whose results others
// hold to be right.
func TestKernelWords(t *testing.T) {
	for _, v := range levels(t) {
		for _, from := range closeTypes {
			for _, to := range []safetensors.DType{safetensors.BF16, safetensors.F16} {
				want := 128
				if from == safetensors.F8E5M2FNUZ && to == safetensors.F16 {
					want = 0 // not every number of one is one of the other
				}
				if got := v.halvesOfBytes(make([]byte, 2*150), to, from, make([]byte, 150), false); got != want {
					t.Errorf("level %d, %s as %s: did %d, want %d", v, from, to, got, want)
				}
			}
		}
	}
}

// BenchmarkKernels measures every level by itself, on what the second cache
// holds. Bytes are those read.
func BenchmarkKernels(b *testing.B) {
	const n = 32 << 10
	values, words, packed := make([]float32, n), make([]byte, 4*n), make([]byte, 4*n)
	for i := range values {
		values[i] = float32(int64(splitmix64(uint64(i))>>40)-1<<23) / (1 << 26)
		binary.LittleEndian.PutUint32(words[4*i:], math.Float32bits(values[i]))
	}
	run := func(name string, v level, size int64, f func()) {
		b.Run(name+"/"+[]string{"plain", "AVX2", "AVX512", "VNNI"}[v], func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				f()
			}
		})
	}
	for v := plain; v <= best; v++ {
		if v == plain {
			l, p := newLanes(1<<23), pairs{}
			run("lanes", v, 4*n, func() { l.add(values) })
			run("pairs", v, 8*n, func() { addPairs(&p, values, values) })
			for _, d := range encoded {
				layout, _ := layoutOf(d)
				r, size := newRounder(layout, ToSpecial), d.Bits()/8
				run("to "+d.String(), v, 4*n, func() {
					for i, x := range values {
						packed[i*max(size, 1)] = byte(r.round(x))
					}
				})
			}
			continue
		}
		l, p := newLanes(1<<23), pairs{}
		run("lanes", v, 4*n, func() { v.lanesBytes(&l, safetensors.F32, words) })
		run("lanes BF16", v, 2*n, func() { v.lanesBytes(&l, safetensors.BF16, words[:2*n]) })
		run("lanes F16", v, 2*n, func() { v.lanesBytes(&l, safetensors.F16, words[:2*n]) })
		run("wide F64", v, 4*n, func() { l := newWideLanes(1); v.wideBytes(&l, safetensors.F64, words) })
		run("wide I32", v, 4*n, func() { l := newWideLanes(1); v.wideBytes(&l, safetensors.I32, words) })
		for _, d := range []safetensors.DType{safetensors.F8E4M3, safetensors.F8E5M2, safetensors.I8} {
			c := newCounter(d, false)
			codes := make([]byte, codesPiece)
			for i := range codes {
				codes[i] = byte(splitmix64(uint64(i))) & 0xBF
			}
			run("codes "+d.String(), v, codesPiece, func() { v.addCodes(c, codes) })
		}
		run("pairs", v, 8*n, func() { v.pairFloats(&p, values, values) })
		for _, d := range encoded {
			run("to "+d.String(), v, 4*n, func() { v.encodeBytes(packed[:n*d.Bits()/8], d, words, ToSpecial, false) })
			run("from "+d.String(), v, int64(n*d.Bits()/8), func() { v.decodeFloats(values, d, words[:n*d.Bits()/8]) })
		}
	}
}
