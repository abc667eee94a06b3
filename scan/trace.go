package scan

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
)

// A Verdict is what a scan says of a file, or of all of them.
type Verdict string

// The verdicts, in the order in which one outweighs the next: what is certain
// stands before what could not be read.
const (
	VerdictDangerous  Verdict = "dangerous"
	VerdictSuspicious Verdict = "suspicious"
	VerdictError      Verdict = "error" // not read, or not to its end
	Clean             Verdict = "clean" // notes at most
)

// maxKept is how many findings of one severity are kept for a file.
const maxKept = 1000

// A trace is what is found in one file, and what may still be spent on it.
type trace struct {
	ctx      context.Context
	opts     *Options
	format   string
	findings []Finding
	dropped  int
	kept     [4]int                  // by rank
	seen     map[findingKey]struct{} // once there are more than a few
	spent    *spending
}

type findingKey struct{ id, file, name, op, tensor string }

// spending is what is left of the bounds of one file, for all that lies in it.
type spending struct {
	unpack  int64 // bytes that may still be unpacked
	unpacks int64 // bytes that might be, at the beginning
	loose   int64 // bytes that may still be unpacked of what lies in numbers and strings
	again   int64 // bytes that may still be unpacked once more
	pickles int64 // see maxPickles
	sharing bool  // a pickle is being read, which takes from work what those within it do
	strange int64 // things in pickles that may still be told
	skims   int64 // such units, for what is over a bound, or broken, and is read for names alone
	memory  int64 // bytes of the values of a pickle, at the depth that was reached
	search  int64 // bytes of texts that may hold secrets, and may still be searched
	hinted  int64 // bytes around what may begin a secret or a program, that may still be searched
	tokens  int64 // of JSON, that may still be read
	shapes  int64 // bytes of templates that may still be searched
	nested  int64 // bytes of strings that may still be looked into
	members int64 // of archives
	inner   int64 // archives and compressed files
	work    int64 // see maxWork
	room    room
	entered bool
	parts   []external // of files beside this one that its tensors are in
	// inflater is a reader of DEFLATE that nothing uses any more.
	inflater io.Reader
	needs    []string // files beside this one that it asks for, relative to its directory
	needed   map[string]bool
}

// A room is for one file at a time: the bound on memory is for all files that are
// read at once, and one of them may take all of it. Those that stay small,
// which is nearly all, never ask for it.
type room chan struct{}

const (
	smallPickle = 128 << 10 // what fewer bytes become is some MiB at most
	smallText   = 1 << 20   // of texts, headers, and what is unpacked
)

// shares are what files that are read at the same time may take together, by
// their sizes: many small ones, and few that are not.
type shares struct {
	mu   sync.Mutex
	free *sync.Cond
	left int64
}

const (
	allShares  = 24 << 20
	leastShare = 256 << 10
	mostShare  = 8 << 20
	perByte    = 32 // of a small pickle
)

func newShares() *shares {
	s := &shares{left: allShares}
	s.free = sync.NewCond(&s.mu)
	return s
}

// take waits for the share of a file and returns what gives it back.
func (s *shares) take(size int64) (give func()) {
	n := min(max(min(size, mostShare)*perByte, leastShare), mostShare)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.left < n {
		s.free.Wait()
	}
	s.left -= n
	return func() {
		s.mu.Lock()
		s.left += n
		s.mu.Unlock()
		s.free.Broadcast()
	}
}

// large waits for the room, in which the file then stays until its end.
func (t *trace) large() {
	if s := t.spent; s.room != nil && !s.entered {
		select {
		case s.room <- struct{}{}:
			s.entered = true
		case <-t.ctx.Done():
		}
	}
}

// leave makes room for the next file, and garbage of what this one took.
func (t *trace) leave() {
	if s := t.spent; s.entered {
		s.entered = false
		runtime.GC() // or the next would come on top of it
		<-s.room
	}
}

func newTrace(ctx context.Context, opts *Options, size int64) *trace {
	members, tokens, pickles, work := int64(maxMembers), int64(maxTokens), int64(maxPickles), int64(maxWork)
	if opts.Deep {
		members *= 8
		tokens *= 8
		pickles *= 8
		work *= 8
	}
	return &trace{ctx: ctx, opts: opts, spent: &spending{
		unpack:  opts.unpack(size),
		unpacks: opts.unpack(size),
		loose:   maxLoose,
		again:   2 * opts.unpack(size),
		pickles: pickles,
		skims:   maxSkimmed,
		strange: maxStrange,
		memory:  maxMemory,
		search:  maxSearch,
		hinted:  maxHinted,
		tokens:  tokens,
		shapes:  maxTemplates,
		nested:  4*min(size, 1<<40) + 1<<20,
		members: members,
		inner:   maxInner,
		work:    work,
	}}
}

// valueRoom is how much memory the values of a pickle may take, beside what was
// unpacked.
func (t *trace) valueRoom() int64 {
	const least = 6 << 20
	unpacked := int64(maxUnpack) - min(t.spent.unpack, maxUnpack)
	return max(t.spent.memory-unpacked, min(least, t.spent.memory))
}

// What one file may take. A checkpoint of 100,000 tensors has 3 million
// opcodes; one of a million members is none.
const (
	maxUnpack    = 24 << 20
	maxLoose     = 48 << 20
	maxMembers   = 200_000
	maxInner     = 1000
	maxDepth     = 8
	maxSearch    = 12 << 20
	maxHinted    = 24 << 20
	pickleHinted = 8 << 20   // of those, in pickles
	maxTokens    = 3_000_000 // of JSON: the largest tokenizers in use have 2.6 million
	maxTemplates = 1 << 20   // of which those in use have some 10 KiB each
	maxMemory    = 24 << 20  // of the values of one pickle
)

// add keeps a finding, each of an id, a place and a name once.
func (t *trace) add(f Finding) {
	f.Name = clip(f.Name, 200)
	key := f.key()
	if t.told(key) { // first, for a file may have millions of them
		return
	}
	rule, err := Explain(f.ID)
	if err != nil {
		panic(err) // a finding without a rule is a mistake in this package
	}
	if f.Severity == "" {
		f.Severity = rule.Severity
	}
	if f.ID < "ST2" && f.Severity == Error {
		f.Severity = Suspicious // what a format forbids was read, and is not trouble
	}
	f.Message = clip(f.Message, 500)
	rank := f.Severity.rank()
	if t.kept[rank] >= maxKept {
		t.dropped++
		return
	}
	t.kept[rank]++
	t.work(workFinding)
	t.findings = append(t.findings, f)
	switch {
	case t.seen != nil:
		t.seen[key] = struct{}{}
	case len(t.findings) > fewFindings:
		t.seen = make(map[findingKey]struct{}, 2*fewFindings)
		for i := range t.findings {
			t.seen[t.findings[i].key()] = struct{}{}
		}
	}
}

// fewFindings are compared one by one: a map takes longer to make than most of
// the 200,000 members of an archive to read.
const fewFindings = 8

func (f *Finding) key() findingKey { return findingKey{f.ID, f.File, f.Name, f.Op, f.Tensor} }

func (t *trace) told(key findingKey) bool {
	if t.seen == nil {
		return slices.ContainsFunc(t.findings, func(f Finding) bool { return f.key() == key })
	}
	_, ok := t.seen[key]
	return ok
}

// note adds a finding about a place.
func (t *trace) note(id string, at place, offset int64, name, message string) {
	t.add(Finding{ID: id, File: at.file, Offset: offset, Name: name, Message: message})
}

// apart is a trace of the same file whose findings are not yet the file's.
func (t *trace) apart() *trace {
	return &trace{ctx: t.ctx, opts: t.opts, spent: t.spent}
}

// join takes over the findings of a trace that was apart.
func (t *trace) join(other *trace) {
	for _, f := range other.findings {
		t.add(f)
	}
	t.dropped += other.dropped
}

func (t *trace) has(s Severity) bool { return t.kept[s.rank()] > 0 }

// rank is where a severity stands among the four.
func (s Severity) rank() int { return slices.Index(ranks, s.verdict()) }

// verdict is the worst of findings.
func verdict(findings []Finding) Verdict {
	worst := Clean
	for _, f := range findings {
		worst = worse(worst, f.Severity.verdict())
	}
	return worst
}

func (s Severity) verdict() Verdict {
	switch s {
	case Dangerous:
		return VerdictDangerous
	case Suspicious:
		return VerdictSuspicious
	case Error:
		return VerdictError
	}
	return Clean
}

// Worse returns the weightier of two verdicts.
func (v Verdict) Worse(other Verdict) Verdict { return worse(v, other) }

// ParseSeverity returns the severity called name.
func ParseSeverity(name string) (Severity, error) {
	switch s := Severity(name); s {
	case Dangerous, Suspicious, Error, Note:
		return s, nil
	}
	return "", fmt.Errorf("no severity is called %q", name)
}

// AtLeast tells whether s weighs as much as other or more. An Error is no
// weight: what could not be read is neither harmless nor harmful.
func (s Severity) AtLeast(other Severity) bool {
	weights := []Severity{Note, Suspicious, Dangerous}
	return s != Error && slices.Index(weights, s) >= slices.Index(weights, other)
}

var ranks = []Verdict{Clean, VerdictError, VerdictSuspicious, VerdictDangerous}

func worse(a, b Verdict) Verdict {
	if slices.Index(ranks, a) >= slices.Index(ranks, b) {
		return a
	}
	return b
}

// order sorts findings by weight, then as they were met.
func order(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(ranks, b.Severity.verdict()), slices.Index(ranks, a.Severity.verdict()))
	})
}
