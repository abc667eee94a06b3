package torch

import "strings"

// An arena cuts strings from few long ones: an allocation for each of hundreds
// of thousands takes longer, and more memory. None is freed before all others.
type arena struct{ text strings.Builder }

// arenaChunk is how long these are, in bytes.
const arenaChunk = 32 << 10

// cut returns a string of what is in b.
func (a *arena) cut(b []byte) string {
	if a.text.Cap()-a.text.Len() < len(b) {
		a.text = strings.Builder{}
		a.text.Grow(max(arenaChunk, len(b)))
	}
	from := a.text.Len()
	a.text.Write(b)
	return a.text.String()[from:]
}
