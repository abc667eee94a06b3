// Gen writes the committed vectors from the table in conformance/internal/cases.
// It is run in conformance/, by go generate.
//
// With -reference PROGRAM it also checks the table: PROGRAM is the built
// bench/reference, which is run over every vector, large ones too. A verdict,
// tensor, digest or metadata pair that differs from the table's fails the run,
// and nothing is written.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tensmith/tensmith/conformance/internal/cases"
)

func main() {
	reference := flag.String("reference", "", "the built bench/reference, to check every expectation with")
	flag.Parse()
	if err := run(*reference, "vectors"); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(reference, dir string) error {
	if reference != "" {
		if err := check(reference); err != nil {
			return err
		}
	}
	return write(dir)
}

// write makes dir hold the files of the table and nothing else.
func write(dir string) error {
	wanted := map[string]bool{}
	for _, c := range cases.All() {
		description, err := c.Describe()
		if err != nil {
			return err
		}
		for name, content := range map[string][]byte{c.Name + ".safetensors": c.File, c.Name + ".json": description} {
			if wanted[name] {
				return fmt.Errorf("two cases are called %s", c.Name)
			}
			wanted[name] = true
			if err := update(filepath.Join(dir, name), content); err != nil {
				return err
			}
		}
	}
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range present {
		if !wanted[file.Name()] {
			if err := os.Remove(filepath.Join(dir, file.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// update leaves a file alone that is right, so that its time tells a change.
func update(name string, content []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return os.WriteFile(name, content, 0o644)
}
