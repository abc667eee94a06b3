//go:build !purego

package numeric

//go:generate go run -C internal/asm . -out ../../kernel_amd64.s

// A level is the instruction set that kernels use. The tests go through all
// that the processor has.
type level uint8

const (
	plain  level = iota // none: the loops in Go
	avx2                // AVX2, FMA, F16C
	avx512              // AVX-512 F, BW, DQ, VL
	vnni                // and VBMI, VBMI2, VNNI, GFNI: Ice Lake, Zen 4
)

// best is found once; nothing changes it.
var best = detect()

// detect asks the processor for instructions, and the system for registers
// that it saves. (Of macOS it finds AVX2 at best, which saves others late.)
func detect() level {
	const (
		fma, osxsave, avx, f16c = 1 << 12, 1 << 27, 1 << 28, 1 << 29 // leaf 1, c
		popcnt                  = 1 << 23
		bit2                    = 1 << 5                                     // leaf 7, b: AVX2
		f, dq, bw, vl           = 1 << 16, 1 << 17, 1 << 30, uint32(1) << 31 // leaf 7, b
		vbmi, more, gfni, dot   = 1 << 1, 1 << 6, 1 << 8, 1 << 11            // leaf 7, c; more: VBMI2
		ymm, zmm                = 0x06, 0xE6
	)
	highest, _, _, _ := cpuid(0, 0)
	if highest < 7 {
		return plain
	}
	_, _, c, _ := cpuid(1, 0)
	if need := uint32(fma | popcnt | osxsave | avx | f16c); c&need != need {
		return plain
	}
	saved := xgetbv()
	_, b, c, _ := cpuid(7, 0)
	switch {
	case saved&ymm != ymm || b&bit2 == 0:
		return plain
	case saved&zmm != zmm || b&(f|dq|bw|vl) != f|dq|bw|vl:
		return avx2
	case c&(vbmi|more|gfni|dot) != vbmi|more|gfni|dot:
		return avx512
	}
	return vnni
}

// The kernels, in kernel_amd64.s, take whole steps of numbers, 64 in casts and 16
// in sums, and forget the rest. They do not check that slices are as long as n
// asks for. A Stream writes past the caches, to a multiple of 64 bytes.

func cpuid(leaf, part uint32) (a, b, c, d uint32)
func xgetbv() (a uint32)

// skew returns how far p is beyond a multiple of 64 bytes.
//
//go:noescape
func skew(p []byte) (bytes int)

//go:noescape
func lanesAVX2(l *lanes, src []byte, n int)

//go:noescape
func lanesAVX512(l *lanes, src []byte, n int)

//go:noescape
func pairsAVX2(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsBF16AVX2(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF16AVX2(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsFloatsAVX2(p *pairs, a, b []float32, n int) (special uint32)

//go:noescape
func pairsF64AVX2(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsDoublesAVX2(p *pairs, a, b []float64, n int) (special uint32)

//go:noescape
func pairsAVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsBF16AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF16AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsBF16F32AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF32BF16AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF16F32AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsF32F16AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsCodesVNNI(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func closeHalvesVNNI(s *closeSums, a, b []byte, n int) (unsure uint64)

//go:noescape
func closeQuartersVNNI(s *closeSums, a, b []byte, n int) (unsure uint64)

//go:noescape
func pairsFloatsAVX512(p *pairs, a, b []float32, n int) (special uint32)

//go:noescape
func pairsF64AVX512(p *pairs, a, b []byte, n int) (special uint32)

//go:noescape
func pairsDoublesAVX512(p *pairs, a, b []float64, n int) (special uint32)

//go:noescape
func lossAVX2(p *pairs, a, b []byte, n int)

//go:noescape
func lossBF16AVX2(p *pairs, a, b []byte, n int)

//go:noescape
func lossF16AVX2(p *pairs, a, b []byte, n int)

//go:noescape
func lossFloatsAVX2(p *pairs, a []byte, b []float32, n int)

//go:noescape
func lossAVX512(p *pairs, a, b []byte, n int)

//go:noescape
func lossBF16AVX512(p *pairs, a, b []byte, n int)

//go:noescape
func lossF16AVX512(p *pairs, a, b []byte, n int)

//go:noescape
func lossFloatsAVX512(p *pairs, a []byte, b []float32, n int)

//go:noescape
func toBF16AVX2(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toBF16FloatsAVX2(dst []byte, src []float32, n int, over uint32) (high uint32)

//go:noescape
func toBF16StreamAVX2(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toF16AVX2(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toF16FloatsAVX2(dst []byte, src []float32, n int, over uint32) (high uint32)

//go:noescape
func toF16StreamAVX2(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toByteAVX2(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func toByteFloatsAVX2(dst []byte, src []float32, n int, p *narrowing) (high uint32)

//go:noescape
func toByteStreamAVX2(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func fromBF16AVX2(dst, src []byte, n int)

//go:noescape
func fromBF16FloatsAVX2(dst []float32, src []byte, n int)

//go:noescape
func fromBF16StreamAVX2(dst, src []byte, n int)

//go:noescape
func fromF16AVX2(dst, src []byte, n int)

//go:noescape
func fromF16FloatsAVX2(dst []float32, src []byte, n int)

//go:noescape
func fromF16StreamAVX2(dst, src []byte, n int)

//go:noescape
func fromByteAVX2(dst, src []byte, n int, p *widening)

//go:noescape
func fromByteFloatsAVX2(dst []float32, src []byte, n int, p *widening)

//go:noescape
func fromByteStreamAVX2(dst, src []byte, n int, p *widening)

//go:noescape
func fromF32FloatsAVX2(dst []float32, src []byte, n int)

//go:noescape
func lanesBF16AVX2(l *lanes, src []byte, n int)

//go:noescape
func lanesF16AVX2(l *lanes, src []byte, n int)

//go:noescape
func toBF16AVX512(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toBF16FloatsAVX512(dst []byte, src []float32, n int, over uint32) (high uint32)

//go:noescape
func toBF16StreamAVX512(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func quickBF16AVX512(dst, src []byte, n int) (high uint32)

//go:noescape
func quickBF16StreamAVX512(dst, src []byte, n int) (high uint32)

//go:noescape
func toF16AVX512(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toF16FloatsAVX512(dst []byte, src []float32, n int, over uint32) (high uint32)

//go:noescape
func toF16StreamAVX512(dst, src []byte, n int, over uint32) (high uint32)

//go:noescape
func toByteAVX512(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func toByteFloatsAVX512(dst []byte, src []float32, n int, p *narrowing) (high uint32)

//go:noescape
func toByteStreamAVX512(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func fromBF16AVX512(dst, src []byte, n int)

//go:noescape
func fromBF16FloatsAVX512(dst []float32, src []byte, n int)

//go:noescape
func fromBF16StreamAVX512(dst, src []byte, n int)

//go:noescape
func fromF16AVX512(dst, src []byte, n int)

//go:noescape
func fromF16FloatsAVX512(dst []float32, src []byte, n int)

//go:noescape
func fromF16StreamAVX512(dst, src []byte, n int)

//go:noescape
func fromByteAVX512(dst, src []byte, n int, p *widening)

//go:noescape
func fromByteFloatsAVX512(dst []float32, src []byte, n int, p *widening)

//go:noescape
func fromByteStreamAVX512(dst, src []byte, n int, p *widening)

//go:noescape
func bytesOfBF16AVX2(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfBF16StreamAVX2(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16AVX2(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16StreamAVX2(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfBF16AVX512(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfBF16StreamAVX512(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16AVX512(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16StreamAVX512(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func toByteVNNI(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func toByteFloatsVNNI(dst []byte, src []float32, n int, p *narrowing) (high uint32)

//go:noescape
func toByteStreamVNNI(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfBF16VNNI(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfBF16StreamVNNI(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16VNNI(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func bytesOfF16StreamVNNI(dst, src []byte, n int, p *narrowing) (high uint32)

//go:noescape
func fromCodeAVX512(dst, src []byte, n int, p *widening)

//go:noescape
func fromCodeFloatsAVX512(dst []float32, src []byte, n int, p *widening)

//go:noescape
func fromCodeStreamAVX512(dst, src []byte, n int, p *widening)

//go:noescape
func wordsOfCodeAVX2(dst, src []byte, n int, p *widening)

//go:noescape
func wordsOfCodeStreamAVX2(dst, src []byte, n int, p *widening)

//go:noescape
func wordsOfCodeAVX512(dst, src []byte, n int, p *widening)

//go:noescape
func wordsOfCodeStreamAVX512(dst, src []byte, n int, p *widening)

//go:noescape
func fromF32FloatsAVX512(dst []float32, src []byte, n int)

//go:noescape
func lanesBF16AVX512(l *lanes, src []byte, n int)

//go:noescape
func lanesF16AVX512(l *lanes, src []byte, n int)

//go:noescape
func codesHalvesVNNI(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func codesQuartersVNNI(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func codesHalvesAVX2(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func codesQuartersAVX2(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func wholeBytesAVX2(s *codeSums, src []byte, n int, flip uint32)

//go:noescape
func codesLongVNNI(s *codeSums, src []byte, n int, tables *codeTables)

//go:noescape
func wholeBytesVNNI(s *codeSums, src []byte, n int, flip uint32)

//go:noescape
func wideF64AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideI64AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideU64AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideI32AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideU32AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideI16AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideU16AVX512(l *wideLanes, src []byte, n int)

//go:noescape
func wideF64AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func wideI64AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func wideU64AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func wideI32AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func wideU32AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func wideI16AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func wideU16AVX2(l *wideLanes, src []byte, n int)

//go:noescape
func beyondAVX2(src []byte, n int, most uint32) (count uint64)

//go:noescape
func beyondFloatsAVX2(src []float32, n int, most uint32) (count uint64)

//go:noescape
func beyondAVX512(src []byte, n int, most uint32) (count uint64)

//go:noescape
func beyondFloatsAVX512(src []float32, n int, most uint32) (count uint64)
