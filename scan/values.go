package scan

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// ValueOptions say how [Values] is to read. The zero value is ready for use.
type ValueOptions struct {
	// Config is the text of the model's config.json, or nil. It helps to tell
	// how weights are packed.
	Config []byte
	// Jobs is how many workers read; 0 is one for each processor.
	Jobs int
	// Progress, if set, is called now and then with the number of bytes read
	// so far, from one goroutine at a time.
	Progress func(read int64)
}

// maxOfRule is how many findings of one rule a report of [Values] holds.
const maxOfRule = 1000

// Values reads all tensors of a model once and tells what is wrong or odd about
// their numbers: NaN and infinities, weights that are all the same or far from
// those of their kind, programs, archives and pickles among the bytes or in the
// low bits. The report is Valid if all that was found are notes; its findings
// are in the order of the files. An error says that something could not be
// read, or that ctx ended.
//
// Memory is bounded by the number of tensors and of workers, not by their size,
// but for 80 bytes for each 16,384 elements of a tensor of floats while it is
// read.
func Values(ctx context.Context, c *safetensors.Checkpoint, opts ValueOptions) (CheckReport, error) {
	return valuesOf(ctx, []*safetensors.Checkpoint{c}, opts)
}

// valuesOf is Values for a model of which each part was opened by itself, so
// that its shards are compared with each other whatever is wrong with its
// index.
func valuesOf(ctx context.Context, parts []*safetensors.Checkpoint, opts ValueOptions) (CheckReport, error) {
	s := newValueScan(parts, opts)
	entries := make([]safetensors.Entry, len(s.tensors))
	for i, t := range s.tensors {
		entries[i] = safetensors.Entry{Info: t.Info, Data: t.Tensor}
	}
	metadata, files := map[string]string{}, map[string]int{}
	for _, c := range parts {
		for k, v := range c.Metadata() {
			if _, ok := metadata[k]; !ok {
				metadata[k] = v
			}
		}
		for _, f := range c.Files() {
			files[f.Name()] = len(files)
		}
	}
	roles := map[string]describe.Role{}
	for _, t := range describe.Entries(entries, metadata, opts.Config).Tensors {
		if t.Role != describe.Plain {
			roles[t.Name] = t.Role
		}
	}
	for _, t := range s.tensors {
		t.role = roles[t.Name]
	}
	if err := s.read(ctx); err != nil {
		return CheckReport{}, err
	}
	s.kinds()
	s.adapters()
	report := CheckReport{Valid: true, Dropped: s.dropped}
	slices.SortStableFunc(s.findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(files[x.File], files[y.File]), cmp.Compare(x.Offset, y.Offset), cmp.Compare(x.ID, y.ID), cmp.Compare(x.Message, y.Message))
	})
	for _, f := range s.findings {
		report.Valid = report.Valid && f.Severity == Note
	}
	report.Findings = s.findings
	return report, nil
}

type valueScan struct {
	opts    ValueOptions
	magics  *magicTable
	lows    *lowTable
	tensors []*valueTensor
	places  atomic.Int64 // what is left to spend on places that begin like a file

	mu       sync.Mutex
	done     int64
	findings []Finding
	found    map[string]int // of each rule
	dropped  int
}

func newValueScan(parts []*safetensors.Checkpoint, opts ValueOptions) *valueScan {
	s := &valueScan{opts: opts, magics: newMagicTable(), lows: newLowTable(), found: map[string]int{}}
	if s.opts.Jobs <= 0 {
		s.opts.Jobs = runtime.GOMAXPROCS(0)
	}
	places := int64(freePlaces)
	for _, c := range parts {
		for t := range c.All() {
			s.tensors = append(s.tensors, &valueTensor{Tensor: t})
			places += 2 * t.Size()
		}
	}
	s.places.Store(places)
	return s
}

// A valueTensor is a tensor and what its numbers are.
type valueTensor struct {
	*safetensors.Tensor
	role                   describe.Role
	count, finite, zeros   uint64
	min, max, absMax, std  float64
	l2                     float64
	nans, posInfs, negInfs uint64
	odd                    bool // told of already as unlike its kind
}

func (t *valueTensor) isFloat() bool {
	_, ok := numeric.LimitsOf(t.DType)
	return ok
}

// isMatrix tells whether the tensor holds weights of which some rules expect
// something: those of one dimension may well be all zeros, or ones.
func (t *valueTensor) isMatrix() bool {
	return t.role == describe.Plain && t.isFloat() && len(t.Shape) >= 2 && t.count >= 64
}

// add keeps a finding about t, whose place is given in bytes of its data.
func (s *valueScan) add(t *valueTensor, id string, at int64, format string, args ...any) {
	rule, err := Explain(id)
	if err != nil {
		panic(err) // a finding without a rule is a mistake in this package
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found[id]++; s.found[id] > maxOfRule {
		s.dropped++
		return
	}
	s.findings = append(s.findings, Finding{ID: id, Severity: rule.Severity, File: t.File().Name(), Offset: t.Offset() + at, Tensor: t.Name,
		Message: fmt.Sprintf(format, args...)})
}

func (s *valueScan) progress(n int64) {
	if s.opts.Progress == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += n
	s.opts.Progress(s.done)
}

// read reads every tensor: large ones by all workers, small ones side by side.
func (s *valueScan) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	free := make(chan struct{}, s.opts.Jobs) // one for each busy worker
	var wg sync.WaitGroup
	for _, t := range s.tensors {
		workers := int(min(int64(s.opts.Jobs), 1+t.Size()>>22))
		for range workers {
			free <- struct{}{}
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			if err := s.tensor(ctx, t, workers); err != nil {
				cancel(err)
			}
			for range workers {
				<-free
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (s *valueScan) tensor(ctx context.Context, t *valueTensor, workers int) error {
	w := newValueWatch(s, t)
	last := int64(0)
	scan := numeric.Scan{Workers: workers, Progress: func(read int64) {
		s.progress(read - last)
		last = read
	}}
	stats, err := scan.Stats(ctx, numeric.Data{DType: t.DType, Source: w, Size: t.Size()})
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %s: %w", t.File().Name(), quote(t.Name), err)
	}
	t.count, t.finite, t.zeros = stats.Count, stats.Finite(), stats.Zeros
	t.min, t.max, t.absMax, t.std, t.l2 = stats.Min(), stats.Max(), stats.AbsMax(), stats.Std(), stats.L2()
	t.nans, t.posInfs, t.negInfs = stats.NaNs, stats.PosInfs, stats.NegInfs
	if err := s.special(ctx, t); err != nil {
		return err
	}
	s.still(t)
	return w.finish(ctx)
}

// special tells of NaN and infinities, with the first of them. Masks are made
// of infinities, so buffers may have them.
func (s *valueScan) special(ctx context.Context, t *valueTensor) error {
	infs := t.posInfs + t.negInfs
	if t.role == describe.Buffer {
		infs = 0
	}
	for _, r := range []struct {
		id, what string
		n        uint64
		is       func(float64) bool
	}{
		{"ST200", "NaN", t.nans, math.IsNaN},
		{"ST201", "infinite", infs, func(v float64) bool { return math.IsInf(v, 0) }},
	} {
		if r.n == 0 {
			continue
		}
		i, err := first(ctx, t, r.is)
		if err != nil {
			return err
		}
		s.add(t, r.id, int64(i*uint64(t.DType.Bits())/8), "%d of %d numbers are %s, the first at %s", r.n, t.count, r.what, indices(t.Shape, i))
	}
	return nil
}

// first returns the index of the first element one of whose numbers is so.
func first(ctx context.Context, t *valueTensor, is func(float64) bool) (uint64, error) {
	const elements = 1 << 16
	parts := 1
	if t.DType == safetensors.C64 {
		parts = 2
	}
	step := int64(elements) * int64(t.DType.Bits()) / 8
	raw, values := make([]byte, step), make([]float64, elements*parts)
	for off := int64(0); off < t.Size(); off += step {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		p := raw[:min(step, t.Size()-off)]
		if n, err := t.ReadAt(p, off); n < len(p) {
			return 0, fmt.Errorf("%s: %w", quote(t.Name), cmp.Or(err, io.ErrUnexpectedEOF))
		}
		v := values[:len(p)*8/t.DType.Bits()*parts]
		if err := numeric.Decode(v, t.DType, p); err != nil {
			return 0, err
		}
		if i := slices.IndexFunc(v, is); i >= 0 {
			return uint64(off*8)/uint64(t.DType.Bits()) + uint64(i/parts), nil
		}
	}
	return 0, nil // the file has changed meanwhile
}

// indices returns the indices of element i, as [3, 17].
func indices(shape []uint64, i uint64) string {
	list := make([]string, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		list[d] = fmt.Sprint(i % shape[d]) // there is an element, so no dimension is 0
		i /= shape[d]
	}
	if len(list) > 16 {
		list = append(list[:16], "…")
	}
	return "[" + strings.Join(list, ",") + "]"
}

// still tells of matrices that hold one value only.
func (s *valueScan) still(t *valueTensor) {
	switch {
	case !t.isMatrix() || t.finite < t.count || t.min != t.max:
	case t.min != 0:
		s.add(t, "ST203", 0, "all %d values are %v", t.count, t.min)
	case isUp(t.Name):
		s.add(t, "ST202", 0, "all %d values are 0: this part of the adapter does nothing, as before training", t.count)
	default:
		s.add(t, "ST202", 0, "all %d values are 0", t.count)
	}
}

// pattern is a name with every number that stands alone as #.
func pattern(name string) string {
	if len(name) > 256 {
		return name // no convention
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		j := i
		for j < len(name) && name[j] >= '0' && name[j] <= '9' {
			j++
		}
		alone := j > i && (i == 0 || strings.IndexByte("._/", name[i-1]) >= 0) && (j == len(name) || strings.IndexByte("._/", name[j]) >= 0)
		switch {
		case alone:
			b.WriteByte('#')
			i = j
		case j > i:
			b.WriteString(name[i:j])
			i = j
		default:
			b.WriteByte(name[i])
			i++
		}
	}
	return b.String()
}

// kinds compares matrices with those that have the same name but for numbers,
// the same shape and dtype: the same part of other layers. LoRA matrices are
// compared as pairs, see adapters.
func (s *valueScan) kinds() {
	groups := map[string][]*valueTensor{}
	var keys []string
	for _, t := range s.tensors {
		if l, _ := numeric.LimitsOf(t.DType); t.isMatrix() && l.Max > 1000 && t.absMax > l.Max/2 && t.DType.Bits() >= 16 {
			t.odd = true
			s.add(t, "ST204", 0, "the largest magnitude is %.4g, more than half of what %s holds (%.4g)", t.absMax, t.DType, l.Max)
		}
		if !t.isMatrix() || t.std == 0 || math.IsNaN(t.std) || math.IsInf(t.std, 0) || isDown(t.Name) || isUp(t.Name) {
			continue
		}
		key := fmt.Sprint(pattern(t.Name), t.DType, t.Shape)
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], t)
	}
	for _, key := range keys {
		s.kind(groups[key])
	}
}

// What makes a matrix unlike its kind. Spread that is small is taken for
// minSpread, a tenth: kinds that are alike to the last per cent have no
// outliers worth a word.
const (
	minKind       = 8   // fewer have no spread worth the name
	minExploded   = 4   // of which a hundredfold is no spread
	outlierScore  = 6   // robust standard deviations
	outlierRatio  = 4.0 // and this many times, or a part, of the median
	explodedRatio = 100.0
	minSpread     = 0.1
)

func (s *valueScan) kind(group []*valueTensor) {
	if len(group) < minExploded {
		return
	}
	values := make([]float64, len(group))
	for i, t := range group {
		values[i] = t.std
	}
	median, all := standings(values)
	for i, t := range group {
		at := all[i]
		switch {
		case t.odd:
		case at.ratio > explodedRatio:
			s.add(t, "ST204", 0, "the standard deviation is %.4g, %.0f times the median of its %d likes (%.4g)", t.std, at.ratio, len(group), median)
		case len(group) >= minKind && at.apart(outlierRatio):
			s.add(t, "ST205", 0, "the standard deviation is %.4g, and the median of its %d likes in other layers %.4g (robust z-score %.1f of the logarithm)", t.std, len(group), median, at.score)
		}
	}
}

// A standing is where a value stands among its likes: how many times the median
// it is, and the robust z-score of its logarithm.
type standing struct{ ratio, score float64 }

// apart tells whether it stands out, and is so many times the median or such a
// part of it.
func (at standing) apart(times float64) bool {
	return math.Abs(at.score) > outlierScore && (at.ratio > times || at.ratio < 1/times)
}

// standings returns the median of values, by their logarithms, and where each of
// them stands. It takes their place.
func standings(values []float64) (median float64, all []standing) {
	for i, v := range values {
		values[i] = math.Log(v)
	}
	middle, spread := robust(values)
	all = make([]standing, len(values))
	for i, v := range values {
		all[i] = standing{math.Exp(v - middle), (v - middle) / spread}
	}
	return math.Exp(middle), all
}

// robust returns the median, and the spread that the median deviation from it
// stands for: Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.
func robust(values []float64) (middle, spread float64) {
	middle = median(values)
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - middle)
	}
	return middle, max(minSpread, 1.4826*median(away))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
