package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	nlpodyssey "github.com/nlpodyssey/safetensors"

	"github.com/tensmith/tensmith/internal/bench"
)

// nlpodysseyCases run in processes of this program, as ours do.
func nlpodysseyCases() []bench.Case {
	one := func(name string, run func(*bench.Clock) error) bench.Case {
		return bench.Case{Name: name, Who: "nlpodyssey/safetensors", Files: []string{bench.Big}, Run: run}
	}
	return []bench.Case{
		one("load/fresh", loadGo(false)),
		one("load/cold", loadGo(true)),
		one("tensor/one", func(c *bench.Clock) error {
			if err := c.Warm(); err != nil {
				return err
			}
			return c.Time(func() error {
				all, err := readGo(c)
				if err != nil {
					return err
				}
				t, ok := all.Tensor(bench.Single)
				if !ok {
					return errors.New("the tensor is not there")
				}
				c.Bytes = int64(len(t.Data()))
				return nil
			})
		}),
		one("save/plain", saveGo(false)),
		one("save/durable", saveGo(true)),
		one("edit/moved", func(c *bench.Clock) error {
			name := filepath.Join(c.Dir, "peer-edit.tmp")
			if _, err := os.Stat(name); err != nil { // the first time
				all, err := readGo(c)
				if err != nil {
					return err
				}
				if err := writeGo(name, all, true); err != nil {
					return err
				}
			}
			return twice(c, func() error {
				data, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				c.Bytes = int64(len(data))
				all, err := nlpodyssey.Deserialize(data)
				if err != nil {
					return err
				}
				if err := writeGo(name+".new", all, true); err != nil {
					return err
				}
				return os.Rename(name+".new", name)
			})
		}),
	}
}

func readGo(c *bench.Clock) (nlpodyssey.SafeTensors, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, bench.Big))
	if err != nil {
		return nlpodyssey.SafeTensors{}, err
	}
	c.Bytes = int64(len(data))
	return nlpodyssey.Deserialize(data)
}

func loadGo(cold bool) func(*bench.Clock) error {
	return func(c *bench.Clock) error {
		state := c.Warm
		if cold {
			state = c.Cold
		}
		if err := state(); err != nil {
			return err
		}
		return c.Time(func() error {
			all, err := readGo(c)
			if err == nil && all.Len() == 0 {
				err = errors.New("no tensors")
			}
			return err
		})
	}
}

// writeGo writes tensors with the buffer that a Go program would use.
func writeGo(name string, all nlpodyssey.SafeTensors, durable bool) error {
	views := map[string]nlpodyssey.TensorView{}
	for _, t := range all.Tensors() {
		views[t.Name] = t.TensorView
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(nlpodyssey.SerializeToWriter(views, map[string]string{"format": "pt"}, w), w.Flush())
	if err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func saveGo(durable bool) func(*bench.Clock) error {
	return func(c *bench.Clock) error {
		if err := c.Warm(); err != nil {
			return err
		}
		all, err := readGo(c)
		if err != nil {
			return err
		}
		name := filepath.Join(c.Dir, "peer.tmp")
		defer os.Remove(name)
		return twice(c, func() error { return writeGo(name, all, durable) }, name)
	}
}

// twice times f two times, as often as bench lets ours and the probes write. It
// removes what is made in between.
func twice(c *bench.Clock, f func() error, made ...string) error {
	if err := c.Time(f); err != nil {
		return err
	}
	for _, name := range made {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return c.Time(f)
}

// programs are the peers that are programs of their own.
type programs struct{ reference, python, torch string }

func (p programs) cases(s bench.Setting) (all []bench.Case) {
	big, out := filepath.Join(s.Dir, bench.Big), filepath.Join(s.Dir, "peer-program.tmp")
	add := func(name, who, program string, cold bool, argv ...string) {
		c := bench.Case{Name: name, Who: who, Files: []string{bench.Big}}
		c.Outside = func(ctx context.Context, s bench.Setting) (bench.Sample, error) {
			if program == "" {
				return bench.Sample{}, bench.Absent("no program was given")
			}
			state := s.Warm
			if cold {
				state = s.Cold
			}
			if err := state(); err != nil {
				return bench.Sample{}, err
			}
			took, err := outside(ctx, program, argv)
			if err != nil || !strings.HasPrefix(name, "save/") {
				return took, err
			}
			_ = os.Remove(out) // as ours is; the fastest of two counts for all
			again, err := outside(ctx, program, argv)
			if again.Wall < took.Wall {
				took = again
			}
			return took, err
		}
		all = append(all, c)
	}
	const crate = "Rust crate"
	add("load/fresh", crate, p.reference, false, "load", big, "1")
	add("load/mapped", crate, p.reference, false, "touch", big, "1")
	add("load/populated", crate, p.reference, false, "touch", big, "1") // it has no other way to map
	add("load/cold", crate, p.reference, true, "load", big, "1")
	add("load/cold-mapped", crate, p.reference, true, "touch", big, "1")
	add("tensor/one", crate, p.reference, false, "one", big, bench.Single, "3")
	add("save/plain", crate, p.reference, false, "save", big, out, "1")
	for _, peer := range []struct{ who, program, framework string }{{"Python and numpy", p.python, "numpy"}, {"Python and torch", p.torch, "torch"}} {
		verb := func(name, verb string, cold bool) {
			add(name, peer.who, peer.program, cold, "-c", script, verb, peer.framework, big, out, bench.Single, bench.Matrix)
		}
		verb("load/fresh", "load", false)
		verb("load/cold", "load", true)
		verb("tensor/one", "one", false)
		verb("slice/columns-read", "slice", false)
		verb("save/plain", "save", false)
		verb("save/durable", "save-durable", false)
	}
	return all
}

// outside runs a program that measures itself and prints its times as JSON.
func outside(ctx context.Context, program string, argv []string) (s bench.Sample, err error) {
	cmd := exec.CommandContext(ctx, program, argv...)
	var words bytes.Buffer
	cmd.Stderr = &words
	text, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, &words)
	}
	var times struct {
		Least int64 `json:"min_ns"`
	}
	if err := json.Unmarshal(text, &times); err != nil || times.Least <= 0 {
		return s, fmt.Errorf("%s printed %q (%v)", program, text, err)
	}
	return bench.Sample{Wall: times.Least, CPU: -1, Allocs: -1, Heap: -1, Peak: -1, Grown: -1, Mapped: -1, Read: -1}, nil
}

// script measures the Python package from inside of one process. What it loads
// it copies, as a program does that wants the memory for its own: of torch the
// package maps the file otherwise.
const script = `
import json, os, sys, time
from safetensors import safe_open
verb, framework, path, out, single, matrix = sys.argv[1:]
pt = framework == "torch"
if pt:
    import torch
    from safetensors.torch import load_file, save_file
    own = lambda tensors: {k: v.clone() for k, v in tensors.items()}
else:
    import numpy, ml_dtypes
    from safetensors.numpy import load_file, save_file
    own = lambda tensors: tensors
name = "pt" if pt else "np"

def one():
    with safe_open(path, name) as f:
        t = f.get_tensor(single)
        return t.clone() if pt else t

def part():
    with safe_open(path, name) as f:
        t = f.get_slice(matrix)[:, :512]
        return t.clone() if pt else t

def durable(tensors):
    save_file(tensors, out)
    fd = os.open(out, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    fd = os.open(os.path.dirname(out), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

tensors = own(load_file(path)) if verb.startswith("save") else None
work = {"load": lambda: own(load_file(path)), "one": one, "slice": part,
    "save": lambda: save_file(tensors, out), "save-durable": lambda: durable(tensors)}[verb]
times = []
for _ in range(3 if verb in ("one", "slice") else 1):
    start = time.perf_counter_ns()
    result = work()
    times.append(time.perf_counter_ns() - start)
if os.path.exists(out):
    os.remove(out)
print(json.dumps({"min_ns": min(times)}))
`
