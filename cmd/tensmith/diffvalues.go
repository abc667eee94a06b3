package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A diffRequest is how diff is asked to compare values.
type diffRequest struct {
	values    bool
	tolerance numeric.Tolerance
	top       int
	renames   []string

	expressions []*expression
}

func (r *diffRequest) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&r.values, "values", false, "compare the values, of whatever dtypes, and say how far apart they are")
	f.Float64Var(&r.tolerance.Rel, "rtol", 0, "values: let |a-b| be up to `R`·|b|")
	f.Float64Var(&r.tolerance.Abs, "atol", 0, "values: let |a-b| be up to `X`, more than what --rtol lets it")
	f.IntVar(&r.top, "top", 0, "values: print the `N` tensors that differ most; 0 prints all")
	f.StringArrayVar(&r.renames, "rename", nil, "values: look for the names of the first model as `s/RE/TEXT/` makes them")
}

// check finds what is wrong with the flags.
func (r *diffRequest) check(cmd *cobra.Command, bytes bool) error {
	for _, name := range []string{"rtol", "atol", "top", "rename"} {
		if !r.values && cmd.Flags().Changed(name) {
			return hinted{usagef("--%s is about values", name), "add --values"}
		}
	}
	switch t := r.tolerance; {
	case r.values && bytes:
		return usagef("--values and --bytes exclude each other")
	case !(t.Rel >= 0) || math.IsInf(t.Rel, 0) || !(t.Abs >= 0) || math.IsInf(t.Abs, 0):
		return usagef("--rtol and --atol must be numbers from 0 up")
	case r.top < 0:
		return usagef("--top is %d, and must not be negative", r.top)
	}
	for _, text := range r.renames {
		e, err := parseExpression(text)
		if err != nil {
			return err
		}
		r.expressions = append(r.expressions, e)
	}
	return nil
}

// A valuePair is a tensor of either model and how they differ.
type valuePair struct {
	Name  string `json:"name"`             // in the first model
	BName string `json:"b_name,omitempty"` // in the second, if another
	// Tied tells that one of the models does not hold the tensor under the
	// name of the other, but has in its metadata what it is tied to.
	Tied       bool   `json:"tied,omitempty"`
	A          layout `json:"a"`
	B          layout `json:"b"`
	Note       string `json:"note,omitempty"` // how weights are packed; codes are compared then
	Count      uint64 `json:"count"`
	Changed    uint64 `json:"changed"`
	Share      scalar `json:"share_changed"`
	Beyond     uint64 `json:"beyond"`  // the tolerance
	Special    uint64 `json:"special"` // unequal, with NaN or an infinity
	First      *int64 `json:"first"`   // index of the first that is not equal
	MaxAbs     scalar `json:"max_abs"`
	MaxAbsAt   *int64 `json:"max_abs_at"`
	MaxRel     scalar `json:"max_rel"`
	L2         scalar `json:"l2"`
	RelativeL2 scalar `json:"relative_l2"` // L2 of the difference by that of the first
	Cosine     scalar `json:"cosine"`
	SQNR       scalar `json:"sqnr_db"`
}

// A compared is a tensor of either model and what is kept of how they differ.
type compared struct {
	a, b                             *safetensors.Tensor
	tied                             bool
	count, changed, beyond, special  uint64
	first, maxAbsAt                  uint64 // valid where something changed, and by more than nothing
	maxAbs, maxRel, l2, cosine, sqnr float64
}

// size is how much is read to compare them.
func (c *compared) size() int64 { return c.a.Size() + c.b.Size() }

func (c *compared) take(d *numeric.Diff) {
	c.count, c.changed, c.beyond, c.special = d.Count, d.Changed, d.Beyond, d.Special
	c.first, c.maxAbsAt, c.maxAbs, c.maxRel, c.l2, c.cosine, c.sqnr = d.First, d.MaxAbsAt, d.MaxAbs, d.MaxRel, d.L2(), d.Cosine(), d.SQNR()
	if c.changed == 0 && math.IsNaN(c.cosine) {
		c.cosine = 1 // of nothing but zeros with themselves
	}
}

func (c *compared) relativeL2() float64 { return math.Pow(10, -c.sqnr/20) }

// distance orders pairs: those with NaN or infinities in one model alone differ
// most.
func (c *compared) distance() float64 {
	if r := c.relativeL2(); c.special == 0 && !math.IsNaN(r) {
		return r
	}
	return math.Inf(1)
}

// note says how weights are packed whose codes were compared.
func (c *compared) note(parts roles) string {
	if parts.of(c.a.Name).is != describe.Packed {
		return ""
	}
	return parts.label(c.a.Name)
}

// pair is what is printed of it.
func (c *compared) pair(parts roles) *valuePair {
	p := &valuePair{Name: c.a.Name, Tied: c.tied, A: layoutOf(c.a), B: layoutOf(c.b), Note: c.note(parts),
		Count: c.count, Changed: c.changed, Share: scalar(float64(c.changed) / float64(max(c.count, 1))), Beyond: c.beyond, Special: c.special,
		MaxAbs: scalar(c.maxAbs), MaxRel: scalar(c.maxRel), L2: scalar(c.l2), RelativeL2: scalar(c.relativeL2()), Cosine: scalar(c.cosine), SQNR: scalar(c.sqnr)}
	p.A.Name, p.B.Name = "", ""
	if c.b.Name != c.a.Name {
		p.BName = c.b.Name
	}
	if c.changed > 0 {
		first := int64(c.first)
		p.First = &first
	}
	if c.maxAbs > 0 {
		at := int64(c.maxAbsAt)
		p.MaxAbsAt = &at
	}
	return p
}

func layoutOf(t *safetensors.Tensor) layout { return layout{t.Name, t.DType.String(), t.Shape} }

// A valuesReport is the JSON of diff --values.
type valuesReport struct {
	Schema  string          `json:"schema"`
	A       string          `json:"a"`
	B       string          `json:"b"`
	Same    bool            `json:"same"`
	RTol    float64         `json:"rtol"`
	ATol    float64         `json:"atol"`
	OnlyA   []layout        `json:"only_a"`
	OnlyB   []layout        `json:"only_b"`
	Changed []changedTensor `json:"changed"` // of other shapes, whose values cannot be compared
	Values  listing         `json:"values"`  // those that differ most first
	Total   valueTotal      `json:"total"`

	shown []*compared `json:"-"` // the values
	parts roles       `json:"-"` // of the first model
}

// values calls yield for each pair that is shown, which is its own.
func (r *valuesReport) values(yield func(*valuePair) bool) {
	for i := range r.shown {
		if !yield(r.shown[i].pair(r.parts)) {
			return
		}
	}
}

type valueTotal struct {
	Tensors   int    `json:"tensors"`   // that were compared
	Differing int    `json:"differing"` // beyond the tolerance
	Count     uint64 `json:"count"`
	Changed   uint64 `json:"changed"`
	Beyond    uint64 `json:"beyond"`
	MaxAbs    scalar `json:"max_abs"`
	L2        scalar `json:"l2"`
	Cosine    scalar `json:"cosine"`
	SQNR      scalar `json:"sqnr_db"`
}

// rename applies the expressions to a name of the first model.
func (r *diffRequest) rename(name string) (string, error) {
	var err error
	for _, e := range r.expressions {
		if name, err = e.apply(name); err != nil {
			return "", err
		}
	}
	return name, nil
}

// match finds what is to be compared with what.
func (r *diffRequest) match(ca, cb *safetensors.Checkpoint, report *valuesReport) (pairs []compared, err error) {
	metaA, metaB := ca.Metadata(), cb.Metadata()
	// Names are unique, so that only those that are changed can meet.
	named := map[string]string{} // of the first model, by the name it is to have
	met := map[string]bool{}     // names of the second, but for those that both have
	pair := func(t, u *safetensors.Tensor, tied bool) {
		complexes := (t.DType == safetensors.C64) != (u.DType == safetensors.C64)
		if complexes || !slices.Equal(t.Shape, u.Shape) {
			p := (&compared{a: t, b: u}).pair(nil)
			report.Changed = append(report.Changed, changedTensor{t.Name, p.A, p.B})
			return
		}
		u.Shape = t.Shape // one is enough
		pairs = append(pairs, compared{a: t, b: u, tied: tied})
	}
	pairs = make([]compared, 0, min(ca.Len(), cb.Len()))
	for t := range ca.All() {
		name, err := r.rename(t.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", report.A, shorten(safe(t.Name), 80), err)
		}
		if len(r.expressions) > 0 {
			if other, twice := named[name]; twice {
				return nil, fmt.Errorf("%s: %s and %s would both be called %s", report.A, shorten(safe(other), 80), shorten(safe(t.Name), 80), shorten(safe(name), 80))
			}
			named[name] = t.Name
		}
		u, err := cb.Tensor(name)
		tied := false
		if err != nil {
			u, err = cb.Tensor(metaB[name])
			tied = true
		}
		if err != nil {
			report.OnlyA = append(report.OnlyA, layoutOf(t))
			continue
		}
		if !tied && len(r.expressions) > 0 {
			met[name] = true
		}
		pair(t, u, tied)
	}
	for u := range cb.All() {
		if len(r.expressions) == 0 {
			if _, err := ca.Tensor(u.Name); err == nil {
				continue
			}
		} else if met[u.Name] {
			continue
		}
		if t, err := ca.Tensor(metaA[u.Name]); err == nil {
			pair(t, u, true)
			continue
		}
		report.OnlyB = append(report.OnlyB, layoutOf(u))
	}
	byName := func(x, y layout) int { return natural(x.Name, y.Name) }
	slices.SortFunc(report.OnlyA, byName)
	slices.SortFunc(report.OnlyB, byName)
	slices.SortFunc(report.Changed, func(x, y changedTensor) int { return natural(x.Name, y.Name) })
	return pairs, nil
}

func (a *app) diffValues(ctx context.Context, r *diffRequest, x, y string) error {
	ca, err := a.open(x)
	if err != nil {
		return err
	}
	defer ca.Close()
	cb, err := a.open(y)
	if err != nil {
		return err
	}
	defer cb.Close()
	defer sparing(500, 0, ca, cb)()
	report := &valuesReport{Schema: "tensmith.diff/1", A: x, B: y, RTol: r.tolerance.Rel, ATol: r.tolerance.Abs,
		OnlyA: []layout{}, OnlyB: []layout{}, Changed: []changedTensor{}}
	pairs, err := r.match(ca, cb, report)
	if err != nil {
		return err
	}
	p, err := locate(x)
	if err != nil {
		return err
	}
	bytes := int64(0)
	for i := range pairs {
		bytes += pairs[i].size()
	}
	report.parts = rolesOf(ca, p)
	m := a.meter("comparing", bytes)
	defer m.end()
	total := new(numeric.Diff)
	var mu sync.Mutex // of total
	err = a.work(ctx, len(pairs), func(i int) int64 { return pairs[i].size() }, func(ctx context.Context, i, workers int) error {
		scan := numeric.Scan{Workers: workers, Progress: m.steps()}
		d, err := scan.Compare(ctx, dataOf(pairs[i].a), dataOf(pairs[i].b), r.tolerance)
		if err != nil {
			return err // it names file and tensor
		}
		pairs[i].take(d)
		mu.Lock()
		defer mu.Unlock()
		if d.Beyond > 0 {
			report.Total.Differing++
		}
		if pairs[i].note(report.parts) == "" {
			total.Merge(d)
		}
		return nil
	})
	m.end()
	if err != nil {
		return err
	}
	report.order(pairs)
	report.total(pairs, total)
	if err := a.printValues(r, report, pairs); err != nil {
		return err
	}
	if !report.Same {
		return errNo
	}
	return nil
}

// order is that of what is shown.
func (r *valuesReport) order(pairs []compared) {
	type key struct {
		distance float64
		pair     *compared
	}
	keys := make([]key, len(pairs))
	for i := range pairs {
		keys[i] = key{pairs[i].distance(), &pairs[i]}
	}
	slices.SortStableFunc(keys, func(x, y key) int {
		return cmp.Or(cmp.Compare(y.distance, x.distance), natural(x.pair.a.Name, y.pair.a.Name), natural(x.pair.b.Name, y.pair.b.Name))
	})
	r.shown = make([]*compared, len(pairs))
	for i, k := range keys {
		r.shown[i] = k.pair
	}
}

// total completes the report: the same is what holds the same tensors with the
// same values, to the tolerance.
func (r *valuesReport) total(pairs []compared, d *numeric.Diff) {
	t := &r.Total
	t.Tensors = len(pairs)
	t.Count, t.Changed, t.Beyond = d.Count, d.Changed, d.Beyond
	t.MaxAbs, t.L2, t.Cosine, t.SQNR = scalar(d.MaxAbs), scalar(d.L2()), scalar(d.Cosine()), scalar(d.SQNR())
	r.Same = len(r.OnlyA)+len(r.OnlyB)+len(r.Changed)+t.Differing == 0
}

func (a *app) printValues(r *diffRequest, report *valuesReport, pairs []compared) error {
	if r.top > 0 && r.top < len(report.shown) {
		report.shown = report.shown[:r.top]
	}
	report.Values = listing{len(report.shown), func(i int) any { return report.shown[i].pair(report.parts) }}
	switch {
	case a.isJSON():
		return a.printJSON(report)
	case a.format == "tsv":
		return a.valuesSheet(report)
	}
	line := func(mark string, st style, name, from, to string) {
		text := mark + " " + shorten(safe(name), 120) + "  " + from
		if from != "" && to != "" {
			text += " → "
		}
		fmt.Fprintln(a.stdout, a.paint(st, text+to))
	}
	for _, t := range report.OnlyA {
		line("-", red, t.Name, t.String(), "")
	}
	for _, t := range report.OnlyB {
		line("+", green, t.Name, "", t.String())
	}
	for _, c := range report.Changed {
		line("~", yellow, c.Name, c.A.String(), c.B.String())
	}
	if err := a.valuesTable(r, report); err != nil {
		return err
	}
	a.valuesWords(report, pairs)
	return nil
}

// valuesTable prints the pairs that differ by more than was asked for.
func (a *app) valuesTable(r *diffRequest, report *valuesReport) error {
	f := figures{a: a, columns: []figure{{head: "name", left: true}, {head: "dtype", rank: 2, left: true}, {head: "changed", rank: 1},
		{head: "max abs"}, {head: "max rel", rank: 4}, {head: "L2", rank: 5}, {head: "rel. L2", rank: 6}, {head: "cosine", rank: 3}, {head: "SQNR"}}}
	tolerant := r.tolerance != numeric.Tolerance{}
	if tolerant {
		f.columns[2].head = "beyond"
	}
	var differing []int
	for i := range report.shown {
		if report.shown[i].beyond > 0 {
			differing = append(differing, i)
		}
	}
	if len(differing) == 0 {
		return nil
	}
	f.count = len(differing)
	f.make = func(i int) []cell {
		p := report.shown[differing[i]].pair(report.parts)
		name, dtype := shorten(safe(p.Name), 120), p.A.DType
		if p.Tied {
			name += " (tied)"
		}
		if p.B.DType != dtype {
			dtype += "→" + p.B.DType
		}
		if p.Note != "" {
			name += "*"
			dtype += " (" + p.Note + ")"
		}
		n := p.Changed
		if tolerant {
			n = p.Beyond
		}
		sqnr := p.SQNR.short()
		if !math.IsInf(float64(p.SQNR), 0) && !math.IsNaN(float64(p.SQNR)) {
			sqnr = fmt.Sprintf("%.1f dB", float64(p.SQNR))
		}
		special := plain
		if p.Special > 0 {
			special = red
			sqnr = count(p.Special) + " NaN/Inf"
		}
		return []cell{{text: name}, {dtype, cyan}, {text: share(n, p.Count)}, {text: p.MaxAbs.short()}, {text: p.MaxRel.short()},
			{text: p.L2.short()}, {text: p.RelativeL2.short()}, {text: cosine(p.Cosine)}, {sqnr, special}}
	}
	return f.flush()
}

// cosine shows how far below 1 it is, which four digits would not.
func cosine(c scalar) string {
	if f := float64(c); f > 0.999 && f < 1 {
		text := fmt.Sprintf("%.9f", f)
		if text == "1.000000000" {
			return ">0.999999999"
		}
		return text
	}
	return c.short()
}

func (a *app) valuesWords(report *valuesReport, pairs []compared) {
	equal, within, tied, dtypes, packed := 0, 0, 0, 0, map[string]int{}
	for i := range pairs {
		p := &pairs[i]
		switch {
		case p.changed == 0:
			equal++
		case p.beyond == 0:
			within++
		}
		if p.tied {
			tied++
		}
		if p.a.DType != p.b.DType {
			dtypes++
		}
		if note := p.note(report.parts); note != "" && p.changed > 0 {
			packed[note]++
		}
	}
	shown := 0
	for i := range report.shown {
		if report.shown[i].beyond > 0 {
			shown++
		}
	}
	if n := report.Total.Differing - shown; n > 0 {
		a.words("and %s more", group(int64(n)))
	}
	for _, label := range sortedKeys(packed) {
		a.words("* %s of packed weights (%s): the stored codes were compared, not the weights", plural(packed[label], "tensor"), label)
	}
	var notes []string
	if dtypes > 0 {
		notes = append(notes, fmt.Sprintf("%d of another dtype", dtypes))
	}
	if tied > 0 {
		notes = append(notes, fmt.Sprintf("%d compared with what they are tied to", tied))
	}
	if within > 0 {
		notes = append(notes, fmt.Sprintf("%d within the tolerance", within))
	}
	note := ""
	if len(notes) > 0 {
		note = " (" + strings.Join(notes, ", ") + ")"
	}
	if report.Same {
		a.words("the same: %s, value for value%s", plural(len(pairs), "tensor"), note)
		return
	}
	all := ""
	if t := report.Total; t.Changed > 0 {
		all = fmt.Sprintf("; %s of the values changed, by up to %s", share(t.Changed, t.Count), t.MaxAbs.short())
		if !math.IsInf(float64(t.SQNR), 0) && !math.IsNaN(float64(t.SQNR)) {
			all += fmt.Sprintf(", SQNR %.1f dB", float64(t.SQNR))
		}
	}
	a.words("%s only in %s, %s only in %s, %s of another shape, %s with other values, %s equal%s%s",
		group(int64(len(report.OnlyA))), report.A, group(int64(len(report.OnlyB))), report.B, group(int64(len(report.Changed))),
		group(int64(report.Total.Differing)), group(int64(equal)), note, all)
}

func (a *app) valuesSheet(report *valuesReport) error {
	s := a.sheet("change", "name", "b_name", "a", "b", "note", "count", "changed", "beyond", "special", "first",
		"max_abs", "max_abs_at", "max_rel", "l2", "relative_l2", "cosine", "sqnr_db")
	of := func(l layout) string { return l.DType + " " + shape(l.Shape) }
	layouts := func(change, name, x, y string) {
		s.row(change, name, "", x, y, "", nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil)
	}
	index := func(i *int64) any {
		if i == nil {
			return nil
		}
		return *i
	}
	for _, t := range report.OnlyA {
		layouts("only_a", t.Name, of(t), "")
	}
	for _, t := range report.OnlyB {
		layouts("only_b", t.Name, "", of(t))
	}
	for _, c := range report.Changed {
		layouts("shape", c.Name, of(c.A), of(c.B))
	}
	for p := range report.values {
		change := "values"
		switch {
		case p.Changed == 0:
			change = "same"
		case p.Beyond == 0:
			change = "within"
		}
		s.row(change, p.Name, p.BName, of(p.A), of(p.B), p.Note, p.Count, p.Changed, p.Beyond, p.Special, index(p.First),
			p.MaxAbs, index(p.MaxAbsAt), p.MaxRel, p.L2, p.RelativeL2, p.Cosine, p.SQNR)
	}
	return s.flush()
}
