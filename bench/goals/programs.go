package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tensmith/tensmith/internal/bench"
)

// The names of peers. What one does in two ways has a row for each, named
// after a colon; the faster counts.
const (
	crate    = "Rust crate"
	numpy    = "Python and numpy"
	torch    = "Python and torch"
	byPread  = ": pread"
	byCopies = ": map and copy"
)

// script measures the Python package.
//
//go:embed peer.py
var script string

// programs are the peers that are programs of their own.
type programs struct{ reference, python, torch string }

func (p programs) cases(s bench.Setting) []bench.Case {
	return append(p.crate(s), p.pythonPackage(s)...)
}

// A state is what the page cache is to hold before a case.
type state int

const (
	warm state = iota
	cold
	warmShards
)

// crate returns the cases of the Rust crate. Of loads that are to be the
// program's own it has two ways: to read a file whole, and to copy out of a
// mapping.
func (p programs) crate(s bench.Setting) (all []bench.Case) {
	big, out, edited := filepath.Join(s.Dir, bench.Big), filepath.Join(s.Dir, "peer-crate.tmp"), filepath.Join(s.Dir, "peer-crate-edit.tmp")
	add := func(name, who string, state state, argv ...string) {
		all = append(all, program(name, who, p.reference, state, func(bench.Setting) ([]string, error) { return argv, nil }))
	}
	add("load/fresh", crate, warm, "load", big, "1")
	add("load/fresh", crate+byCopies, warm, "copy", big, "1")
	add("load/mapped", crate, warm, "touch", big, "1")
	add("load/populated", crate, warm, "populate", big, "1")
	add("load/cold", crate, cold, "load", big, "1")
	add("load/cold", crate+byCopies, cold, "copy", big, "1")
	add("load/cold-mapped", crate, cold, "touch", big, "1")
	add("load/cold-mapped", crate+": populate", cold, "populate", big, "1")
	add("tensor/one", crate, warm, "one", big, bench.Single, "5")
	add("slice/columns-mapped", crate, warm, "slice", big, bench.Matrix, "512", "5")
	add("save/plain", crate, warm, "save", big, out, "2")
	add("save/durable", crate, warm, "save-durable", big, out, "2")
	return append(all, program("load/sharded", crate, p.reference, warmShards, func(s bench.Setting) ([]string, error) {
		argv := []string{"load"}
		names, err := s.Shards()
		for _, name := range names {
			argv = append(argv, filepath.Join(s.Dir, name))
		}
		return append(argv, "1"), err
	}), program("edit/moved", crate, p.reference, warm, func(bench.Setting) ([]string, error) {
		if _, err := os.Stat(edited); err != nil { // the first time
			if err := os.Link(big, edited); err != nil { // which the crate does not write to
				return nil, err
			}
		}
		return []string{"edit", edited, "2"}, nil
	}))
}

// pythonPackage returns those of the Python package.
func (p programs) pythonPackage(s bench.Setting) (all []bench.Case) {
	big, out := filepath.Join(s.Dir, bench.Big), filepath.Join(s.Dir, "peer-python.tmp")
	for _, peer := range []struct{ who, program, framework string }{{numpy, p.python, "numpy"}, {torch, p.torch, "torch"}} {
		add := func(name, verb, backend string, state state, runs string) {
			who, file := peer.who, big
			if backend == "pread" {
				who += byPread
			}
			if state == warmShards {
				file = filepath.Join(s.Dir, bench.Shards)
			}
			argv := []string{"-c", script, verb, peer.framework, backend, file, out, bench.Single, bench.Matrix, runs}
			all = append(all, program(name, who, peer.program, state, func(bench.Setting) ([]string, error) { return argv, nil }))
		}
		for _, backend := range []string{"mmap", "pread"} {
			add("load/fresh", "load", backend, warm, "1")
			add("load/cold", "load", backend, cold, "1")
			add("load/sharded", "load", backend, warmShards, "1")
		}
		if peer.framework == "torch" {
			add("load/mapped", "touch", "mmap", warm, "1") // numpy has copies only
		}
		add("tensor/one", "one", "mmap", warm, "5")
		add("slice/columns-read", "slice", "mmap", warm, "5")
		add("save/plain", "save", "mmap", warm, "2")
		add("save/durable", "save-durable", "mmap", warm, "2")
	}
	return all
}

// program returns a case of another program, which measures itself.
func program(name, who, path string, before state, argv func(bench.Setting) ([]string, error)) bench.Case {
	c := bench.Case{Name: name, Who: who, Files: []string{bench.Big}, Writes: strings.HasPrefix(name, "save/") || strings.HasPrefix(name, "edit/")}
	if before == warmShards {
		c.Files = []string{bench.Shards}
	}
	c.Outside = func(ctx context.Context, s bench.Setting) (bench.Sample, error) {
		if path == "" {
			return bench.Sample{}, bench.Absent("no program was given")
		}
		ready := map[state]func() error{warm: s.Warm, cold: s.Cold, warmShards: s.WarmShards}[before]
		if err := ready(); err != nil {
			return bench.Sample{}, err
		}
		words, err := argv(s)
		if err != nil {
			return bench.Sample{}, err
		}
		return outside(ctx, path, words)
	}
	return c
}

// outside runs a program that measures itself and prints what it took as JSON.
func outside(ctx context.Context, program string, argv []string) (s bench.Sample, err error) {
	cmd := exec.CommandContext(ctx, program, argv...)
	var words bytes.Buffer
	cmd.Stderr = &words
	text, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, &words)
	}
	took := struct {
		Least int64 `json:"min_ns"`
		Peak  int64 `json:"rss"`
	}{Peak: -1}
	if err := json.Unmarshal(text, &took); err != nil || took.Least <= 0 {
		return s, fmt.Errorf("%s printed %q (%v)", program, text, err)
	}
	return bench.Sample{Wall: took.Least, CPU: -1, Allocs: -1, Heap: -1, Peak: took.Peak, Grown: -1, Mapped: -1, Read: -1}, nil
}
