//go:build !purego

#include "textflag.h"

// The constants of FIPS 180-4, section 4.2.2.
DATA ·constants+0x00(SB)/8, $0x71374491428a2f98
DATA ·constants+0x08(SB)/8, $0xe9b5dba5b5c0fbcf
DATA ·constants+0x10(SB)/8, $0x59f111f13956c25b
DATA ·constants+0x18(SB)/8, $0xab1c5ed5923f82a4
DATA ·constants+0x20(SB)/8, $0x12835b01d807aa98
DATA ·constants+0x28(SB)/8, $0x550c7dc3243185be
DATA ·constants+0x30(SB)/8, $0x80deb1fe72be5d74
DATA ·constants+0x38(SB)/8, $0xc19bf1749bdc06a7
DATA ·constants+0x40(SB)/8, $0xefbe4786e49b69c1
DATA ·constants+0x48(SB)/8, $0x240ca1cc0fc19dc6
DATA ·constants+0x50(SB)/8, $0x4a7484aa2de92c6f
DATA ·constants+0x58(SB)/8, $0x76f988da5cb0a9dc
DATA ·constants+0x60(SB)/8, $0xa831c66d983e5152
DATA ·constants+0x68(SB)/8, $0xbf597fc7b00327c8
DATA ·constants+0x70(SB)/8, $0xd5a79147c6e00bf3
DATA ·constants+0x78(SB)/8, $0x1429296706ca6351
DATA ·constants+0x80(SB)/8, $0x2e1b213827b70a85
DATA ·constants+0x88(SB)/8, $0x53380d134d2c6dfc
DATA ·constants+0x90(SB)/8, $0x766a0abb650a7354
DATA ·constants+0x98(SB)/8, $0x92722c8581c2c92e
DATA ·constants+0xa0(SB)/8, $0xa81a664ba2bfe8a1
DATA ·constants+0xa8(SB)/8, $0xc76c51a3c24b8b70
DATA ·constants+0xb0(SB)/8, $0xd6990624d192e819
DATA ·constants+0xb8(SB)/8, $0x106aa070f40e3585
DATA ·constants+0xc0(SB)/8, $0x1e376c0819a4c116
DATA ·constants+0xc8(SB)/8, $0x34b0bcb52748774c
DATA ·constants+0xd0(SB)/8, $0x4ed8aa4a391c0cb3
DATA ·constants+0xd8(SB)/8, $0x682e6ff35b9cca4f
DATA ·constants+0xe0(SB)/8, $0x78a5636f748f82ee
DATA ·constants+0xe8(SB)/8, $0x8cc7020884c87814
DATA ·constants+0xf0(SB)/8, $0xa4506ceb90befffa
DATA ·constants+0xf8(SB)/8, $0xc67178f2bef9a3f7
GLOBL ·constants(SB), RODATA|NOPTR, $256

// Turns the bytes of each word around.
DATA ·swap+0x00(SB)/8, $0x0405060700010203
DATA ·swap+0x08(SB)/8, $0x0c0d0e0f08090a0b
DATA ·swap+0x10(SB)/8, $0x0405060700010203
DATA ·swap+0x18(SB)/8, $0x0c0d0e0f08090a0b
DATA ·swap+0x20(SB)/8, $0x0405060700010203
DATA ·swap+0x28(SB)/8, $0x0c0d0e0f08090a0b
DATA ·swap+0x30(SB)/8, $0x0405060700010203
DATA ·swap+0x38(SB)/8, $0x0c0d0e0f08090a0b
GLOBL ·swap(SB), RODATA|NOPTR, $64

// Each register holds one word of 16 streams. Z0 to Z15 are the last 16 words
// of the schedule, Z16 to Z23 are a to h, the others are free.

// ROUND is a step of section 6.2.2, 3, for word w and constant i. h becomes the
// new a and d the new e, so that the next step has the names one further on.
#define ROUND(a, b, c, d, e, f, g, h, w, i) \
	VPADDD.BCST (4*(i))(AX), w, Z24  \
	VPADDD      Z24, h, h            \
	VPADDD      h, d, d              \
	VMOVDQA32   e, Z24               \
	VPTERNLOGD  $0xca, g, f, Z24     \
	VPRORD      $6, e, Z25           \
	VPRORD      $11, e, Z26          \
	VPRORD      $25, e, Z27          \
	VPTERNLOGD  $0x96, Z27, Z26, Z25 \
	VPADDD      Z24, d, d            \
	VPADDD      Z24, h, h            \
	VPADDD      Z25, d, d            \
	VPADDD      Z25, h, h            \
	VMOVDQA32   a, Z24               \
	VPTERNLOGD  $0xe8, c, b, Z24     \
	VPRORD      $2, a, Z25           \
	VPRORD      $13, a, Z26          \
	VPRORD      $22, a, Z27          \
	VPTERNLOGD  $0x96, Z27, Z26, Z25 \
	VPADDD      Z24, h, h            \
	VPADDD      Z25, h, h

// WORD makes word t of the schedule from those at t-16, t-15, t-7 and t-2, in
// the place of the first.
#define WORD(w16, w15, w7, w2) \
	VPRORD     $7, w15, Z28         \
	VPRORD     $18, w15, Z29        \
	VPSRLD     $3, w15, Z30         \
	VPTERNLOGD $0x96, Z30, Z29, Z28 \
	VPADDD     w7, w16, w16         \
	VPRORD     $17, w2, Z29         \
	VPRORD     $19, w2, Z30         \
	VPSRLD     $10, w2, Z31         \
	VPTERNLOGD $0x96, Z31, Z30, Z29 \
	VPADDD     Z28, w16, w16        \
	VPADDD     Z29, w16, w16

// STEP is a step and, in the place of its word, the one that is 16 later.
#define STEP(a, b, c, d, e, f, g, h, w, i, w15, w7, w2) \
	ROUND(a, b, c, d, e, f, g, h, w, i) \
	WORD(w, w15, w7, w2)

// STEPS is 16 steps, after which every name is where it was.
#define STEPS(i) \
	STEP(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z0, i+0, Z1, Z9, Z14) \
	STEP(Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z1, i+1, Z2, Z10, Z15) \
	STEP(Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z2, i+2, Z3, Z11, Z0) \
	STEP(Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z3, i+3, Z4, Z12, Z1) \
	STEP(Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z4, i+4, Z5, Z13, Z2) \
	STEP(Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z5, i+5, Z6, Z14, Z3) \
	STEP(Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z6, i+6, Z7, Z15, Z4) \
	STEP(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z7, i+7, Z8, Z0, Z5) \
	STEP(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z8, i+8, Z9, Z1, Z6) \
	STEP(Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z9, i+9, Z10, Z2, Z7) \
	STEP(Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z10, i+10, Z11, Z3, Z8) \
	STEP(Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z11, i+11, Z12, Z4, Z9) \
	STEP(Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z12, i+12, Z13, Z5, Z10) \
	STEP(Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z13, i+13, Z14, Z6, Z11) \
	STEP(Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z14, i+14, Z15, Z7, Z12) \
	STEP(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z15, i+15, Z0, Z8, Z13)

// LAST is the 16 steps that need no more words.
#define LAST(i) \
	ROUND(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z0, i+0) \
	ROUND(Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z1, i+1) \
	ROUND(Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z2, i+2) \
	ROUND(Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z3, i+3) \
	ROUND(Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z4, i+4) \
	ROUND(Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z5, i+5) \
	ROUND(Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z6, i+6) \
	ROUND(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z7, i+7) \
	ROUND(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z8, i+8) \
	ROUND(Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z9, i+9) \
	ROUND(Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z21, Z10, i+10) \
	ROUND(Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z20, Z11, i+11) \
	ROUND(Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z19, Z12, i+12) \
	ROUND(Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z18, Z13, i+13) \
	ROUND(Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z17, Z14, i+14) \
	ROUND(Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z16, Z15, i+15)

// LOAD takes the block of stream i.
#define LOAD(i, r) \
	MOVQ      (8*(i))(SI), R8  \
	VMOVDQU32 (R8)(R9*1), r  \
	VPSHUFB   Z31, r, r

// FOUR transposes the words of four streams, 4 by 4 within each 128 bits.
#define FOUR(r0, r1, r2, r3, t0, t1, t2, t3) \
	VPUNPCKLDQ  r1, r0, t0 \
	VPUNPCKHDQ  r1, r0, t1 \
	VPUNPCKLDQ  r3, r2, t2 \
	VPUNPCKHDQ  r3, r2, t3 \
	VPUNPCKLQDQ t2, t0, r0 \
	VPUNPCKHQDQ t2, t0, r1 \
	VPUNPCKLQDQ t3, t1, r2 \
	VPUNPCKHQDQ t3, t1, r3

// QUARTERS transposes 4 by 4 quarters of 128 bits.
#define QUARTERS(r0, r1, r2, r3, t0, t1, t2, t3) \
	VSHUFI32X4 $0x88, r1, r0, t0 \
	VSHUFI32X4 $0xdd, r1, r0, t1 \
	VSHUFI32X4 $0x88, r3, r2, t2 \
	VSHUFI32X4 $0xdd, r3, r2, t3 \
	VSHUFI32X4 $0x88, t2, t0, r0 \
	VSHUFI32X4 $0x88, t3, t1, r1 \
	VSHUFI32X4 $0xdd, t2, t0, r2 \
	VSHUFI32X4 $0xdd, t3, t1, r3

// func wideAVX512(words *[8][16]uint32, data *[16]*byte, n int)
TEXT ·wideAVX512(SB), NOSPLIT, $0-24
	MOVQ words+0(FP), DI
	MOVQ data+8(FP), SI
	MOVQ n+16(FP), CX
	LEAQ ·constants(SB), AX
	XORQ R9, R9

	TESTQ CX, CX
	JLE   done

loop:
	VMOVDQU32 ·swap(SB), Z31
	LOAD(0, Z0)
	LOAD(1, Z1)
	LOAD(2, Z2)
	LOAD(3, Z3)
	LOAD(4, Z4)
	LOAD(5, Z5)
	LOAD(6, Z6)
	LOAD(7, Z7)
	LOAD(8, Z8)
	LOAD(9, Z9)
	LOAD(10, Z10)
	LOAD(11, Z11)
	LOAD(12, Z12)
	LOAD(13, Z13)
	LOAD(14, Z14)
	LOAD(15, Z15)
	FOUR(Z0, Z1, Z2, Z3, Z16, Z17, Z18, Z19)
	FOUR(Z4, Z5, Z6, Z7, Z20, Z21, Z22, Z23)
	FOUR(Z8, Z9, Z10, Z11, Z24, Z25, Z26, Z27)
	FOUR(Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19)
	// Z(4g+j) has the words j, j+4, j+8 and j+12 of the streams 4g to 4g+3.
	QUARTERS(Z0, Z4, Z8, Z12, Z20, Z21, Z22, Z23)
	QUARTERS(Z1, Z5, Z9, Z13, Z24, Z25, Z26, Z27)
	QUARTERS(Z2, Z6, Z10, Z14, Z16, Z17, Z18, Z19)
	QUARTERS(Z3, Z7, Z11, Z15, Z20, Z21, Z22, Z23)

	VMOVDQU32 0x000(DI), Z16
	VMOVDQU32 0x040(DI), Z17
	VMOVDQU32 0x080(DI), Z18
	VMOVDQU32 0x0c0(DI), Z19
	VMOVDQU32 0x100(DI), Z20
	VMOVDQU32 0x140(DI), Z21
	VMOVDQU32 0x180(DI), Z22
	VMOVDQU32 0x1c0(DI), Z23
	STEPS(0)
	STEPS(16)
	STEPS(32)
	LAST(48)
	VPADDD    0x000(DI), Z16, Z16
	VPADDD    0x040(DI), Z17, Z17
	VPADDD    0x080(DI), Z18, Z18
	VPADDD    0x0c0(DI), Z19, Z19
	VPADDD    0x100(DI), Z20, Z20
	VPADDD    0x140(DI), Z21, Z21
	VPADDD    0x180(DI), Z22, Z22
	VPADDD    0x1c0(DI), Z23, Z23
	VMOVDQU32 Z16, 0x000(DI)
	VMOVDQU32 Z17, 0x040(DI)
	VMOVDQU32 Z18, 0x080(DI)
	VMOVDQU32 Z19, 0x0c0(DI)
	VMOVDQU32 Z20, 0x100(DI)
	VMOVDQU32 Z21, 0x140(DI)
	VMOVDQU32 Z22, 0x180(DI)
	VMOVDQU32 Z23, 0x1c0(DI)

	ADDQ $64, R9
	DECQ CX
	JNZ  loop
	VZEROUPPER

done:
	RET
