//go:build (amd64 || arm64) && !purego

package numeric

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// checkWide holds the kernels that summarise as float64 to the plain loop.
func checkWide(t *testing.T, v level, src []byte) {
	t.Helper()
	for _, d := range []safetensors.DType{
		safetensors.F64, safetensors.I64, safetensors.U64, safetensors.I32, safetensors.U32, safetensors.I16, safetensors.U16,
	} {
		normal := 0.0
		if l, ok := LimitsOf(d); ok {
			normal = l.MinNormal
		}
		n := len(src) * 8 / d.Bits()
		values, raw := make([]float64, n), src[:n*d.Bits()/8]
		if err := Decode(values, d, raw); err != nil {
			t.Fatal(err)
		}
		plain, l := newWideLanes(normal), newWideLanes(normal)
		plain.add(values)
		done := v.wideBytes(&l, d, raw)
		if done != n&^(width-1) {
			t.Fatalf("level %d, %s: did %d of %d", v, d, done, n)
		}
		l.add(values[done:])
		want, wantOK := plain.block(n)
		if got, ok := l.block(n); ok != wantOK || ok && got != want {
			t.Fatalf("level %d, %s of %v: got %+v %v, want %+v %v", v, d, values, got, ok, want, wantOK)
		}
	}
}

// checkCodes holds the kernels that sum up types of a byte to counting codes.
func checkCodes(t *testing.T, v level, src []byte) {
	t.Helper()
	for _, d := range []safetensors.DType{
		safetensors.U8, safetensors.I8, safetensors.Bool, safetensors.F8E4M3, safetensors.F8E5M2,
		safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ,
	} {
		sums, counts := newCounter(d, false), newCounter(d, true)
		done := v.addCodes(sums, src)
		if l, ok := layoutOf(d); ok && len(src) >= 64 {
			finite, small := true, true
			for _, code := range src[:len(src)&^63] {
				finite = finite && l.value(uint32(code))-l.value(uint32(code)) == 0
				small = small && code&0x40 == 0
			}
			if can := finite && (v.hasLong() || l.exp == 4 || small); can != (done > 0) {
				t.Fatalf("%s: did %d of %d, finite %v, small %v", d, done, len(src), finite, small)
			}
		}
		counts.addSmall(src[:done])
		want, got := normalised(counts.finish()), normalised(sums.finish())
		want.tally = nil
		if diff := cmp.Diff(want, got, unexported); diff != "" {
			t.Fatalf("%s: %s\n%x", d, diff, src)
		}
	}
}

// TestKernelSums takes codes of one byte that are finite in every type: all of
// them, those of one sign, and each by itself.
func TestKernelSums(t *testing.T) {
	all := levels(t)
	check := func(src []byte) {
		for _, v := range all {
			checkCodes(t, v, src)
		}
	}
	src := make([]byte, 1<<16+100)
	for i := range src {
		src[i] = byte(splitmix64(uint64(i)))
		for src[i]&0x7F >= 0x7C || src[i] == 0x80 {
			src[i] -= 0x33
		}
	}
	for offset := 0; offset < 64; offset += 2*thin - 1 {
		check(src[offset : offset+64+offset*29])
	}
	check(src)
	for _, or := range []byte{0, 0x80} {
		for i := range src {
			src[i] = src[i]&0x7F | or
			if src[i] == 0x80 {
				src[i]++
			}
		}
		check(src)
	}
	for i := range src {
		src[i] &= 0xBF // small numbers, of which E5M2 has short sums
	}
	check(append(src, bytes.Repeat([]byte{0x7B}, 64)...))
	for code := 0; code < 256; code += 4*thin - 3 {
		check(bytes.Repeat([]byte{byte(code)}, codesPiece))
	}
}
