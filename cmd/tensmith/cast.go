package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// A casting is the flags of cast.
type casting struct {
	out        output
	to         string
	scale      string
	overflow   string
	keep, only []string
	top        int
	errors     bool
	config     string

	dtype    safetensors.DType
	scaling  quant.Scaling
	mode     numeric.Overflow
	kept     globs
	selected globs
}

func castCommand(a *app) *cobra.Command {
	var c casting
	cmd := &cobra.Command{
		Use:   "cast [flags] MODEL --to DTYPE -o FILE",
		Short: "round floats to another type, FP8 and FP4 with scales included",
		Long: `Write a model with its floats rounded to another type, to nearest even, and
tell for each tensor what that has cost: the largest error, the ratio of signal
to noise (SQNR) in decibels, and how many numbers had no place in the type. The
worst come first.

--scale divides weights before they are rounded, and stores by what:
  none      nothing is scaled
  tensor    NAME_scale, one F32 a tensor (compressed-tensors, vLLM)
  block128  NAME_scale_inv, an F32 for each 128×128 (DeepSeek V3, Qwen 3)
  mx        NAME_scale, a power of two for each 32 of a row (OCP MX); --to f4
            packs two weights a byte into NAME_packed

Integers, packed weights and their scales stay as they are. So do, for types of
eight bits and fewer, tensors of one dimension and buffers, and with scales what
is not a linear layer by its name: embeddings, heads, routers. --only names what
is to be cast instead, --keep what is not.

Loaders go by quantization_config in config.json, which --config writes; --json
has it too.

Exit status: 0 written, 1 there is nothing to cast, 2 trouble, such as an
input that cannot be read or an output that exists.`,
		Example: `  tensmith cast model.safetensors --to bf16 -o half.safetensors
  tensmith cast model/ --to f8_e4m3 --scale block128 \
      -o out/model.safetensors --config out/config.json
  tensmith cast model/ --to f4 --scale mx --keep '*.down_proj.*' --dry-run`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.cast(cmd.Context(), &c, args[0])
		},
	}
	c.out.flags(cmd, "none", true)
	f := cmd.Flags()
	f.StringVar(&c.to, "to", "", "the `DTYPE`: bf16, f16, f32, f64, f8_e4m3, f8_e5m2, f4, …")
	f.StringVar(&c.scale, "scale", "none", "the `KIND` of scales: none, tensor, block128 or mx")
	f.StringVar(&c.overflow, "overflow", "", "numbers too large go the `WAY` special (infinity or NaN) or saturate\n(default saturate with scales, special without)")
	f.StringArrayVar(&c.keep, "keep", nil, "tensors whose names match this `GLOB` keep their type")
	f.StringArrayVar(&c.only, "only", nil, "cast tensors whose names match this `GLOB`, and no others")
	f.StringVar(&c.config, "config", "", "write the model's config.json with its quantization_config to this `FILE`")
	f.BoolVar(&c.errors, "errors", true, "tell the errors")
	f.IntVar(&c.top, "top", 20, "print the `N` worst tensors; 0 prints all")
	return cmd
}

// parseFloat returns the type that a flag names: as the format does, in any
// case, or as PyTorch does.
func parseFloat(flag, name string) (safetensors.DType, error) {
	spelled := strings.ToLower(strings.TrimPrefix(name, "torch."))
	if known, ok := torchFloats[spelled]; ok {
		spelled = known
	}
	if !slices.Contains(floats(), spelled) {
		return 0, hinted{usagef("--%s is %q, no type of floats", flag, name), "it takes " + strings.Join(floats(), ", ")}
	}
	return safetensors.ParseDType(strings.ToUpper(spelled))
}

// torchFloats are names that PyTorch has for types, by those of the format.
var torchFloats = map[string]string{
	"float64": "f64", "double": "f64", "float32": "f32", "float": "f32", "float16": "f16", "half": "f16", "fp16": "f16", "fp32": "f32",
	"bfloat16": "bf16", "float8_e4m3fn": "f8_e4m3", "float8_e5m2": "f8_e5m2", "float8_e4m3fnuz": "f8_e4m3fnuz", "float8_e5m2fnuz": "f8_e5m2fnuz",
}

// floats are the types that --to takes, as it spells them.
func floats() (list []string) {
	for d := safetensors.Bool; d.Bits() > 0; d++ {
		if _, ok := numeric.LimitsOf(d); ok && d != safetensors.C64 {
			list = append(list, strings.ToLower(d.String()))
		}
	}
	return list
}

// check finds what is wrong with the flags, and works out what they mean.
func (c *casting) check() error {
	if c.to == "" {
		return hinted{usagef("the type is missing"), "say --to DTYPE: " + strings.Join(floats(), ", ")}
	}
	dtype, err := parseFloat("to", c.to)
	if err != nil {
		return err
	}
	c.dtype = dtype
	c.scaling = quant.Scaling(c.scale)
	switch c.scaling {
	case quant.Unscaled:
	case quant.PerTensor, quant.Block128, quant.MX:
		if types := c.scaling.Types(); !slices.Contains(types, c.dtype) {
			var names []string
			for _, d := range types {
				names = append(names, strings.ToLower(d.String()))
			}
			return hinted{usagef("nothing is stored as %s with --scale %s", c.dtype, c.scale), "it goes with --to " + strings.Join(names, ", ")}
		}
	default:
		return usagef("--scale is %q, not none, tensor, block128 or mx", c.scale)
	}
	switch {
	case c.overflow == "saturate" || c.overflow == "" && c.scaling != quant.Unscaled:
		c.mode = numeric.Saturate
	case c.overflow == "special" && c.scaling == quant.MX:
		return usagef("--overflow special and --scale mx exclude each other: the specification has numbers saturate")
	case c.overflow != "" && c.overflow != "special":
		return usagef("--overflow is %q, not special or saturate", c.overflow)
	}
	if c.top < 0 {
		return usagef("--top is %d, and must be at least 0", c.top)
	}
	if c.kept, err = parseGlobs(c.keep); err != nil {
		return err
	}
	if c.selected, err = parseGlobs(c.only); err != nil {
		return err
	}
	return c.out.check()
}

// A castReport is the JSON of cast.
type castReport struct {
	writeReport
	To       string     `json:"to"`
	Scale    string     `json:"scale"`
	Overflow string     `json:"overflow"`
	Cast     listing    `json:"cast"`
	Kept     []castKept `json:"kept"`
	Config   string     `json:"config,omitempty"`              // the file that was written
	Quant    any        `json:"quantization_config,omitempty"` // what it needs

	rows []castRow `json:"-"` // what was cast
}

// A castJob is a tensor that is cast.
type castJob struct {
	t *safetensors.Tensor
	q *quant.Quantized
}

// A castRow is what is kept of it, and of what it has lost, when it is written.
type castRow struct {
	castJob
	told         bool
	maxAbs, sqnr float64
	overflow     uint64
}

// bytes is the size of what is stored.
func (r *castRow) bytes() (n int64) {
	for _, e := range r.q.Entries() {
		n += dataSize(e)
	}
	return n
}

// tensor is what is printed of it.
func (r *castRow) tensor() *castTensor {
	t := &castTensor{Name: r.t.Name, From: r.t.DType.String(), Shape: orScalar(r.t.Shape), Before: r.t.Size()}
	for _, e := range r.q.Entries() {
		t.Stored = append(t.Stored, e.Name)
		t.Bytes += dataSize(e)
	}
	if r.told {
		most, sqnr := scalar(r.maxAbs), scalar(r.sqnr)
		t.MaxAbs, t.SQNR, t.Overflow = &most, &sqnr, &r.overflow
	}
	return t
}

type castTensor struct {
	Name     string   `json:"name"`
	From     string   `json:"from"`
	Shape    []uint64 `json:"shape"`
	Before   int64    `json:"bytes_before"`
	Bytes    int64    `json:"bytes"`
	Stored   []string `json:"stored"`
	MaxAbs   *scalar  `json:"max_abs,omitempty"`
	SQNR     *scalar  `json:"sqnr_db,omitempty"`
	Overflow *uint64  `json:"overflow,omitempty"`
}

type castKept struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Why   string `json:"why"`
	rank  int    // dimensions
}

// unscaledNames are weights that nobody scales unless told to: those that are
// looked up, that choose words or experts.
var unscaledNames = sync.OnceValue(func() globs {
	names, _ := parseGlobs([]string{
		"*embed*", "*wte.weight", "*wpe.weight", "{,*.}shared.weight", "{,*.}lm_head.*", "output.weight", "{,*.}head.weight",
		"{,*.}score.weight", "{,*.}classifier.*", "*.{gate,router,shared_expert_gate}.{weight,wg.weight,layer.weight}",
	})
	return names
})

const packedAlready = "packed already"

// why tells why a tensor is not cast; "" says that it is.
func (c *casting) why(t *safetensors.Info, part describe.Role) string {
	limits, float := numeric.LimitsOf(t.DType)
	small := c.dtype.Bits() <= 8
	chosen := len(c.only) > 0
	switch {
	case part == describe.Packed:
		return packedAlready
	case part == describe.Companion:
		return "belongs to a packed weight"
	case !float || t.DType == safetensors.C64 || !limits.Signed:
		return "no floats"
	case chosen && !c.selected.match(t.Name):
		return "not in --only"
	case len(c.keep) > 0 && c.kept.match(t.Name):
		return "in --keep"
	case t.DType == c.dtype && c.scaling == quant.Unscaled && c.mode == numeric.ToSpecial:
		return "of that type already"
	case small && !chosen && part == describe.Buffer:
		return "a buffer"
	case small && !chosen && len(t.Shape) < 2:
		return "fewer than two dimensions"
	case c.scaling != quant.Unscaled && !chosen && unscaledNames().match(t.Name):
		return "an embedding, a head or a router by its name"
	}
	if ok, why := c.scaling.Fits(t.Shape, c.dtype); !ok {
		return why
	}
	info := *t
	info.DType = c.dtype
	if _, err := info.DataSize(); err != nil {
		return "no whole number of bytes as " + c.dtype.String()
	}
	return ""
}

func (a *app) cast(ctx context.Context, c *casting, address string) error {
	if err := c.check(); err != nil {
		return err
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	p, err := locate(address)
	if err != nil {
		return err
	}
	config := configOf(p)
	each, names := int64(750), int64(0)
	if c.scaling != quant.Unscaled {
		each, names = 650, 2
	}
	defer sparing(each, names, in.Checkpoint)()
	w := &writing{verb: "cast", metadata: in.Metadata(), from: address, paths: in.paths}
	r := &castReport{To: c.dtype.String(), Scale: c.scale, Overflow: "special", Kept: []castKept{}}
	if c.mode == numeric.Saturate {
		r.Overflow = "saturate"
	}
	tensors, _ := matching(in.Checkpoint, nil)
	parts := rolesOf(in.Checkpoint, p)
	slices.SortFunc(tensors, func(x, y *safetensors.Tensor) int { return strings.Compare(x.Name, y.Name) })
	stored := 1 // entries of a tensor
	if c.scaling != quant.Unscaled {
		stored = 2
	}
	w.entries = make([]safetensors.Entry, 0, stored*len(tensors))
	jobs := make([]castJob, 0, len(tensors))
	for _, source := range tensors {
		e := safetensors.Entry{Info: source.Info, Data: source}
		if why := c.why(&source.Info, parts.of(source.Name).is); why != "" {
			r.Kept = append(r.Kept, castKept{source.Name, source.DType.String(), why, len(source.Shape)})
			w.entries = append(w.entries, e)
			continue
		}
		q, err := quant.Quantize(e, c.dtype, c.scaling, c.mode)
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		jobs = append(jobs, castJob{source, q})
		w.entries = append(w.entries, q.Entries()...)
	}
	tensors, parts = nil, nil
	if len(jobs) == 0 {
		r.writeReport = nothing("cast")
		if a.format == "human" {
			a.printKept(r)
		} else if err := a.printCast(c, r, w); err != nil {
			return err
		}
		a.words("nothing to cast")
		if slices.ContainsFunc(r.Kept, func(t castKept) bool { return t.Why == packedAlready }) {
			a.words("note: `tensmith dequantize` makes plain floats of packed weights")
		}
		return errNo
	}
	r.Quant = quantizationConfig(c, r.Kept)
	// What is refused is to be refused before the work.
	if err := c.out.guardBefore(w, c.config, address); err != nil {
		return err
	}
	if err := a.measure(ctx, c, address, jobs); err != nil {
		return castHint(err)
	}
	if err := a.produce(ctx, &c.out, w); err != nil {
		return castHint(c.explain(address, err))
	}
	w.entries = nil
	r.rows = make([]castRow, len(jobs))
	for i, j := range jobs {
		r.rows[i].castJob = j
	}
	if err := a.tell(ctx, c, address, r.rows); err != nil {
		return castHint(err)
	}
	if c.config != "" && !c.out.dryRun {
		if err := writeConfig(c.config, config, r.Quant, c.out.force); err != nil {
			return err
		}
		r.Config = c.config
		a.ledger.wrote(c.config)
	}
	r.writeReport = w.report
	slices.SortFunc(r.rows, r.worse)
	return a.printCast(c, r, w)
}

// explain makes an error of what was read one of the input, as it would be
// before the work.
func (c *casting) explain(address string, err error) error {
	if e, ok := errors.AsType[*quant.Error](err); ok {
		return fmt.Errorf("%s: %w", address, e)
	}
	return err
}

// castHint says what can be done about a NaN that a type has no code for.
func castHint(err error) error {
	if e, ok := errors.AsType[*quant.Error](err); ok && errors.Is(e, numeric.ErrNaN) {
		return hinted{err, "--keep '" + e.Tensor + "' leaves it as it is"}
	}
	return err
}

// orScalar is a shape for JSON, where that of a scalar is [].
func orScalar(shape []uint64) []uint64 {
	if shape == nil {
		return []uint64{}
	}
	return shape
}

// farBytes is from how much on a tensor has its scales found by all workers, in
// a way that ends when the user wants it to. What is smaller stays in the page cache, or
// nearer, until its codes are made.
const farBytes = 64 << 20

// measure has what is lost measured while it is written, and finds the scales
// that depend on much more than what they are for.
func (a *app) measure(ctx context.Context, c *casting, address string, jobs []castJob) error {
	if c.out.dryRun {
		return nil
	}
	var far []castJob
	total := int64(0)
	for _, j := range jobs {
		if c.errors {
			j.q.Measure()
		}
		size := j.t.Size()
		if n := len(j.t.Shape); c.scaling == quant.Block128 && j.t.Shape[n-2] > 128 {
			size = size / int64(j.t.Shape[n-2]) * 128
		}
		if size > farBytes && (c.scaling == quant.PerTensor || c.scaling == quant.Block128) {
			far = append(far, j)
			total += j.t.Size()
		}
	}
	if len(far) == 0 {
		return nil
	}
	return a.meanwhile(ctx, address, total, len(far), func(i int) *safetensors.Tensor { return far[i].t }, func(ctx context.Context, i, workers int) error {
		return far[i].q.Prepare(ctx, workers)
	})
}

// tell puts into the rows what the tensors have lost. If nothing has been
// written it reads all; else all is known.
func (a *app) tell(ctx context.Context, c *casting, address string, rows []castRow) error {
	if !c.errors {
		return nil
	}
	if !c.out.dryRun {
		for i := range rows {
			if err := rows[i].tell(ctx, 1); err != nil {
				return fmt.Errorf("%s: %w", address, err)
			}
		}
		return nil
	}
	total := int64(0)
	for i := range rows {
		total += rows[i].t.Size()
	}
	return a.meanwhile(ctx, address, total, len(rows), func(i int) *safetensors.Tensor { return rows[i].t }, func(ctx context.Context, i, workers int) error {
		return rows[i].tell(ctx, workers)
	})
}

// meanwhile does n pieces of work, each with a tensor of all that total bytes are,
// and shows how far it is.
func (a *app) meanwhile(ctx context.Context, address string, total int64, n int, tensor func(int) *safetensors.Tensor, do func(ctx context.Context, i, workers int) error) error {
	m := a.meter("measuring", total)
	defer m.end()
	return a.work(ctx, n, func(i int) int64 { return tensor(i).Size() }, func(ctx context.Context, i, workers int) error {
		if err := do(ctx, i, workers); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		m.add(tensor(i).Size())
		return nil
	})
}

// tell puts into the row what the tensor has lost.
func (r *castRow) tell(ctx context.Context, workers int) error {
	loss, err := r.q.Loss(ctx, numeric.Scan{Workers: workers})
	if err != nil {
		return err
	}
	r.told, r.maxAbs, r.sqnr, r.overflow = true, loss.MaxAbs, loss.SQNR, loss.Overflow
	return nil
}

// worse puts first what has most noise. Numbers that have become infinite or
// NaN are in no noise, and count before it.
func (r *castReport) worse(x, y castRow) int {
	if !x.told || !y.told {
		return natural(x.t.Name, y.t.Name)
	}
	// NaN, of a tensor without finite numbers, goes last.
	noise := func(t castRow) float64 {
		if math.IsNaN(t.sqnr) {
			return math.Inf(1)
		}
		return t.sqnr
	}
	lost := 0
	if r.Overflow == "special" {
		lost = cmp.Compare(y.overflow, x.overflow)
	}
	return cmp.Or(lost, cmp.Compare(noise(x), noise(y)), natural(x.t.Name, y.t.Name))
}

func (a *app) printCast(c *casting, r *castReport, w *writing) error {
	r.Cast = listing{len(r.rows), func(i int) any { return r.rows[i].tensor() }}
	switch a.format {
	case "json", "jsonl":
		return a.printJSON(r)
	case "tsv":
		s := a.sheet("name", "from", "to", "shape", "bytes_before", "bytes", "max_abs", "sqnr_db", "overflow", "kept")
		for i := range r.rows {
			t := r.rows[i].tensor()
			s.row(t.Name, t.From, r.To, t.Shape, t.Before, t.Bytes, orNil(t.MaxAbs), orNil(t.SQNR), orNil(t.Overflow), nil)
		}
		for _, t := range r.Kept {
			s.row(t.Name, t.DType, t.DType, nil, nil, nil, nil, nil, nil, t.Why)
		}
		return s.flush()
	}
	rows, left := r.rows, 0
	if c.top > 0 && c.top < len(rows) {
		rows, left = rows[:c.top], len(rows)-c.top
	}
	if c.errors {
		f := &figures{a: a, columns: []figure{{"tensor", 0, true}, {"from", 2, true}, {"shape", 3, true}, {"max abs", 0, false}, {"SQNR dB", 0, false}, {"overflow", 1, false}}}
		for i := range rows {
			t := rows[i].tensor()
			over := cell{group(int64(*t.Overflow)), plain}
			if *t.Overflow > 0 {
				over.style = red
			}
			f.row(cell{safe(t.Name), plain}, cell{t.From, cyan}, cell{shape(t.Shape), plain}, cell{t.MaxAbs.short(), plain}, cell{decibels(*t.SQNR), plain}, over)
		}
		if err := f.flush(); err != nil {
			return err
		}
		if left > 0 {
			a.words("and %s more: --top 0 prints all", group(int64(left)))
		}
	}
	a.printKept(r)
	before, after := int64(0), int64(0)
	for i := range r.rows {
		before, after = before+r.rows[i].t.Size(), after+r.rows[i].bytes()
	}
	as := r.To
	if c.scaling != quant.Unscaled {
		as += " with scales (" + r.Scale + ")"
	}
	a.words("%s as %s: %s → %s", plural(len(r.rows), "tensor"), as, size(before), size(after))
	switch {
	case r.Config != "":
		a.words("wrote %s", r.Config)
	case r.Quant != nil:
		a.words("note: loaders go by quantization_config in config.json, which --config FILE writes")
	case c.scaling != quant.Unscaled:
		a.words("note: no loader is known for %s with these scales; `tensmith dequantize` reads them", r.To)
	}
	return a.reportWriting(&c.out, w)
}

// printKept says how many tensors stay as they are, and why.
func (a *app) printKept(r *castReport) {
	counts := map[string]int{}
	for _, t := range r.Kept {
		counts[t.Why]++
	}
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		a.words("kept %s: %s", plural(counts[why], "tensor"), why)
	}
}

// decibels is a ratio for people.
func decibels(n scalar) string {
	if f := float64(n); math.IsInf(f, 1) {
		return "exact"
	} else if !math.IsNaN(f) && !math.IsInf(f, 0) {
		return fmt.Sprintf("%.2f", f)
	}
	return n.short()
}

// orNil is a cell of TSV that may be empty.
func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
