// Command goals measures what the verb `bench` measures, and in the same rounds
// what other implementations do with the same files. It prints how many times
// faster ours is than the best of them, and which share of the machine's limit
// it reaches:
//
//	cd bench && go run ./goals -reference PATH -python PATH -torch PATH
//
// PATH is the program of bench/reference, a Python with the packages safetensors
// and numpy, and one with torch, too. What is not given is "not present".
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path"
	"time"

	"github.com/tensmith/tensmith/internal/bench"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("goals: ")
	var p programs
	s := bench.Setting{Seed: 1}
	megabytes := flag.Int64("mb", 1000, "size of the large file in MB")
	flag.IntVar(&s.Tensors, "tensors", 1_000_000, "tensors of the file of the most tensors")
	rounds := flag.Int("rounds", 11, "rounds, after one that does not count")
	only := flag.String("case", "*/*", "run the cases that match this pattern, and their limits")
	dir := flag.String("dir", "", "where files are made; default: the directory for temporary files")
	flag.StringVar(&p.reference, "reference", "", "the program of bench/reference")
	flag.StringVar(&p.python, "python", "", "a Python with safetensors and numpy")
	flag.StringVar(&p.torch, "torch", "", "a Python with safetensors and torch")
	asJSON := flag.Bool("json", false, "print the document that the verb prints")
	child := flag.Bool("child", false, "answer one order of the process that started this one")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *child {
		all := func(s bench.Setting) []bench.Case { return append(bench.Cases(s), nlpodysseyCases()...) }
		if err := bench.Child(ctx, all, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	s.Size = *megabytes * 1_000_000
	report, err := measure(ctx, s, *dir, *rounds, *only, p)
	if err != nil {
		log.Fatal(err)
	}
	if *asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			log.Fatal(err)
		}
		return
	}
	print(report)
}

func measure(ctx context.Context, s bench.Setting, dir string, rounds int, only string, p programs) (*bench.Report, error) {
	var err error
	if s.Dir, err = os.MkdirTemp(dir, "tensmith-goals-*"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(s.Dir)
	cases := append(bench.Cases(s), nlpodysseyCases()...)
	cases = append(cases, p.cases(s)...)
	cases = bench.Select(cases, func(name string) bool {
		ok, err := path.Match(only, name)
		return ok && err == nil
	})
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case matches %q", only)
	}
	if err := bench.Make(ctx, s, cases, func(string) {}); err != nil {
		return nil, err
	}
	return bench.Run(ctx, bench.Config{Setting: s, Rounds: rounds, Cases: cases, Self: []string{"goals", "-child"}})
}

func print(r *bench.Report) {
	m := r.Machine
	fmt.Printf("%s; %s, %d CPUs, %s/%s, %s, %s, %s; %d MB, %d rounds\n\n", time.Now().Format("2006-01-02"), m.Processor, m.CPUs, m.OS, m.Arch,
		m.System, m.FileSystem, m.Go, r.Size/1_000_000, r.Rounds)
	fmt.Println("| case | implementation | min ms | median ms | CPU ms | RSS MiB | faster than the best peer | of the limit |")
	fmt.Println("|---|---|---:|---:|---:|---:|---:|---:|")
	for i := range r.Cases {
		ours := &r.Cases[i]
		if ours.Who != bench.Ours {
			continue
		}
		row(ours)
		for j := range r.Cases {
			if peer := &r.Cases[j]; peer.Name == ours.Name && peer.Who != bench.Ours {
				row(peer)
			}
		}
	}
	for i := range r.Cases {
		if r.Cases[i].Who == bench.Probe {
			row(&r.Cases[i])
		}
	}
	for _, note := range append(r.Notes, "maruel/safetensors: not present, the proxy of Go modules does not serve it") {
		fmt.Printf("\n%s\n", note)
	}
	if !r.Quiet {
		fmt.Println("\nThe machine was not quiet: others took more than a fifth of its processors.")
	}
}

func row(c *bench.Result) {
	if c.Absent != "" {
		fmt.Printf("| %s | %s | not present: %s | | | | | |\n", c.Name, c.Who, c.Absent)
		return
	}
	number := func(n int64, unit float64, format string) string {
		if n < 0 {
			return ""
		}
		return fmt.Sprintf(format, float64(n)/unit)
	}
	faster, share := "", ""
	if c.Peer != "" {
		if faster = fmt.Sprintf("%.1f × %s", c.Faster, c.Peer); c.Peers > 0 {
			faster += fmt.Sprintf(" (goal %.1f)", c.Peers)
		}
	}
	if c.Limit != "" {
		if share = fmt.Sprintf("%.0f %% of %s", 100*c.Share, c.Limit); c.Goal > 0 {
			share += fmt.Sprintf(" (goal %.0f)", 100*c.Goal)
		}
	}
	fmt.Printf("| %s | %s | %.3f | %.3f | %s | %s | %s | %s |\n", c.Name, c.Who, float64(c.Min)/1e6, float64(c.Median)/1e6,
		number(c.CPU, 1e6, "%.1f"), number(c.Peak, 1<<20, "%.0f"), faster, share)
}
