// Command bench measures tensmith beside other implementations of the
// safetensors format, on the same files, in one run: every round runs every
// case once, in random order, so that a busy moment of the machine falls on
// all of them alike. What it prints are minima and medians over the rounds,
// and the ratio of minima to ours.
//
//	go run . -reference PATH -python PATH -tensmith PATH -torch PATH
//
// The reference is the program of bench/reference; the Python needs the
// packages safetensors and numpy, the other one torch, too. A peer that is not given is reported as not
// present: no old figure stands in for it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A benchCase is one implementation doing one thing.
type benchCase struct {
	what, who string
	run       func() (time.Duration, error)
	times     []time.Duration
	peak      int64 // MiB of memory, where a case is a process
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	rounds := flag.Int("rounds", 11, "rounds, after one that does not count")
	megabytes := flag.Int("mb", 256, "size of the file that is loaded and saved")
	tensors := flag.Int("tensors", 100_000, "tensors of the file whose header is parsed")
	reference := flag.String("reference", "", "the program of bench/reference")
	python := flag.String("python", "", "a Python with safetensors and numpy")
	tensmith := flag.String("tensmith", "", "the command, to measure convert; needs -torch")
	torch := flag.String("torch", "", "a Python with torch and safetensors")
	only := flag.String("only", "", "run only the cases whose name holds this")
	flag.Parse()

	dir, err := os.MkdirTemp("", "tensmith-bench-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := makeFiles(dir, *tensors, *megabytes)
	if err != nil {
		log.Fatal(err)
	}
	cases := ourCases(f)
	cases = append(cases, nlpodysseyCases(f)...)
	if *reference != "" {
		cases = append(cases, referenceCases(f, *reference)...)
	}
	if *python != "" {
		cases = append(cases, pythonCases(f, *python)...)
	}
	if *tensmith != "" && *torch != "" {
		cases = append(cases, convertCases(dir, *tensmith, *torch)...)
	}
	cases = slices.DeleteFunc(cases, func(c *benchCase) bool { return !strings.Contains(c.what, *only) })
	for round := range *rounds + 1 {
		rand.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		for _, c := range cases {
			runtime.GC()
			d, err := c.run()
			if err != nil {
				log.Fatalf("%s, %s: %v", c.what, c.who, err)
			}
			if round > 0 {
				c.times = append(c.times, d)
			}
		}
	}
	print(cases, *rounds, *reference == "", *python == "")
}

func print(cases []*benchCase, rounds int, noReference, noPython bool) {
	fmt.Printf("%s, %s/%s, %d CPUs, %s, %d rounds\n\n", time.Now().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), rounds)
	fmt.Println("| operation | implementation | min ms | median ms | ours is faster by | peak MiB |")
	fmt.Println("|---|---|---:|---:|---:|---:|")
	slices.SortStableFunc(cases, func(a, b *benchCase) int {
		if c := strings.Compare(a.what, b.what); c != 0 {
			return c
		}
		return slices.Compare([]int{rank(a.who)}, []int{rank(b.who)})
	})
	ours := map[string]time.Duration{}
	for _, c := range cases {
		slices.Sort(c.times)
		if c.who == "tensmith" {
			ours[c.what] = c.times[0]
		}
	}
	for _, c := range cases {
		ratio := ""
		if own, ok := ours[c.what]; ok && c.who != "tensmith" {
			ratio = fmt.Sprintf("%.1f ×", float64(c.times[0])/float64(own))
		}
		peak := ""
		if c.peak > 0 {
			peak = strconv.FormatInt(c.peak, 10)
		}
		fmt.Printf("| %s | %s | %.3f | %.3f | %s | %s |\n", c.what, c.who, ms(c.times[0]), ms(c.times[len(c.times)/2]), ratio, peak)
	}
	if noReference {
		fmt.Println("\nRust crate: not present")
	}
	if noPython {
		fmt.Println("\nPython package: not present")
	}
}

func rank(who string) int { return slices.Index([]string{"tensmith"}, who) * -1 }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// timed measures f, n times, and returns the minimum. Files of an earlier time
// are removed before, outside the clock.
func timed(n int, f func() error, made ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		least := time.Duration(math.MaxInt64)
		for range n {
			for _, name := range made {
				if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return 0, err
				}
			}
			start := time.Now()
			if err := f(); err != nil {
				return 0, err
			}
			least = min(least, time.Since(start))
		}
		return least, nil
	}
}

// outside runs a program that measures itself and prints its times as JSON,
// and takes the minimum found at path.
func outside(path []string, argv ...string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		if err != nil {
			return 0, err
		}
		var doc any
		if err := json.Unmarshal(bytes.TrimSpace(out), &doc); err != nil {
			return 0, fmt.Errorf("%s: %w", out, err)
		}
		for _, key := range append(path, "min_ns") {
			m, ok := doc.(map[string]any)
			if !ok {
				return 0, fmt.Errorf("%s: no %s", out, key)
			}
			doc = m[key]
		}
		ns, ok := doc.(float64)
		if !ok {
			return 0, fmt.Errorf("%s: no number", out)
		}
		return time.Duration(ns), nil
	}
}

func referenceCases(f files, program string) []*benchCase {
	one := func(what string, path []string, argv ...string) *benchCase {
		return &benchCase{what: what, who: "Rust crate 0.8", run: outside(path, append([]string{program}, argv...)...)}
	}
	return []*benchCase{
		one(parseHeavy, []string{"read_metadata"}, "parse", f.heavy, n(parseHeavy)),
		one(openSmall, nil, "open", f.small, n(openSmall)),
		one(loadBig, nil, "load", f.big, n(loadBig)),
		one(saveBig, nil, "save", f.big, filepath.Join(f.dir, "rust.safetensors"), n(saveBig)),
		one(saveHeavy, nil, "save", f.heavy, filepath.Join(f.dir, "rust-many.safetensors"), n(saveHeavy)),
		one(encodeOrder, nil, "encode-header", f.empty, n(encodeOrder), "sorted"),
		one(encodeHeavy, nil, "encode-header", f.empty, n(encodeHeavy), "shuffled"),
	}
}

func n(what string) string { return strconv.Itoa(repeats[what]) }

func pythonCases(f files, python string) []*benchCase {
	script := filepath.Join(f.dir, "peer.py")
	if err := os.WriteFile(script, []byte(peerScript), 0o666); err != nil {
		log.Fatal(err)
	}
	one := func(what, verb string, argv ...string) *benchCase {
		return &benchCase{what: what, who: "Python package", run: outside(nil, append([]string{python, script, verb}, argv...)...)}
	}
	return []*benchCase{
		one(openSmall, "open", f.small, n(openSmall)),
		one(loadBig, "load", f.big, n(loadBig)),
		one(saveBig, "save", f.big, filepath.Join(f.dir, "python.safetensors"), n(saveBig)),
		one(sliceBig, "slice", f.big, n(sliceBig)),
	}
}

// peerScript measures the Python package from inside of one process, so that
// the start of the interpreter does not count.
const peerScript = `
import json, os, sys, time
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

verb, path, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
times = []

def timed(f):
    start = time.perf_counter_ns()
    result = f()
    times.append(time.perf_counter_ns() - start)
    return result

def open_it():
    with safe_open(path, "np") as f:
        return len(f.keys())

def slice_it():
    with safe_open(path, "np") as f:
        return f.get_slice("big.matrix")[:, :512]

if verb == "open":
    for _ in range(int(rest[0])):
        timed(open_it)
elif verb == "load":
    for _ in range(int(rest[0])):
        timed(lambda: load_file(path))
elif verb == "save":
    data = load_file(path)
    for _ in range(int(rest[1])):
        if os.path.exists(rest[0]):
            os.remove(rest[0])
        timed(lambda: save_file(data, rest[0]))
elif verb == "slice":
    for _ in range(int(rest[0])):
        timed(slice_it)
print(json.dumps({"n": len(times), "min_ns": min(times), "median_ns": sorted(times)[len(times) // 2]}))
`
