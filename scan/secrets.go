package scan

import (
	"strings"
	"unicode/utf8"

	"github.com/tensmith/tensmith/pickle"
)

// issued are texts of which one stands, with its case, in whatever an issuer's
// shape in secrets matches: looking for them is quick enough for every string
// of a pickle.
var issued = []string{"PRIVATE KEY", "hf_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "AIza", "xox", "eyJ", "://", "wandb", "WANDB", "civitai", "CIVITAI"}

// secretKey are names under which settings keep what must not be published.
var secretKey = regular(`(?i)^(?:\w*[_-])?(?:password|passwd|secret(?:[_-]?key)?|api[_-]?key|access[_-]?token|auth[_-]?token|private[_-]?key)$`)

// secretLine is a line of settings: a name, and a value without space.
var secretLine = regular(`(?m)^[ \t-]*(?:export )?["']?([\w-]{3,60})["']?[ \t]*[:=][ \t]*["']?([^\s"'#]{8,500})`)

// placeholder is what examples have in the place of a secret.
var placeholder = regular(`(?i)^[<$%{*\[(]|\.\.\.|your|example|placeholder|change_?me|redacted|dummy|xxxx|(?:user|username|login|name):(?:pass|password|token|pwd)@`)

// secret looks for a key, a token or a password in a text that stands under
// key, or under none. What it finds is not shown.
func (t *trace) secret(at place, offset int64, key, text string) {
	if key != "" && len(key) <= 64 && len(text) >= 8 && len(text) <= 512 && mayBeSecretKey(key) && t.work(workExpression*int64(len(key))) && secretKey().MatchString(key) && distinct(text) >= 5 &&
		!strings.ContainsAny(text, " \t\n") && !placeholder().MatchString(text) && !strings.Contains(text, "://") {
		t.note("ST602", at, offset, shown(key), shown(key)+" is "+redact(text))
		return
	}
	if len(text) < 16 || t.spent.search < 0 || !hasAny(text, issued) {
		return
	}
	if t.spent.search -= int64(len(text)); t.spent.search < 0 || t.spent.hinted < 0 {
		t.spent.search = -1
		t.unsearched(at, offset)
		return
	}
	lower := lowerASCII(text)
	for _, s := range secrets {
		if s.what == "a secret" || s.id != "ST601" && s.id != "ST602" {
			continue // the first is for metadata, which have no other form
		}
		match := t.find(s.pattern, text, lower, s.hints, func(m string) bool {
			return s.id == "ST601" || distinct(m) >= 10 && !placeholder().MatchString(m) && !placeholder().MatchString(m[strings.Index(m, "://")+1:])
		})
		if match == "" {
			continue
		}
		name, where := s.what, ""
		if key != "" {
			name, where = shown(key)+" "+s.what, " under "+shown(key)
		}
		t.note(s.id, at, offset, name, "has "+s.what+where+": "+redact(match))
	}
}

// excerpt is what a message shows of a text that may hold a secret, such as a
// command with a password in it: clip without those that [secrets] knows. Names
// of files, members, tensors and imports are places, and shown as they are.
func excerpt(text string, n int) string {
	text = text[:min(len(text), n+2048)]
	lower := lowerASCII(text)
	for _, s := range secrets {
		if s.id != "ST601" && s.id != "ST602" || !hasAny(lower, s.hints) {
			continue
		}
		if at := s.pattern().FindStringIndex(text); at != nil && s.id == "ST601" {
			text = text[:at[0]] + redact(text[at[0]:]) // what follows is the key
		}
		text = s.pattern().ReplaceAllStringFunc(text, redact)
		lower = lowerASCII(text)
	}
	return clip(text, n)
}

// unsearched tells that no more texts are searched for secrets.
func (t *trace) unsearched(at place, offset int64) {
	t.add(Finding{ID: "ST408", Severity: Note, File: at.file, Offset: offset, Name: "secrets", Message: "more texts look as if they held secrets than a scan searches; code is looked for in all of them"})
}

func hasAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// distinct is how many different bytes a text has, which are few in what only
// looks like a secret.
func distinct(text string) int {
	var seen [256]bool
	n := 0
	for i := range len(text) {
		if !seen[text[i]] {
			seen[text[i]] = true
			n++
		}
	}
	return n
}

// secretText looks for secrets in a text, and by the names of its lines if it
// is settings.
func (t *trace) secretText(b blob, at place) {
	text, err := b.at(0, maxSource)
	if err != nil {
		return // told by whoever reads the whole
	}
	t.secret(at, -1, "", string(text))
	lower := strings.ToLower(at.name)
	for _, end := range []string{".yaml", ".yml", ".env", ".ini", ".cfg", ".conf", ".toml", ".properties"} {
		if strings.HasSuffix(lower, end) {
			t.secretLines(at, text)
			return
		}
	}
}

// secretWords are texts of which one stands, in letters of either case, in whatever
// secretKey matches.
var secretWords = []string{"passw", "secret", "key", "token"}

// mayBeSecretKey is whether secretKey has to be asked, which takes some fifty
// times as long. It also knows the letters K and S that are not of ASCII.
func mayBeSecretKey(key string) bool {
	for i := range len(key) {
		if key[i] >= utf8.RuneSelf {
			return true
		}
	}
	return hasAny(lowerASCII(key), secretWords)
}

// secretLines looks at lines that name a value.
func (t *trace) secretLines(at place, text []byte) {
	const most = 10_000
	lower := lowerASCII(string(text))
	found := 0
	for begin := 0; begin < len(text) && found < most; {
		end := begin + 1 + strings.IndexByte(lower[begin:], '\n')
		if end == begin {
			end = len(text)
		}
		line := text[begin:end]
		// A name, what is between, and a value have no room in less. The expression
		// takes ten times as long as what comes before it.
		const shortest = 3 + 1 + 8
		if len(line) >= shortest && !t.work(workLine) {
			return
		}
		if len(line) >= shortest && (hasAny(lower[begin:end], secretWords) || hasAny(string(line), issued)) {
			if !t.work(workFinding + workExpression*int64(len(line))) {
				return
			}
			if m := secretLine().FindSubmatchIndex(line); m != nil {
				found++
				t.secret(at, int64(begin+m[2]), string(line[m[2]:m[3]]), string(line[m[4]:m[5]]))
			}
		}
		begin = end
	}
}

// maxSecretTexts is how many long strings of a pickle are searched for secrets.
const maxSecretTexts = 256

// secrets looks for them in a string or bytes at offset, which have hints.
func (w *watcher) secrets(v pickle.Value, offset int64, hints hinted) {
	if _, long := v.(pickle.Range); !long && hints&hintSecret == 0 {
		return
	}
	if w.t.spent.hinted < maxHinted-pickleHinted {
		w.t.unsearched(w.at, offset)
		return
	}
	switch v := v.(type) {
	case string:
		w.t.secret(w.at, offset, "", v)
	case pickle.ByteString:
		w.t.secret(w.at, offset, "", string(v))
	case []byte:
		w.t.secret(w.at, offset, "", string(v))
	case pickle.Range:
		if w.searched++; w.searched > maxSecretTexts {
			return
		}
		if raw, ok := w.b.sub(v.Offset, v.Size); ok {
			text, _ := raw.at(0, 64<<10)
			w.spend(len(text) * textWork)
			w.t.secret(w.at, v.Offset, "", string(text))
		}
	}
}

// pairs looks for secrets that only their keys tell.
func (w *watcher) pairs(v pickle.Value) {
	dict, ok := v.(*pickle.Dict)
	if !ok {
		return
	}
	for _, p := range dict.Pairs {
		key, ok := pickle.Text(p.Key)
		if !ok || len(key) > 64 {
			continue
		}
		if text, ok := pickle.Text(p.Value); ok && len(text) <= 512 {
			w.secretPair(key, text)
		}
	}
}

// secretPair leaves to the value's own turn what its shape tells.
func (w *watcher) secretPair(key, text string) {
	w.spend(keyWork)
	if !mayBeSecretKey(key) {
		return
	}
	w.spend(pickleUnits * workExpression * len(key))
	if secretKey().MatchString(key) && !hasAny(text, issued) {
		w.t.secret(w.at, -1, key, text)
	}
}
