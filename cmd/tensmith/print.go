package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminal returns the width of w in columns if w is a terminal.
func terminal(w io.Writer) (width int, ok bool) {
	if s, ok := w.(*stream); ok {
		w = s.Writer
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return width, true
}

// A stream is standard output, which remembers that it failed.
type stream struct {
	io.Writer
	err error
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// style is how a piece of output is to look.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// paint returns s in a style if standard output is to be coloured.
func (a *app) paint(st style, s string) string {
	on := a.color == "always"
	if a.color == "auto" {
		_, on = terminal(a.stdout)
		on = on && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	if !on || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// safe returns a string of a file as it can be printed: quoted if it holds
// what is not for the eye, such as line ends and escape sequences.
func safe(s string) string {
	if s == "" {
		return `""`
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

// harmless returns a line of words that may hold names of a file, with what
// is not for the eye spelled out.
func harmless(s string) string {
	if !strings.ContainsFunc(s, unprintable) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// shorten cuts the middle out of s until it fits width columns.
func shorten(s string, width int) string {
	runes := []rune(s)
	if len(runes) <= width || width < 5 {
		return s
	}
	head := (width - 1) / 3
	return string(runes[:head]) + "…" + string(runes[len(runes)-(width-1-head):])
}

// A table prints rows in aligned columns. Rows are kept until flush, which
// knows all widths; the column that may be shortened gives way on a terminal.
type table struct {
	a     *app
	right []bool // columns that are aligned to the right
	give  int    // the column that may be shortened; -1 for none
	rows  [][]cell
}

type cell struct {
	text  string
	style style
}

func (t *table) row(cells ...any) {
	row := make([]cell, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case cell:
			row[i] = c
		case string:
			row[i] = cell{text: c}
		default:
			row[i] = cell{text: fmt.Sprint(c)}
		}
	}
	t.rows = append(t.rows, row)
}

func (t *table) flush() error {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	if width, ok := terminal(t.a.stdout); ok && t.give >= 0 && t.give < len(widths) {
		total := 2 * (len(widths) - 1)
		for _, w := range widths {
			total += w
		}
		if total > width {
			widths[t.give] = max(12, widths[t.give]-(total-width))
		}
	}
	out := bufio.NewWriter(t.a.stdout)
	for _, row := range t.rows {
		line := ""
		for i, c := range row {
			text := c.text
			if i == t.give {
				text = shorten(text, widths[i])
			}
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(text)))
			painted := t.a.paint(c.style, text)
			switch {
			case i < len(t.right) && t.right[i]:
				painted = pad + painted
			case i < len(row)-1:
				painted += pad
			}
			if i > 0 {
				line += "  "
			}
			line += painted
		}
		if _, err := out.WriteString(strings.TrimRight(line, " ") + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

// printJSON prints a document, on one line if it is one of several.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	if a.format == "json" {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

// words prints to standard error what is no data, unless told to be quiet.
func (a *app) words(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintln(a.stderr, harmless(fmt.Sprintf(format, args...)))
	}
}

// size returns a number of bytes for people. The exact number is in JSON.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), -1
	for f >= 999.5 {
		f /= 1000
		unit++
	}
	return strconv.FormatFloat(f, 'g', 3, 64) + " " + units[unit:unit+1] + "B"
}

// count returns a number of things for people, such as "7.24 B".
func count(n uint64) string {
	if n < 10_000 {
		return strconv.FormatUint(n, 10)
	}
	f := float64(n)
	for _, unit := range []string{" k", " M", " B", " T"} {
		if f /= 1000; f < 999.5 || unit == " T" {
			return strconv.FormatFloat(f, 'f', max(0, 2-int(digits(f)-1)), 64) + unit
		}
	}
	return ""
}

func digits(f float64) int { return len(strconv.FormatInt(int64(f), 10)) }

// group returns n with its digits in groups of three.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural returns "1 tensor", "2 tensors".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return group(int64(n)) + " " + thing + "s"
}

// shape returns a shape as programs print it, such as [4096,11008].
func shape(dims []uint64) string {
	b := []byte{'['}
	for i, n := range dims {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, n, 10)
	}
	return string(append(b, ']'))
}

// parseSize reads a number of bytes such as 500, 5GB or 2MiB.
func parseSize(s string) (int64, error) {
	units := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
	i := strings.LastIndexAny(s, "0123456789.") + 1
	n, err := strconv.ParseFloat(s[:i], 64)
	unit, ok := units[strings.ToUpper(strings.TrimSpace(s[i:]))]
	if n *= unit; err != nil || !ok || !(n >= 1) || n >= 1<<62 {
		return 0, usagef("%q is no size; write 500MB, 5GB or 2GiB", s)
	}
	return int64(n), nil
}

// maxText is the length in bytes of the longest text that is read whole: that
// of a header, and so of what can become a part of one.
const maxText = 100_000_000
