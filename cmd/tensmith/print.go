package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
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

// A stream is standard output, which remembers that it failed, and ends with ctx:
// a terminal takes seconds for a long list that nobody wants to see any more.
type stream struct {
	io.Writer
	ctx context.Context
	err error

	judging bool // a pipe that nobody reads any more takes all
}

func (s *stream) Write(p []byte) (n int, err error) {
	for err == nil && (n < len(p) || n == 0) {
		if err = s.ctx.Err(); err != nil {
			break
		}
		var k int
		k, err = s.Writer.Write(p[n:min(len(p), n+1<<16)])
		if n += k; len(p) == 0 {
			break
		}
		if s.judging && errors.Is(err, syscall.EPIPE) {
			s.Writer = io.Discard
			n, err = len(p), nil
		}
	}
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
	if !a.colored || st == plain || s == "" {
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

// quoted returns an argument as a shell takes it, for hints that are copied: a
// file's name is anyone's text.
func quoted(arg string) string {
	if strings.HasPrefix(arg, "-") {
		arg = "./" + arg
	}
	if strings.ContainsFunc(arg, unprintable) || !utf8.ValidString(arg) {
		var b strings.Builder
		for _, c := range []byte(arg) {
			if c < ' ' || c > '~' || c == '\'' || c == '\\' {
				fmt.Fprintf(&b, `\x%02x`, c)
			} else {
				b.WriteByte(c)
			}
		}
		return "$'" + b.String() + "'"
	}
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./,:+=@%", r)
	}
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// double are the characters that terminals give two columns: those that East
// Asian Width (Unicode Annex #11) calls wide or fullwidth, and pictures.
var double = &unicode.RangeTable{
	R16: []unicode.Range16{{0x1100, 0x115f, 1}, {0x2e80, 0x303e, 1}, {0x3041, 0xa4cf, 1}, {0xa960, 0xa97c, 1}, {0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1}, {0xfe30, 0xfe6f, 1}, {0xff01, 0xff60, 1}, {0xffe0, 0xffe6, 1}},
	R32: []unicode.Range32{{0x17000, 0x18d08, 1}, {0x1b000, 0x1b2fb, 1}, {0x1f300, 0x1f64f, 1}, {0x1f680, 0x1f6fc, 1}, {0x1f90c, 0x1faff, 1},
		{0x20000, 0x3fffd, 1}},
}

// columnsOf is how many columns of a terminal a character takes.
func columnsOf(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(double, r):
		return 2
	}
	return 1
}

// columns is how many columns of a terminal a text takes.
func columns(s string) (n int) {
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

// shorten cuts the middle out of s until it fits width columns. It spares a number
// in the first half: what tells the layers of a model from each other, or its
// files.
func shorten(s string, width int) string {
	if width < 5 || len(s) <= width || columns(s) <= width {
		return s
	}
	runes := []rune(s)
	left := (width - 1) / 3
	for i, n := 0, 0; i < len(runes) && n < (width-1)/2; i++ {
		n += columnsOf(runes[i])
		if n > left && n <= (width-1)/2 && isDigit(runes[i]) && !(i+1 < len(runes) && isDigit(runes[i+1])) {
			left = n
		}
	}
	right := width - 1 - left
	head, tail := 0, len(runes)
	for n := columnsOf(runes[0]); n <= left; n += columnsOf(runes[head]) {
		head++
	}
	for n := columnsOf(runes[tail-1]); n <= right; n += columnsOf(runes[tail-1]) {
		tail--
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// words prints to standard error what is no data, unless told to be quiet.
// Among them are warnings, so that only the levels above let nothing through.
func (a *app) words(format string, args ...any) {
	if !a.quiet && a.level != "error" && a.level != "critical" {
		fmt.Fprintln(a.stderr, harmless(fmt.Sprintf(format, args...)))
	}
}
