package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	convertBig  = "convert a PyTorch file of 1 GB, not synced"
	convertSums = "the same with the SHA-256 of each tensor"
	convertSync = "the same, synced"
)

// convertCases measure whole processes: ours, cp, and Python with torch. Each
// finds no output of the run before it, for a file that is replaced costs
// fresh memory where one that is cut off and filled again does not. The peak
// of a small process is that of this one, from which it was forked.
func convertCases(dir, program, python string) []*benchCase {
	input := filepath.Join(dir, "big.pt")
	if out, err := exec.Command(python, "-c", makeCheckpoint, input).CombinedOutput(); err != nil {
		log.Fatalf("%s: %v: %s", python, err, out)
	}
	output := filepath.Join(dir, "out.safetensors")
	// Thrice in a row, of which the fastest counts: on a virtual machine memory
	// that has lain idle is slow to touch, whoever touches it first.
	const times = 3
	one := func(what, who string, argv ...string) *benchCase {
		c := &benchCase{what: what, who: who}
		c.run = func() (time.Duration, error) {
			least := time.Duration(math.MaxInt64)
			for range times {
				os.Remove(output)
				cmd := exec.Command(argv[0], argv[1:]...)
				start := time.Now()
				out, err := cmd.CombinedOutput()
				if err != nil {
					return 0, fmt.Errorf("%w: %s", err, out)
				}
				least = min(least, time.Since(start))
				if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					c.peak = max(c.peak, usage.Maxrss/1024)
				}
			}
			return least, nil
		}
		return c
	}
	ours := func(what string, flags ...string) *benchCase {
		return one(what, "tensmith", append([]string{program, "convert", input, "-o", output, "-q"}, flags...)...)
	}
	halves, err := halve(input)
	if err != nil {
		log.Fatal(err)
	}
	goSums := &benchCase{what: convertSums, who: "crypto/sha256 on all cores, nothing written"}
	goSums.run = func() (time.Duration, error) {
		least := time.Duration(math.MaxInt64)
		for range times {
			d, err := sumParts(input)
			if err != nil {
				return 0, err
			}
			least = min(least, d)
		}
		return least, nil
	}
	return []*benchCase{
		ours(convertBig, "--digests=false", "--sync=false"),
		ours(convertSums, "--sync=false"),
		ours(convertSync, "--digests=false"),
		one(convertBig, "cp", "cp", input, output),
		one(convertBig, "torch.load and save_file", python, "-c", pythonConvert, input, output),
		one(convertSync, "cp and sync", "sh", "-c", `cp "$0" "$1" && sync "$1"`, input, output),
		one(convertSums, "sha256sum, both halves at once", "sh", "-c", `sha256sum "$0" & sha256sum "$1"; wait`, halves[0], halves[1]),
		goSums,
	}
}

// halve writes the halves of a file beside it.
func halve(name string) (halves [2]string, err error) {
	in, err := os.Open(name)
	if err != nil {
		return halves, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return halves, err
	}
	for i := range int64(len(halves)) {
		halves[i] = fmt.Sprint(name, ".", i)
		out, err := os.Create(halves[i])
		if err != nil {
			return halves, err
		}
		from, to := i*info.Size()/2, (i+1)*info.Size()/2
		_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{io.NewSectionReader(in, from, to-from)}, make([]byte, 2<<20))
		if err := errors.Join(err, out.Close()); err != nil {
			return halves, err
		}
	}
	return halves, nil
}

// sumParts hashes a file in as many parts as there are cores, each with a
// buffer that stays in the cache: what the standard library takes for the bytes
// of a conversion with digests.
func sumParts(name string) (time.Duration, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	parts := int64(runtime.GOMAXPROCS(0))
	errs := make(chan error, parts)
	for i := range parts {
		from, to := i*info.Size()/parts, (i+1)*info.Size()/parts
		go func() {
			h := sha256.New()
			_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(f, from, to-from)}, make([]byte, 256<<10))
			errs <- err
		}()
	}
	for range parts {
		err = errors.Join(err, <-errs)
	}
	return time.Since(start), err
}

// makeCheckpoint writes 1 GB of 200 tensors of two dtypes, a tied pair and a
// transposed view.
const makeCheckpoint = `
import sys, torch
g = torch.Generator().manual_seed(1)
sd = {}
for i in range(200):
    n = 1_275_000
    if i % 2:
        sd[f"layer.{i}.weight"] = torch.randn(n, generator=g).reshape(1275, 1000)
    else:
        sd[f"layer.{i}.weight"] = torch.randn(2 * n, generator=g).half().reshape(2550, 1000)
sd["tied"] = sd["layer.1.weight"]
sd["transposed"] = sd["layer.3.weight"].t()
torch.save(sd, sys.argv[1])
`

const pythonConvert = `
import sys, torch
from safetensors.torch import save_file
sd = torch.load(sys.argv[1], weights_only=True)
del sd["tied"]
sd["transposed"] = sd["transposed"].contiguous()
save_file(sd, sys.argv[2])
`
