package bench

import (
	"cmp"
	"runtime"
	"slices"
	"time"
)

// A Report is what a run has found. It is the document of the command.
type Report struct {
	Schema  string   `json:"schema"`
	Machine Machine  `json:"machine"`
	Size    int64    `json:"size"`
	Tensors int      `json:"tensors"`
	Seed    uint64   `json:"seed"`
	Rounds  int      `json:"rounds"`
	Quiet   bool     `json:"quiet"`          // nothing else took more than a fifth of the processors
	Load    []Load   `json:"load,omitempty"` // round by round
	Cases   []Result `json:"cases"`
	Growth  []Growth `json:"growth,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// A Machine is what the figures are of.
type Machine struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	System     string `json:"system,omitempty"`
	Processor  string `json:"processor,omitempty"`
	CPUs       int    `json:"cpus"`
	Go         string `json:"go"`
	FileSystem string `json:"file_system,omitempty"`
}

// A Load is what others did while a round ran, as shares of all processors.
type Load struct {
	Foreign float64 `json:"foreign"` // other processes
	Steal   float64 `json:"steal"`   // other machines of the host
	Known   bool    `json:"known"`
}

// loud is the share of foreign work from which on figures say little.
const loud = 0.2

// A Result is what a case took. Its times are nanoseconds; what is not known
// is -1.
type Result struct {
	Name   string  `json:"case"`
	Who    string  `json:"who"`
	About  string  `json:"about,omitempty"`
	Absent string  `json:"absent,omitempty"` // why it is not present
	Bytes  int64   `json:"bytes"`
	Min    int64   `json:"min_ns"`
	Median int64   `json:"median_ns"`
	Max    int64   `json:"max_ns"`
	CPU    int64   `json:"cpu_ns"` // at least
	Allocs int64   `json:"allocs"` // of the fastest run
	Heap   int64   `json:"alloc_bytes"`
	Peak   int64   `json:"rss"` // at most
	Grown  int64   `json:"rss_grown"`
	Mapped int64   `json:"rss_file"`
	Read   int64   `json:"read"`
	Limit  string  `json:"limit,omitempty"`         // the fastest of its probes
	Share  float64 `json:"share_of_limit,omitzero"` // 1 is the limit itself
	Goal   float64 `json:"goal,omitzero"`           // for the share
	Peer   string  `json:"best_peer,omitempty"`
	Faster float64 `json:"times_best_peer,omitzero"` // its minimum by ours
	Peers  float64 `json:"peers_goal,omitzero"`

	samples []Sample
}

func newReport(c *Config) *Report {
	r := &Report{Schema: "tensmith.bench/1", Size: c.Size, Tensors: c.Tensors, Seed: c.Seed, Rounds: c.Rounds,
		Machine: Machine{runtime.GOOS, runtime.GOARCH, system(), processor(), runtime.NumCPU(), runtime.Version(), fileSystem(c.Dir)}}
	for _, k := range c.Cases {
		r.Cases = append(r.Cases, Result{Name: k.Name, Who: k.Who, About: k.About, Goal: k.Goal, Peers: k.Peers,
			CPU: -1, Allocs: -1, Heap: -1, Peak: -1, Grown: -1, Mapped: -1, Read: -1})
	}
	return r
}

func (r *Result) add(s Sample, counts bool) {
	if s.Absent != "" {
		*r = Result{Name: r.Name, Who: r.Who, About: r.About, Absent: s.Absent, Goal: r.Goal, Peers: r.Peers,
			CPU: -1, Allocs: -1, Heap: -1, Peak: -1, Grown: -1, Mapped: -1, Read: -1}
	} else if counts {
		r.samples = append(r.samples, s)
	}
}

// finish works out the figures.
func (r *Report) finish(c *Config) {
	for i := range r.Cases {
		r.Cases[i].finish()
	}
	r.Quiet = true
	for _, l := range r.Load {
		r.Quiet = r.Quiet && l.Foreign <= loud && l.Steal <= loud
	}
	for i := range r.Cases {
		r.Cases[i].compare(c.Cases[i].Limits, r.Cases)
	}
	for i := range r.Cases {
		if note := c.Cases[i].Note; note != nil && r.Cases[i].Min > 0 {
			if text := note(&r.Cases[i]); text != "" {
				r.Notes = append(r.Notes, text)
			}
		}
	}
	for _, of := range []string{byTensors, byBytes} {
		if g := r.growth(of, c.Cases); len(g.Points) > 1 {
			r.Growth = append(r.Growth, g)
			r.Notes = append(r.Notes, g.String())
		}
	}
}

func (r *Result) finish() {
	if len(r.samples) == 0 {
		return
	}
	slices.SortFunc(r.samples, func(a, b Sample) int { return cmp.Compare(a.Wall, b.Wall) })
	least := r.samples[0]
	r.Bytes, r.Min, r.Allocs, r.Heap, r.Mapped, r.Read = least.Bytes, least.Wall, least.Allocs, least.Heap, least.Mapped, least.Read
	r.Median, r.Max = r.samples[len(r.samples)/2].Wall, r.samples[len(r.samples)-1].Wall
	r.CPU = least.CPU
	for _, s := range r.samples {
		r.CPU = min(r.CPU, s.CPU)
		r.Peak, r.Grown = max(r.Peak, s.Peak), max(r.Grown, s.Grown)
	}
}

// Rate returns the bytes a second of the fastest run, or 0.
func (r *Result) Rate() float64 {
	if r.Min == 0 {
		return 0
	}
	return float64(r.Bytes) / time.Duration(r.Min).Seconds()
}

// compare holds a result of ours to the fastest of its limits, and to the
// fastest of other implementations.
func (r *Result) compare(limits []string, all []Result) {
	if r.Absent != "" || r.Min == 0 || r.Who == Probe {
		return
	}
	best := 0.0
	for i := range all {
		o := &all[i]
		if o.Min == 0 {
			continue
		}
		// Of a probe that moves as many bytes the time counts, of others the rate.
		if o.Who == Probe && slices.Contains(limits, o.Name) && o.Rate() > best {
			best, r.Limit, r.Share = o.Rate(), o.Name, r.Rate()/o.Rate()
		}
		if o.Who != Probe && o.Who != Ours && r.Who == Ours && o.Name == r.Name {
			if f := float64(o.Min) / float64(r.Min); r.Peer == "" || f < r.Faster {
				r.Peer, r.Faster = o.Who, f
			}
		}
	}
}

// watchLoad returns a function that returns what others have done since.
func watchLoad() func() Load {
	start := time.Now()
	busy, stolen, ok := ticks()
	own := familyTime()
	return func() Load {
		busyNow, stolenNow, okNow := ticks()
		all := time.Since(start).Seconds() * float64(runtime.NumCPU())
		if !ok || !okNow || own < 0 || all <= 0 {
			return Load{}
		}
		foreign := busyNow - busy - (familyTime() - own).Seconds()
		return Load{max(0, foreign/all), max(0, (stolenNow-stolen)/all), true}
	}
}
