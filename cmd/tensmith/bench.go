package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/internal/bench"
)

func benchCommand(a *app) *cobra.Command {
	var b benching
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "measure loading and saving on this machine",
		Long: `Measure how fast this program opens, loads, slices, saves and edits files, and
what the machine can do: copy memory, read and write files through the page
cache and past it, and so on. All figures are of one run: each round runs every
case once, in random order and each in a process of its own, and a first round
does not count. Figures to go by are minima.

"% of limit" holds the bytes a second of a case to those of a probe, which is
named beside it: the same work by plain calls of the system, with no format, no
checks and no names. 100 % is all that the machine has to give. Where a case has
several probes the fastest counts.

The files are made from a seed in a directory of their own, and removed at the
end. They take about six times --size, and memory about twice --size. Cases
that need the disk want a directory that lies on one (--dir). What a machine
does not have is "not present".

A run takes 11 rounds or ten minutes (--rounds, --for), after the making of the
files; --size 256MB --rounds 3 is enough for a look. Interrupted, it removes its
files and prints nothing. Other processes make figures useless. The run says so
if they took more than a fifth of the processors, or if the host kept as much
from this machine.

--json has each case's times in nanoseconds, its bytes, memory ("rss"), limit
and "share_of_limit", of 1, and for each round what others took of the machine.
What is not known is -1, and a case that is not present has "absent".

Exit status: 0 measured, 2 trouble, such as a full disk.`,
		Example: `  tensmith bench
  tensmith bench --size 256MB --rounds 5 --case 'save/*' --case 'edit/*'
  tensmith bench --dir /mnt/models --json`,
		Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.child {
				return bench.Child(cmd.Context(), bench.Cases, a.stdin, a.stdout)
			}
			return a.bench(cmd.Context(), &b)
		},
	}
	f := cmd.Flags()
	f.StringVar(&b.size, "size", "1GB", "`SIZE` of the large file")
	f.IntVar(&b.Tensors, "tensors", 1_000_000, "`N` tensors in the file of the most tensors")
	f.StringVar(&b.Dir, "dir", "", "make the files in a new directory in `DIR` (default: the system's for temporary files)")
	f.Uint64Var(&b.Seed, "seed", 1, "`N` that the files and the order of cases are made from")
	f.IntVar(&b.rounds, "rounds", 11, "`N` rounds that count, at most")
	f.DurationVar(&b.long, "for", 10*time.Minute, "begin no round that would end after `TIME`; 0 for no such end")
	f.StringArrayVar(&b.only, "case", nil, "run only cases that match this `GLOB`, and their limits; may be given again")
	f.BoolVar(&b.list, "list", false, "list the cases")
	f.BoolVar(&b.child, "child", false, "")
	for _, err := range []error{f.MarkHidden("child"), cmd.MarkFlagDirname("dir")} {
		if err != nil {
			panic(err) // there is no such flag
		}
	}
	return cmd
}

// A benching is a run of bench as the command line has it.
type benching struct {
	bench.Setting
	size   string
	rounds int
	long   time.Duration
	only   []string
	list   bool
	child  bool
}

// mostTensors keeps the header of the file of the most tensors legal.
const mostTensors = 1_000_000

func (a *app) bench(ctx context.Context, b *benching) (err error) {
	if b.Size, err = parseSize(b.size); err != nil {
		return err
	}
	switch {
	case b.Size < 1_000_000:
		return usagef("--size is %s, and must be at least 1MB", b.size)
	case b.Tensors < 1 || b.Tensors > mostTensors:
		return usagef("--tensors is %d, not from 1 to %d", b.Tensors, mostTensors)
	case b.rounds < 1:
		return usagef("--rounds is %d, and must be at least 1", b.rounds)
	case b.long < 0:
		return usagef("--for is %v, and must not be negative", b.long)
	}
	only, err := parseGlobs(b.only)
	if err != nil {
		return err
	}
	cases := bench.Select(bench.Cases(b.Setting), only.match)
	if len(cases) == 0 {
		return hinted{usagef("no case matches"), "`tensmith bench --list` lists them"}
	}
	if b.list {
		return a.listCases(cases)
	}
	need := bench.Need(b.Setting, cases)
	if room := bench.Space(cmp.Or(b.Dir, os.TempDir())); room >= 0 && room < need {
		return hinted{fmt.Errorf("the files take %s, and %s has room for %s", size(need), cmp.Or(b.Dir, os.TempDir()), size(room)),
			"--dir makes them elsewhere, --size smaller, --case fewer"}
	}
	if b.Dir, err = os.MkdirTemp(b.Dir, "tensmith-bench-*"); err != nil {
		return hinted{err, "--dir makes the files elsewhere"}
	}
	defer os.RemoveAll(b.Dir)
	err = bench.Make(ctx, b.Setting, cases, func(name string) { a.words("making %s", name) })
	if err != nil {
		return err
	}
	m := a.counter("measuring", len(cases)*(b.rounds+1))
	defer m.end()
	start, steps, rounds := time.Now(), int64(0), b.rounds
	report, err := bench.Run(ctx, bench.Config{Setting: b.Setting, Rounds: b.rounds, For: b.long, Cases: cases,
		Self: []string{"tensmith", "bench", "--child"}, Step: func(round int, c *bench.Case) {
			if steps == int64(len(cases)) {
				took := time.Since(start)
				if b.long > 0 {
					rounds = min(rounds, max(1, int(b.long/took)-1))
				}
				m.clear()
				a.words("a round takes %s, so %s will count: about %s more", took.Round(time.Second), plural(rounds, "round"), (took * time.Duration(rounds)).Round(time.Second))
				m.of(int64(len(cases) * (rounds + 1)))
			}
			m.name(fmt.Sprintf("round %d of %d, %s", round, rounds, c.Name))
			m.set(steps)
			steps++
		}})
	if err != nil {
		return err
	}
	m.end()
	return a.printBench(report)
}

// smallBench is the size of file from which on the bytes count.
const smallBench = 64_000_000

func (a *app) printBench(r *bench.Report) error {
	switch {
	case a.isJSON():
		return a.printJSON(r)
	case a.format == "tsv":
		s := a.sheet("case", "who", "absent", "bytes", "min_ns", "median_ns", "max_ns", "cpu_ns", "allocs", "rss", "rss_grown", "read", "limit", "share_of_limit")
		for i := range r.Cases {
			c := &r.Cases[i]
			s.row(c.Name, c.Who, c.Absent, c.Bytes, c.Min, c.Median, c.Max, c.CPU, c.Allocs, c.Peak, c.Grown, c.Read, c.Limit, shareCell(c.Share))
		}
		return s.flush()
	}
	machine := r.Machine
	fmt.Fprintf(a.stdout, "%s, %s, %s/%s, %s, %s\n", harmless(cmp.Or(machine.Processor, "unknown processor")), plural(machine.CPUs, "CPU"),
		machine.OS, machine.Arch, harmless(cmp.Or(machine.System, "unknown system")), harmless(cmp.Or(machine.FileSystem, "unknown file system")))
	version, _ := version()
	fmt.Fprintf(a.stdout, "tensmith %s, %s, %s and up to %s, seed %d, %s\n\n", version, machine.Go, size(r.Size),
		plural(r.Tensors, "tensor"), r.Seed, plural(r.Rounds, "round"))
	// What a narrow terminal has no room for stays out.
	width, onTerminal := terminal(a.stdout)
	narrow := onTerminal && width < 110
	t := &table{a: a, right: []bool{false, true, true, true, true, true, true, true}, give: 8}
	slim := narrow && width < 70
	switch {
	case slim:
		t.right, t.give = t.right[:3], 3
	case narrow:
		t.right, t.give = t.right[:4], 4
	}
	row := func(name, least, median, rate, cpu, allocs, rss, share, limit any) {
		switch {
		case slim:
			t.row(name, least, share, limit)
			return
		case narrow:
			t.row(name, least, rate, share, limit)
			return
		}
		t.row(name, least, median, rate, cpu, allocs, rss, share, limit)
	}
	row(head("case"), head("min"), head("median"), head("GB/s"), head("CPU"), head("allocs"), head("RSS"), head("% of limit"), head("limit"))
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Absent != "" {
			row(c.Name, "–", "–", "–", "–", "–", "–", "–", "not present: "+c.Absent)
			continue
		}
		limit := c.Limit
		if narrow {
			limit = strings.TrimPrefix(limit, "probe/")
		} else if c.Goal > 0 && c.Share > 0 {
			limit += fmt.Sprintf(" (goal %.0f %%)", 100*c.Goal)
		}
		row(c.Name, duration(c.Min), duration(c.Median), fmt.Sprintf("%.2f", c.Rate()/1e9), duration(c.CPU), known(c.Allocs, group),
			known(c.Peak, size), percent(c.Share), limit)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "\n% of limit: the GB/s of the case by those of the probe beside it,\nwhich is what the machine can do")
	for _, note := range r.Notes {
		fmt.Fprintln(a.stdout, note)
	}
	if r.Machine.FileSystem == "tmpfs" {
		a.words("note: the files lay in memory, so nothing here is about a disk; --dir puts them on one")
	}
	if r.Size < smallBench {
		a.words("note: with files of %s most of the time is that of opening and mapping them, and limits say little", size(r.Size))
	}
	if !r.Quiet {
		foreign, steal := 0.0, 0.0
		for _, l := range r.Load {
			foreign, steal = max(foreign, l.Foreign), max(steal, l.Steal)
		}
		a.words("note: the machine was not quiet; in the worst round others took %.0f %% of its processors, and the host kept %.0f %%", 100*foreign, 100*steal)
	}
	return nil
}

func head(text string) cell { return cell{text, bold} }

func shareCell(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'f', 3, 64)
}

func percent(f float64) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*f)
}

func known(n int64, spell func(int64) string) string {
	if n < 0 {
		return "–"
	}
	return spell(n)
}

// duration returns nanoseconds with three digits that count.
func duration(ns int64) string {
	if ns < 0 {
		return "–"
	}
	if ns == 0 {
		return "0 s" // less than the clock of the processor's time can tell
	}
	d := time.Duration(ns)
	digits := time.Duration(math.Pow10(max(0, len(strconv.FormatInt(ns, 10))-3)))
	return d.Round(digits).String()
}

func (a *app) listCases(cases []bench.Case) error {
	type listed struct {
		Name  string `json:"case"`
		Who   string `json:"who"`
		About string `json:"about"`
	}
	list := make([]listed, len(cases))
	for i, c := range cases {
		list[i] = listed{c.Name, c.Who, c.About}
	}
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema string   `json:"schema"`
			Cases  []listed `json:"cases"`
		}{"tensmith.bench/1", list})
	case a.format == "tsv":
		s := a.sheet("case", "who", "about")
		for _, c := range list {
			s.row(c.Name, c.Who, c.About)
		}
		return s.flush()
	}
	t := &table{a: a, give: 1}
	for _, c := range list {
		t.row(c.Name, c.About)
	}
	return t.flush()
}
