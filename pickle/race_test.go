//go:build race

package pickle

// raceDetector says whether the race detector is on, which makes memory cost
// more, and everything slow.
const raceDetector = true
