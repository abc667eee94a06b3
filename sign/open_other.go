//go:build !unix

package sign

import "os"

// toRead is how files of a model are opened.
const toRead = os.O_RDONLY
