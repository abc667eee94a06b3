package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A statsRequest is what stats is asked for.
type statsRequest struct {
	by, order string
	top       int
	shares    []float64 // the quantiles
	text      string    // as they were written
}

func statsCommand(a *app) *cobra.Command {
	var r statsRequest
	cmd := &cobra.Command{
		Use:   "stats [flags] MODEL [GLOB…]",
		Short: "say what the values of tensors are: range, mean, zeros, NaN, …",
		Long: `Read the values of a model once and say what they are: count, least and
greatest, mean, standard deviation, largest magnitude, L2 norm, zeros,
subnormals, NaN and infinities. NaN and infinities are counted and otherwise
left out. With patterns, only tensors whose names match one.

--by groups tensors: by layer (the name up to its first number that stands
alone, or all but its last part), by dtype, or all of the model. Tensors that
are no plain weights are marked with a star: those in which weights are packed,
such as eight 4-bit weights in an I32, whose figures are those of the stored
codes; their scales and the like; buffers. They stand in groups of their own
and are not in the total.

--quantiles adds quantiles and takes about three times as long. They are exact
for types of at most 16 bits; for others, and for groups of several types, they
are off by at most 0.4 % of their value.

On a narrow terminal some columns are left out; --format tsv and --json have
all of them.

Exit status: 0 done, 1 no tensor matches, 2 the model could not be read.`,
		Example: `  tensmith stats model.safetensors
  tensmith stats model/ '*.mlp.*' --sort absmax --top 10
  tensmith stats model/ --by layer --quantiles=0.01,0.5,0.99
  tensmith stats model/ --by model --json | jq .total.nans`,
		Args: args(1, -1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.stats(cmd.Context(), &r, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.by, "by", "tensor", "one line for each `GROUP`: tensor, layer, dtype or model")
	f.StringVar(&r.order, "sort", "name", "the `ORDER`: name, file, or a column, largest first: "+strings.Join(statsOrders(), ", "))
	f.IntVar(&r.top, "top", 0, "print the first `N` lines only; 0 prints all")
	f.StringVar(&r.text, "quantiles", "", "add those of a `LIST` of quantiles, by default 0.01, 0.25, 0.5, 0.75 and 0.99")
	f.Lookup("quantiles").NoOptDefVal = "0.01,0.25,0.5,0.75,0.99"
	return cmd
}

// statsColumns are the figures of stats: for --sort, for TSV, and for people.
var statsColumns = []struct {
	name  string
	rank  int // see figures
	value func(*statsRow) scalar
	text  func(*statsRow) string // for people; nil for the value
}{
	{"count", 6, func(r *statsRow) scalar { return scalar(r.Count) }, func(r *statsRow) string { return count(r.Count) }},
	{"min", 1, func(r *statsRow) scalar { return r.Min }, nil},
	{"max", 1, func(r *statsRow) scalar { return r.Max }, nil},
	{"mean", 2, func(r *statsRow) scalar { return r.Mean }, nil},
	{"std", 0, func(r *statsRow) scalar { return r.Std }, nil},
	{"absmax", 8, func(r *statsRow) scalar { return r.AbsMax }, nil},
	{"l2", 7, func(r *statsRow) scalar { return r.L2 }, nil},
	{"zeros", 3, func(r *statsRow) scalar { return scalar(r.Zeros) }, func(r *statsRow) string { return share(r.Zeros, r.Count) }},
	{"subnormals", 9, func(r *statsRow) scalar { return scalar(r.Subnormals) }, func(r *statsRow) string { return share(r.Subnormals, r.Count) }},
	{"nans", 0, func(r *statsRow) scalar { return scalar(r.NaNs) }, func(r *statsRow) string { return count(r.NaNs) }},
	{"infs", 0, func(r *statsRow) scalar { return scalar(r.PosInfs + r.NegInfs) }, func(r *statsRow) string { return count(r.PosInfs + r.NegInfs) }},
}

func statsOrders() (names []string) {
	for _, c := range statsColumns {
		names = append(names, c.name)
	}
	return append(names, "bytes")
}

// A statsRow is a tensor or group in the JSON of stats. Figures that there are
// none of are null.
type statsRow struct {
	Schema     string     `json:"schema,omitempty"` // where it is a document of its own
	Name       string     `json:"name"`
	DType      string     `json:"dtype"`           // of a group, all of them
	Shape      []uint64   `json:"shape,omitempty"` // of a tensor
	Role       string     `json:"role"`            // plain, packed, companion, buffer
	Note       string     `json:"note,omitempty"`  // how weights are packed, or what the companion is
	Tensors    int        `json:"tensors"`
	Bytes      int64      `json:"bytes"`
	Count      uint64     `json:"count"`
	Min        scalar     `json:"min"`
	Max        scalar     `json:"max"`
	Mean       scalar     `json:"mean"`
	Std        scalar     `json:"std"`
	L2         scalar     `json:"l2"`
	AbsMax     scalar     `json:"absmax"`
	Zeros      uint64     `json:"zeros"`
	Subnormals uint64     `json:"subnormals"`
	NaNs       uint64     `json:"nans"`
	PosInfs    uint64     `json:"pos_infs"`
	NegInfs    uint64     `json:"neg_infs"`
	Quantiles  []quantile `json:"quantiles,omitempty"`
	// QuantileError is up to what part of its value a quantile may be off.
	QuantileError *float64 `json:"quantile_error,omitempty"`
}

type quantile struct {
	Q     float64 `json:"q"`
	Value scalar  `json:"value"`
}

// statsFigures are what is kept of what has been found of a unit: of a hundred
// thousand tensors a row of each would take more room than the names of all.
type statsFigures struct {
	count, zeros, subnormals, nans, posInfs, negInfs uint64
	least, greatest, mean, std, l2, absMax           float64
	quantiles                                        []float64 // as many as are asked for, or none
	off                                              float64   // up to what part of its value one may be
}

func figuresOf(s *numeric.Stats) statsFigures {
	return statsFigures{count: s.Count, zeros: s.Zeros, subnormals: s.Subnormals, nans: s.NaNs, posInfs: s.PosInfs, negInfs: s.NegInfs,
		least: s.Min(), greatest: s.Max(), mean: s.Mean(), std: s.Std(), l2: s.L2(), absMax: s.AbsMax()}
}

// fill puts figures into a row, with the quantiles of shares.
func (r *statsRow) fill(f *statsFigures, shares []float64) {
	r.Count, r.Zeros, r.Subnormals, r.NaNs, r.PosInfs, r.NegInfs = f.count, f.zeros, f.subnormals, f.nans, f.posInfs, f.negInfs
	r.Min, r.Max, r.Mean, r.Std = scalar(f.least), scalar(f.greatest), scalar(f.mean), scalar(f.std)
	r.L2, r.AbsMax = scalar(f.l2), scalar(f.absMax)
	r.Quantiles, r.QuantileError = nil, nil
	if f.quantiles == nil {
		return
	}
	for i, q := range shares {
		r.Quantiles = append(r.Quantiles, quantile{q, scalar(f.quantiles[i])})
	}
	r.QuantileError = &f.off
}

// A statsUnit is what becomes a row: a tensor, or a group of them.
type statsUnit struct {
	single *safetensors.Tensor // if it is one
	group  *statsGroup         // else
	statsFigures
}

// A statsGroup is tensors, in chains of one dtype.
type statsGroup struct {
	row    statsRow // but for its figures
	chains []*chain
}

func (g *statsGroup) add(t *safetensors.Tensor) {
	g.row.Tensors++
	g.row.Bytes += t.Size()
	for _, c := range g.chains {
		if c.tensors[0].DType == t.DType {
			c.add(t)
			return
		}
	}
	c := &chain{}
	c.add(t)
	g.chains = append(g.chains, c)
}

func (u *statsUnit) size() int64 {
	if u.single != nil {
		return u.single.Size()
	}
	return u.group.row.Bytes
}

// row is the unit as it is printed.
func (u *statsUnit) row(parts roles, shares []float64) *statsRow {
	row := new(statsRow)
	if t := u.single; t != nil {
		*row = statsRow{Name: t.Name, DType: t.DType.String(), Shape: t.Shape, Role: parts.of(t.Name).is.String(), Note: parts.label(t.Name), Tensors: 1, Bytes: t.Size()}
	} else {
		*row = u.group.row
	}
	row.fill(&u.statsFigures, shares)
	return row
}

// layerOf returns the part of a name that stands for a layer: up to and with
// the first part that is a number, or all but the last part.
func layerOf(name string) string {
	last := 0
	for at := 0; at < len(name); {
		end := at
		for end < len(name) && !isSeparator(name[end]) {
			end++
		}
		if end == len(name) {
			break
		}
		if end > at && digitsAt(name, at) == end {
			return name[:end]
		}
		last = end
		at = end + 1
	}
	if last == 0 {
		return name
	}
	return name[:last]
}

// units are the rows that are asked for, in the order of the files.
func (r *statsRequest) units(tensors []*safetensors.Tensor, parts roles) []statsUnit {
	if r.by == "tensor" {
		units := make([]statsUnit, len(tensors))
		for i, t := range tensors {
			units[i].single = t
		}
		return units
	}
	var units []statsUnit
	index := map[[2]string]*statsGroup{}
	for _, t := range tensors {
		role, note := parts.of(t.Name).is.String(), parts.label(t.Name)
		key := "model"
		switch r.by {
		case "layer":
			key = layerOf(t.Name)
		case "dtype":
			key = t.DType.String()
		}
		g := index[[2]string{key, note}]
		if g == nil {
			g = &statsGroup{row: statsRow{Name: key, Role: role, Note: note}}
			index[[2]string{key, note}] = g
			units = append(units, statsUnit{group: g})
		}
		g.add(t)
	}
	for _, g := range index {
		slices.SortFunc(g.chains, func(x, y *chain) int {
			return cmp.Or(cmp.Compare(y.size(), x.size()), cmp.Compare(y.tensors[0].DType, x.tensors[0].DType))
		})
		var names []string
		for _, c := range g.chains {
			names = append(names, c.tensors[0].DType.String())
		}
		g.row.DType = strings.Join(names, ",")
	}
	return units
}

// fewBytes is up to what size of a tensor its quantiles come from sorting it:
// a table of counts costs more there, and is less exact.
const fewBytes = 8 << 10

// run reads a unit and completes it. The result lacks quantiles if few numbers
// were sorted.
func (u *statsUnit) run(ctx context.Context, scan numeric.Scan, shares []float64, m *meter) (*numeric.Stats, error) {
	var chains []*chain
	if u.single != nil {
		chains = []*chain{{}}
		chains[0].add(u.single)
	} else {
		chains, u.group.chains = u.group.chains, nil
	}
	sorted := len(shares) > 0 && u.single != nil && u.size() <= fewBytes && u.single.DType.Bits() > 8
	scan.Quantiles = len(shares) > 0 && !sorted
	all := new(numeric.Stats)
	for _, c := range chains {
		scan.Progress = m.steps()
		s, err := scan.Stats(ctx, c.data())
		if err != nil {
			return nil, err
		}
		all.Merge(s)
	}
	u.statsFigures = figuresOf(all)
	if len(shares) == 0 || all.Finite() == 0 {
		return all, nil
	}
	if sorted {
		return all, u.sortFew(chains[0].data(), shares)
	}
	off := 1.0 / 256
	if len(chains) == 1 && chains[0].tensors[0].DType.Bits() <= 16 {
		off = 0
	}
	u.setQuantiles(all, shares, off)
	return all, nil
}

func (f *statsFigures) setQuantiles(s *numeric.Stats, shares []float64, off float64) {
	f.quantiles, f.off = make([]float64, len(shares)), off
	for i, q := range shares {
		v, ok := s.Quantile(q)
		if !ok {
			f.quantiles = nil
			return
		}
		f.quantiles[i] = v
	}
}

// sortFew finds the quantiles of few numbers as Stats.Quantile defines them.
func (f *statsFigures) sortFew(d numeric.Data, shares []float64) error {
	raw := make([]byte, d.Size)
	if _, err := d.Source.ReadAt(raw, 0); err != nil && d.Size > 0 {
		return err
	}
	values := make([]float64, f.count)
	if err := numeric.Decode(values, d.DType, raw); err != nil {
		return err
	}
	values = slices.DeleteFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	slices.Sort(values)
	f.quantiles, f.off = make([]float64, len(shares)), 0
	for i, q := range shares {
		rank := max(1, int(math.Ceil(q*float64(len(values)))))
		f.quantiles[i] = values[rank-1]
	}
	return nil
}

func (r *statsRequest) check() error {
	if kinds := []string{"tensor", "layer", "dtype", "model"}; !slices.Contains(kinds, r.by) {
		return usagef("--by is %q, not one of %s", r.by, strings.Join(kinds, ", "))
	}
	if orders := append([]string{"name", "file"}, statsOrders()...); !slices.Contains(orders, r.order) {
		return usagef("--sort is %q, not one of %s", r.order, strings.Join(orders, ", "))
	}
	if r.top < 0 {
		return usagef("--top is %d, and must not be negative", r.top)
	}
	if r.text == "" {
		return nil
	}
	for part := range strings.SplitSeq(r.text, ",") {
		q, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return hinted{usagef("--quantiles: %q is no share between 0 and 1", part), "write --quantiles=0.01,0.5,0.99"}
		}
		r.shares = append(r.shares, q)
	}
	if len(r.shares) > 100 {
		return usagef("--quantiles: %d of them, more than 100", len(r.shares))
	}
	return nil
}

// A statsReport is the JSON of stats.
type statsReport struct {
	Schema string   `json:"schema"`
	Path   string   `json:"path"`
	By     string   `json:"by"`
	Rows   listing  `json:"rows"`
	Total  statsRow `json:"total"` // of the plain weights

	order []*statsUnit          `json:"-"` // the rows as they are printed
	row   func(i int) *statsRow `json:"-"`
}

func (a *app) stats(ctx context.Context, r *statsRequest, address string, patterns []string) error {
	if err := r.check(); err != nil {
		return err
	}
	match, err := parseGlobs(patterns)
	if err != nil {
		return err
	}
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := locate(address)
	if err != nil {
		return err
	}
	tensors, bytes := matching(c, match)
	none := len(tensors) == 0 && len(patterns) > 0
	if none {
		if a.noMatch(patterns, c.All()); a.format == "human" {
			return errNo
		}
	}
	defer sparing(500, 0, c)()
	parts := rolesOf(c, p)
	units := r.units(tensors, parts)
	tensors = nil
	m := a.meter("reading", bytes)
	defer m.end()
	total := new(numeric.Stats)
	report := &statsReport{Schema: "tensmith.stats/1", Path: address, By: r.by, Total: statsRow{Name: "total", Role: describe.Plain.String()}}
	var mu sync.Mutex // of total
	err = a.work(ctx, len(units), func(i int) int64 { return units[i].size() }, func(ctx context.Context, i, workers int) error {
		u := &units[i]
		s, err := u.run(ctx, numeric.Scan{Workers: workers}, r.shares, m)
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		if u.single != nil && parts.label(u.single.Name) != "" || u.group != nil && u.group.row.Note != "" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		report.Total.Bytes += u.size()
		if report.Total.Tensors++; u.group != nil {
			report.Total.Tensors += u.group.row.Tensors - 1
		}
		total.Merge(s)
		return nil
	})
	m.end()
	if err != nil {
		return err
	}
	all := figuresOf(total)
	if len(r.shares) > 0 && r.by != "tensor" {
		all.setQuantiles(total, r.shares, 1.0/256)
	}
	report.Total.fill(&all, r.shares)
	report.order = make([]*statsUnit, len(units))
	for i := range units {
		report.order[i] = &units[i]
	}
	report.row = func(i int) *statsRow { return report.order[i].row(parts, r.shares) }
	r.sort(report)
	if err := a.printStats(r, report); err != nil || !none {
		return err
	}
	return errNo // with its document
}

// matching returns the tensors that match, as they lie, and their size.
func matching(c *safetensors.Checkpoint, match globs) (tensors []*safetensors.Tensor, bytes int64) {
	for t := range c.All() {
		if match.match(t.Name) {
			tensors = append(tensors, t)
			bytes += t.Size()
		}
	}
	return tensors, bytes
}

func (r *statsRequest) sort(report *statsReport) {
	if r.order == "file" {
		return
	}
	by := func(*statsRow) scalar { return 0 }
	for _, c := range statsColumns {
		if c.name == r.order {
			by = c.value
		}
	}
	if r.order == "bytes" {
		by = func(row *statsRow) scalar { return scalar(row.Bytes) }
	}
	type key struct {
		by scalar
		u  *statsUnit
	}
	keys := make([]key, len(report.order))
	for i, u := range report.order {
		keys[i].u = u
		if r.order != "name" {
			keys[i].by = by(report.row(i))
		}
	}
	slices.SortFunc(keys, func(x, y key) int {
		// What has no such figure comes last: Compare puts NaN first.
		return cmp.Or(cmp.Compare(y.by, x.by), natural(x.u.name(), y.u.name()), strings.Compare(x.u.note(), y.u.note()))
	})
	for i, k := range keys {
		report.order[i] = k.u
	}
}

func (u *statsUnit) name() string {
	if u.single != nil {
		return u.single.Name
	}
	return u.group.row.Name
}

// note tells groups of one name apart, which tensors never are.
func (u *statsUnit) note() string {
	if u.single != nil {
		return ""
	}
	return u.group.row.Note
}
