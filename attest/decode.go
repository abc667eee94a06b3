package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// decode is json.Unmarshal of what others read, too: package json takes Digest
// for digest, and of both the last, so that it would not see what they see.
func decode(text json.RawMessage, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if key, twice := twin(text); twice {
		return fmt.Errorf("%w: key %.100q stands there twice, upper and lower case apart", ErrMalformed, key)
	}
	return nil
}

// twin returns a key that its object has twice, upper and lower case apart. The
// text is JSON.
func twin(text []byte) (string, bool) {
	type level struct {
		keys map[string]bool // nil in an array
		key  bool            // the next token is a key
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	levels := []level{{}}
	for {
		token, err := d.Token()
		if err != nil {
			return "", false
		}
		at := &levels[len(levels)-1]
		if key, ok := token.(string); ok && at.key {
			// To upper case first, as package json folds long s and the sign of kelvin.
			folded := strings.ToLower(strings.ToUpper(key))
			if at.keys[folded] {
				return key, true
			}
			at.keys[folded], at.key = true, false
			continue
		}
		at.key = at.keys != nil
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{map[string]bool{}, true})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
			at = &levels[len(levels)-1]
			at.key = at.keys != nil
		}
	}
}
