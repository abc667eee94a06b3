package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// tokensOf lists the tokens of a text, and whether it ends well.
func tokensOf(r io.Reader) (list []string, err error) {
	j := newJSONTokens(r)
	for len(list) < 10_000 {
		kind, text, err := j.next()
		if err != nil {
			return list, err
		}
		if kind == 'k' {
			kind = '"' // the decoder does not tell them apart
		}
		list = append(list, fmt.Sprintf("%c%s@%d", kind, text, j.offset()))
	}
	return list, nil
}

// decoderTokens is tokensOf by encoding/json.
func decoderTokens(text []byte) (list []string, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for len(list) < 10_000 {
		tok, err := d.Token()
		if err != nil {
			return list, err
		}
		word := ""
		switch tok := tok.(type) {
		case json.Delim:
			word = tok.String()
		case string:
			word = `"` + tok
		case json.Number:
			word = "0"
		case bool:
			word = fmt.Sprint(tok)[:1]
		default:
			word = "n"
		}
		list = append(list, fmt.Sprintf("%s@%d", word, d.InputOffset()))
	}
	return list, nil
}

// TestJSONTokens has what encoding/json does not take.
func TestJSONTokens(t *testing.T) {
	for text, want := range map[string]string{
		`[NaN,-Infinity,Infinity]`: "[@1 0@4 0@14 0@23 ]@24",
		`{"a":NaN}`:                `{@1 "a@4 0@8 }@9`,
	} {
		got, err := tokensOf(strings.NewReader(text))
		if err != io.EOF || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	long := `["` + strings.Repeat("x", maxJSONString+100) + `","é\u00e9"]`
	j := newJSONTokens(iotest.OneByteReader(strings.NewReader(long)))
	var texts []int
	for {
		kind, text, err := j.next()
		if err != nil {
			break
		}
		if kind == '"' {
			texts = append(texts, len(text))
		}
	}
	if fmt.Sprint(texts) != fmt.Sprint([]int{maxJSONString, 4}) || j.leftOut != 100 || j.offset() != int64(len(long)) {
		t.Errorf("%v, %d left out, ends at %d of %d", texts, j.leftOut, j.offset(), len(long))
	}
}

// FuzzJSONTokens states that the tokens are those of encoding/json, however the
// text comes in pieces.
func FuzzJSONTokens(f *testing.F) {
	for _, text := range []string{`{"a":[1,-2.5e+3,true,false,null,"x\n\u00e9\ud83d\ude00\ud800z\ud800\ud800\ud83d\ude00"],"":{}}`, `[1,]`, `{"a" 1}`, `{,}`, `01`, `1.`, `-`, `1 2 [3]`, `"\x"`, "\"\x00\"", "\"\xff\x88\xff\xed\xa0\x80\"", `[}`, `{"a":1,}`, `nul`, `"\ud83d\u0041"`, `"\ud800\n"`, ` [ ] `, `]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("N")) || bytes.Contains(text, []byte("I")) {
			return // of which encoding/json knows nothing
		}
		want, wantErr := decoderTokens(text)
		got, err := tokensOf(bytes.NewReader(text))
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %q, %v; encoding/json: %q, %v", text, got, err, want, wantErr)
		}
		pieces, err2 := tokensOf(iotest.OneByteReader(bytes.NewReader(text)))
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", pieces) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q in pieces: %q, %v", text, pieces, err2)
		}
	})
}
