package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What the time and the memory of a case can grow with, and what the goal is
// of each: in proportion with tensors, not at all with bytes.
const (
	byTensors = "tensors"
	byBytes   = "bytes"
)

// A Growth is what opening, listing and looking up take of files that are the
// same but for one number.
type Growth struct {
	Of     string  `json:"of"`   // what there is more of: tensors or bytes
	Goal   string  `json:"goal"` // linear or flat
	Points []Point `json:"points"`
	// Of what is to be linear, what each one more takes in the dearest step from
	// a point to the next, by what it takes in a cheaper one before; of what is
	// to be flat, the most by the least. 0 is not known.
	Time   float64 `json:"time,omitzero"`
	Memory float64 `json:"memory,omitzero"`
	Holds  string  `json:"holds"` // yes, no or unknown
}

// A Point is one case of a Growth.
type Point struct {
	Count int64 `json:"count"`
	Min   int64 `json:"min_ns"`
	Peak  int64 `json:"rss"`
}

// What passes for linear or flat. Caches of the processor hold small headers
// and no large ones, which is worth up to 1.5; steps are tenfold, of which a
// square would make 10.
const (
	mostSlope = 2
	mostFlat  = 1.25
)

// growth gathers our cases that grow with something.
func (r *Report) growth(of string, cases []Case) Growth {
	g := Growth{Of: of, Goal: "flat", Holds: "unknown"}
	for i := range cases {
		if c := &r.Cases[i]; cases[i].Growth == of && cases[i].Who == Ours && c.Min > 0 {
			g.Points = append(g.Points, Point{cases[i].Count, c.Min, c.Peak})
		}
	}
	measure, most := rise, float64(mostFlat)
	if of == byTensors {
		g.Goal, measure, most = "linear", bend, mostSlope
	}
	g.Time = measure(g.Points, func(p Point) int64 { return p.Min })
	g.Memory = measure(g.Points, func(p Point) int64 { return p.Peak })
	switch {
	case g.Time > most || g.Memory > most:
		g.Holds = "no"
	case g.Time > 0:
		g.Holds = "yes"
	}
	return g
}

// rise returns the most by the least.
func rise(points []Point, what func(Point) int64) float64 {
	least, most := int64(0), int64(0)
	for i, p := range points {
		if n := what(p); i == 0 {
			least, most = n, n
		} else {
			least, most = min(least, n), max(most, n)
		}
	}
	if len(points) < 2 || least <= 0 {
		return 0
	}
	return float64(most) / float64(least)
}

// bend returns by how much the dearest step is steeper than one before it.
func bend(points []Point, what func(Point) int64) float64 {
	all := slopes(points, what)
	if len(all) < 2 {
		return 0
	}
	worst, least := 0.0, all[0]
	for _, s := range all[1:] {
		if least > 0 {
			worst = max(worst, s/least)
		}
		least = min(least, s)
	}
	return worst
}

// slopes returns what each one more takes, from point to point.
func slopes(points []Point, what func(Point) int64) (all []float64) {
	for i := 1; i < len(points); i++ {
		if more := points[i].Count - points[i-1].Count; more > 0 {
			all = append(all, float64(what(points[i])-what(points[i-1]))/float64(more))
		}
	}
	return all
}

// String says it in one line, figures first.
func (g Growth) String() string {
	least, most := g.Points[0], g.Points[len(g.Points)-1]
	text := fmt.Sprintf("from %d to %d %s: ", least.Count, most.Count, g.Of)
	known := !slices.ContainsFunc(g.Points, func(p Point) bool { return p.Peak < 0 })
	var times, peaks []string
	for _, p := range g.Points {
		// Three digits that count.
		ms, digits := float64(p.Min)/1e6, 0
		for n := ms; n < 100 && digits < 3; n *= 10 {
			digits++
		}
		times = append(times, strconv.FormatFloat(ms, 'f', digits, 64))
		peaks = append(peaks, strconv.FormatInt(p.Peak>>20, 10))
	}
	text += strings.Join(times, ", ") + " ms"
	if known {
		text += " and " + strings.Join(peaks, ", ") + " MiB"
	}
	if g.Goal == "flat" {
		text += fmt.Sprintf("; the most is %.2f × the least in time", g.Time)
		if known {
			text += fmt.Sprintf(", %.2f × in memory", g.Memory)
		}
	} else if all := slopes(g.Points, func(p Point) int64 { return p.Min }); len(all) > 0 {
		text += "; each more takes " + spell(all) + " ns"
		if known {
			text += " and " + spell(slopes(g.Points, func(p Point) int64 { return p.Peak })) + " bytes, step by step"
		}
	}
	return text + "; " + g.Goal + ": " + g.Holds
}

func spell(all []float64) string {
	words := make([]string, len(all))
	for i, f := range all {
		words[i] = fmt.Sprintf("%.0f", f)
	}
	return strings.Join(words, ", ")
}
