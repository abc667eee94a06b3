//go:build !purego

#include "textflag.h"

// The constants of FIPS 180-4, section 4.2.2, are those of wide_amd64.s.

// Each stream has six registers: two of its hash as SHA256RNDS2 wants it, with
// the words A, B, E and F from the highest to the lowest in one and C, D, G and
// H in the other, and four of the last 16 words of its schedule: X1 to X6 and
// X7 to X12. X0 is what SHA256RNDS2 takes words and constants from; the
// processor gives it another place at each use, so that both streams can have it.

// QUADS is four steps of section 6.2.2, 3, of both streams, for the words v and
// w and constants from i on. That the streams take turns at each instruction
// makes a fifth of the speed: where one has two before the other's two, they
// get into each other's way. That the second half of the words comes by way of
// memory, and not of a shuffle, is 3 % more.
#define QUADS(v, w, i) \
	VPADDD      (4*(i))(AX), v, X13 \
	VPADDD      (4*(i))(AX), w, X14 \
	MOVOU       X13, 0x40(SP)       \
	MOVOU       X14, 0x50(SP)       \
	MOVOU       X13, X0             \
	SHA256RNDS2 X0, X1, X2          \
	MOVOU       X14, X0             \
	SHA256RNDS2 X0, X7, X8          \
	MOVQ        0x48(SP), X0        \
	SHA256RNDS2 X0, X2, X1          \
	MOVQ        0x58(SP), X0        \
	SHA256RNDS2 X0, X8, X7

// NEXT makes four words of the schedule in the place of those at t-16 from
// those at t-12, t-8 and t-4.
#define NEXT(w16, w12, w8, w4, free) \
	MOVOU      w4, free     \
	PALIGNR    $4, w8, free \
	SHA256MSG1 w12, w16     \
	PADDD      free, w16    \
	SHA256MSG2 w4, w16

// STEPS is 16 steps and the words of the next 16, of both streams.
#define STEPS(i) \
	QUADS(X3, X9, i)             \
	NEXT(X3, X4, X5, X6, X13)    \
	NEXT(X9, X10, X11, X12, X14) \
	QUADS(X4, X10, i+4)          \
	NEXT(X4, X5, X6, X3, X13)    \
	NEXT(X10, X11, X12, X9, X14) \
	QUADS(X5, X11, i+8)          \
	NEXT(X5, X6, X3, X4, X13)    \
	NEXT(X11, X12, X9, X10, X14) \
	QUADS(X6, X12, i+12)         \
	NEXT(X6, X3, X4, X5, X13)    \
	NEXT(X12, X9, X10, X11, X14)

// LAST is the 16 steps that need no more words.
#define LAST(i) \
	QUADS(X3, X9, i)    \
	QUADS(X4, X10, i+4) \
	QUADS(X5, X11, i+8) \
	QUADS(X6, X12, i+12)

// LOAD takes a block.
#define LOAD(p, w0, w1, w2, w3) \
	MOVOU  0x00(p), w0 \
	MOVOU  0x10(p), w1 \
	MOVOU  0x20(p), w2 \
	MOVOU  0x30(p), w3 \
	PSHUFB X15, w0     \
	PSHUFB X15, w1     \
	PSHUFB X15, w2     \
	PSHUFB X15, w3

// ADD adds what the hash was before the block.
#define ADD(place, r, free) \
	MOVOU place, free \
	PADDD free, r

// GET takes the hash of a stream out of its column.
#define GET(lane, abef, cdgh) \
	PINSRD $3, (0x000+4*(lane))(DI), abef \
	PINSRD $2, (0x040+4*(lane))(DI), abef \
	PINSRD $3, (0x080+4*(lane))(DI), cdgh \
	PINSRD $2, (0x0c0+4*(lane))(DI), cdgh \
	PINSRD $1, (0x100+4*(lane))(DI), abef \
	PINSRD $0, (0x140+4*(lane))(DI), abef \
	PINSRD $1, (0x180+4*(lane))(DI), cdgh \
	PINSRD $0, (0x1c0+4*(lane))(DI), cdgh

// PUT puts it back.
#define PUT(lane, abef, cdgh) \
	PEXTRD $3, abef, (0x000+4*(lane))(DI) \
	PEXTRD $2, abef, (0x040+4*(lane))(DI) \
	PEXTRD $3, cdgh, (0x080+4*(lane))(DI) \
	PEXTRD $2, cdgh, (0x0c0+4*(lane))(DI) \
	PEXTRD $1, abef, (0x100+4*(lane))(DI) \
	PEXTRD $0, abef, (0x140+4*(lane))(DI) \
	PEXTRD $1, cdgh, (0x180+4*(lane))(DI) \
	PEXTRD $0, cdgh, (0x1c0+4*(lane))(DI)

// func pairSHA(words *[8][16]uint32, data *[16]*byte, n int)
TEXT ·pairSHA(SB), NOSPLIT, $96-24
	MOVQ words+0(FP), DI
	MOVQ data+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ 0(SI), R8
	MOVQ 8(SI), R9
	LEAQ ·constants(SB), AX

	TESTQ CX, CX
	JLE   done
	MOVOU ·swap(SB), X15
	GET(0, X1, X2)
	GET(1, X7, X8)

loop:
	LOAD(R8, X3, X4, X5, X6)
	LOAD(R9, X9, X10, X11, X12)
	MOVOU X1, 0x00(SP)
	MOVOU X2, 0x10(SP)
	MOVOU X7, 0x20(SP)
	MOVOU X8, 0x30(SP)
	STEPS(0)
	STEPS(16)
	STEPS(32)
	LAST(48)
	ADD(0x00(SP), X1, X13)
	ADD(0x10(SP), X2, X13)
	ADD(0x20(SP), X7, X14)
	ADD(0x30(SP), X8, X14)
	ADDQ  $64, R8
	ADDQ  $64, R9
	DECQ  CX
	JNZ   loop
	PUT(0, X1, X2)
	PUT(1, X7, X8)

done:
	RET

// func cpuSHA() bool
TEXT ·cpuSHA(SB), NOSPLIT, $0-1
	XORL  AX, AX
	CPUID
	CMPL  AX, $7
	SETCC ret+0(FP) // at least
	JCS   none
	MOVL  $7, AX
	XORL  CX, CX
	CPUID
	SHRL  $29, BX
	ANDL  $1, BX
	MOVB  BX, ret+0(FP)

none:
	RET
