package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A histRequest is what hist is asked for.
type histRequest struct {
	bins      int
	log       bool
	text      string // the range
	low, high float64
}

func histCommand(a *app) *cobra.Command {
	var r histRequest
	cmd := &cobra.Command{
		Use:   "hist [flags] MODEL NAME|GLOB…",
		Short: "draw how the values of tensors are distributed",
		Long: `Draw a histogram of a tensor, or a small one for each tensor that matches.
Bins have equal width, from the least to the greatest number; with --log they
are of magnitudes, and of equal ratio, from the smallest that is not zero, or
where types have more than 16 bits and both signs, or zeros, up to 1 % below it.
NaN, infinities and what --range leaves out are counted beside the bins.

Types of more than 16 bits are read twice: once for the ends of the bins, and
once to count.

The drawing is of plain ASCII where the locale is not UTF-8.

Exit status: 0 done, 1 no tensor matches, 2 there is no tensor of that name, or
the model could not be read.`,
		Example: `  tensmith hist model.safetensors lm_head.weight
  tensmith hist model/ '*.q_proj.weight' --log
  tensmith hist model.safetensors lm_head.weight --range=-0.1:0.1 --json`,
		Args: modelAnd(-1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.hist(cmd.Context(), &r, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.log, "log", false, "bins of magnitudes, on a logarithmic scale")
	f.IntVar(&r.bins, "bins", 24, "draw `N` bins, up to 1000")
	f.StringVar(&r.text, "range", "", "the `LOW:HIGH` ends of the bins; --range=-1:1 if LOW is negative")
	return cmd
}

func (r *histRequest) check() error {
	if r.bins < 1 || r.bins > 1000 {
		return usagef("--bins is %d, not 1 to 1000", r.bins)
	}
	if r.text == "" {
		return nil
	}
	low, high, ok := strings.Cut(r.text, ":")
	var errLow, errHigh error
	r.low, errLow = strconv.ParseFloat(low, 64)
	r.high, errHigh = strconv.ParseFloat(high, 64)
	switch {
	case !ok || errLow != nil || errHigh != nil || !(r.low < r.high) || math.IsInf(r.high-r.low, 0):
		return hinted{usagef("--range: %q is no range", r.text), "write --range=-0.1:0.1"}
	case r.log && r.low <= 0:
		return usagef("--range: a logarithmic scale cannot begin at %v", r.low)
	}
	return nil
}

// A histogram is a tensor in the JSON of hist.
type histogram struct {
	Schema  string   `json:"schema,omitempty"` // where it is a document of its own
	Name    string   `json:"name"`
	DType   string   `json:"dtype"`
	Shape   []uint64 `json:"shape"`
	Role    string   `json:"role"`
	Note    string   `json:"note,omitempty"`
	Scale   string   `json:"scale"`
	Count   uint64   `json:"count"`
	Zeros   uint64   `json:"zeros"`
	NaNs    uint64   `json:"nans"`
	PosInfs uint64   `json:"pos_infs"`
	NegInfs uint64   `json:"neg_infs"`
	Outside uint64   `json:"outside"` // finite numbers in no bin, but for zeros on a logarithmic scale
	// Edges are one more than Counts; the last bin includes its end. There are
	// none of a tensor without a finite number, or of zeros on a logarithmic
	// scale.
	Edges  []scalar `json:"edges"`
	Counts []uint64 `json:"counts"`
}

// A binned is a histogram without edges, which follow from their ends.
type binned struct {
	tensor                                        *safetensors.Tensor
	count, zeros, nans, posInfs, negInfs, outside uint64
	low, high                                     float64
	counts                                        string // varints; "" if there are no bins
}

// A keptBins is what is kept of a histogram, of which there may be a hundred
// thousand: most numbers are small.
type keptBins struct {
	tensor *safetensors.Tensor
	text   string // numbers as varints, the ends of the edges, counts
}

func (b *binned) keep() keptBins {
	text := make([]byte, 0, 128+len(b.counts))
	for _, n := range []uint64{b.count, b.zeros, b.nans, b.posInfs, b.negInfs, b.outside} {
		text = binary.AppendUvarint(text, n)
	}
	if b.counts != "" {
		text = binary.LittleEndian.AppendUint64(text, math.Float64bits(b.low))
		text = binary.LittleEndian.AppendUint64(text, math.Float64bits(b.high))
		text = append(text, b.counts...)
	}
	return keptBins{b.tensor, string(text)}
}

func (k *keptBins) binned() *binned {
	b, text := &binned{tensor: k.tensor}, []byte(k.text)
	for _, n := range []*uint64{&b.count, &b.zeros, &b.nans, &b.posInfs, &b.negInfs, &b.outside} {
		var size int
		*n, size = binary.Uvarint(text)
		text = text[size:]
	}
	if len(text) > 0 {
		b.low, b.high = math.Float64frombits(binary.LittleEndian.Uint64(text)), math.Float64frombits(binary.LittleEndian.Uint64(text[8:]))
		b.counts = string(text[16:])
	}
	return b
}

// take keeps what statistics say. What count counts between edges is in the bins.
func (b *binned) take(s *numeric.Stats, r *histRequest, count func(edges []float64) ([]uint64, error)) error {
	b.count, b.zeros, b.nans, b.posInfs, b.negInfs = s.Count, s.Zeros, s.NaNs, s.PosInfs, s.NegInfs
	b.outside = s.Finite()
	low, high := s.Min(), s.Max()
	if r.log {
		b.outside -= s.Zeros
		low, high = leastMagnitude(s, isWide(b.tensor)), s.AbsMax()
	}
	if r.text != "" {
		low, high = r.low, r.high
	}
	if s.Finite() == 0 || r.log && !(low > 0) {
		return nil
	}
	if low == high {
		// All the same: a bin around it, which its own width cannot give.
		switch {
		case r.log:
			low, high = low/2, high*2
		case low == 0:
			low, high = -0.5, 0.5
		default:
			low, high = low-math.Abs(low)/2, high+math.Abs(high)/2
		}
		if low == high || low == 0 && r.log || math.IsInf(low, 0) || math.IsInf(high, 0) {
			return nil // at the ends of float64
		}
	}
	b.low, b.high = low, high
	counts, err := count(r.edges(low, high))
	if err != nil {
		return err
	}
	var text []byte
	for _, n := range counts {
		text = binary.AppendUvarint(text, n)
		b.outside -= n
	}
	b.counts = string(text)
	return nil
}

// binned reads a tensor. A sketch has counts of all numbers of 16 bits. Of wider
// types it knows no more than eight bits of each, which are too few for weights
// around 1, and so they are counted once their ends are known.
func (r *histRequest) binned(ctx context.Context, t *safetensors.Tensor, workers int, progress func(int64)) (b binned, err error) {
	b.tensor = t
	wide := isWide(t)
	scan := numeric.Scan{Workers: workers, Quantiles: !wide || r.log, Progress: progress}
	s, err := scan.Stats(ctx, dataOf(t))
	if err != nil {
		return b, err
	}
	scan.Progress = nil
	err = b.take(s, r, func(edges []float64) ([]uint64, error) {
		switch {
		case wide && r.log:
			return scan.Magnitudes(ctx, dataOf(t), edges)
		case wide:
			return scan.Histogram(ctx, dataOf(t), edges)
		case r.log:
			return s.Magnitudes(edges), nil
		}
		return s.Histogram(edges), nil
	})
	return b, err
}

// isWide tells whether a sketch knows the numbers of a tensor no better than within
// its error.
func isWide(t *safetensors.Tensor) bool { return t.DType.Bits() > 16 }

func (r *histRequest) edges(low, high float64) []float64 {
	if r.log {
		return numeric.LogEdges(low, high, r.bins)
	}
	return numeric.LinearEdges(low, high, r.bins)
}

// histogram is what is printed of it.
func (b *binned) histogram(r *histRequest, parts roles) *histogram {
	t := b.tensor
	h := &histogram{Name: t.Name, DType: t.DType.String(), Shape: t.Shape, Role: parts.of(t.Name).is.String(), Note: parts.label(t.Name), Scale: "linear",
		Count: b.count, Zeros: b.zeros, NaNs: b.nans, PosInfs: b.posInfs, NegInfs: b.negInfs, Outside: b.outside, Edges: []scalar{}, Counts: []uint64{}}
	if r.log {
		h.Scale = "log"
	}
	if b.counts == "" {
		return h
	}
	for _, e := range r.edges(b.low, b.high) {
		h.Edges = append(h.Edges, scalar(e))
	}
	for text := []byte(b.counts); len(text) > 0; {
		n, size := binary.Uvarint(text)
		h.Counts, text = append(h.Counts, n), text[size:]
	}
	return h
}

// leastMagnitude returns the smallest magnitude that is not zero, 0 if there is
// none. Of wide types a sketch knows it to within its error, so the bins begin a
// little below.
func leastMagnitude(s *numeric.Stats, wide bool) float64 {
	least := math.Inf(1)
	// Among the numbers in order, those beside zero are the smallest.
	if s.Min() > 0 {
		return s.Min()
	}
	if s.Max() < 0 {
		return -s.Max()
	}
	finite := float64(s.Finite())
	below := sortSearch(s, func(v float64) bool { return v >= 0 })
	if below > 0 {
		if v, ok := s.Quantile(math.Min(1, float64(below)/finite)); ok && v < 0 {
			least = -v
		}
	}
	if above := sortSearch(s, func(v float64) bool { return v > 0 }); above < s.Finite() {
		if v, ok := s.Quantile(math.Min(1, (float64(above)+0.5)/finite)); ok && v > 0 {
			least = math.Min(least, v)
		}
	}
	switch {
	case math.IsInf(least, 1):
		return 0
	case wide:
		least *= 1 - 1.0/128
	}
	return least
}

// sortSearch returns how many of the finite numbers, in order, come before the
// first that is.
func sortSearch(s *numeric.Stats, is func(float64) bool) uint64 {
	low, high := uint64(0), s.Finite()
	for low < high {
		middle := low + (high-low)/2
		v, ok := s.Quantile((float64(middle) + 0.5) / float64(s.Finite()))
		if !ok || is(v) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

func (a *app) hist(ctx context.Context, r *histRequest, address string, patterns []string) error {
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
	// A name may look like a pattern, and then the name it is.
	tensors, bytes := matching(c, match)
	if t, err := c.Tensor(patterns[0]); err == nil && len(patterns) == 1 {
		tensors, bytes = []*safetensors.Tensor{t}, t.Size()
	}
	if len(tensors) == 0 {
		if len(patterns) == 1 && !strings.ContainsAny(patterns[0], "*?[{") {
			_, err := c.Tensor(patterns[0])
			return unknown(address, patterns[0], c, err)
		}
		if a.noMatch(patterns, c.All()); a.format == "human" {
			return errNo
		}
		return cmp.Or(a.printHist(address, histograms{}), errNo)
	}
	defer sparing(500, 0, c)()
	list := histograms{all: make([]keptBins, len(tensors)), r: r, parts: rolesOf(c, p)}
	m := a.meter("reading", bytes)
	defer m.end()
	err = a.work(ctx, len(tensors), func(i int) int64 { return tensors[i].Size() }, func(ctx context.Context, i, workers int) error {
		b, err := r.binned(ctx, tensors[i], workers, m.steps())
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		list.all[i] = b.keep()
		return nil
	})
	m.end()
	if err != nil {
		return err
	}
	slices.SortFunc(list.all, func(x, y keptBins) int { return natural(x.tensor.Name, y.tensor.Name) })
	return a.printHist(address, list)
}

// histograms are those that are printed, made one by one.
type histograms struct {
	all   []keptBins
	r     *histRequest
	parts roles
}

func (l histograms) at(i int) *histogram { return l.all[i].binned().histogram(l.r, l.parts) }

// each calls yield for each histogram, which is its own.
func (l histograms) each(yield func(*histogram) bool) {
	for i := range l.all {
		if !yield(l.at(i)) {
			return
		}
	}
}

func (a *app) printHist(address string, list histograms) error {
	switch a.format {
	case "json":
		return a.printJSON(struct {
			Schema  string  `json:"schema"`
			Path    string  `json:"path"`
			Tensors listing `json:"tensors"`
		}{"tensmith.hist/1", address, listing{len(list.all), func(i int) any { return list.at(i) }}})
	case "jsonl":
		return printLines(a, func(yield func(*histogram) bool) {
			for h := range list.each {
				if h.Schema = "tensmith.hist/1"; !yield(h) {
					return
				}
			}
		})
	case "tsv":
		s := a.sheet("name", "from", "to", "count")
		for h := range list.each {
			for i, n := range h.Counts {
				s.row(h.Name, h.Edges[i], h.Edges[i+1], n)
			}
		}
		return s.flush()
	}
	if len(list.all) == 1 {
		if err := a.drawHist(list.at(0)); err != nil {
			return err
		}
	} else if err := a.sparklines(list); err != nil {
		return err
	}
	packed := 0
	for i := range list.all {
		if list.parts.of(list.all[i].tensor.Name).is == describe.Packed {
			packed++
		}
	}
	if packed > 0 {
		a.words("* %s of packed weights: what is drawn are the stored codes, not the weights", plural(packed, "tensor"))
	}
	return nil
}

// utf8Locale tells whether a terminal can be expected to draw blocks.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return runtime.GOOS == "windows"
}

// rest says what is in no bin.
func (h *histogram) rest() string {
	var parts []string
	zeros := h.Zeros
	if h.Scale == "linear" {
		zeros = 0
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{{h.Outside, "outside"}, {zeros, "zeros"}, {h.NaNs, "NaN"}, {h.PosInfs, "+Inf"}, {h.NegInfs, "-Inf"}} {
		if c.n > 0 {
			parts = append(parts, count(c.n)+" "+c.what)
		}
	}
	return strings.Join(parts, ", ")
}

func (h *histogram) label() string {
	if h.Note == "" {
		return h.DType
	}
	return h.DType + " (" + h.Note + ")"
}

// drawHist draws a bar for each bin.
func (a *app) drawHist(h *histogram) error {
	fmt.Fprintf(a.stdout, "%s  %s  %s  %s values\n", a.paint(bold, shorten(safe(h.Name), 200)), a.paint(cyan, h.label()), shorten(shape(h.Shape), 200), count(h.Count))
	most := uint64(1)
	for _, n := range h.Counts {
		most = max(most, n)
	}
	width, ok := terminal(a.stdout)
	if !ok {
		width = 80
	}
	blocks := utf8Locale()
	tab := table{a: a, right: []bool{true, true}, give: -1}
	from, counts, at := 0, 0, h.labels()
	for i := range h.Counts {
		from = max(from, len(at[i]))
		counts = max(counts, len(count(h.Counts[i])))
	}
	for i, n := range h.Counts {
		tab.row(at[i], count(n), cell{bar(n, most, max(8, width-from-counts-4), blocks), green})
	}
	if err := tab.flush(); err != nil {
		return err
	}
	if len(h.Counts) > 0 {
		fmt.Fprintf(a.stdout, "%s%s\n", strings.Repeat(" ", max(0, from-len(at[len(h.Counts)]))), at[len(h.Counts)])
	}
	if rest := h.rest(); rest != "" {
		fmt.Fprintln(a.stdout, a.paint(dim, rest))
	}
	return nil
}

// labels are the edges with as many digits as it takes to tell them apart.
func (h *histogram) labels() []string {
	texts := make([]string, len(h.Edges))
	for digits := 3; digits <= 17; digits++ {
		distinct := true
		for i, e := range h.Edges {
			v := float64(e)
			if h.Scale == "linear" && len(h.Edges) > 1 && math.Abs(v) < 1e-9*float64(h.Edges[len(h.Edges)-1]-h.Edges[0]) {
				v = 0 // the middle of a symmetric range, but for rounding
			}
			texts[i] = strconv.FormatFloat(v, 'g', digits, 64)
			distinct = distinct && (i == 0 || texts[i] != texts[i-1])
		}
		if distinct {
			break
		}
	}
	return texts
}

// bar is n of most, at most width columns wide; what there is of is never
// invisible.
func bar(n, most uint64, width int, blocks bool) string {
	if n == 0 {
		return ""
	}
	eighths := int(math.Round(float64(n) / float64(most) * float64(width) * 8))
	if !blocks {
		return strings.Repeat("#", max(1, (eighths+4)/8))
	}
	eighths = max(1, eighths)
	b := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		b += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return b
}

// sparkline draws the bins in a row.
func sparkline(counts []uint64, blocks bool) string {
	steps := []rune(" .:-=+*#@")
	if blocks {
		steps = []rune(" ▁▂▃▄▅▆▇█")
	}
	most := uint64(1)
	for _, n := range counts {
		most = max(most, n)
	}
	line := make([]rune, len(counts))
	for i, n := range counts {
		// The lowest step is for bins with anything in them.
		step := 0
		if n > 0 {
			step = 1 + int(float64(n)/float64(most)*float64(len(steps)-2)+0.5)
		}
		line[i] = steps[min(step, len(steps)-1)]
	}
	return string(line)
}

func (a *app) sparklines(list histograms) error {
	blocks := utf8Locale()
	f := figures{a: a, columns: []figure{{head: "name", left: true}, {head: "dtype", rank: 3, left: true}, {head: "from", rank: 1}, {head: "", left: true}, {head: "to", rank: 1, left: true}, {head: "not in it", rank: 2, left: true}}}
	f.count = len(list.all)
	f.make = func(i int) []cell {
		h := list.at(i)
		from, to := "-", "-"
		if len(h.Edges) > 0 {
			from, to = h.Edges[0].short(), h.Edges[len(h.Edges)-1].short()
		}
		name := shorten(safe(h.Name), 120)
		if h.Role == describe.Packed.String() {
			name += "*"
		}
		// Bars around it keep the blanks of a line apart from those of the page.
		line := sparkline(h.Counts, blocks)
		if !blocks {
			line = "|" + line + "|"
		}
		return []cell{{text: name}, {h.label(), cyan}, {text: from}, {line, green}, {text: to}, {h.rest(), dim}}
	}
	return f.flush()
}
