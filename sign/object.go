package sign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	maxDocument = 512 << 20 // bytes of a bundle: a list of millions of files
	maxDepth    = 64        // of arrays and objects; a bundle has 8

	// maxPayload is what a bundle has room for, in base64 and with the rest.
	maxPayload = maxDocument/4*3 - 4<<20
)

// An object is a JSON object of a bundle, and where it stands. Its keys are
// compared exactly, which package json does not do for structs.
type object struct {
	where   string
	members map[string]json.RawMessage
}

// malformed is an ErrMalformed with its reason.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// parseObject reads a whole document: one object, in UTF-8, in which no key
// stands twice.
func parseObject(data []byte) (object, error) {
	if len(data) > maxDocument {
		return object{}, malformed("%d bytes are more than %d", len(data), maxDocument)
	}
	if !utf8.Valid(data) {
		return object{}, malformed("not UTF-8")
	}
	if err := checkKeys(data); err != nil {
		return object{}, err
	}
	return objectOf(data, "")
}

// checkKeys walks over a document. Of two members with the same key each
// reader takes another one, so that what one verifies is not what another sees.
func checkKeys(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type level struct {
		keys map[string]bool // nil in an array
		key  bool            // the next token is a key
	}
	var levels []level
	for {
		at := d.InputOffset()
		token, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return malformed("JSON at byte %d: %v", at, err)
		}
		top := len(levels) - 1
		if top >= 0 && levels[top].keys != nil && levels[top].key {
			if key, ok := token.(string); ok {
				if levels[top].keys[key] {
					return malformed("JSON at byte %d: key %.100q stands there twice", at, key)
				}
				levels[top].keys[key], levels[top].key = true, false
				continue
			}
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(levels) == maxDepth {
				return malformed("JSON at byte %d: deeper than %d", at, maxDepth)
			}
			l := level{}
			if token == json.Delim('{') {
				l = level{map[string]bool{}, true}
			}
			levels = append(levels, l)
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:top]
		}
		if len(levels) == 0 {
			break
		}
		levels[len(levels)-1].key = true
	}
	if rest := bytes.TrimLeft(data[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return malformed("JSON at byte %d: something follows its end", len(data)-len(rest))
	}
	return nil
}

// objectOf reads a value that has to be an object.
func objectOf(raw json.RawMessage, where string) (object, error) {
	o := object{where: where}
	if len(raw) == 0 {
		return o, malformed("%s is missing", where)
	}
	if err := json.Unmarshal(raw, &o.members); err != nil || o.members == nil {
		return o, malformed("%s is not an object", where)
	}
	return o, nil
}

// closed tells which member is none of those that the schema knows.
func (o object) closed(known ...string) error {
	for _, key := range slices.Sorted(maps.Keys(o.members)) {
		if !slices.Contains(known, key) {
			return malformed("%s is unknown", o.path(key))
		}
	}
	return nil
}

func (o object) path(key string) string {
	if o.where == "" {
		return fmt.Sprintf("%.100s", key)
	}
	return fmt.Sprintf("%s.%.100s", o.where, key)
}

func (o object) has(key string) bool {
	_, ok := o.members[key]
	return ok
}

func (o object) object(key string) (object, error) { return objectOf(o.members[key], o.path(key)) }

// list reads a member that has to be an array.
func (o object) list(key string) (all []json.RawMessage, err error) {
	if !o.has(key) {
		return nil, malformed("%s is missing", o.path(key))
	}
	if err := json.Unmarshal(o.members[key], &all); err != nil || all == nil {
		return nil, malformed("%s is not an array", o.path(key))
	}
	return all, nil
}

// text reads a member that has to be a string.
func (o object) text(key string) (string, error) {
	if !o.has(key) {
		return "", malformed("%s is missing", o.path(key))
	}
	return textOf(o.members[key], o.path(key))
}

func textOf(raw json.RawMessage, where string) (s string, err error) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", malformed("%s is not a string", where)
	}
	return s, nil
}

func (o object) boolean(key string) (bool, error) {
	switch string(o.members[key]) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "":
		return false, malformed("%s is missing", o.path(key))
	}
	return false, malformed("%s is neither true nor false", o.path(key))
}

// positive reads an integer above 0. Protocol buffers know no integers in JSON
// values, so model_signing has once written 1000000000.0.
func (o object) positive(key string) (int64, error) {
	if !o.has(key) {
		return 0, malformed("%s is missing", o.path(key))
	}
	text := string(o.members[key])
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if f, ferr := strconv.ParseFloat(text, 64); ferr == nil && f == float64(int64(f)) && f < 1<<53 && f > 0 {
			n, err = int64(f), nil
		}
	}
	if err != nil || n <= 0 {
		return 0, malformed("%s is not an integer above 0", o.path(key))
	}
	return n, nil
}

// bytes reads a member that has to be a string of base64, in either alphabet,
// written in the only way in which its bytes can be.
func (o object) bytes(key string) ([]byte, error) {
	text, err := o.text(key)
	if err != nil {
		return nil, err
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		// A decoder skips ends of lines.
		if data, err := e.Strict().DecodeString(text); err == nil && e.EncodedLen(len(data)) == len(text) && len(data) > 0 {
			return data, nil
		}
	}
	if text == "" {
		return nil, malformed("%s is empty", o.path(key))
	}
	return nil, malformed("%s is not base64", o.path(key))
}
