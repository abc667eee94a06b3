//go:build race

package numeric

// thin is how much less some tests do where the race detector, which makes the
// plain loops ten times as slow, has nothing to see in the rest.
const thin = 8
