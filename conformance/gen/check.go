package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tensmith/tensmith/conformance/internal/cases"
)

// check asks the reference about every case and gives all differences.
func check(reference string) error {
	dir, err := os.MkdirTemp("", "vectors-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var wrong []error
	count := 0
	for _, c := range cases.All() {
		wrong = append(wrong, checkCase(reference, dir, c, true))
		count++
	}
	for _, large := range cases.Large() {
		c := large.Case
		c.File = large.Make()
		// A dump of millions of values proves nothing that the small cases do not.
		wrong = append(wrong, checkCase(reference, dir, c, false))
		count++
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	fmt.Printf("the reference agrees on %d vectors\n", count)
	return nil
}

func checkCase(reference, dir string, c cases.Case, dump bool) error {
	name := filepath.Join(dir, "case.safetensors")
	if err := os.WriteFile(name, c.File, 0o600); err != nil {
		return err
	}
	out, err := exec.Command(reference, "verdict", name).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	got := strings.TrimPrefix(strings.TrimSpace(string(out)), "refuse ")
	if got != c.Reference {
		return fmt.Errorf("%s: the reference says %s, the table %s", c.Name, got, c.Reference)
	}
	if !dump || c.Class != "" {
		return nil
	}
	return checkContent(reference, name, c)
}

// checkContent compares what the table's own reading of an accepted file finds
// with what the reference finds.
func checkContent(reference, name string, c cases.Case) error {
	out, err := exec.Command(reference, "dump", name).Output()
	if err != nil {
		return fmt.Errorf("%s: dump: %w", c.Name, err)
	}
	tensors, metadata, err := parseDump(out)
	if err != nil {
		return fmt.Errorf("%s: dump: %w", c.Name, err)
	}
	wantTensors, wantMetadata, err := c.Content()
	if err != nil {
		return err
	}
	same := func(a, b cases.Tensor) bool {
		return a.Name == b.Name && a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && a.SHA256 == b.SHA256
	}
	if !slices.EqualFunc(tensors, wantTensors, same) {
		return fmt.Errorf("%s: the reference finds tensors %v, the table %v", c.Name, tensors, wantTensors)
	}
	if !maps.Equal(metadata, wantMetadata) {
		return fmt.Errorf("%s: the reference finds metadata %q, the table %q", c.Name, metadata, wantMetadata)
	}
	return nil
}

// parseDump reads the lines `name, dtype, shape, digest` and `@key, value`.
func parseDump(out []byte) ([]cases.Tensor, map[string]string, error) {
	var tensors []cases.Tensor
	metadata := map[string]string{}
	for line := range bytes.Lines(out) {
		fields := bytes.Split(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
		if key, ok := bytes.CutPrefix(fields[0], []byte("@")); ok && len(fields) == 2 {
			var k, v string
			if err := errors.Join(json.Unmarshal(key, &k), json.Unmarshal(fields[1], &v)); err != nil {
				return nil, nil, err
			}
			metadata[k] = v
			continue
		}
		if len(fields) != 4 {
			return nil, nil, fmt.Errorf("%d fields in %q", len(fields), line)
		}
		t := cases.Tensor{DType: string(fields[1]), SHA256: string(fields[3])}
		if err := errors.Join(json.Unmarshal(fields[0], &t.Name), json.Unmarshal(fields[2], &t.Shape)); err != nil {
			return nil, nil, err
		}
		tensors = append(tensors, t)
	}
	return tensors, metadata, nil
}
