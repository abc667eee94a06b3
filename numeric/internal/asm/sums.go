package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in numeric's struct lanes.
const (
	laneSum     = 0
	laneSquares = 128
	laneMin     = 256
	laneMax     = 320
	laneZeros   = 384
	laneTiny    = 392
	laneNormal  = 400
	laneWords   = 404
)

// An element is a type whose numbers lanes can load; size is in bytes.
type element struct {
	name string
	size int
}

var elements = []element{{"", 4}, {"BF16", 2}, {"F16", 2}}

// load loads numbers from src as float32.
func (k *kind) load(e element, src Mem) VecVirtual {
	x := k.vector()
	switch e.name {
	case "BF16":
		VPMOVZXWD(src, x)
		VPSLLD(Imm(16), x, x)
	case "F16":
		VCVTPH2PS(src, x)
	default:
		VMOVUPS(src, x)
	}
	return x
}

// halves widens all numbers of x to float64.
func (k *kind) halves(x VecVirtual) [2]VecVirtual {
	low, high := k.vector(), k.vector()
	if k.wide {
		upper := YMM()
		VEXTRACTF64X4(Imm(1), x, upper)
		VCVTPS2PD(x.AsY(), low)
		VCVTPS2PD(upper, high)
	} else {
		upper := XMM()
		VEXTRACTF128(Imm(1), x, upper)
		VCVTPS2PD(x.AsX(), low)
		VCVTPS2PD(upper, high)
	}
	return [2]VecVirtual{low, high}
}

// A sums is the 16 partial sums of a kernel, in registers.
type sums struct{ sum, squares []VecVirtual }

func (k *kind) loadSums(l Register) (s sums) {
	for offset := 0; offset < 128; offset += k.bytes() {
		sum, squares := k.vector(), k.vector()
		VMOVUPD(at(l, laneSum+offset), sum)
		VMOVUPD(at(l, laneSquares+offset), squares)
		s.sum, s.squares = append(s.sum, sum), append(s.squares, squares)
	}
	return s
}

func (s sums) add(i int, v VecVirtual) { s.square(i, v, true) }

// square also spoils v, unless it fuses. A square is exact either way. On Zen 5
// the next addition waits for this one half as long as for a fused one, of which
// more can be begun: where that wait is what holds up, some are not fused.
func (s sums) square(i int, v VecVirtual, fuse bool) {
	VADDPD(v, s.sum[i], s.sum[i])
	if fuse {
		VFMADD231PD(v, v, s.squares[i])
		return
	}
	VMULPD(v, v, v)
	VADDPD(v, s.squares[i], s.squares[i])
}

func (k *kind) storeSums(l Register, s sums) {
	for i := range s.sum {
		VMOVUPD(s.sum[i], at(l, laneSum+i*k.bytes()))
		VMOVUPD(s.squares[i], at(l, laneSquares+i*k.bytes()))
	}
}

// lanes adds numbers to 16 partial sums. Least and greatest have as many places
// as a register; the rest of theirs stays as it is.
func (k *kind) lanes(e element) {
	if k.wide {
		k.lanesOfWords(e)
		return
	}
	name := "lanes" + e.name + k.name
	TEXT(name, NOSPLIT, "func(l *byte, src []byte, n int)")
	l, src := Load(Param("l"), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	s := k.loadSums(l)
	least, greatest := k.vector(), k.vector()
	VMOVUPS(at(l, laneMin), least)
	VMOVUPS(at(l, laneMax), greatest)
	magnitude, normal := k.lazy32("magnitude", 0x7FFFFFFF), k.lazy(l, laneNormal)
	zeros, tiny := GP64(), GP64()
	XORQ(zeros, zeros)
	XORQ(tiny, tiny)
	count := func(total GPVirtual, mask func(GPVirtual)) {
		r := GP32()
		mask(r)
		POPCNTL(r, r)
		ADDQ(r.As64(), total)
	}
	loop(name, n, 16, func() {
		for i, offset := 0, 0; offset < 64; i, offset = i+1, offset+k.bytes() {
			x, a := k.load(e, at(src, offset*e.size/4)), k.vector()
			VMINPS(x, least, least)
			VMAXPS(x, greatest, greatest)
			k.and(magnitude(), x, a)
			if k.wide {
				is := K()
				count(zeros, func(r GPVirtual) { VPTESTNMD(a, a, is); KMOVW(is, r) })
				count(tiny, func(r GPVirtual) { VPCMPUD(Imm(1), normal(), a, is); KMOVW(is, r) })
			} else {
				is := YMM()
				VPXOR(is, is, is)
				count(zeros, func(r GPVirtual) { VPCMPEQD(is, a, is); VMOVMSKPS(is, r) })
				count(tiny, func(r GPVirtual) { VPCMPGTD(a, normal(), a); VMOVMSKPS(a, r) })
			}
			if e.size == 2 {
				for j, v := range k.halves(x) {
					s.add(2*i+j, v)
				}
			}
		}
		if e.size == 4 {
			for i := range s.sum {
				v := k.vector()
				VCVTPS2PD(at(src, i*k.bytes()/2), v)
				s.add(i, v)
			}
		}
		ADDQ(Imm(uint64(16*e.size)), src)
	})
	k.storeSums(l, s)
	VMOVUPS(least, at(l, laneMin))
	VMOVUPS(greatest, at(l, laneMax))
	ADDQ(zeros, at(l, laneZeros))
	ADDQ(tiny, at(l, laneTiny))
	VZEROUPPER()
	RET()
}

// lanesOfWords is lanes of a register a step: 32 numbers of 16 bits or 16 of 32.
// Of the words it finds the least without the sign, and the greatest as unsigned
// and as signed ones: of signs and magnitudes these are all that there is to know,
// and integers are compared on every pipe of the processor. Only if the least
// is a zero or subnormal are these counted, in a second pass over what the first
// cache holds; but F16, in which weights are subnormal, counts them at once.
func (k *kind) lanesOfWords(e element) {
	name := "lanes" + e.name + k.name
	TEXT(name, NOSPLIT, "func(l *byte, src []byte, n int)")
	l, src := Load(Param("l"), GP64()), Load(Param("src").Base(), GP64())
	n := Load(Param("n"), GP64()).(GPVirtual)
	o := wordOps[e.size]
	s := k.loadSums(l)
	if e.name == "BF16" {
		for _, of := range [][]VecVirtual{s.sum, s.squares} {
			k.shuffle(of, "even", "odd")
		}
	}
	least, greatest, positive := ZMM(), ZMM(), ZMM()
	VPTERNLOGD(Imm(0xFF), least, least, least)
	VPXORD(greatest, greatest, greatest)
	o.shift(Imm(uint64(8*e.size-1)), least, positive) // the least signed word
	magnitude := k.constant32(map[int]uint32{2: 0x7FFF7FFF, 4: 0x7FFFFFFF}[e.size])
	upper := k.constant32(0xFFFF0000)
	begin, steps := GP64(), GP64()
	MOVQ(src, begin)
	MOVQ(n, steps)
	normal := o.fill(at(l, laneNormal))
	zeros, tiny := GP64(), GP64()
	XORQ(zeros, zeros)
	XORQ(tiny, tiny)
	count := func(a VecVirtual) {
		for _, c := range []struct {
			total GPVirtual
			mask  func(is OpmaskVirtual)
		}{
			{zeros, func(is OpmaskVirtual) { o.test(a, a, is) }},
			{tiny, func(is OpmaskVirtual) { o.compare(Imm(1), normal, a, is) }},
		} {
			is, r := K(), GP32()
			c.mask(is)
			KMOVD(is, r)
			POPCNTL(r, r)
			ADDQ(r.As64(), c.total)
		}
	}
	loop(name, n, uint64(64/e.size), func() {
		x, a := ZMM(), ZMM()
		PREFETCHT0(at(src, ahead))
		VMOVDQU32(at(src, 0), x)
		VPANDD(magnitude, x, a)
		o.least(a, least, least)
		o.greatest(x, greatest, greatest)
		o.positive(x, positive, positive)
		switch e.name {
		case "BF16":
			even := ZMM()
			VPSLLD(Imm(16), x, even)
			VPANDD(upper, x, x)
			for i, v := range []VecVirtual{even, x} {
				for j, h := range k.halves(v) {
					s.square(i, h, j == 0)
				}
			}
		case "F16":
			count(a)
			for offset := 0; offset < 64; offset += 32 {
				v := ZMM()
				VCVTPH2PS(at(src, offset), v)
				for i, h := range k.halves(v) {
					s.add(i, h)
				}
			}
		default:
			for i := range s.sum {
				v := ZMM()
				VCVTPS2PD(at(src, 32*i), v)
				s.square(i, v, false)
			}
		}
		ADDQ(Imm(64), src)
	})
	if e.name == "BF16" {
		for _, of := range [][]VecVirtual{s.sum, s.squares} {
			k.shuffle(of, "lower", "upper")
		}
	}
	k.storeSums(l, s)
	found := GP32()
	for i, w := range []struct {
		v    VecVirtual
		step func(a, b, c Op)
	}{{greatest, o.greatest}, {positive, o.positive}, {least, o.least}} {
		o.reduce(w.v, w.step, found)
		MOVL(found, at(l, laneWords+4*i))
	}
	if e.name != "F16" {
		CMPL(found, at(l, laneNormal))
		JAE(LabelRef(name + "_counted"))
		loop(name+"_again", steps, uint64(64/e.size), func() {
			a := ZMM()
			VPANDD(at(begin, 0), magnitude, a)
			count(a)
			ADDQ(Imm(64), begin)
		})
		Label(name + "_counted")
	}
	ADDQ(zeros, at(l, laneZeros))
	ADDQ(tiny, at(l, laneTiny))
	VZEROUPPER()
	RET()
}

// wordOps are the instructions on words of so many bytes.
var wordOps = map[int]struct {
	least, greatest, positive, shift func(a, b, c Op)
	test                             func(a, b, is Op)
	compare                          func(how, a, b, is Op)
	fill                             func(m Mem) VecVirtual
	reduce                           func(v VecVirtual, step func(a, b, c Op), r GPVirtual)
}{
	2: {
		func(a, b, c Op) { VPMINUW(a, b, c) }, func(a, b, c Op) { VPMAXUW(a, b, c) }, func(a, b, c Op) { VPMAXSW(a, b, c) },
		func(a, b, c Op) { VPSLLW(a, b, c) },
		func(a, b, is Op) { VPTESTNMW(a, b, is) },
		func(how, a, b, is Op) { VPCMPUW(how, a, b, is) },
		func(m Mem) VecVirtual { v := ZMM(); VPBROADCASTW(m, v); return v },
		func(v VecVirtual, step func(a, b, c Op), r GPVirtual) {
			other := reduce32(v, step)
			VPSRLD(Imm(16), v.AsX(), other.AsX())
			step(other.AsX(), v.AsX(), v.AsX())
			VPEXTRW(Imm(0), v.AsX(), r)
		},
	},
	4: {
		func(a, b, c Op) { VPMINUD(a, b, c) }, func(a, b, c Op) { VPMAXUD(a, b, c) }, func(a, b, c Op) { VPMAXSD(a, b, c) },
		func(a, b, c Op) { VPSLLD(a, b, c) },
		func(a, b, is Op) { VPTESTNMD(a, b, is) },
		func(how, a, b, is Op) { VPCMPUD(how, a, b, is) },
		func(m Mem) VecVirtual { v := ZMM(); VPBROADCASTD(m, v); return v },
		func(v VecVirtual, step func(a, b, c Op), r GPVirtual) {
			reduce32(v, step)
			VMOVD(v.AsX(), r)
		},
	},
}

// reduce32 leaves in the first 32 bits of v what step makes of all of them, and
// returns a register to go on with.
func reduce32(v VecVirtual, step func(a, b, c Op)) VecVirtual {
	other := ZMM()
	VEXTRACTI64X4(Imm(1), v, other.AsY())
	step(other.AsY(), v.AsY(), v.AsY())
	VEXTRACTI32X4(Imm(1), v.AsY(), other.AsX())
	for _, order := range []uint64{0x4E, 0xB1} {
		step(other.AsX(), v.AsX(), v.AsX())
		VPSHUFD(Imm(order), v.AsX(), other.AsX())
	}
	step(other.AsX(), v.AsX(), v.AsX())
	return other
}

// shuffle takes the numbers of a pair of registers in other orders.
func (k *kind) shuffle(pair []VecVirtual, first, second string) {
	orders := map[string][8]uint32{
		"even": {0, 2, 4, 6, 8, 10, 12, 14}, "odd": {1, 3, 5, 7, 9, 11, 13, 15},
		"lower": {0, 8, 1, 9, 2, 10, 3, 11}, "upper": {4, 12, 5, 13, 6, 14, 7, 15},
	}
	a, b := ZMM(), ZMM()
	for _, part := range []struct {
		v    VecVirtual
		name string
	}{{a, first}, {b, second}} {
		order := ZMM()
		k.load32(k.data(part.name, func(i int) uint32 { return orders[part.name][i/2] * uint32(1-i%2) }), order)
		VMOVAPD(pair[0], part.v)
		VPERMT2PD(pair[1], order, part.v)
	}
	VMOVAPD(a, pair[0])
	VMOVAPD(b, pair[1])
}
