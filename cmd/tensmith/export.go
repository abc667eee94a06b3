package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// An exportRequest is how export is to write a tensor.
type exportRequest struct {
	npy, csv, raw bool
	o             output // name and force alone
}

func exportCommand(a *app) *cobra.Command {
	var r exportRequest
	cmd := &cobra.Command{
		Use:   "export [flags] MODEL NAME[SLICE] --npy|--csv [-o FILE]",
		Short: "write a tensor for NumPy, or as text",
		Long: `Write a tensor, or a part of it as for show, as a .npy file that numpy.load
reads, or as comma-separated text: the last dimension across, the others down,
without headings. Without -o it goes to standard output; the name of FILE also
says which of the two it is to be.

What NumPy has no type for (BF16, F8, F6, F4) is written as float32, which
holds all of it exactly; with --raw as it is stored: BF16 as uint16, F8 as
uint8, F6 and F4 as one dimension of packed bytes.

Exit status: 0 written, 2 there is no such tensor, or it could not be read or
written.`,
		Example: `  tensmith export model.safetensors lm_head.weight -o lm_head.npy
  tensmith export model.safetensors 'lm_head.weight[:4,:8]' --csv
  tensmith export model.safetensors lm_head.weight --npy --raw -o bits.npy`,
		Args: modelAnd(2, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.export(cmd.Context(), &r, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.npy, "npy", false, "write the format of NumPy")
	f.BoolVar(&r.csv, "csv", false, "write comma-separated text")
	f.BoolVar(&r.raw, "raw", false, "write what NumPy has no type for as it is stored")
	f.StringVarP(&r.o.name, "output", "o", "", "the `FILE` to write")
	f.BoolVar(&r.o.force, "force", false, "replace what exists under that name")
	return cmd
}

func (r *exportRequest) check(a *app) error {
	if !r.npy && !r.csv {
		switch strings.ToLower(filepath.Ext(r.o.name)) {
		case ".npy":
			r.npy = true
		case ".csv":
			r.csv = true
		default:
			return hinted{usagef("which format is missing"), "say --npy or --csv"}
		}
	}
	_, seen := terminal(a.stdout)
	switch {
	case r.npy && r.csv:
		return usagef("--npy and --csv exclude each other")
	case r.raw && r.csv:
		return usagef("--raw is about --npy")
	case r.o.name == "-":
		return hinted{usagef("-o - is no file"), "without -o it goes to standard output"}
	case r.o.name == "" && a.format != "human":
		return hinted{usagef("--format %s is about the report, and the data goes to standard output", a.format), "say -o FILE"}
	case r.o.name == "" && r.npy && seen:
		return hinted{usagef("a .npy file is nothing for a terminal"), "say -o FILE"}
	}
	return nil
}

// An exportReport is the JSON of export.
type exportReport struct {
	Schema string   `json:"schema"`
	Output string   `json:"output"`
	Format string   `json:"format"`
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	Shape  []uint64 `json:"shape"`
	Descr  string   `json:"descr,omitempty"` // what NumPy calls the type that is written
	Note   string   `json:"note,omitempty"`
}

// numpyTypes are the types that NumPy has, as it describes them in a file.
var numpyTypes = map[safetensors.DType]string{
	safetensors.Bool: "|b1",
	safetensors.U8:   "|u1", safetensors.I8: "|i1",
	safetensors.U16: "<u2", safetensors.I16: "<i2",
	safetensors.U32: "<u4", safetensors.I32: "<i4",
	safetensors.U64: "<u8", safetensors.I64: "<i8",
	safetensors.F16: "<f2", safetensors.F32: "<f4", safetensors.F64: "<f8",
	safetensors.C64: "<c8",
}

// find finds what NAME[SLICE] means in a model.
func (a *app) find(ctx context.Context, c *safetensors.Checkpoint, address, what string) (*grid, error) {
	// A name may end in brackets, and then the name it is.
	t, err := c.Tensor(what)
	slice := ""
	if err != nil {
		name := what
		if i := strings.LastIndexByte(what, '['); i >= 0 && strings.HasSuffix(what, "]") {
			name, slice = what[:i], what[i:]
		}
		if t, err = c.Tensor(name); err != nil {
			return nil, unknown(address, name, c, err)
		}
	}
	axes, err := parseSlice(slice, t.Shape)
	if _, usage := errors.AsType[usageError](err); err != nil && !usage {
		return nil, fmt.Errorf("%s: %s%w", address, shorten(safe(t.Name), 120), err)
	}
	if err != nil {
		return nil, err
	}
	return &grid{ctx: ctx, t: t, axes: axes}, nil
}

// slice is the part of the tensor that the grid shows, where it lies.
func (g *grid) slice() (*safetensors.Slice, error) {
	ranges := make([]safetensors.Range, len(g.axes))
	for i, ax := range g.axes {
		switch {
		case ax.index:
			ranges[i] = safetensors.Index(ax.start)
		case ax.n == 0:
			ranges[i] = safetensors.Span(0, 0)
		default:
			ranges[i] = safetensors.Span(ax.start, ax.start+(ax.n-1)*ax.step+1).Every(ax.step)
		}
	}
	return g.t.Slice(ranges...)
}

func (a *app) export(ctx context.Context, r *exportRequest, address, what string) error {
	if err := r.check(a); err != nil {
		return err
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	g, err := a.find(ctx, in.Checkpoint, address, what)
	if err != nil {
		return err
	}
	report := exportReport{Schema: "tensmith.export/1", Output: filepath.ToSlash(r.o.name), Format: "csv", Name: g.t.Name, DType: g.t.DType.String(), Shape: g.shape()}
	write := g.csv
	if r.npy {
		report.Format = "npy"
		n := g.npy(r.raw)
		report.Descr, report.Note, report.Shape = n.descr, n.note, n.shape
		write = n.write
	}
	m := a.meter("writing", g.bytes())
	defer m.end()
	if r.o.name == "" {
		err = write(&steady{ctx, a.stdout, m})
	} else if err = r.o.guard(false, in.paths); err == nil {
		err = r.o.whole(func(w io.Writer) error { return write(&steady{ctx, w, m}) })
	}
	m.end()
	if err != nil {
		return err
	}
	if r.o.name != "" {
		a.ledger.wrote(r.o.name)
	}
	if parts := rolesOfTensor(in.Checkpoint, address, g.t.Name); parts != "" {
		a.words("note: %s holds packed weights (%s): what was written are the stored codes", shorten(safe(g.t.Name), 80), parts)
	}
	return a.reportExport(r, report)
}

// rolesOfTensor says how the weights are packed that a tensor stands for.
func rolesOfTensor(c *safetensors.Checkpoint, address, name string) string {
	p, err := locate(address)
	if err != nil {
		return ""
	}
	parts := rolesOf(c, p)
	if parts.of(name).packing == nil {
		return ""
	}
	return parts.label(name)
}

func (a *app) reportExport(r *exportRequest, report exportReport) error {
	switch {
	case a.isJSON():
		return a.printJSON(report)
	case a.format == "tsv":
		s := a.sheet("output", "format", "name", "dtype", "shape", "descr", "note")
		s.row(report.Output, report.Format, report.Name, report.DType, report.Shape, report.Descr, report.Note)
		return s.flush()
	}
	if report.Note != "" {
		a.words("note: %s", report.Note)
	}
	if r.o.name != "" {
		a.words("wrote %s: %s %s", r.o.name, report.DType, shorten(shape(report.Shape), 80))
	}
	return nil
}

// A steady writer ends when its context does, and tells how far it has come.
type steady struct {
	ctx context.Context
	w   io.Writer
	m   *meter
}

func (s *steady) Write(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.w.Write(p)
	s.m.add(int64(n))
	return n, err
}

// whole writes a file that appears when it is complete, and not before.
func (o *output) whole(write func(io.Writer) error) error {
	target := o.name
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return o.explain(err)
		}
		return errors.Join(write(f), f.Close())
	}
	dir, base := filepath.Split(target)
	temp, err := createTemp(dir, base)
	if err != nil {
		return o.explain(err)
	}
	defer os.Remove(temp.Name()) // which has another name by then, if all is well
	if info, err := os.Stat(target); err == nil {
		temp.Chmod(info.Mode().Perm()) // a mode that cannot be kept is no reason to fail
	}
	err = write(temp)
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), target)
}

// An npyFile is a tensor as NumPy stores one: NEP 1, "A Simple File Format for
// NumPy Arrays".
type npyFile struct {
	g     *grid
	raw   bool
	descr string
	shape []uint64
	note  string
}

func (g *grid) npy(raw bool) *npyFile {
	d := g.t.DType
	n := &npyFile{g: g, raw: raw, descr: numpyTypes[d], shape: g.shape()}
	switch {
	case n.descr != "":
	case !raw:
		n.descr = "<f4"
		n.note = fmt.Sprintf("NumPy has no %s; these are the same numbers as float32", d)
	case d == safetensors.BF16:
		n.descr = "<u2"
		n.note = "BF16 as uint16; in Python .view(ml_dtypes.bfloat16) makes numbers of it"
	default:
		n.descr = "|u1"
		n.note = d.String() + " as uint8"
		if d.Bits() < 8 {
			n.shape = []uint64{uint64(g.bytes())}
			n.note = d.String() + " as packed bytes; the first element is in the lowest bits"
		}
	}
	return n
}

// header is what precedes the data, of version 1.0, or 2.0 if that is too
// short. The data begins at a multiple of 64.
func (n *npyFile) header() []byte {
	dims := make([]string, len(n.shape))
	for i, d := range n.shape {
		dims[i] = strconv.FormatUint(d, 10)
	}
	tuple := strings.Join(dims, ", ")
	if len(dims) == 1 {
		tuple += ","
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", n.descr, tuple)
	version, start := byte(1), 10
	pad := func() int { return (64 - (start+len(text)+1)%64) % 64 }
	if len(text)+pad()+1 > math.MaxUint16 {
		version, start = 2, 12
	}
	b := []byte{0x93, 'N', 'U', 'M', 'P', 'Y', version, 0}
	length := uint32(len(text) + pad() + 1)
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(length))
	} else {
		b = binary.LittleEndian.AppendUint32(b, length)
	}
	b = append(b, text...)
	b = append(b, bytes.Repeat([]byte{' '}, pad())...)
	return append(b, '\n')
}

func (n *npyFile) write(w io.Writer) error {
	if _, err := w.Write(n.header()); err != nil {
		return err
	}
	d := n.g.t.DType
	s, err := n.g.slice()
	switch {
	case errors.Is(err, safetensors.ErrMisaligned):
		return n.writeUnaligned(w, err)
	case err != nil:
		return err
	case n.descr == "<f4" && d != safetensors.F32:
		cast, err := numeric.NewCast(numeric.Data{DType: d, Source: s, Size: s.Size()}, safetensors.F32, numeric.ToSpecial)
		if err != nil {
			return err
		}
		_, err = cast.WriteTo(w)
		return err
	case d == safetensors.Bool:
		w = boolWriter{w}
	}
	_, err = s.WriteTo(w)
	return err
}

// writeUnaligned writes a slice of sub-byte elements that begins or ends inside
// a byte.
func (n *npyFile) writeUnaligned(w io.Writer, err error) error {
	if n.raw {
		return hinted{fmt.Errorf("%s: %w", shorten(safe(n.g.t.Name), 80), err), "without --raw any slice can be written"}
	}
	n.g.numbers = true
	out := bufio.NewWriterSize(w, 1<<16)
	if err := n.g.each(func(number []byte) error {
		_, err := out.Write(number)
		return err
	}, nil); err != nil {
		return err
	}
	return out.Flush()
}

// A boolWriter makes every byte 0 or 1: NumPy takes others for both true and
// unequal to true.
type boolWriter struct{ w io.Writer }

func (b boolWriter) Write(p []byte) (int, error) {
	ones := make([]byte, len(p))
	for i, v := range p {
		if v != 0 {
			ones[i] = 1
		}
	}
	return b.w.Write(ones)
}

// csv writes the last dimension across and the others down. No value needs
// quotes. Complex numbers are spelled as Python does, which NumPy reads. Floats
// narrower than F32 are spelled as float32: the text that is enough to tell
// them from others of their own dtype, 0.1 for a BF16 of 0.10009765625, is
// another number to a reader who does not know that dtype.
func (g *grid) csv(w io.Writer) error {
	if g.count() == 0 {
		return nil
	}
	_, float := numeric.LimitsOf(g.t.DType)
	g.numbers = float && g.t.DType.Bits() <= 16
	out := bufio.NewWriterSize(w, 1<<16)
	axes, base := g.printed()
	first := true
	var number []byte
	err := g.walk(axes, base, func(int, bool) {
		out.WriteByte('\n')
		first = true
	}, func(text []byte) error {
		if !first {
			out.WriteByte(',')
		}
		first = false
		switch {
		case g.numbers:
			f := math.Float32frombits(binary.LittleEndian.Uint32(text))
			number = strconv.AppendFloat(number[:0], float64(f), 'g', -1, 32)
			text = number
		case text[0] == '(':
			text = append(text[:len(text)-2], "j)"...)
		}
		_, err := out.Write(text)
		return err
	}, nil)
	out.WriteByte('\n')
	return errors.Join(err, out.Flush())
}
