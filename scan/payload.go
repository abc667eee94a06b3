package scan

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/tensmith/tensmith/pickle"
)

// payload returns bytes in all the forms that pickles have for them.
func (w *watcher) payload(v pickle.Value) (blob, bool) {
	switch v := v.(type) {
	case []byte:
		return inMemory(v), true
	case *pickle.ByteArray:
		return inMemory(v.Data), true
	case pickle.ByteString:
		return inMemory([]byte(v)), true
	case pickle.Range:
		switch v.Op.String() {
		case "BINBYTES", "BINBYTES8", "BYTEARRAY8", "SHORT_BINBYTES", "BINSTRING":
			return w.b.sub(v.Offset, v.Size)
		}
	case *pickle.Object:
		args := v.ArgList()
		if !v.Symbol().Is("_codecs", "encode") || len(args) != 2 || args[1] != "latin1" {
			if sym := v.Symbol(); sym.Is("builtins", "bytes") || sym.Is("builtins", "bytearray") {
				return w.madeBytes(args)
			}
			return blob{}, false
		}
		switch text := args[0].(type) {
		case string:
			if data, ok := latin1([]byte(text)); ok {
				return inMemory(data), true
			}
		case pickle.Range:
			raw, ok := w.b.sub(text.Offset, text.Size)
			if !ok || raw.size > w.t.spent.unpack {
				return blob{}, false
			}
			text8, err := raw.at(0, raw.size)
			if err != nil {
				return blob{}, false
			}
			w.t.spent.unpack -= raw.size
			decode := latin1
			if text.Op.String() == "UNICODE" {
				decode = unescaped
			}
			if data, ok := decode(text8); ok {
				return inMemory(data), true
			}
		}
	}
	return blob{}, false
}

// madeBytes returns what bytes and bytearray make of their arguments: of bytes,
// of a list of numbers, and of text in Latin-1, as protocol 2 has it.
func (w *watcher) madeBytes(args []pickle.Value) (blob, bool) {
	if len(args) == 0 {
		return inMemory(nil), true
	}
	if plainBytes(args[0]) && len(args) == 1 {
		return w.payload(args[0])
	}
	if text, ok := args[0].(string); ok && len(args) == 2 {
		if name, _ := pickle.Text(args[1]); name == "latin-1" || name == "latin1" {
			data, ok := latin1([]byte(text))
			return inMemory(data), ok
		}
	}
	if o, ok := args[0].(*pickle.Object); ok && len(args) == 1 && o.Symbol().Is("_codecs", "encode") {
		return w.payload(o)
	}
	var numbers []pickle.Value
	switch v := args[0].(type) {
	case *pickle.List:
		numbers = v.Items
	case *pickle.Tuple:
		numbers = v.Items
	}
	if int64(len(numbers)) > w.t.spent.unpack || len(numbers) == 0 || len(args) > 1 {
		return blob{}, false
	}
	w.t.spent.unpack -= int64(len(numbers))
	data := make([]byte, len(numbers))
	for i, v := range numbers {
		n, ok := v.(int64)
		if !ok || n < 0 || n > 255 {
			return blob{}, false
		}
		data[i] = byte(n)
	}
	return inMemory(data), true
}

// isLoaded tells whether a value was read as a checkpoint already.
func (w *watcher) isLoaded(v pickle.Value) bool {
	switch v := v.(type) {
	case []byte:
		return len(v) > 0 && w.loaded[&v[0]]
	case *pickle.Object, *pickle.ByteArray, pickle.Range, pickle.ByteString:
		return w.loaded[v]
	}
	return false
}

// latin1 turns UTF-8 of characters up to U+00FF into bytes.
func latin1(text []byte) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c < 0x80:
			out = append(out, c)
		case (c == 0xc2 || c == 0xc3) && i+1 < len(text) && text[i+1]&0xc0 == 0x80:
			i++
			out = append(out, c<<6|text[i]&0x3f)
		default:
			return nil, false
		}
	}
	return out, true
}

// look looks for files within strings: a pickle, an archive, a program, also
// written in base64 or hexadecimal.
func (w *watcher) look(v pickle.Value, offset int64) {
	var data blob
	text := ""
	if w.isLoaded(v) {
		return
	}
	switch v := v.(type) {
	case string:
		text = v
	case pickle.ByteString:
		w.spend(bytesWork)
		data, text = inMemory([]byte(v)), string(v)
	case []byte:
		w.spend(bytesWork)
		data = inMemory(v)
		text = string(v[:min(len(v), 1<<16)])
	case pickle.Range:
		raw, ok := w.b.sub(v.Offset, v.Size)
		if !ok {
			return
		}
		offset, data = v.Offset, raw
		head, _ := raw.at(0, 64)
		if isBase64(head) || isHex(head) {
			all, _ := raw.at(0, 1<<20)
			w.spend(len(all) * lookWork)
			text = string(all)
		}
	case *pickle.ByteArray:
		data = inMemory(v.Data)
	case *pickle.Object:
		if sym := v.Symbol(); !sym.Is("_codecs", "encode") && !sym.Is("builtins", "bytes") && !sym.Is("builtins", "bytearray") {
			return
		}
		var ok bool
		if data, ok = w.payload(v); !ok {
			return
		}
		offset = v.Offset
	default:
		return
	}
	if _, made := v.(*pickle.Object); made {
		w.spend(int(min(data.size, maxUnpack)) * lookWork) // as often as it is made
	}
	if data.size >= minPayload {
		w.inside(data, offset, "bytes")
		if _, isText := v.(string); !isText && kindOf([]byte(text[:min(len(text), 64)])) != kindUnknown {
			return // looked into already
		}
	}
	if len(text) < minPayload || w.decodes > 10_000 {
		return
	}
	head := []byte(text[:min(len(text), 64)])
	switch {
	case text[0] == 'c' || text[0] == '(' || text[0] == '\x80':
		w.inside(inMemory([]byte(text)), offset, "text")
	case isHex(head):
		w.decodes++
		w.spend(len(text) * lookWork)
		if b, err := hex.DecodeString(strings.TrimSpace(text)); err == nil {
			w.inside(inMemory(b), offset, "hexadecimal")
		}
	case isBase64(head):
		w.decodes++
		w.spend(len(text) * lookWork)
		if b := unbase64(text); b != nil {
			w.inside(inMemory(b), offset, "base64")
		}
	}
}

// minPayload is the shortest pickle that does something: cos\nsystem\n and an
// argument.
const minPayload = 16

// encodedMagics begin files worth a look, as base64 has them.
var encodedMagics = []string{"gAJ", "gAN", "gAI", "gAS", "gAW", "gAR", "gAU", "gAA", "gAE", "Y29z", "Y19f", "Y2J1", "Y3Bv", "UEsD", "H4sI", "f0VM", "TVq", "QlpoO", "/Td6", "eJ", "eN", "eA", "N3q8"}

func isBase64(head []byte) bool {
	for _, m := range encodedMagics {
		if bytes.HasPrefix(head, []byte(m)) {
			return true
		}
	}
	return false
}

func isHex(head []byte) bool {
	lower := bytes.ToLower(head[:min(len(head), 8)])
	for _, m := range []string{"8002", "8003", "8004", "8005", "504b0304", "1f8b08", "7f454c46", "636f730a", "4d5a90"} {
		if bytes.HasPrefix(lower, []byte(m)) {
			return true
		}
	}
	return false
}

func unbase64(text string) []byte {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding} {
		if b, err := enc.DecodeString(text); err == nil {
			return b
		}
	}
	return nil
}

// inside scans bytes that may be a file, and may be anything.
func (w *watcher) inside(data blob, offset int64, how string) {
	head, err := data.at(0, 64)
	if err != nil || !plausible(head) {
		return
	}
	if head[0] == 'c' || head[0] == '(' {
		// Words begin so, too. What imports nothing is of no interest.
		start, _ := data.at(0, maxText)
		if data.size <= maxText && !bytes.ContainsAny(start, "\n\x93\x82\x83\x84") {
			return
		}
	}
	if w.t.spent.pickles -= pickleWork; w.t.spent.pickles <= 0 {
		w.t.note("ST404", w.at, -1, "", "more strings that look like files than a scan reads")
		_, _, _ = w.t.skimNames(data, 0, w.at, nil)
		return
	}
	at := w.at.in(how)
	if offset >= 0 {
		at = w.at.in(fmt.Sprintf("%s@%d", how, offset))
	}
	at.loose = true
	if at.depth > maxDepth || data.size > w.t.spent.nested {
		w.t.note("ST404", w.at, offset, "", "files within strings are nested too deep, or too many")
		_, _, _ = w.t.skimNames(data, 0, w.at, nil)
		return
	}
	w.t.spent.nested -= data.size
	apart := w.t.apart()
	if format := apart.content(data, at); format != "" {
		w.t.join(apart)
		w.hidden(apart, offset, how, fmt.Sprintf("%s within %s: %s", formatName(format), map[bool]string{true: "a string", false: "bytes"}[how != "bytes"], how))
	}
}

// plausible tells whether bytes begin as a file does that is worth a look.
func plausible(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	switch kindOf(head) {
	case kindPickle, kindSafetensors, kindZip, kindGzip, kindBzip2, kindXZ, kindZlib, kindZstd, kindLZ4, kindSevenZip, kindTar, kindNative, kindScript:
		return true
	}
	return head[0] == 'c' || head[0] == '('
}

// formatName is what a person calls a format.
func formatName(format string) string { return "a file (" + format + ")" }

var _ io.ReaderAt = blob{}

// unescaped turns the line of UNICODE, in which characters up to U+00FF stand
// for themselves or as four or eight hexadecimal digits (Python's
// raw-unicode-escape), into bytes.
func unescaped(line []byte) ([]byte, bool) {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' || i+1 == len(line) || line[i+1] != 'u' && line[i+1] != 'U' {
			out = append(out, line[i])
			if line[i] == '\\' && i+1 < len(line) && line[i+1] == '\\' {
				i++ // of two none begins an escape
				out = append(out, '\\')
			}
			continue
		}
		digits := 4
		if line[i+1] == 'U' {
			digits = 8
		}
		if len(line)-i-2 < digits {
			return nil, false
		}
		c, err := strconv.ParseUint(string(line[i+2:i+2+digits]), 16, 32)
		if err != nil || c > 0xff {
			return nil, false
		}
		out = append(out, byte(c))
		i += 1 + digits
	}
	return out, true
}
