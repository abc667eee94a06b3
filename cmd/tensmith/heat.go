package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A heat is a tensor as a matrix, the last dimension across and all others
// down, each cell of which stands for a rectangle of its values.
type heat struct {
	mean             bool // of the values, or else the largest magnitude
	rows, columns    uint64
	height, width    int // in cells
	of               safetensors.DType
	numbers          uint64 // in an element: 2 for C64
	top              []float64
	sums             []float64
	counts           []uint64 // of finite numbers
	special          []uint64 // NaN and infinities
	scale            float64  // of the brightest cell
	least, greatest  float64  // over the cells
	allSpecial, seen uint64
}

// heatKinds are the values of --heat.
var heatKinds = []string{"max", "mean"}

func newHeat(g *grid, mean bool, height, width int) *heat {
	h := &heat{mean: mean, rows: 1, columns: 1, of: g.t.DType, numbers: 1}
	if dims := g.shape(); len(dims) > 0 {
		h.columns = dims[len(dims)-1]
		for _, n := range dims[:len(dims)-1] {
			h.rows *= n // a tensor has as many elements
		}
	}
	if g.t.DType == safetensors.C64 {
		h.numbers = 2
	}
	h.height, h.width = int(min(h.rows, uint64(height))), int(min(h.columns, uint64(width)))
	return h
}

func (h *heat) clear() {
	n := h.height * h.width
	h.top, h.sums, h.counts, h.special = make([]float64, n), make([]float64, n), make([]uint64, n), make([]uint64, n)
}

func (h *heat) clone() *heat {
	c := *h
	c.clear()
	return &c
}

// heatPiece is how many elements are read at once: they fill whole bytes.
const heatPiece = 1 << 18

// read reads source, all of the values in their order, once.
func (h *heat) read(ctx context.Context, a *app, source io.ReaderAt, size int64, m *meter) error {
	h.clear()
	if h.rows == 0 || h.columns == 0 {
		return nil
	}
	step := int64(heatPiece) * int64(h.of.Bits()) / 8
	pieces := (size + step - 1) / step
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var next int64
	for range min(int64(a.jobs), pieces) {
		wg.Go(func() {
			own := h.clone()
			buf, values := make([]byte, step), make([]float32, heatPiece*h.numbers)
			for {
				mu.Lock()
				piece := next
				next++
				mu.Unlock()
				if piece >= pieces || ctx.Err() != nil {
					break
				}
				p := buf[:min(step, size-piece*step)]
				if n, err := source.ReadAt(p, piece*step); n < len(p) {
					if err == nil || err == io.EOF {
						err = io.ErrUnexpectedEOF
					}
					cancel(err)
					return
				}
				v := values[:len(p)*8/h.of.Bits()*int(h.numbers)]
				if err := numeric.Decode(v, h.of, p); err != nil {
					cancel(err)
					return
				}
				own.add(uint64(piece)*heatPiece, v)
				m.add(int64(len(p)))
			}
			mu.Lock()
			defer mu.Unlock()
			h.merge(own)
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// add takes in values that begin with element first.
func (h *heat) add(first uint64, values []float32) {
	width, height := uint64(h.width), uint64(h.height)
	row, column := first/h.columns, first%h.columns
	for len(values) > 0 {
		cell := column * width / h.columns
		// The cell's columns end where the next cell's begin.
		end := ((cell+1)*h.columns + width - 1) / width
		n := min(uint64(len(values)), (end-column)*h.numbers)
		h.cell(int(row*height/h.rows)*h.width+int(cell), values[:n])
		values = values[n:]
		if column = end; column >= h.columns {
			row, column = row+1, 0
		}
	}
}

func (h *heat) cell(i int, values []float32) {
	top, sum, count := h.top[i], 0.0, 0
	for _, v := range values {
		f := float64(v)
		if f-f != 0 { // NaN or an infinity
			continue
		}
		count++
		sum += f
		top = max(top, math.Abs(f))
	}
	h.top[i] = top
	h.sums[i] += sum
	h.counts[i] += uint64(count)
	h.special[i] += uint64(len(values) - count)
}

func (h *heat) merge(o *heat) {
	for i := range h.top {
		h.top[i] = max(h.top[i], o.top[i])
		h.sums[i] += o.sums[i]
		h.counts[i] += o.counts[i]
		h.special[i] += o.special[i]
	}
}

// value is what a cell shows, NaN for nothing.
func (h *heat) value(i int) float64 {
	switch {
	case h.counts[i] == 0:
		return math.NaN()
	case h.mean:
		// Workers add in any order, which the digits of a float32 do not show.
		return float64(float32(h.sums[i] / float64(h.counts[i])))
	}
	return h.top[i]
}

func (h *heat) finish() {
	h.least, h.greatest = math.Inf(1), math.Inf(-1)
	for i := range h.top {
		if v := h.value(i); !math.IsNaN(v) {
			h.scale = max(h.scale, math.Abs(v))
			h.least, h.greatest = min(h.least, v), max(h.greatest, v)
		}
		h.allSpecial += h.special[i]
		h.seen += h.counts[i] + h.special[i]
	}
}

// terminalRows returns the height of w in lines if w is a terminal, or 0.
func terminalRows(w io.Writer) int {
	if s, ok := w.(*stream); ok {
		w = s.Writer
	}
	if f, ok := w.(*os.File); ok {
		if _, rows, err := term.GetSize(int(f.Fd())); err == nil {
			return rows
		}
	}
	return 0
}

// showHeat draws what g stands for.
func (a *app) showHeat(ctx context.Context, g *grid, what, kind string) error {
	if !slices.Contains(heatKinds, kind) {
		return usagef("--heat is %q, not one of %s", kind, strings.Join(heatKinds, ", "))
	}
	width, ok := terminal(a.stdout)
	if !ok {
		width = 80
	}
	height := 32
	if rows := terminalRows(a.stdout); rows > 0 {
		height = max(8, rows-6)
	}
	h := newHeat(g, kind == "mean", height, width-2)
	s, err := g.slice()
	if errors.Is(err, safetensors.ErrMisaligned) {
		return hinted{fmt.Errorf("%s: %w", shorten(safe(g.t.Name), 80), err), "without --heat any part of it can be shown"}
	}
	if err != nil {
		return err
	}
	m := a.meter("reading", s.Size())
	defer m.end()
	if err := h.read(ctx, a, s, s.Size(), m); err != nil {
		return err
	}
	m.end()
	h.finish()
	if a.isJSON() || a.format == "tsv" {
		return a.heatData(g, h, kind)
	}
	return a.drawHeat(g, h, what, kind)
}

func (a *app) heatData(g *grid, h *heat, kind string) error {
	cells := make([][]scalar, h.height)
	for i := range cells {
		for j := range h.width {
			cells[i] = append(cells[i], scalar(h.value(i*h.width+j)))
		}
	}
	if a.format == "tsv" {
		headings := make([]string, h.width)
		for j := range headings {
			headings[j] = fmt.Sprint(j)
		}
		out := a.sheet(headings...)
		for _, row := range cells {
			line := make([]any, len(row))
			for j, v := range row {
				line[j] = v
			}
			out.row(line...)
		}
		return out.flush()
	}
	return a.printJSON(struct {
		Schema  string     `json:"schema"`
		Name    string     `json:"name"`
		DType   string     `json:"dtype"`
		Shape   []uint64   `json:"shape"`
		Heat    string     `json:"heat"`    // what a cell is
		Rows    uint64     `json:"rows"`    // of values
		Columns uint64     `json:"columns"` // of values
		Special uint64     `json:"special"` // NaN and infinities, which are left out
		Cells   [][]scalar `json:"cells"`   // null where there is no finite value
	}{"tensmith.show/1", g.t.Name, g.t.DType.String(), g.shape(), kind, h.rows, h.columns, h.allSpecial, cells})
}

func (a *app) drawHeat(g *grid, h *heat, what, kind string) error {
	slice := strings.TrimPrefix(what, g.t.Name)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s  %s\n", a.paint(bold, shorten(safe(g.t.Name), 200)+slice), a.paint(cyan, g.t.DType.String()), shorten(shape(g.shape()), 200), size(g.bytes()))
	if h.seen == 0 {
		b.WriteString("nothing to draw: there are no values\n")
		_, err := io.WriteString(a.stdout, b.String())
		return err
	}
	steps := []rune(" .:-=+*#%@")
	if utf8Locale() {
		steps = []rune(" ░▒▓█")
	}
	for i := range h.height {
		b.WriteByte('|')
		last := style("-") // no style
		for j := range h.width {
			glyph, st := h.glyph(i*h.width+j, steps, a.colored)
			if st != last {
				if last != "-" && last != plain {
					b.WriteString("\x1b[0m")
				}
				if st != plain {
					b.WriteString("\x1b[" + string(st) + "m")
				}
				last = st
			}
			b.WriteRune(glyph)
		}
		if last != plain && last != "-" {
			b.WriteString("\x1b[0m")
		}
		b.WriteString("|\n")
	}
	of := "largest magnitude"
	if h.mean {
		of = "mean"
	}
	down, across := (h.rows+uint64(h.height)-1)/uint64(h.height), (h.columns+uint64(h.width)-1)/uint64(h.width)
	words := "a cell is a value"
	if down*across > 1 {
		words = fmt.Sprintf("a cell is the %s of up to %d×%d values", of, down, across)
	}
	if h.scale > 0 || h.counts != nil {
		words += fmt.Sprintf(", from %s to %s", scalar(h.least).short(), scalar(h.greatest).short())
	}
	if h.allSpecial > 0 {
		words += fmt.Sprintf("; ! marks %s NaN or infinite", count(h.allSpecial))
	}
	b.WriteString(a.paint(dim, words) + "\n")
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// glyph is how a cell looks: darker or brighter by its magnitude, in colours
// red for what is positive and blue for what is negative, if it is a mean. The
// lowest step is for zero alone.
func (h *heat) glyph(i int, steps []rune, colored bool) (rune, style) {
	if h.special[i] > 0 {
		if colored {
			return '!', "1;97;41"
		}
		return '!', plain
	}
	v := h.value(i)
	level := 0.0
	if h.scale > 0 {
		level = math.Abs(v) / h.scale
	}
	if !colored {
		if v == 0 {
			return steps[0], plain
		}
		return steps[min(1+int(level*float64(len(steps)-1)), len(steps)-1)], plain
	}
	// Of the 216 colours of a terminal, from black over a hue to white.
	ramp := []int{16, 52, 88, 124, 160, 196, 202, 208, 214, 220, 226, 229, 231}
	if h.mean && v < 0 {
		ramp = []int{16, 17, 18, 19, 20, 21, 27, 33, 39, 45, 51, 159, 231}
	}
	step := 0
	if v != 0 {
		step = min(1+int(level*float64(len(ramp)-1)), len(ramp)-1)
	}
	return ' ', style(fmt.Sprintf("48;5;%d", ramp[step]))
}
