//go:build !race

package numeric

// thin is greater with the race detector.
const thin = 1
