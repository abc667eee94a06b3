//go:build (amd64 || arm64) && !purego

package numeric

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// levels are those that this processor can run. A run of `go test -v` tells.
func levels(t testing.TB) (all []level) {
	for v := plain + 1; v <= best; v++ {
		all = append(all, v)
	}
	if len(all) == 0 {
		t.Skip("no kernel runs on this processor")
	}
	t.Logf("levels %v", all)
	return all
}

// encoded are the types that kernels round to.
var encoded = []safetensors.DType{
	safetensors.BF16, safetensors.F16, safetensors.F8E4M3, safetensors.F8E5M2,
	safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ, safetensors.F6E2M3, safetensors.F6E3M2, safetensors.F4,
}

// checkEncode holds the kernels that round to the plain rounder. src is the
// bytes of float32, wherever they lie.
func checkEncode(t *testing.T, v level, src []byte) {
	t.Helper()
	n := len(src) / 16 * 4
	src = src[:4*n]
	values := make([]float32, n)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
	for _, d := range encoded {
		l, _ := layoutOf(d)
		firstNaN := n
		if l.special == finite {
			firstNaN = max(0, slices.IndexFunc(append(slices.Clone(values), float32(math.NaN())), func(x float32) bool { return x != x }))
		}
		for _, mode := range []Overflow{ToSpecial, Saturate} {
			r := newRounder(l, mode)
			want := make([]uint64, n)
			for i := range want[:firstNaN] {
				want[i] = uint64(r.round(values[i]))
			}
			packed := pack(d, want)
			for way, kernel := range []func(dst []byte) int{
				func(dst []byte) int { return v.encodeChecked(t, dst, d, src, mode, false) },
				func(dst []byte) int { return v.encodeFloats(dst, d, values, mode) },
				func(dst []byte) int { return v.encodeChecked(t, dst, d, src, mode, true) },
			} {
				// One byte before and many behind must stay as they are.
				whole := bytes.Repeat([]byte{0xA5}, len(packed)+130)
				dst := whole[1+way&2:]
				done := kernel(dst[:len(packed)])
				if firstNaN == n && (done <= n-64 || done > n || way < 2 && done != n&^63) || done > firstNaN {
					t.Fatalf("%s level %d way %d: %d of %d", d, v, way, done, n)
				}
				size := int(bytesOf(d, int64(done)))
				if !bytes.Equal(dst[:size], packed[:size]) {
					i := 0
					for got := unpack(d, dst[:size]); got[i] == want[i]; i++ {
					}
					t.Fatalf("%s level %d way %d mode %d, number %d: %v (%#x) became %#x, want %#x",
						d, v, way, mode, i, values[i], math.Float32bits(values[i]), unpack(d, dst[:size])[i], want[i])
				}
				beyond := size
				if firstNaN < n {
					beyond = int(bytesOf(d, int64(n&^63))) // what was not finished may be there
				}
				if whole[0] != 0xA5 || bytes.Count(dst[beyond:], []byte{0xA5}) != len(dst)-beyond {
					t.Fatalf("%s level %d way %d: wrote beyond its %d numbers", d, v, way, done)
				}
			}
		}
	}
}

// encodeChecked holds that a kernel does not overlook a number beyond the largest.
func (v level) encodeChecked(t *testing.T, dst []byte, d safetensors.DType, src []byte, mode Overflow, stream bool) int {
	t.Helper()
	done, over := v.encodeBytes(dst, d, src, mode, stream)
	limits, _ := LimitsOf(d)
	if want := beyondFloats(floatsIn(src[:4*done]), float32(limits.Max)); want > 0 && !over {
		t.Fatalf("%s level %d: %d beyond, and nothing said", d, v, want)
	}
	return done
}

// checkDecode does so for those that widen.
func checkDecode(t *testing.T, v level, src []byte) {
	t.Helper()
	for _, d := range append([]safetensors.DType{safetensors.F8E8M0}, encoded...) {
		src := src[:len(src)/6*6]
		codes := unpack(d, src)
		n := len(codes)
		want := make([]byte, 4*n)
		for i, code := range codes {
			bits := uint32(code) << 16
			switch {
			case d == safetensors.F16:
				bits = math.Float32bits(fromF16(uint16(code)))
			case d != safetensors.BF16:
				bits = math.Float32bits(float32(value8(d, uint8(code))))
			}
			binary.LittleEndian.PutUint32(want[4*i:], bits)
		}
		for way, stream := range []bool{false, true} {
			whole := bytes.Repeat([]byte{0xA5}, 4*n+130)
			dst := whole[1+3*way:]
			floats := make([]float32, n)
			done := v.decodeBytes(dst[:4*n], d, src, stream)
			again := v.decodeFloats(floats, d, src)
			if again != n&^63 || done <= n-64 || done > n {
				t.Fatalf("%s level %d: %d and %d of %d", d, v, done, again, n)
			}
			for i := range done {
				got, want := binary.LittleEndian.Uint32(dst[4*i:]), binary.LittleEndian.Uint32(want[4*i:])
				other := math.Float32bits(floats[i])
				if got != want || i < again && other != want {
					t.Fatalf("%s level %d: %#x became %#x and %#x, want %#x", d, v, codes[i], got, other, want)
				}
			}
			if whole[0] != 0xA5 || bytes.Count(dst[4*done:], []byte{0xA5}) != len(dst)-4*done {
				t.Fatalf("%s level %d: wrote beyond its %d numbers", d, v, done)
			}
		}
	}
}

// checkHalves holds the kernels that widen to 16 bits to widening to 32 and
// rounding, which is exact.
func checkHalves(t *testing.T, v level, src []byte) {
	t.Helper()
	for _, from := range []safetensors.DType{
		safetensors.F8E8M0, safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ,
	} {
		for _, to := range []safetensors.DType{safetensors.BF16, safetensors.F16} {
			l, _ := layoutOf(to)
			r := newRounder(l, ToSpecial)
			for way, stream := range []bool{false, true} {
				whole := bytes.Repeat([]byte{0xA5}, 2*len(src)+130)
				dst := whole[2+2*way:]
				done := v.halvesOfBytes(dst[:2*len(src)], to, from, src, stream)
				for i, code := range src[:done] {
					want := uint16(r.round(float32(value8(from, code))))
					if got := binary.LittleEndian.Uint16(dst[2*i:]); got != want {
						t.Fatalf("%s as %s, level %d: %#x became %#x, want %#x", from, to, v, code, got, want)
					}
				}
				if whole[0] != 0xA5 || bytes.Count(dst[2*done:], []byte{0xA5}) != len(dst)-2*done {
					t.Fatalf("%s as %s, level %d: wrote beyond its %d numbers", from, to, v, done)
				}
			}
		}
	}
}

func floatsIn(src []byte) []float32 {
	values := make([]float32, len(src)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
	return values
}

// checkSums holds the kernels that summarise to the plain loops.
func checkSums(t *testing.T, v level, src []byte) {
	t.Helper()
	values := floatsIn(src)
	plain, l := newLanes(1<<23), newLanes(1<<23)
	plain.add(values)
	want, wantOK := plain.block(len(values))
	l.add(values[v.lanesBytes(&l, safetensors.F32, src):])
	if got, ok := l.block(len(values)); ok != wantOK || ok && got != want {
		t.Fatalf("level %d of %v: got %+v %v, want %+v %v", v, values, got, ok, want, wantOK)
	}
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16} {
		values, normal := make([]float32, len(src)/2), uint32(1<<23)
		for i := range values {
			code := binary.LittleEndian.Uint16(src[2*i:])
			if values[i] = math.Float32frombits(uint32(code) << 16); d == safetensors.F16 {
				values[i], normal = fromF16(code), 0x38800000
			}
		}
		plain, l := newLanes(normal), newLanes(normal)
		plain.add(values)
		l.add(values[v.lanesBytes(&l, d, src):])
		want, wantOK := plain.block(len(values))
		if got, ok := l.block(len(values)); ok != wantOK || ok && got != want {
			t.Fatalf("level %d, %s of %v: got %+v %v, want %+v %v", v, d, values, got, ok, want, wantOK)
		}
	}
}

// checkPairs holds the kernels that compare to the plain loop.
func checkPairs(t *testing.T, v level, values []float32) {
	t.Helper()
	half := len(values) / 2
	a, b := values[:half], values[half:2*half]
	b = append(append([]float32(nil), a[:half/3]...), b[half/3:]...) // some are equal
	raw := [2][]byte{make([]byte, 4*half), make([]byte, 4*half)}
	for i := range half {
		binary.LittleEndian.PutUint32(raw[0][4*i:], math.Float32bits(a[i]))
		binary.LittleEndian.PutUint32(raw[1][4*i:], math.Float32bits(b[i]))
	}
	comparePairs(t, v, a, b, nil, func(p *pairs) int { return v.pairFloats(p, a, b) })
	doubles, rest := [2][]float64{make([]float64, half/2), make([]float64, half/2)}, half/2*8
	for i := range doubles {
		if err := Decode(doubles[i], safetensors.F64, raw[i][:rest]); err != nil {
			t.Fatal(err)
		}
	}
	comparePairs(t, v, doubles[0], doubles[1], nil, func(p *pairs) int { return v.pairDoubles(p, doubles[0], doubles[1]) })
	comparePairs(t, v, doubles[0], doubles[1], nil, func(p *pairs) int {
		return v.pairBytes(p, safetensors.F64, safetensors.F64, raw[0][:rest], raw[1][:rest])
	})
	comparePairs(t, v, a, b, nil, func(p *pairs) int { return v.pairBytes(p, safetensors.F32, safetensors.F32, raw[0], raw[1]) })
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16} {
		var wide [2][]float32
		for i := range wide {
			wide[i] = make([]float32, 2*half)
			if err := Decode(wide[i], d, raw[i]); err != nil {
				t.Fatal(err)
			}
		}
		comparePairs(t, v, wide[0], wide[1], nil, func(p *pairs) int { return v.pairBytes(p, d, d, raw[0], raw[1]) })
	}
}

// comparisons are with tolerances of all kinds, and after differences of others.
var comparisons = []pairs{
	{relative: 0x1p-10, absolute: 0x1p-20}, {relative: -1, bound: 0.5}, {absolute: math.NaN()}, {bound: 1},
	{relative: 0x1p-7}, {absolute: 0x1p-9, bound: 0x1p-8}, {relative: math.Inf(1)}, {absolute: math.Inf(1), bound: 2},
	{relative: 1e300, absolute: 1e-300}, {relative: 1e-5, absolute: 1e-8, maxAbs: [width]float64{9: 0x1p-30}},
}

// comparePairs holds a kernel that has compared the first numbers of a and b to
// the plain loop. It takes steps of at most 64 numbers.
func comparePairs[T float32 | float64](t *testing.T, v level, a, b []T, words *[256]byte, kernel func(p *pairs) int) {
	t.Helper()
	finite := true
	steps := func(count int) int {
		for i := range count {
			finite = finite && a[i]-a[i] == 0 && b[i]-b[i] == 0
		}
		var p pairs
		addPairs(&p, a[:count], b[:count])
		for j := range width {
			// Squares of float64 may be too large.
			finite = finite && p.a[j]-p.a[j] == 0 && p.b[j]-p.b[j] == 0
		}
		return count
	}
	for _, start := range comparisons {
		want, got := start, start
		got.words = words
		addPairs(&want, a, b)
		done := kernel(&got)
		if finite = true; done > 0 {
			if steps(done); !finite || done%width != 0 || done <= len(a)-64 || done > len(a) {
				t.Fatalf("level %d: did %d of %d, finite %v", v, done, len(a), finite)
			}
		} else if steps(len(a)); finite && len(a) >= 64 || got.changed != 0 {
			t.Fatalf("level %d: did nothing of %d, finite %v", v, len(a), finite)
		}
		addPairs(&got, a[done:], b[done:])
		wantDiff, gotDiff := wholeDiff(&want, len(a)), wholeDiff(&got, len(a))
		if wantDiff.MaxRel <= start.bound {
			wantDiff.MaxRel, gotDiff.MaxRel = 0, 0 // it is known already
		}
		if diff := cmp.Diff(wantDiff, gotDiff, cmp.AllowUnexported(Diff{}, exact{})); diff != "" {
			t.Fatalf("level %d: relative %v, absolute %v: %s\n%v\n%v", v, start.relative, start.absolute, diff, a, b)
		}
	}
}

// checkLoss rounds numbers, and holds what is summed up of those that fit to what
// any numbers are compared by.
func checkLoss(t *testing.T, v level, src []byte) {
	t.Helper()
	for _, d := range encoded {
		for _, mode := range []Overflow{ToSpecial, Saturate} {
			cast := make([]byte, len(src))
			done, over := v.encodeBytes(cast, d, src, mode, false)
			if over || done < len(src)/4&^63 {
				continue // too large, or NaN
			}
			a, b := floatsIn(src)[:done], make([]float32, done)
			if err := Decode(b, d, cast[:bytesOf(d, int64(done))]); err != nil {
				t.Fatal(err)
			}
			start := pairs{maxAbs: [width]float64{3: 0x1p-20}, a: [width]float64{0.5, 15: 2}, errors: [width]float64{7: 1}}
			want, plain := start, start
			addPairs(&want, a, b)
			addLoss(&plain, a, b)
			kernels := map[string]func(p *pairs) int{
				"plain":  func(p *pairs) int { *p = plain; return done },
				"floats": func(p *pairs) int { return v.lossFloats(p, src, b) },
			}
			if d.Bits() == 16 {
				kernels["bytes"] = func(p *pairs) int { return v.lossBytes(p, d, src[:4*done], cast) }
			}
			for name, kernel := range kernels {
				got := start
				if n := kernel(&got); n != done {
					t.Fatalf("%s level %d %s: did %d of %d", d, v, name, n, done)
				}
				w, g := want.diff(done), got.diff(done)
				if g.MaxAbs != w.MaxAbs || got.errors != want.errors || got.a != want.a {
					t.Fatalf("%s level %d %s of %v:\ngot  %v %v %v\nwant %v %v %v", d, v, name, a, g.MaxAbs, got.errors, got.a, w.MaxAbs, want.errors, want.a)
				}
			}
		}
	}
}

// checkEncodeHalves holds the kernels that round BF16 and F16 to widening them and
// rounding.
func checkEncodeHalves(t *testing.T, v level, src []byte) {
	t.Helper()
	src = src[:len(src)/2*2]
	for _, from := range []safetensors.DType{safetensors.BF16, safetensors.F16} {
		values := make([]float32, len(src)/2)
		if err := Decode(values, from, src); err != nil {
			t.Fatal(err)
		}
		for _, to := range []safetensors.DType{safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ} {
			l, _ := layoutOf(to)
			limits, _ := LimitsOf(to)
			for _, mode := range []Overflow{ToSpecial, Saturate} {
				r := newRounder(l, mode)
				for way, stream := range []bool{false, true} {
					whole := bytes.Repeat([]byte{0xA5}, len(values)+130)
					dst := whole[1+way:]
					done, over := v.encodeHalves(dst[:len(values)], to, from, src, mode, stream)
					for i, x := range values[:done] {
						if want := uint8(r.round(x)); dst[i] != want {
							t.Fatalf("%s as %s, level %d mode %d: %v became %#x, want %#x", from, to, v, mode, x, dst[i], want)
						}
					}
					if n := beyondFloats(values[:done], float32(limits.Max)); n > 0 && !over {
						t.Fatalf("%s as %s, level %d: %d beyond, and nothing said", from, to, v, n)
					}
					if whole[0] != 0xA5 || bytes.Count(dst[done:], []byte{0xA5}) != len(dst)-done {
						t.Fatalf("%s as %s, level %d: wrote beyond its %d numbers", from, to, v, done)
					}
				}
			}
		}
	}
}

// TestKernelCodes goes through all codes of 16 bits, and through all upper
// halves of a float32 with lower halves that are, and are next to, a tie.
func TestKernelCodes(t *testing.T) {
	codes := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(codes[2*i:], uint16(i))
	}
	lower := []uint32{0, 1, 0x0FFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF}
	words := make([]byte, 4<<16)
	for _, v := range levels(t) {
		checkDecode(t, v, codes)
		checkHalves(t, v, codes)
		checkEncodeHalves(t, v, codes)
		for _, low := range lower[:max(1, len(lower)/thin)] {
			for i := range uint32(1 << 16) {
				binary.LittleEndian.PutUint32(words[4*i:], i<<16|low)
			}
			checkEncode(t, v, words)
		}
	}
}

// TestKernelQuick rounds all upper halves of a float32 that are far from infinite, of
// which quick kernels need not be helped, and up to which ones they say so.
func TestKernelQuick(t *testing.T) {
	l, _ := layoutOf(safetensors.BF16)
	for _, v := range levels(t) {
		for _, low := range []uint32{0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF} {
			for _, end := range []uint32{0x7F40, 0x7F7F, 0x7F80, 0x7FC0} {
				var words []byte
				for i := range end {
					words = binary.LittleEndian.AppendUint32(words, i<<16|low|i<<31)
				}
				for _, mode := range []Overflow{ToSpecial, Saturate} {
					r, dst := newRounder(l, mode), make([]byte, len(words)/2)
					done, over := v.encodeBytes(dst, safetensors.BF16, words, mode, false)
					if isOver := end > 0x7F80 || end == 0x7F80 && low > 0; done != int(end)&^63 || isOver && !over || over && end < 0x7F80 {
						t.Fatalf("level %d up to %#x and %#x: did %d, over %v", v, end, low, done, over)
					}
					for i, x := range floatsIn(words[:4*done]) {
						if want, got := uint16(r.round(x)), binary.LittleEndian.Uint16(dst[2*i:]); got != want {
							t.Fatalf("level %d mode %d: %v became %#x, want %#x", v, mode, x, got, want)
						}
					}
				}
			}
		}
	}
}

// TestKernelRandom takes random words, at all alignments and lengths.
func TestKernelRandom(t *testing.T) {
	src := make([]byte, 8*4000)
	for i := range 4000 {
		binary.LittleEndian.PutUint64(src[8*i:], splitmix64(uint64(i)))
	}
	tame := bytes.Clone(src)
	for i := range 8000 {
		tame[4*i+3] = tame[4*i+3]&0x80 | 0x3D // all finite, and of one magnitude
	}
	for _, v := range levels(t) {
		for offset := 0; offset < 64; offset += 2*thin - 1 {
			checkEncode(t, v, src[offset:1000+5*offset])
			checkDecode(t, v, src[offset:1000+5*offset])
			checkHalves(t, v, src[offset:1000+5*offset])
			checkEncodeHalves(t, v, src[offset:1000+5*offset])
			checkAll(t, v, tame[offset*4:4*(500+offset)])
			checkAll(t, v, src[offset:1000+5*offset])
		}
		checkEncode(t, v, src)
		checkAll(t, v, tame)
	}
}

// FuzzKernels gives all kernels any bytes, from any offset on.
func FuzzKernels(f *testing.F) {
	f.Add([]byte("\x00\x00\x80\x7f\x01\x00\x80\xff\x00\x80\x7f\x3f\x00\x80\x80\x3f\x00\x00\x00\x80\x01\x00\x00\x00"), uint8(0), uint8(1))
	f.Add([]byte("\xff\xff\x7f\x7f\x00\xe0\x7f\x47\x00\x00\xe8\x43\x00\x00\xf0\x43\x00\x00\x00\x3a\x00\x00\x80\x3a"), uint8(3), uint8(0))
	f.Fuzz(func(t *testing.T, src []byte, offset, tame uint8) {
		if len(src) == 0 {
			return
		}
		for len(src) < 300 {
			src = append(src, src...)
		}
		src = src[min(int(offset), len(src)-1):]
		if tame&1 != 0 {
			src = bytes.Clone(src)
			for i := 3; i < len(src); i += 4 {
				src[i] = src[i]&0x81 | src[i]&0x0F<<1 | 0x20
			}
		}
		for v := plain + 1; v <= best; v++ {
			checkEncode(t, v, src)
			checkDecode(t, v, src)
			checkHalves(t, v, src)
			checkEncodeHalves(t, v, src)
			checkAll(t, v, src)
		}
	})
}
