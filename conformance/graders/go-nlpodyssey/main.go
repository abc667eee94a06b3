// Go-nlpodyssey grades github.com/nlpodyssey/safetensors: exit 0 = accepted,
// 1 = refused, 2 (Go's own, for a panic) or 3 = neither.
package main

import (
	"fmt"
	"os"

	"github.com/nlpodyssey/safetensors"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-nlpodyssey FILE")
		os.Exit(3)
	}
	file, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	if _, err := safetensors.Deserialize(file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
