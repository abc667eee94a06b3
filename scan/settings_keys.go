package scan

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// What a key of YAML is set to, in all the ways that YAML has to write it: behind a
// comment, a tag or an anchor, in a block or in quotes, by an alias, or by an
// interpolation of OmegaConf. What is put together of parts is told, too, for which
// name comes of it is not known here.

var (
	// lineJoin is a line that goes on within double quotes.
	lineJoin     = regular(`\\\r?\n[ \t]*`)
	tagDirective = regular(`(?m)^%TAG[ \t]+(\S+)[ \t]+(\S+)`)
	tagSuffix    = regular(`^[\w./:-]{1,200}`)
	scalarName   = regular(`^[A-Za-z_][A-Za-z0-9_.]*`)
)

// maxValue is how far from its key a value begins.
const maxValue = 4096

// A setting is what stands behind a key.
type setting struct {
	name  string // the first name there
	where int    // in the text
	whole bool   // there is nothing but that name
	other string // what the value is taken from
}

// valueAt reads what stands behind a colon.
func valueAt(text []byte, at int) setting {
	end := min(len(text), at+maxValue)
	for at < end {
		switch c := text[at]; c {
		case ' ', '\t', '\r', '\n':
			at++
			continue
		case '#', '&', '!':
			stop := " \t\r\n"
			if c == '#' {
				stop = "\r\n"
			}
			n := bytes.IndexAny(text[at:end], stop)
			if n < 0 {
				return setting{where: at}
			}
			at += n
			continue
		case '>', '|':
			for at++; at < end && strings.IndexByte("+-0123456789", text[at]) >= 0; at++ {
			}
			continue
		}
		break
	}
	s := setting{where: at}
	if at >= end {
		return s
	}
	switch rest := text[at:end]; {
	case rest[0] == '*':
		s.other = string(rest[:1+len(scalarName().Find(rest[1:]))])
		return s
	case rest[0] == '"', rest[0] == '\'':
		at++
	}
	s.where = at
	if rest := text[at:end]; bytes.HasPrefix(rest, []byte("${")) {
		inner, _, _ := bytes.Cut(rest[2:], []byte("}"))
		s.other = string(inner[:min(len(inner), 200)])
		return s
	}
	s.name = string(scalarName().Find(text[at:end]))
	rest := bytes.TrimLeft(bytes.TrimLeft(text[at+len(s.name):end], `"'`), " \t")
	s.whole = s.name != "" && (len(rest) == 0 || strings.IndexByte("\r\n,}]#", rest[0]) >= 0)
	return s
}

// keyed calls visit for the values of a key, until that is enough, and odd where the key
// stands as nothing that sets it.
func keyed(text []byte, key string, visit func(s setting, read int) bool, odd func(where int) bool) {
	for from, line := 0, 0; ; {
		i := bytes.Index(text[from:], []byte(key))
		if i < 0 {
			return
		}
		i += from
		if n := bytes.LastIndexAny(text[from:i], "\r\n"); n >= 0 {
			line = from + n + 1
		}
		from = i + len(key)
		if i > 0 && isWord(text[i-1]) || from < len(text) && isWord(text[from]) || isComment(text[line:i]) {
			continue
		}
		more := false
		rest := bytes.TrimLeft(text[from:min(len(text), from+maxValue)], "\"' \t\r\n")
		if len(rest) > 0 && rest[0] == ':' {
			at := bytes.IndexByte(text[from:], ':') + from + 1
			s := valueAt(text, at)
			more = visit(s, s.where-from)
		} else {
			more = odd(i)
		}
		if !more {
			return
		}
	}
}

// isComment tells whether a line begins with nothing but a comment.
func isComment(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line[:min(len(line), maxValue)], " \t"), []byte("#"))
}

// referred returns the names that an alias or an interpolation may stand for.
func referred(text []byte, other string) (names []string) {
	pattern := ""
	if anchor, ok := strings.CutPrefix(other, "*"); ok {
		pattern = `&` + regexp.QuoteMeta(anchor) + `\s+["']?([A-Za-z_][\w.]*)`
	} else {
		parts := strings.Split(other, ".")
		pattern = `(?:^|[\s{,"'])` + regexp.QuoteMeta(parts[len(parts)-1]) + `["']?\s*:\s*["']?([A-Za-z_][\w.]*)`
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	for _, m := range re.FindAllSubmatch(text, 8) {
		names = append(names, string(m[1]))
	}
	return names
}

// keyTargets judges what the values of a key name. Where strangers may be, as under a
// key that any settings have, only what runs is told.
func (t *trace) keyTargets(text []byte, at place, base int64, key string, strangers bool, judge func(offset int64, name string)) {
	unclear := func(where int, what string) {
		if !strangers {
			t.note("ST367", at, base+int64(where), key, fmt.Sprintf("%s is %s: which name comes of it is not known here", key, what))
		}
	}
	references := 16
	keyed(text, key, func(s setting, read int) bool {
		if !t.work(workAttribute + int64(read)) {
			return false // which is told when all is done
		}
		switch {
		case s.other != "":
			unclear(s.where, fmt.Sprintf("taken from %+q", clip(s.other, 60)))
			if references--; references < 0 || !t.work(workExpression*int64(len(text))) {
				break
			}
			for _, name := range referred(text, s.other) {
				if runs(name) {
					judge(base+int64(s.where), name)
				}
			}
		case s.name == "null" && s.whole, s.name == "" && (s.where >= len(text) || text[s.where] == '~'):
		case s.name == "":
			unclear(s.where, "no name")
		default:
			if !strangers || runs(s.name) {
				judge(base+int64(s.where), s.name)
			}
			if !s.whole {
				unclear(s.where, "a name with more behind it")
			}
		}
		return true
	}, func(where int) bool {
		unclear(where, "set in a way that is not read here")
		return t.work(workAttribute)
	})
}

// tagHandles judges tags whose beginning is declared elsewhere.
func (t *trace) tagHandles(text []byte, at place, base int64, judge func(offset int64, name string)) {
	if !bytes.Contains(text, []byte("%TAG")) || !t.work(workExpression*int64(len(text))) {
		return
	}
	for _, m := range tagDirective().FindAllSubmatchIndex(text, 8) {
		handle, prefix := text[m[2]:m[3]], string(text[m[4]:m[5]])
		if prefix == "tag:yaml.org,2002:" {
			continue
		}
		t.note("ST367", at, base+int64(m[0]), "%TAG", fmt.Sprintf("tags that begin with %+q stand for others, which begin with %+q", clip(string(handle), 40), clip(prefix, 60)))
		for from := m[1]; len(prefix) <= 200; {
			i := bytes.Index(text[from:], handle)
			if i < 0 || !t.work(workAttribute) {
				break
			}
			from += i + len(handle)
			whole := prefix + string(tagSuffix().Find(text[from:min(len(text), from+200)]))
			if tag := yamlTag().FindStringSubmatch(whole); tag != nil {
				judge(base+int64(from), tag[1])
			}
		}
	}
}
