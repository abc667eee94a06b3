//go:build !purego

package numeric

import "testing"

// checkAll holds all kernels that summarise to the plain loops.
func checkAll(t *testing.T, v level, src []byte) {
	t.Helper()
	checkSums(t, v, src)
	checkPairs(t, v, floatsIn(src))
	checkLoss(t, v, src[:len(src)/4*4])
	checkWide(t, v, src)
	checkCodes(t, v, src)
}
