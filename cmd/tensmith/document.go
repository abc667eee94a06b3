package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tensmith/tensmith/internal/escape"
)

// What programs read has one form for every verb. --json is one document a
// run, --format jsonl one a line, and the first member of either is schema:
// "tensmith.VERB/1". --format tsv is a sheet. An answer, which is what exit
// codes 0 and 1 stand for, is never without its document, and trouble has
// none: standard error says what it was.

// printJSON prints a document, on one line if it is one of several. v is a
// struct whose first field is Schema: a map would put it in the order of the
// alphabet.
func (a *app) printJSON(v any) error {
	if a.format != "json" {
		return encoder(a.stdout).Encode(v)
	}
	out := bufio.NewWriter(a.stdout)
	if err := printIndented(out, v); err != nil {
		return err
	}
	return out.Flush()
}

// encoder is json.NewEncoder for what may hold names of a file: encoding/json
// escapes the controls of ASCII alone, and a terminal acts on more.
func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(escaping{w})
	e.SetEscapeHTML(false)
	return e
}

// An escaping writes JSON, one text a call as json.Encoder does, with an escape in
// the place of what is not for the eye.
type escaping struct{ io.Writer }

func (v escaping) Write(text []byte) (int, error) {
	if _, err := v.Writer.Write(escape.JSON(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// printIndented prints a document as json.Encoder does with an indent of two
// spaces, but of a struct's lists one element after the other: the text of a
// hundred thousand tensors would take more memory than they do.
func printIndented(out *bufio.Writer, v any) error {
	var text bytes.Buffer
	print := func(v any, prefix string) error {
		text.Reset()
		e := encoder(&text)
		e.SetIndent(prefix, "  ")
		if err := e.Encode(v); err != nil {
			return err
		}
		_, err := out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
		return err
	}
	members, ok := membersOf(v)
	if !ok {
		if err := print(v, ""); err != nil {
			return err
		}
		return out.WriteByte('\n')
	}
	for i, m := range members {
		fmt.Fprintf(out, "%c\n  %q: ", "{,"[min(i, 1)], m.name)
		if l, ok := m.value.Interface().(listing); ok && l.count > 0 {
			for i := range l.count {
				fmt.Fprintf(out, "%c\n    ", "[,"[min(i, 1)])
				if err := print(l.at(i), "    "); err != nil {
					return err
				}
			}
			out.WriteString("\n  ]")
			continue
		}
		if m.value.Kind() != reflect.Slice || m.value.Len() == 0 || m.value.Type().Elem().Kind() == reflect.Uint8 {
			if err := print(m.value.Interface(), "  "); err != nil {
				return err
			}
			continue
		}
		for i := range m.value.Len() {
			fmt.Fprintf(out, "%c\n    ", "[,"[min(i, 1)])
			if err := print(m.value.Index(i).Interface(), "    "); err != nil {
				return err
			}
		}
		out.WriteString("\n  ]")
	}
	_, err := out.WriteString("\n}\n")
	return err
}

// A listing is a list of a document whose elements are made when they are
// printed: of a hundred thousand tensors, what is known takes far less room than
// what is said of it.
type listing struct {
	count int
	at    func(i int) any
}

// MarshalJSON implements json.Marshaler.
func (l listing) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i := range l.count {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(l.at(i)); err != nil {
			return nil, err
		}
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// A member is one of a document.
type member struct {
	name  string
	value reflect.Value
}

// membersOf returns the members of a struct that all have a name of their own
// in JSON, but for those that are left out, and whether v is such a struct.
func membersOf(v any) (members []member, ok bool) {
	of := reflect.Indirect(reflect.ValueOf(v))
	if _, own := v.(json.Marshaler); own || of.Kind() != reflect.Struct {
		return nil, false
	}
	return fieldsOf(of)
}

// fieldsOf is membersOf for a struct.
func fieldsOf(of reflect.Value) (members []member, ok bool) {
	for i := range of.NumField() {
		field := of.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
			continue
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct:
			// The documents of verbs that write begin with what that has to say.
			embedded, ok := fieldsOf(of.Field(i))
			if !ok {
				return nil, false
			}
			members = append(members, embedded...)
			continue
		case !field.IsExported() || field.Anonymous || name == "":
			return nil, false
		case options == "omitempty" && isEmpty(of.Field(i)), options == "omitzero" && of.Field(i).IsZero():
			continue
		case options != "" && options != "omitempty" && options != "omitzero":
			return nil, false
		}
		members = append(members, member{name, of.Field(i)})
	}
	return members, len(members) > 0
}

// isEmpty is what encoding/json calls empty.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isJSON reports whether documents are asked for, in either form.
func (a *app) isJSON() bool { return a.format == "json" || a.format == "jsonl" }

// printLines prints documents one a line.
func printLines[T any](a *app, documents iter.Seq[T]) error {
	out := bufio.NewWriter(a.stdout)
	e := encoder(out)
	for d := range documents {
		if err := e.Encode(d); err != nil {
			return err
		}
	}
	return out.Flush()
}

// A sequence prints a document whose last member is an array that is not kept:
// there may be a billion of its elements.
type sequence struct {
	out  *bufio.Writer
	some bool
}

// printSequence begins a document with the members of head, a struct, and an
// array.
func printSequence(out *bufio.Writer, head any, array string) (*sequence, error) {
	text, err := marshal(head)
	if err != nil {
		return nil, err
	}
	out.WriteString(strings.TrimSuffix(text, "}"))
	fmt.Fprintf(out, ",%q:[", array)
	return &sequence{out: out}, nil
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) (string, error) {
	var b strings.Builder
	err := encoder(&b).Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func (s *sequence) add(v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	return s.addText(text)
}

// addText adds an element that is JSON already.
func (s *sequence) addText(text string) error {
	if s.some {
		s.out.WriteByte(',')
	}
	s.some = true
	_, err := s.out.WriteString(text)
	return err
}

// end completes the document. One that broke off says so itself.
func (s *sequence) end(broken error) error {
	s.out.WriteByte(']')
	if broken != nil {
		text, err := marshal(broken.Error())
		if err != nil {
			return err
		}
		s.out.WriteString(`,"error":` + text)
	}
	s.out.WriteString("}\n")
	return s.out.Flush()
}

// A sheet prints tab-separated values: a row of headings, and then rows of as
// many cells. What would end a cell or do a terminal harm is escaped in it as
// \t, \n, \r, \\, \x1b or \u202e; a cell of nothing is empty.
type sheet struct {
	out   *bufio.Writer
	cells int
	err   error
}

func (a *app) sheet(headings ...string) *sheet {
	s := &sheet{out: bufio.NewWriter(a.stdout), cells: len(headings)}
	return s.texts(headings)
}

func (s *sheet) texts(cells []string) *sheet {
	for i, text := range cells {
		if i > 0 {
			s.out.WriteByte('\t')
		}
		s.out.WriteString(tsvCell(text))
	}
	if err := s.out.WriteByte('\n'); s.err == nil {
		s.err = err
	}
	return s
}

// row prints a row. Integers, strings, lists of either and nil have a form.
func (s *sheet) row(cells ...any) {
	if len(cells) != s.cells {
		panic(fmt.Sprintf("a row of %d cells under %d headings", len(cells), s.cells))
	}
	texts := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case nil:
		case string:
			texts[i] = c
		case []string:
			texts[i] = strings.Join(c, ",")
		case []uint64:
			texts[i] = shape(c)
		default:
			texts[i] = fmt.Sprint(c)
		}
	}
	s.texts(texts)
}

// flush ends the sheet, and tells what went wrong with any of it.
func (s *sheet) flush() error {
	err := s.out.Flush()
	if s.err != nil {
		return s.err
	}
	return err
}

func tsvCell(text string) string {
	plain := func(r rune) bool { return r != '\\' && !unprintable(r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case plain(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += n
	}
	return b.String()
}

// orEmpty is metadata for JSON, where none is {}.
func orEmpty(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}
