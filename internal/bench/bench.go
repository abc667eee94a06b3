// Package bench measures what tensmith does to files, and beside it what the
// machine can do, for the verb `bench` and for the module of the same name,
// which adds other implementations.
//
// A [Case] runs in a process of its own, once a round; a round runs every case
// in random order, so that a busy moment falls on all of them alike. The
// figures to go by are minima, and ratios of minima of one run.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A Setting is what every process of a run has to know.
type Setting struct {
	Dir     string `json:"dir"`     // where the files lie
	Size    int64  `json:"size"`    // bytes of data of the large file
	Tensors int    `json:"tensors"` // of the file of the most tensors
	Seed    uint64 `json:"seed"`
}

// Ours is who the cases of this module are, and Probe those that measure the
// machine.
const (
	Ours  = "tensmith"
	Probe = "limit"
)

// A Case is one implementation doing one thing.
type Case struct {
	Name   string   // what is done, such as "save/durable"
	Who    string   // Ours, Probe or another implementation
	About  string   // one line for people
	Limits []string // the probes of which the fastest is its limit
	Goal   float64  // the share of the limit that is aimed at; 0 for none
	Peers  float64  // how many times faster than the best peer it is to be; 0 for none
	Files  []string // what it reads, of those that [Make] makes
	Writes bool     // files of that size, or edits one so that it is written anew
	Growth string   // what it grows with: byTensors, byBytes or nothing
	Count  int64    // how many there are of these

	// Note says what else is aimed at, and what has come of it; nil for nothing.
	Note func(*Result) string

	Run func(*Clock) error // in a process of its own

	// Outside is in place of Run for other programs, which measure themselves.
	Outside func(context.Context, Setting) (Sample, error)
}

// A Sample is what one run of a case took.
type Sample struct {
	Bytes  int64  `json:"bytes"`       // that were loaded, saved or moved
	Wall   int64  `json:"wall_ns"`     //
	CPU    int64  `json:"cpu_ns"`      // of user and system; -1 if unknown
	Allocs int64  `json:"allocs"`      // on the heap of Go; -1 if unknown
	Heap   int64  `json:"alloc_bytes"` // likewise
	Peak   int64  `json:"rss"`         // bytes of memory at the worst; -1 if unknown
	Grown  int64  `json:"rss_grown"`   // of these, those that came while the clock ran
	Mapped int64  `json:"rss_file"`    // of these, those of files, the program's own among them
	Read   int64  `json:"read"`        // bytes asked of files by system calls; -1 if unknown
	Absent string `json:"absent,omitempty"`
}

// errAbsent is what a machine or a file system does not have. A case that
// fails with it is not present, which is no failure of the run.
type errAbsent struct{ why string }

func (e errAbsent) Error() string { return e.why }

// Absent returns the error of a case that cannot run here.
func Absent(format string, args ...any) error { return errAbsent{fmt.Sprintf(format, args...)} }

// A Config is a run.
type Config struct {
	Setting
	Rounds int // that count, at most
	// For is how long it may take: no round is begun that would end later, but
	// for the first that counts. 0 is as long as it takes.
	For  time.Duration
	Self []string // the arguments by which this program answers with [Child]

	// Step is called before each case of each round; round 0 does not count.
	Step func(round int, c *Case)

	Cases []Case
}

// Run runs all cases in every round, and once before that in one that does not
// count.
func Run(ctx context.Context, c Config) (*Report, error) {
	report := newReport(&c)
	order := rand.New(rand.NewPCG(c.Seed, uint64(c.Size)))
	start := time.Now()
	for round := range c.Rounds + 1 {
		if taken := time.Since(start); round > 1 && c.For > 0 && taken+taken/time.Duration(round) > c.For {
			report.Rounds = round - 1
			break
		}
		load := watchLoad()
		for _, i := range order.Perm(len(c.Cases)) {
			if c.Step != nil {
				c.Step(round, &c.Cases[i])
			}
			if report.Cases[i].Absent != "" {
				continue
			}
			s, err := c.once(ctx, &c.Cases[i])
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			var absent errAbsent
			switch {
			case errors.As(err, &absent):
				s.Absent = absent.why
			case err != nil:
				return nil, fmt.Errorf("%s, %s: %w", c.Cases[i].Name, c.Cases[i].Who, err)
			}
			report.Cases[i].add(s, round > 0)
			if c.Cases[i].Writes {
				settle(c.Dir) // what it has removed is not the next one's to wait for
			}
		}
		if round > 0 {
			report.Load = append(report.Load, load())
		}
	}
	report.finish(&c)
	return report, nil
}

// Left returns how long a run still takes, about, of which so many rounds have
// taken so long, the one that does not count among them.
func Left(taken time.Duration, done, rounds int, long time.Duration) time.Duration {
	if done == 0 {
		return 0
	}
	each := taken / time.Duration(done)
	left := each * time.Duration(rounds+1-done)
	if long > 0 {
		left = min(left, max(long-taken, each))
	}
	return max(0, left)
}

// once runs a case in a process of its own.
func (c *Config) once(ctx context.Context, what *Case) (s Sample, err error) {
	if what.Outside != nil {
		return what.Outside(ctx, c.Setting)
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	request, err := json.Marshal(order{c.Setting, what.Name, what.Who})
	if err != nil {
		return s, err
	}
	cmd := exec.CommandContext(ctx, self, c.Self[1:]...)
	cmd.Args[0] = c.Self[0] // a test binary goes by this name
	leash(cmd)
	cmd.Stdin = strings.NewReader(string(request))
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, strings.TrimSpace(words.String()))
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("%w in %.100q", err, out)
	}
	if s.Absent != "" {
		return s, errAbsent{s.Absent}
	}
	return s, nil
}

// Select returns the cases that keep says yes to, and the probes that limit
// them.
func Select(all []Case, keep func(name string) bool) []Case {
	needed := map[string]bool{}
	for _, c := range all {
		if keep(c.Name) {
			needed[c.Name] = true
			for _, limit := range c.Limits {
				needed[limit] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c Case) bool { return !needed[c.Name] })
}
