package numeric

import (
	"encoding/binary"
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// A narrowing is what a kernel has to know to round float32 to codes of a byte:
// a [rounder] as its registers want it. Kernels read it, so its layout is theirs
// too.
type narrowing struct {
	shift, toSign       uint32 // mantissa bits to drop; from bit 31 to the sign
	half, normal, magic uint32
	over, nan, sign     uint32
	least               uint32 // the least code that has a sign

	// For kernels that round words of 16 bits: a magnitude's upper half without the
	// sign, and a bit that tells whether there is one in the lower. They take 32 bits
	// at a time, so words are in these twice, bytes four times.
	drop, half16, normal16 uint32
	over16, nan16          uint32
	sign8, least8          uint32

	// For kernels that round by adding a power of two: its last word, what the number's
	// own is multiplied with, and by what the sum's two words are to become a code.
	bias, scale, factors uint32

	top uint32 // the largest code
}

// newNarrowing returns false for types that are not binary floats of at most
// eight bits.
func newNarrowing(d safetensors.DType, mode Overflow) (narrowing, bool) {
	l, ok := layoutOf(d)
	if !ok || d.Bits() > 8 {
		return narrowing{}, false
	}
	r := newRounder(l, mode)
	p := narrowing{
		shift: uint32(r.shift), toSign: uint32(31 - l.exp - l.man),
		half: 1<<(r.shift-1) - 1 - r.rebias, normal: r.normal, magic: math.Float32bits(r.magic),
		over: r.over[0], sign: l.sign(),
	}
	if l.special != finite {
		p.nan = l.nan(0)
	}
	if l.special == fnuz {
		p.least = 1
	}
	const twice, fourTimes = 1<<16 + 1, 1<<24 + 1<<16 + 1<<8 + 1
	p.drop, p.normal16 = uint32(8-l.man), r.normal>>15*twice
	p.half16 = (1<<(p.drop-1) - 1 - r.rebias>>15) & 0xFFFF * twice
	p.over16, p.nan16 = p.over*twice, p.nan*twice
	p.sign8, p.least8 = p.sign*fourTimes, p.least*fourTimes
	first := r.normal>>23 + uint32(r.shift) // exponent of a sum that is subnormal as a code
	p.bias, p.top = -(first<<l.man)&0xFFFF, r.top
	p.scale, p.factors = (127+uint32(r.shift))<<23, 1<<16|1<<(7-l.man)
	return p, true
}

// A widening is what a kernel has to know to make float32 of codes of a byte.
type widening struct {
	shift, toSign   uint32 // from the mantissa, and the sign, to those of a float32
	magnitude, sign uint32
	rebias, normal  uint32
	smallest        float32
	least           uint32 // bits of the least magnitude
	inf, top, lone  uint32 // the infinite magnitude, the last that is not NaN, the one code that is

	// For kernels that make words of 16 bits, which are BF16, or the upper half of
	// float32, or F16.
	shift16, signs16  uint32
	rebias16          uint32
	infinite16, nan16 uint32
	first, lone8      uint32     // the least magnitude that is special; lone, or a code that is special
	small             [32]uint16 // what subnormal codes become
}

// words sets what makes BF16, or F16 if half. F16 has to have all numbers of l but
// its subnormal ones as normal numbers.
func (p *widening) words(l layout, half bool) {
	exponents, mantissa := uint32(127), uint32(7)
	p.infinite16, p.nan16 = 0x7F80, 0x7FC0
	if half {
		exponents, mantissa = 15, 10
		p.infinite16, p.nan16 = 0x7C00, 0x7E00
	}
	p.shift16, p.signs16 = mantissa-uint32(l.man), uint32(15-l.exp-l.man)
	p.rebias16 = (exponents - uint32(l.bias)) << mantissa
	p.first, p.lone8 = min(p.inf, p.top+1), min(p.lone, 0xFF)
	f16, _ := layoutOf(safetensors.F16)
	r := newRounder(f16, ToSpecial)
	for i := range uint32(1) << l.man {
		value := p.smallest * float32(i)
		if p.small[i] = uint16(math.Float32bits(value) >> 16); half {
			p.small[i] = uint16(r.round(value))
		}
	}
}

// newWidening returns false for types that are not floats of at most eight bits.
func newWidening(d safetensors.DType) (widening, bool) {
	const never = 1 << 8
	if d == safetensors.F8E8M0 {
		// 2^-127 is a subnormal float32, which has no exponent of its own.
		return widening{shift: 23, magnitude: 0xFF, least: 1 << 22, inf: never, top: 0xFE, lone: never}, true
	}
	l, ok := layoutOf(d)
	if !ok || d.Bits() > 8 {
		return widening{}, false
	}
	p := widening{
		shift: uint32(23 - l.man), toSign: uint32(31 - l.exp - l.man),
		magnitude: l.sign() - 1, sign: l.sign(),
		rebias: uint32(127-l.bias) << 23, normal: 1 << l.man, smallest: float32(l.value(1)),
		inf: never, top: l.top(), lone: never,
	}
	switch l.special {
	case ieee:
		p.inf, p.top = l.top()+1, l.top()+1
	case fnuz:
		p.lone = l.sign()
	}
	p.words(l, false)
	return p, true
}

// packCodes stores codes, one a byte, as elements of F4 or F6. There are multiples of
// eight.
func packCodes(dst []byte, d safetensors.DType, codes []byte) {
	if d == safetensors.F4 {
		for ; len(codes) >= 8; codes, dst = codes[8:], dst[4:] {
			w := binary.LittleEndian.Uint64(codes)
			w = (w | w>>4) & 0x00FF00FF00FF00FF
			w = (w | w>>8) & 0x0000FFFF0000FFFF
			binary.LittleEndian.PutUint32(dst, uint32(w|w>>16))
		}
		return
	}
	for ; len(codes) >= 8; codes, dst = codes[8:], dst[6:] {
		w := binary.LittleEndian.Uint64(codes)
		w = w&0x003F003F003F003F | w>>2&0x0FC00FC00FC00FC0
		w = w&0x00000FFF00000FFF | w>>4&0x00FFF00000FFF000
		w = w&0xFFFFFF | w>>8&0xFFFFFF000000
		binary.LittleEndian.PutUint32(dst, uint32(w))
		binary.LittleEndian.PutUint16(dst[4:], uint16(w>>32))
	}
}

// unpackCodes is its reverse.
func unpackCodes(codes []byte, d safetensors.DType, src []byte) {
	if d == safetensors.F4 {
		for ; len(codes) >= 8; codes, src = codes[8:], src[4:] {
			w := uint64(binary.LittleEndian.Uint32(src))
			w = (w | w<<16) & 0x0000FFFF0000FFFF
			w = (w | w<<8) & 0x00FF00FF00FF00FF
			binary.LittleEndian.PutUint64(codes, (w|w<<4)&0x0F0F0F0F0F0F0F0F)
		}
		return
	}
	for ; len(codes) >= 8; codes, src = codes[8:], src[6:] {
		w := uint64(binary.LittleEndian.Uint32(src)) | uint64(binary.LittleEndian.Uint16(src[4:]))<<32
		w = w&0xFFFFFF | w<<8&0x00FFFFFF00000000
		w = w&0x00000FFF00000FFF | w<<4&0x0FFF00000FFF0000
		w = w&0x003F003F003F003F | w<<2&0x3F003F003F003F00
		binary.LittleEndian.PutUint64(codes, w)
	}
}
