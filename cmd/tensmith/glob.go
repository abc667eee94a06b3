package main

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// A globs matches names against patterns. Of none, every name matches. Go's
// regular expressions take time in proportion to a name, however many stars a
// pattern has.
type globs []*regexp.Regexp

// parseGlobs reads patterns: * is any text, ? any character, [ab] one of
// those, {a,b} either; the rest stands for itself. They match whole names.
func parseGlobs(patterns []string) (globs, error) {
	var all globs
	for _, p := range patterns {
		var b strings.Builder
		b.WriteString(`(?s)^`)
		depth := 0
		for i := 0; i < len(p); i++ {
			c, n := utf8.DecodeRuneInString(p[i:])
			if c == utf8.RuneError && n == 1 {
				return nil, usagef("pattern %q is not UTF-8, as names are", p)
			}
			switch {
			case c == '*':
				b.WriteString(`.*`)
			case c == '?':
				b.WriteByte('.')
			case c == '{':
				b.WriteString(`(?:`)
				depth++
			case c == ',' && depth > 0:
				b.WriteByte('|')
			case c == '}' && depth > 0:
				b.WriteByte(')')
				depth--
			case c == '[':
				end := strings.IndexByte(p[i+1:], ']')
				if end < 1 {
					return nil, hinted{usagef("pattern %q: [ without a ]", p), "[[] matches a bracket itself"}
				}
				class := p[i+1 : i+1+end]
				if class[0] == '!' {
					class = "^" + class[1:]
				}
				b.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
				i += end + 1
			default:
				b.WriteString(regexp.QuoteMeta(p[i : i+n]))
				i += n - 1
			}
		}
		if depth > 0 {
			return nil, hinted{usagef("pattern %q: { without a }", p), "[{] matches a brace itself"}
		}
		b.WriteByte('$')
		re, err := regexp.Compile(b.String())
		if e, ok := errors.AsType[*syntax.Error](err); ok {
			return nil, usagef("pattern %q: %s: %s", p, e.Code, e.Expr)
		}
		if err != nil {
			return nil, usagef("pattern %q: %v", p, err)
		}
		all = append(all, re)
	}
	return all, nil
}

func (g globs) match(name string) bool {
	for _, re := range g {
		if re.MatchString(name) {
			return true
		}
	}
	return len(g) == 0
}
