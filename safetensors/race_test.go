//go:build race

package safetensors

// RaceDetector says whether the race detector is on, which makes memory cost
// more, and everything slow.
const RaceDetector = true
