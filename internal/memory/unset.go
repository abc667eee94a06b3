package memory

import (
	"strings"
	"unsafe"
)

// Unset returns n bytes of Go's memory with anything in them, for who overwrites
// all of them or gives none away: to clear memory that was used before takes about
// half as long as to read a tensor into it. Go clears what make returns, and
// does not clear what a strings.Builder grows by.
func Unset(n int) []byte {
	if n < 1<<16 {
		return make([]byte, n)
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	memory := unsafe.StringData(b.String())
	// A Builder whose strings are not its own memory would need another way. It
	// is not used any more, so that nobody has a string of these bytes.
	if b.WriteByte(0); b.Cap() < n || unsafe.StringData(b.String()) != memory {
		return make([]byte, n)
	}
	return unsafe.Slice(memory, n)
}
