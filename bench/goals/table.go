package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tensmith/tensmith/internal/bench"
)

// An operation is a row of the table of goals.
type operation struct {
	name  string // of the case
	about string
	peers map[string]float64 // how many times faster than these it is to be, beside what the case says of the best
	most  float64            // ms; 0 for no such goal
}

// operations are the rows, in order.
var operations = []operation{
	{name: "load/fresh", about: "load into an arena, new process, warm"},
	{name: "load/reused", about: "the same, the arena used before"},
	{name: "load/sharded", about: "the same of four files and an index, a new arena"},
	{name: "load/budget", about: "load, tensor by tensor within 64 MiB"},
	{name: "load/heap", about: "load into memory of Go"},
	{name: "load/mapped", about: "map, touch every page"},
	{name: "load/populated", about: "map, populate, touch every page"},
	{name: "load/cold", about: "load into an arena, cold"},
	{name: "load/cold-direct", about: "the same, `Direct`"},
	{name: "load/cold-mapped", about: "map, populate, touch every page, cold"},
	{name: "tensor/one", about: "one tensor from a closed file"},
	{name: "slice/columns-mapped", about: "a [:, :512] slice of BF16 [n, 1024], mapped"},
	{name: "slice/columns-read", about: "the same, read"},
	{name: "slice/rows-read", about: "a [:half] slice, read"},
	{name: "save/plain", about: "save, not durable", peers: map[string]float64{nlpodysseyName: 1.3, crate: 3}},
	{name: "save/durable", about: "save, durable"},
	{name: "save/direct", about: "save, durable, `Direct`"},
	{name: "save/merged", about: "four files into one, not durable"},
	{name: "edit/in-place", about: "metadata edited in place, durable", most: 5},
	{name: "edit/moved", about: "metadata edited, the file written anew, durable"},
}

// mostMemory is how many MiB a program may take for one tensor besides its
// bytes.
const mostMemory = 16

// peers are the columns.
var peers = []string{nlpodysseyName, crate, numpy, torch}

func head(r *bench.Report, took time.Duration) {
	m := r.Machine
	fmt.Printf("%s; %s, %d CPUs, %s/%s, %s, %s, %s; %d MB, %d rounds in %v\n\n", time.Now().Format("2 January 2006"), m.Processor, m.CPUs, m.OS, m.Arch,
		m.System, m.FileSystem, m.Go, r.Size/1_000_000, r.Rounds, took.Round(time.Second))
}

// find returns what a case of ours took, or nil.
func find(r *bench.Report, name, who string) *bench.Result {
	for i := range r.Cases {
		if c := &r.Cases[i]; c.Name == name && c.Who == who && c.Min > 0 {
			return c
		}
	}
	return nil
}

// fastest returns the fastest of a peer's ways, or nil.
func fastest(r *bench.Report, name, peer string) (best *bench.Result) {
	for i := range r.Cases {
		c := &r.Cases[i]
		who, _, _ := strings.Cut(c.Who, ":")
		if c.Name == name && who == peer && c.Min > 0 && (best == nil || c.Min < best.Min) {
			best = c
		}
	}
	return best
}

// goals prints the table of goals, and what falls short of them.
func goals(w io.Writer, r *bench.Report) {
	fmt.Fprintln(w, "| operation | ours, min ms | median | share of the limit | goal | "+strings.Join(peers, " | ")+" | faster than the best | goal |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|"+strings.Repeat("---:|", len(peers))+"---:|---:|")
	var short []string
	fail := func(o *operation, format string, args ...any) {
		short = append(short, o.about+": "+fmt.Sprintf(format, args...))
	}
	for i := range operations {
		o := &operations[i]
		c := find(r, o.name, bench.Ours)
		if c == nil {
			continue
		}
		share, shareGoal, faster, peerGoal := "", "", "", ""
		if c.Limit != "" {
			share = fmt.Sprintf("%.0f %% of `%s`", 100*c.Share, strings.TrimPrefix(c.Limit, "probe/"))
			if c.Goal > 0 {
				shareGoal = fmt.Sprintf("%.0f %%", 100*c.Goal)
				if c.Share < c.Goal {
					fail(o, "%.0f %% of the limit, not %.0f", 100*c.Share, 100*c.Goal)
				}
			}
		}
		if c.Peer != "" {
			faster = fmt.Sprintf("%.1f ×", c.Faster)
			if c.Peers > 0 && len(o.peers) == 0 {
				peerGoal = fmt.Sprintf("%.1f ×", c.Peers)
				if c.Faster < c.Peers {
					fail(o, "%.2f × as fast as %s, not %.1f", c.Faster, c.Peer, c.Peers)
				}
			}
		}
		cells := make([]string, len(peers))
		for i, peer := range peers {
			p := fastest(r, o.name, peer)
			if p == nil {
				continue
			}
			cells[i] = ms(p.Min)
			want := o.peers[peer]
			if want == 0 {
				continue
			}
			got := float64(p.Min) / float64(c.Min)
			peerGoal = strings.TrimPrefix(fmt.Sprintf("%s, %.1f × %s", peerGoal, want, peer), ", ")
			if got < want {
				fail(o, "%.2f × as fast as %s, not %.1f", got, p.Who, want)
			}
		}
		if o.most > 0 {
			shareGoal = fmt.Sprintf("%.0f ms", o.most)
			if float64(c.Min)/1e6 >= o.most {
				fail(o, "%s ms, not less than %.0f", ms(c.Min), o.most)
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", o.about, ms(c.Min), ms(c.Median), share, shareGoal, strings.Join(cells, " | "), faster, peerGoal)
	}
	// Of this program, which has little more than the library, all memory counts.
	if c := find(r, "tensor/one", bench.Ours); c != nil && c.Peak > 0 {
		mib := float64(c.Peak-c.Bytes) / (1 << 20)
		fmt.Fprintf(w, "\nOne tensor takes %.1f MiB of memory besides its own bytes; the goal is at most %d.\n", mib, mostMemory)
		if mib > mostMemory {
			short = append(short, fmt.Sprintf("one tensor: %.1f MiB of memory, not %d", mib, mostMemory))
		}
	}
	for _, g := range r.Growth {
		if g.Holds != "yes" {
			short = append(short, fmt.Sprintf("growth in %s: %s is %s", g.Of, g.Goal, g.Holds))
		}
	}
	fmt.Fprintln(w)
	for _, text := range short {
		fmt.Fprintf(w, "- Falls short: %s.\n", text)
	}
	for _, name := range absent(r) {
		fmt.Fprintf(w, "- Not present: %s.\n", name)
	}
	fmt.Fprintln(w, "\n| limit | min ms | median | GB/s |\n|---|---:|---:|---:|")
	for i := range r.Cases {
		if c := &r.Cases[i]; c.Who == bench.Probe && c.Min > 0 {
			fmt.Fprintf(w, "| `%s`: %s | %s | %s | %.1f |\n", strings.TrimPrefix(c.Name, "probe/"), c.About, ms(c.Min), ms(c.Median), c.Rate()/1e9)
		}
	}
}

// absent returns the cases and peers that were not there.
func absent(r *bench.Report) (all []string) {
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Absent == "" {
			continue
		}
		who, _, _ := strings.Cut(c.Who, ":")
		text := who + " (" + c.Absent + ")"
		if c.Who == bench.Ours || c.Who == bench.Probe {
			text = c.Name + " (" + c.Absent + ")"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return append(all, "maruel/safetensors (the proxy of Go modules does not serve it)")
}

// ms spells a time with three digits that count.
func ms(ns int64) string {
	f, digits := float64(ns)/1e6, 0
	for n := f; n < 100 && digits < 3; n *= 10 {
		digits++
	}
	return fmt.Sprintf("%.*f", digits, f)
}

// everything prints every case.
func everything(r *bench.Report) {
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
	fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", c.Name, c.Who, ms(c.Min), ms(c.Median),
		number(c.CPU, 1e6, "%.1f"), number(c.Peak, 1<<20, "%.0f"), faster, share)
}

// tail prints what else there is to say.
func tail(r *bench.Report) {
	for _, note := range r.Notes {
		fmt.Printf("\n%s\n", note)
	}
	worst := bench.Load{}
	for _, l := range r.Load {
		worst.Foreign, worst.Steal = max(worst.Foreign, l.Foreign), max(worst.Steal, l.Steal)
	}
	if !r.Quiet {
		fmt.Printf("\nThe machine was not quiet: in the worst round others took %.0f %% of its processors, and its host %.0f %%.\n", 100*worst.Foreign, 100*worst.Steal)
	} else {
		fmt.Printf("\nIn the worst round others took %.0f %% of the processors, and the host %.0f %%.\n", 100*worst.Foreign, 100*worst.Steal)
	}
}
