// Command scan measures tensmith scan beside picklescan and modelscan, as whole
// processes, on the same files and in one run:
//
//	go run ./scan -tensmith PATH -torch PYTHON -scanners PYTHON
//
// The first Python needs torch, to write two checkpoints of 1 GB; the second
// one picklescan and modelscan. Every round runs every case once, in random
// order. After that each hostile file of scan/testdata is scanned by a process
// of its own, for the most time and memory that a small file takes.
package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A process is what is measured. This program stays small, for the peak of a
// process is at least that of the one that started it.
type process struct {
	what, who string
	argv      []string
	times     []time.Duration
	peak      int64 // KiB
}

func (p *process) run() error {
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if _, found := errors.AsType[*exec.ExitError](err); err != nil && !found {
		return err
	}
	if cmd.ProcessState.ExitCode() < 0 {
		return fmt.Errorf("%s: %w", strings.Join(p.argv, " "), err)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.peak = max(p.peak, usage.Maxrss)
	}
	p.times = append(p.times, took)
	return nil
}

func (p *process) String() string {
	slices.Sort(p.times)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return fmt.Sprintf("| %s | %s | %.1f | %.1f | %d |", p.what, p.who, ms(p.times[0]), ms(p.times[len(p.times)/2]), (p.peak+1023)/1024)
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("scan: ")
	rounds := flag.Int("rounds", 5, "rounds, after one that does not count")
	tensmith := flag.String("tensmith", "", "the command")
	torch := flag.String("torch", "", "a Python with torch")
	scanners := flag.String("scanners", "", "a Python with picklescan and modelscan")
	cases := flag.String("cases", "../scan/testdata/cases.tar.gz", "the hostile files")
	flag.Parse()
	if *tensmith == "" {
		log.Fatal("-tensmith is missing")
	}
	dir, err := os.MkdirTemp("", "tensmith-scan-*")
	if err != nil {
		log.Fatal(err)
	}
	err = measure(dir, *rounds, *tensmith, *torch, *scanners, *cases)
	os.RemoveAll(dir)
	if err != nil {
		log.Fatal(err)
	}
}

func measure(dir string, rounds int, tensmith, torch, scanners, cases string) error {
	hostile := filepath.Join(dir, "cases")
	if err := unpack(cases, hostile); err != nil {
		return err
	}
	many := filepath.Join(dir, "many")
	if err := copies(filepath.Join(hostile, "N"), many, 10_000); err != nil {
		return err
	}
	inputs := []struct{ what, path string }{{"a directory of 10,000 small files", many}}
	if torch != "" {
		zip, legacy := filepath.Join(dir, "big.pt"), filepath.Join(dir, "big-legacy.pt")
		if out, err := exec.Command(torch, "-c", makeCheckpoints, zip, legacy).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		inputs = append(inputs, []struct{ what, path string }{{"a torch zip of 1 GB", zip}, {"a legacy torch file of 1 GB", legacy}}...)
	}
	var all []*process
	for _, in := range inputs {
		all = append(all, &process{what: in.what, who: "tensmith", argv: []string{tensmith, "scan", "--json", in.path}})
		if scanners != "" {
			all = append(all, &process{what: in.what, who: "picklescan", argv: []string{scanners, "-m", "picklescan", "-p", in.path}},
				&process{what: in.what, who: "modelscan", argv: []string{filepath.Join(filepath.Dir(scanners), "modelscan"), "-p", in.path}})
		}
	}
	for round := range rounds + 1 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, p := range all {
			if err := p.run(); err != nil {
				return err
			}
			if round == 0 {
				p.times = nil
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *process) int {
		return strings.Compare(a.what+map[bool]string{true: "", false: "~"}[a.who == "tensmith"]+a.who, b.what+map[bool]string{true: "", false: "~"}[b.who == "tensmith"]+b.who)
	})
	fmt.Printf("%s, %s/%s, %d CPUs, %s, %d rounds\n\n", time.Now().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), rounds)
	fmt.Println("| what | scanner | min ms | median ms | peak MiB |\n|---|---|---:|---:|---:|")
	for _, p := range all {
		fmt.Println(p)
	}
	return worst(hostile, tensmith)
}

// worst scans every case and prints those that took most.
func worst(dir, tensmith string) error {
	var all []*process
	names, err := filepath.Glob(filepath.Join(dir, "[A-MO-Z]", "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		p := &process{what: rel, who: "tensmith", argv: []string{tensmith, "scan", "--json", name}}
		for range 3 {
			if err := p.run(); err != nil {
				return err
			}
		}
		slices.Sort(p.times)
		all = append(all, p)
	}
	least := func(a, b *process) int { return int(b.times[0] - a.times[0]) }
	memory := func(a, b *process) int { return int(b.peak - a.peak) }
	for _, by := range []struct {
		what    string
		compare func(a, b *process) int
	}{{"time", least}, {"memory", memory}} {
		slices.SortStableFunc(all, by.compare)
		fmt.Printf("\nMost %s of %d hostile files, the least of three runs:\n\n| file | scanner | min ms | median ms | peak MiB |\n|---|---|---:|---:|---:|\n", by.what, len(all))
		for _, p := range all[:min(8, len(all))] {
			fmt.Println(p)
		}
	}
	return nil
}

func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		out, err := os.Create(name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, r); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
}

// copies fills a directory with n copies of the files of another, in turn.
func copies(from, to string, n int) error {
	names, err := filepath.Glob(filepath.Join(from, "*.p[tk]*"))
	if err != nil || len(names) == 0 {
		return errors.Join(err, errors.New("no files to copy"))
	}
	for i := range n {
		name := names[i%len(names)]
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		sub := filepath.Join(to, fmt.Sprintf("%03d", i/100))
		if err := os.MkdirAll(sub, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%05d-%s", i, filepath.Base(name))), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// makeCheckpoints writes the same 200 tensors of two dtypes twice.
const makeCheckpoints = `
import sys, torch
g = torch.Generator().manual_seed(1)
sd = {f"layer.{i}.weight": torch.randn(1_250_000, generator=g) for i in range(200)}
sd = {k: v if i % 2 else torch.cat([v, v]).half() for i, (k, v) in enumerate(sd.items())}
torch.save(sd, sys.argv[1])
torch.save(sd, sys.argv[2], _use_new_zipfile_serialization=False)
`
