#include "textflag.h"

// What casts move, without the casting: lines are read and lines are written past
// the caches, so many to so many. n counts the bytes read, in whole steps; dst is
// aligned to 32 bytes.

// func stream1to2(dst, src *byte, n int)
TEXT ·stream1to2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $6, CX
	JZ   done

loop:
	PREFETCHT0 8192(SI)
	VMOVDQU    (SI), Y0
	VMOVDQU    32(SI), Y1
	VMOVNTDQ   Y0, (DI)
	VMOVNTDQ   Y0, 32(DI)
	VMOVNTDQ   Y1, 64(DI)
	VMOVNTDQ   Y1, 96(DI)
	ADDQ       $64, SI
	ADDQ       $128, DI
	DECQ       CX
	JNZ        loop
	SFENCE
	VZEROUPPER

done:
	RET

// func stream2to1(dst, src *byte, n int)
TEXT ·stream2to1(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $7, CX
	JZ   done

loop:
	VMOVDQU  (SI), Y0
	VMOVDQU  32(SI), Y1
	VPXOR    64(SI), Y0, Y0
	VPXOR    96(SI), Y1, Y1
	VMOVNTDQ Y0, (DI)
	VMOVNTDQ Y1, 32(DI)
	ADDQ     $128, SI
	ADDQ     $64, DI
	DECQ     CX
	JNZ      loop
	SFENCE
	VZEROUPPER

done:
	RET

// func stream4to1(dst, src *byte, n int)
TEXT ·stream4to1(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $8, CX
	JZ   done

loop:
	VMOVDQU  (SI), Y0
	VMOVDQU  32(SI), Y1
	VPXOR    64(SI), Y0, Y0
	VPXOR    96(SI), Y1, Y1
	VPXOR    128(SI), Y0, Y0
	VPXOR    160(SI), Y1, Y1
	VPXOR    192(SI), Y0, Y0
	VPXOR    224(SI), Y1, Y1
	VMOVNTDQ Y0, (DI)
	VMOVNTDQ Y1, 32(DI)
	ADDQ     $256, SI
	ADDQ     $64, DI
	DECQ     CX
	JNZ      loop
	SFENCE
	VZEROUPPER

done:
	RET
