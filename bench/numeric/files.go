package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

const (
	castFileName = "cast an F32 file to BF16, not synced"
	diffFileName = "compare two F32 files"
)

// fileCases are whole processes over files that the page cache holds.
func fileCases(dir string, numbers []byte, python, tensmith string) ([]*benchCase, error) {
	one, two := filepath.Join(dir, "one.safetensors"), filepath.Join(dir, "two.safetensors")
	out := filepath.Join(dir, "out.safetensors")
	for name, data := range map[string][]byte{one: numbers, two: changed(numbers, 512)} {
		var entries []safetensors.Entry
		for i, at := 0, 0; at < len(data); i, at = i+1, at+16<<20 {
			part := data[at:min(at+16<<20, len(data))]
			entries = append(entries, safetensors.Entry{
				Info: safetensors.Info{Name: fmt.Sprintf("layer.%d.weight", i), DType: safetensors.F32, Shape: []uint64{uint64(len(part) / 4)}},
				Data: bytes.NewReader(part),
			})
		}
		if err := (&safetensors.Encoder{}).WriteFile(context.Background(), name, entries); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	size := int64(len(numbers))
	none := errors.New("not given")
	cases := []*benchCase{
		process(castFileName, ours, size+size/2, []int{0}, out, self, "-child", one, out),
		process(castFileName, limit+"cp of the input", size+size/2, []int{0}, out, "cp", one, out),
		process(diffFileName, limit+"cmp of a file with its copy", 2*size, []int{0}, "", "cmp", one, one+".copy"),
	}
	if err := exec.Command("cp", one, one+".copy").Run(); err != nil {
		return nil, err
	}
	diff := process(diffFileName, ours, 2*size, []int{1}, "", tensmith, "diff", "--values", "--json", one, two)
	verb := process(castFileName, "tensmith cast --to bf16", size+size/2, []int{0}, out, tensmith, "cast", "--to", "bf16", one, "-o", out)
	torchCast := process(castFileName, "torch and safetensors", size+size/2, []int{0}, out, python, "-c", castScript, one, out)
	torchDiff := process(diffFileName, "torch and safetensors", 2*size, []int{0}, "", python, "-c", diffScript, one, two)
	if tensmith == "" {
		diff.absent, verb.absent = none, none
	}
	if python == "" {
		torchCast.absent, torchDiff.absent = none, none
	}
	return append(cases, diff, verb, torchCast, torchDiff), nil
}

// process measures a program that ends with one of the codes given, and finds no
// output of a run before it.
func process(what, who string, size int64, codes []int, output string, argv ...string) *benchCase {
	c := &benchCase{what: what, who: who, bytes: size}
	c.run = func() (time.Duration, error) {
		if output != "" {
			os.Remove(output)
		}
		var text bytes.Buffer
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdout, cmd.Stderr = &text, &text
		start := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		done := make(chan struct{})
		peak := make(chan int64)
		go func() { peak <- watch(cmd.Process.Pid, done) }()
		err := cmd.Wait()
		took := time.Since(start)
		close(done)
		c.peak = max(c.peak, <-peak)
		if !slices.Contains(codes, cmd.ProcessState.ExitCode()) {
			return 0, fmt.Errorf("%w: %.200s", err, text.String())
		}
		return took, nil
	}
	return c
}

// watch returns the most memory that a process had while it ran, in MiB. (What
// the system tells at its end counts this process too, which it was forked from.)
func watch(pid int, done <-chan struct{}) (peak int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return peak
		case <-tick.C:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
		var kib int64
		if _, err := fmt.Sscan(string(after[:min(len(after), 30)]), &kib); err == nil {
			peak = max(peak, kib/1024)
		}
	}
}

// castFile is the whole of a cast with the library.
func castFile(from, to string) error {
	file, err := safetensors.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	var entries []safetensors.Entry
	for t := range file.All() {
		data := numeric.Data{DType: t.DType, Source: t, Size: t.Size()}
		cast, err := numeric.NewCast(data, safetensors.BF16, numeric.ToSpecial)
		if err != nil {
			return err
		}
		info := t.Info
		info.DType = safetensors.BF16
		entries = append(entries, safetensors.Entry{Info: info, Data: cast})
	}
	return (&safetensors.Encoder{NoSync: true}).WriteFile(context.Background(), to, entries)
}

const castScript = `
import sys, torch
from safetensors.torch import load_file, save_file
torch.set_num_threads(2)
save_file({k: v.to(torch.bfloat16) for k, v in load_file(sys.argv[1]).items()}, sys.argv[2])
`

const diffScript = `
import sys, torch
from safetensors.torch import load_file
torch.set_num_threads(2)
one, two = load_file(sys.argv[1]), load_file(sys.argv[2])
for k, a in one.items():
    d = (a - two[k])
    print(k, d.abs().max().item(), torch.count_nonzero(d).item(), torch.linalg.vector_norm(d).item())
`
