// Command goals measures what the verb `bench` measures, and in the same rounds
// what other implementations do with the same files. It prints how many times
// faster ours is than the best of them, and which share of the machine's limit
// it reaches:
//
//	cd bench && go run ./goals -markdown -reference PATH -python PATH -torch PATH
//
// PATH is the program of bench/reference, a Python with the packages safetensors,
// numpy and ml_dtypes, and one with torch, too; the two can be the same. What is
// not given is "not present".
//
// -markdown prints the table of docs/performance.md: a row an operation, with
// the goals, and what falls short of them. Without it every case is a row.
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
	"slices"
	"strings"
	"syscall"
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
	rounds := flag.Int("rounds", 11, "rounds at most, after one that does not count")
	long := flag.Duration("for", 13*time.Minute, "begin no round that would end later than this; 0 for no such end")
	only := flag.String("case", withGoals, "run the cases that match one of these patterns, and their limits; separated by commas")
	dir := flag.String("dir", "", "where files are made; default: the directory for temporary files")
	flag.StringVar(&p.reference, "reference", "", "the program of bench/reference")
	flag.StringVar(&p.python, "python", "", "a Python with safetensors and numpy")
	flag.StringVar(&p.torch, "torch", "", "a Python with safetensors and torch")
	markdown := flag.Bool("markdown", false, "print the table of docs/performance.md")
	asJSON := flag.String("json", "", "write the document that the verb prints to this file, too")
	child := flag.Bool("child", false, "answer one order of the process that started this one")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *child {
		all := func(s bench.Setting) []bench.Case { return append(bench.Cases(s), nlpodysseyCases()...) }
		if err := bench.Child(ctx, all, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	s.Size = *megabytes * 1_000_000
	start := time.Now()
	report, err := measure(ctx, s, *dir, *rounds, *long, *only, p)
	if ctx.Err() != nil {
		log.Print("interrupted")
		os.Exit(130)
	}
	if err != nil {
		log.Fatal(err)
	}
	if *asJSON != "" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err == nil {
			err = os.WriteFile(*asJSON, append(text, '\n'), 0o666)
		}
		if err != nil {
			log.Print(err)
		}
	}
	head(report, time.Since(start))
	if *markdown {
		goals(os.Stdout, report)
	} else {
		everything(report)
	}
	tail(report)
}

// withGoals are the cases that have goals, and others beside them.
const withGoals = "load/*,tensor/*,slice/*,save/plain,save/durable,save/direct,save/merged,edit/*,tensors/*,bytes/*"

func measure(ctx context.Context, s bench.Setting, dir string, rounds int, long time.Duration, only string, p programs) (*bench.Report, error) {
	var err error
	if s.Dir, err = os.MkdirTemp(dir, "tensmith-goals-*"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(s.Dir)
	cases := append(bench.Cases(s), nlpodysseyCases()...)
	cases = append(cases, p.cases(s)...)
	cases = bench.Select(cases, func(name string) bool {
		return slices.ContainsFunc(strings.Split(only, ","), func(pattern string) bool {
			ok, err := path.Match(pattern, name)
			return ok && err == nil
		})
	})
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case matches %q", only)
	}
	need := bench.Need(s, cases) + 2*s.Size // what peers edit and write
	if room := bench.Space(s.Dir); room >= 0 && room < need {
		return nil, fmt.Errorf("the files take %d MB, and there is room for %d; -mb makes them smaller, -dir elsewhere", need/1e6, room/1e6)
	}
	if err := bench.Make(ctx, s, cases, func(name string) { log.Printf("making %s", name) }); err != nil {
		return nil, err
	}
	start, last := time.Now(), -1
	return bench.Run(ctx, bench.Config{Setting: s, Rounds: rounds, For: long, Cases: cases, Self: []string{"goals", "-child"}, Step: func(round int, _ *bench.Case) {
		if round != last {
			last = round
			left := "this one does not count"
			if round > 0 {
				left = fmt.Sprintf("at most %v left", bench.Left(time.Since(start), round, rounds, long).Round(time.Second))
			}
			log.Printf("round %d of %d, %d cases, %s", round, rounds, len(cases), left)
		}
	}})
}
