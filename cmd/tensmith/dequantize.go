package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// A dequantizing is the flags of dequantize.
type dequantizing struct {
	out    output
	to     string
	keep   []string
	top    int
	config string

	dtype safetensors.DType
	kept  globs
}

func dequantizeCommand(a *app) *cobra.Command {
	var d dequantizing
	cmd := &cobra.Command{
		Use:   "dequantize [flags] MODEL -o FILE",
		Short: "write packed weights as plain floats",
		Long: `Write a model with its packed and block-scaled weights as the floats they stand
for, and without the scales, zero points and tables that belonged to them. All
else stays as it is.

It reads FP8 and INT8 with scales, MXFP4, NVFP4, GPTQ, AWQ, pack-quantized of
compressed-tensors, NF4, FP4 and INT8 of bitsandbytes, MLX, Quanto, torchao's
FP8 and INT8, AQLM and BitNet, as names, shapes and config.json show them. For
each the numbers are, bit by bit, those of its own library; docs/quantised.md
tells which.

--to auto is the type that scales have, or that their settings name, and BF16
where they name none. The metadata gets the key dequantized_from.

Exit status: 0 written, 1 no weights are packed, 2 trouble, such as a weight
that nothing here can unpack, or an output that exists.`,
		Example: `  tensmith dequantize model-fp8/ -o model.safetensors
  tensmith dequantize gptq.safetensors --to f32 -o f32.safetensors
  tensmith dequantize model/ -o out/model.safetensors \
      --max-shard 5GB --config out/config.json`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.dequantize(cmd.Context(), &d, args[0])
		},
	}
	d.out.flags(cmd, "none", true)
	f := cmd.Flags()
	f.StringVar(&d.to, "to", "auto", "the `DTYPE` of the weights: auto, bf16, f16, f32 or f64")
	f.StringArrayVar(&d.keep, "keep", nil, "packed tensors whose names match this `GLOB`, or whose weights' do, stay packed")
	f.StringVar(&d.config, "config", "", "write the model's config.json without its quantization_config to this `FILE`")
	f.IntVar(&d.top, "top", 20, "print `N` weights; 0 prints all")
	return cmd
}

func (d *dequantizing) check() (err error) {
	types := map[string]safetensors.DType{"auto": 0, "bf16": safetensors.BF16, "f16": safetensors.F16, "f32": safetensors.F32, "f64": safetensors.F64}
	dtype, ok := types[strings.ToLower(d.to)]
	if !ok {
		return hinted{usagef("--to is %q, not auto, bf16, f16, f32 or f64", d.to), "`tensmith cast` makes smaller types of the output"}
	}
	d.dtype = dtype
	if d.top < 0 {
		return usagef("--top is %d, and must be at least 0", d.top)
	}
	if d.kept, err = parseGlobs(d.keep); err != nil {
		return err
	}
	return d.out.check()
}

// keeps tells whether a packed tensor stays as it is.
func (d *dequantizing) keeps(t *describe.Tensor) bool {
	return len(d.keep) > 0 && (d.kept.match(t.Name) || d.kept.match(t.Weight()))
}

// A dequantizeReport is the JSON of dequantize.
type dequantizeReport struct {
	writeReport
	Packing string   `json:"packing"` // in words, as info has it
	Weights listing  `json:"weights"`
	Kept    []string `json:"kept"`
	Config  string   `json:"config,omitempty"` // the file that was written

	weights []*quant.Weight `json:"-"`
}

type unpackedJSON struct {
	Name   string   `json:"name"`
	From   string   `json:"from"`
	Scheme string   `json:"scheme"`
	Bits   int      `json:"bits,omitempty"`
	Shape  []uint64 `json:"shape"`
	DType  string   `json:"dtype"`
	Bytes  int64    `json:"bytes"`
}

func (a *app) dequantize(ctx context.Context, d *dequantizing, address string) error {
	if err := d.check(); err != nil {
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
	defer sparing(400, 0, in.Checkpoint)()
	w := &writing{verb: "dequantize", metadata: in.Metadata(), from: address, paths: in.paths}
	m := quant.Open(in.Checkpoint, config)
	r := &dequantizeReport{Packing: m.Summary.Packing, Kept: []string{}}
	kept, packed := map[string]bool{}, 0
	for i := range m.Summary.Tensors {
		t := &m.Summary.Tensors[i]
		if t.Role != describe.Packed {
			continue
		}
		if packed++; d.keeps(t) {
			kept[t.Name] = true
			r.Kept = append(r.Kept, t.Name)
		}
	}
	switch {
	case len(kept) == packed:
		r.writeReport = nothing("dequantize")
		if a.format != "human" {
			if err := a.printDequantized(d, r, w); err != nil {
				return err
			}
		}
		if packed == 0 {
			a.words("no weights are packed")
		} else {
			a.words("all packed weights are in --keep")
		}
		return errNo
	case len(kept) > 0 && d.config != "":
		return hinted{usagef("--config is for a model that is plain, and --keep leaves %s packed", plural(len(kept), "weight")), "write config.json by hand"}
	}
	w.entries, err = m.Unpacked(d.dtype, func(name string) bool { return kept[name] || len(d.keep) > 0 && d.kept.match(name) })
	if err != nil {
		return d.explain(address, err)
	}
	if err := d.out.guardBefore(w, d.config, address); err != nil {
		return err
	}
	r.describe(w, m)
	if w.metadata == nil {
		w.metadata = map[string]string{}
	}
	w.metadata["dequantized_from"] = r.Packing
	if err := a.produce(ctx, &d.out, w); err != nil {
		return d.explain(address, err)
	}
	if d.config != "" && !d.out.dryRun {
		if err := writeConfig(d.config, config, nil, d.out.force); err != nil {
			return err
		}
		r.Config = d.config
		a.ledger.wrote(d.config)
	}
	r.writeReport = w.report
	return a.printDequantized(d, r, w)
}

// describe lists the weights, and what is left out.
func (r *dequantizeReport) describe(w *writing, m *quant.Model) {
	names := make([]string, len(w.entries))
	for i, e := range w.entries {
		names[i] = e.Name
		if weight, ok := e.Data.(*quant.Weight); ok {
			r.weights = append(r.weights, weight)
		}
	}
	slices.Sort(names)
	unpacked := r.weights // in the order of the tensors
	for i := range m.Summary.Tensors {
		t := &m.Summary.Tensors[i]
		if len(unpacked) > 0 && unpacked[0].Packed == t {
			unpacked = unpacked[1:]
		} else if _, ok := slices.BinarySearch(names, t.Name); !ok {
			w.report.Dropped = append(w.report.Dropped, t.Name)
		}
	}
	slices.SortFunc(r.weights, func(x, y *quant.Weight) int { return natural(x.Name, y.Name) })
	r.Weights = listing{len(r.weights), func(i int) any { return unpackedOf(r.weights[i]) }}
}

func unpackedOf(w *quant.Weight) *unpackedJSON {
	p := w.Packed.Packing
	return &unpackedJSON{w.Name, w.Packed.Name, string(p.Scheme), p.Bits, w.Shape, w.DType.String(), w.Size()}
}

// explain gives an error of package quant its hint.
func (d *dequantizing) explain(address string, err error) error {
	e, ok := errors.AsType[*quant.Error](err)
	if !ok {
		return err
	}
	err = fmt.Errorf("%s: %w", address, e) // it is not about the output, which the encoder names
	switch {
	case errors.Is(e, quant.ErrScheme), errors.Is(e, quant.ErrMissing), errors.Is(e, quant.ErrShape), errors.Is(e, quant.ErrDType):
		return hinted{err, "--keep '" + e.Tensor + "' leaves it as it is"}
	}
	return err
}

func (a *app) printDequantized(d *dequantizing, r *dequantizeReport, w *writing) error {
	switch a.format {
	case "json", "jsonl":
		return a.printJSON(r)
	case "tsv":
		s := a.sheet("name", "from", "scheme", "bits", "dtype", "shape", "bytes")
		for _, weight := range r.weights {
			t := unpackedOf(weight)
			s.row(t.Name, t.From, t.Scheme, t.Bits, t.DType, t.Shape, t.Bytes)
		}
		return s.flush()
	}
	rows, left := r.weights, 0
	if d.top > 0 && d.top < len(rows) {
		rows, left = rows[:d.top], len(rows)-d.top
	}
	tab := table{a: a, right: []bool{false, false, false, false, true}, give: 0}
	tab.count = len(rows)
	tab.make = func(i int) []cell {
		t := unpackedOf(rows[i])
		return []cell{{text: safe(t.Name)}, {text: t.Scheme}, {t.DType, cyan}, {text: shape(t.Shape)}, {text: size(t.Bytes)}}
	}
	if err := tab.flush(); err != nil {
		return err
	}
	if left > 0 {
		a.words("and %s more: --top 0 prints all", group(int64(left)))
	}
	a.words("%s unpacked from %s; %s dropped", plural(len(r.weights), "weight"), r.Packing, plural(len(r.Dropped), "tensor"))
	if len(r.Kept) > 0 {
		a.words("%s kept packed", plural(len(r.Kept), "weight"))
	}
	if r.Config != "" {
		a.words("wrote %s", r.Config)
	}
	return a.reportWriting(&d.out, w)
}
