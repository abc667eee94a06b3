// Package escape has escapes in JSON and XML for what a terminal acts upon and the
// encoders of the standard library leave as it is: the controls behind ASCII, and
// what turns or hides text.
package escape

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON returns a text of JSON with escapes, which mean the same.
func JSON(text []byte) []byte {
	return escaped(text, func(r rune) string {
		if first, second := utf16.EncodeRune(r); second != utf8.RuneError {
			return fmt.Sprintf(`\u%04x\u%04x`, first, second)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// XML returns a text of XML with escapes, which mean the same.
func XML(text []byte) []byte {
	return escaped(text, func(r rune) string { return fmt.Sprintf("&#x%X;", r) })
}

func escaped(text []byte, escape func(rune) string) []byte {
	if !bytes.ContainsFunc(text, isHidden) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if isHidden(r) {
			b.WriteString(escape(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// isHidden leaves ASCII to the encoders, and the line ends of an indented document
// alone.
func isHidden(r rune) bool { return r >= 0x7f && !unicode.IsGraphic(r) }
