package scan

import (
	"regexp"
	"sync"
)

// regular is regexp.MustCompile when it is needed for the first time: to
// compile all of them takes as long as to scan a checkpoint.
func regular(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
