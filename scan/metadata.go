package scan

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/tensmith/tensmith/safetensors"
)

// secrets are what must not be published, by the shape that its issuer gives
// it. Nothing of what matches is ever shown. A hint is a text, in lower case,
// that stands in all that matches: searching for it is a hundred times faster.
var secrets = []struct {
	id, what string
	hints    []string
	pattern  func() *regexp.Regexp
}{
	{"ST601", "a private key", []string{"private key"}, regular(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`)},
	{"ST602", "a token of Hugging Face", []string{"hf_"}, regular(`\bhf_[A-Za-z0-9]{30,}\b`)},
	{"ST602", "an access key of AWS", []string{"akia", "asia"}, regular(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`)},
	{"ST602", "a token of GitHub", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, regular(`\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b`)},
	{"ST602", "a token of GitLab", []string{"glpat-"}, regular(`\bglpat-[A-Za-z0-9_-]{20,}`)},
	{"ST602", "a key of an API", []string{"sk-"}, regular(`\bsk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{32,}`)},
	{"ST602", "a key of Google", []string{"aiza"}, regular(`\bAIza[A-Za-z0-9_-]{35}`)},
	{"ST602", "a token of Slack", []string{"xox"}, regular(`\bxox[abposr]-[A-Za-z0-9-]{10,}`)},
	{"ST602", "a token of Civitai or Weights & Biases", []string{"wandb", "civitai"}, regular(`(?i)\b(?:wandb|civitai)[\w .-]{0,20}(?:key|token)["' :=]+[a-f0-9]{32,40}\b`)},
	{"ST602", "a web token", []string{"eyj"}, regular(`\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}`)},
	{"ST602", "a password in an address", []string{"://"}, regular(`\b[a-z][a-z0-9+.-]*://[^\s/:@"']+:[^\s/:@"']{3,}@`)},
	{"ST602", "a secret", []string{"passw", "secret", "api", "token"}, regular(`(?i)["']?\b(?:\w*_)?(?:password|passwd|secret|api_?key|access_?token|auth_?token)\b["']?\s*[:=]\s*["']?[^\s"',;{}\[\]]{8,}`)},
	{"ST603", "an e-mail address", []string{"@"}, regular(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b`)},
	{"ST604", "a path of someone's home", []string{"/home/", "/users/", `\users\`}, regular(`(?i)(?:/home/|/Users/|[A-Z]:\\{1,2}Users\\{1,2})[A-Za-z0-9._-]+`)},
}

// find searches a text where one of the hints stands, at most a thousand
// times. The lower text is the same in lower case of ASCII.
func (t *trace) find(pattern func() *regexp.Regexp, text, lower string, hints []string, accept func(string) bool) string {
	for _, hint := range hints {
		from, tries := 0, 0
		for tries < 1000 {
			i := strings.Index(lower[from:], hint)
			if i < 0 {
				break
			}
			tries++
			i += from
			begin, end := max(0, i-256), min(len(text), i+2048)
			if t.spent.hinted -= int64(end-begin) * hintCost(hint); t.spent.hinted < 0 {
				return ""
			}
			for _, match := range pattern().FindAllString(text[begin:end], 8) {
				if accept == nil || accept(match) {
					return match
				}
			}
			from = min(i+1024, len(text))
		}
	}
	return ""
}

// hintCost is how often a byte around a hint counts, by how long the expressions
// take that it stands for.
func hintCost(hint string) int64 {
	switch hint {
	case "@", "://":
		return 2
	case "sk-", "passw", "secret", "api", "token", "/home/", "/users/", `\users\`:
		return 3
	case "wandb", "civitai":
		return 5
	case "{%":
		return 6
	}
	if slices.Contains(programHints, hint) {
		return 6
	}
	return 1
}

// lowerASCII keeps every byte where it is, as strings.ToLower does not.
func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// programs are what no metadata need.
var programs = regular(`(?i)<script\b|javascript:|\bon(?:load|error|click)\s*=\s*["']|#!/|\b(?:eval|exec|__import__|os\.system|subprocess\.\w+|compile)\s*\(|\bpowershell(?:\.exe)?\s+-|\b(?:curl|wget)\s+[^|\n]*\|\s*(?:ba)?sh\b|\{\{.*__\w+__.*\}\}|\$\{jndi:`)

var programHints = []string{"<script", "javascript:", "onload", "onerror", "onclick", "#!/", "eval", "exec", "__import__", "os.system", "subprocess", "compile", "powershell", "curl", "wget", "jndi:", "{{"}

// longKeys are metadata whose values are long, and known to be harmless.
var longKeys = []string{"ss_tag_frequency", "ss_bucket_info", "ss_dataset_dirs", "ss_datasets", "modelspec.thumbnail", "workflow", "prompt", "config", "modelspec.description"}

// metadata looks at the strings that a safetensors file carries.
func (t *trace) metadata(f *safetensors.File, at place) {
	meta := f.Metadata()
	keys := make([]string, 0, len(meta))
	total := 0
	for k, v := range meta {
		keys = append(keys, k)
		total += len(k) + len(v)
	}
	slices.Sort(keys)
	// Of a million short ones each would take as long as a page of text.
	const apart, page = 1000, 256 << 10
	const few = 16 // which nearly all have fewer of
	if n := int64(len(keys)); !t.work(workMetadata*max(n-few, 0)+workKeyTexts*max(min(n, apart)-few, 0)) && at.depth > 0 {
		return // which is told when all is done
	}
	var many strings.Builder
	for i, key := range keys {
		value := meta[key]
		if i < apart || len(value) > 1000 {
			t.metadataText(at, key, key)
			t.metadataText(at, key, value)
		} else {
			fmt.Fprintf(&many, "%s: %s\n", key, value)
		}
		if many.Len() > page || i == len(keys)-1 && many.Len() > 0 {
			t.metadataText(at, "many keys, of which the last is "+excerpt(key, 40), many.String())
			many.Reset()
		}
		if len(value) > 1<<20 && !slices.Contains(longKeys, key) {
			t.note("ST607", at, -1, shown(key), fmt.Sprintf("the value of %s is %d bytes long", shown(key), len(value)))
		}
	}
	if total > 8<<20 {
		t.note("ST607", at, -1, "", fmt.Sprintf("%d bytes of metadata", total))
	}
	t.tensorNames(at, f)
}

// shown is a key as a message has it.
func shown(key string) string { return fmt.Sprintf("%+q", excerpt(key, 60)) }

// redact leaves nothing of a secret but how it is called.
func redact(match string) string { return fmt.Sprintf("[%d bytes, not shown]", len(match)) }

// metadataText judges a key or a value.
func (t *trace) metadataText(at place, key, text string) {
	if len(text) > 16<<20 {
		text = text[:16<<20]
	}
	lower := lowerASCII(text)
	for _, s := range secrets {
		match := t.find(s.pattern, text, lower, s.hints, func(m string) bool { return s.id != "ST603" || !publicMail(m) })
		if match == "" {
			continue
		}
		t.note(s.id, at, -1, shown(key)+" "+s.what, fmt.Sprintf("%s has %s: %s", shown(key), s.what, redact(match)))
	}
	if match := t.find(programs, text, lower, programHints, nil); match != "" {
		t.note("ST605", at, -1, shown(key), fmt.Sprintf("%s holds what looks like a program: %+q", shown(key), excerpt(match, 40)))
	}
	if match := t.find(escapes, text, lower, []string{"{{", "{%"}, nil); match != "" {
		t.note("ST503", at, -1, shown(key), fmt.Sprintf("%s holds a template that reaches into the interpreter: %+q", shown(key), excerpt(match, 40)))
	}
	if t.spent.hinted < 0 {
		t.note("ST408", at, -1, "texts", "more of the metadata looks as if it held secrets or programs than a scan searches")
	}
	t.hiddenText(at, key, text)
	t.blobText(at, key, text)
}

// publicMail leaves out addresses that are nobody's.
func publicMail(address string) bool {
	lower := strings.ToLower(address)
	for _, end := range []string{"@localhost", "@users.noreply.github.com", "@2x.png"} {
		if strings.HasSuffix(lower, end) {
			return true
		}
	}
	return strings.HasPrefix(lower, "git@") || strings.HasPrefix(lower, "noreply@")
}

// hiddenText tells of characters that a terminal or a reader acts upon.
func (t *trace) hiddenText(at place, key, text string) {
	for _, r := range text {
		what := ""
		switch {
		case r == 0x1b || r == 0x9b:
			what = "an escape sequence of terminals"
		case r == 0:
			what = "a NUL"
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			what = "a character that turns the direction of text"
		case r >= 0x200b && r <= 0x200c, r == 0x2060, r == 0xfeff, r == 0x180e, r == 0x200e || r == 0x200f:
			what = "a character without width"
		case r >= 0xe0000 && r <= 0xe007f:
			what = "invisible tag characters"
		case r < ' ' && r != '\n' && r != '\r' && r != '\t':
			what = "a control character"
		default:
			continue
		}
		t.note("ST606", at, -1, shown(key), fmt.Sprintf("%s has %s (%U)", shown(key), what, r))
		return
	}
}

// base64Runs gives the runs of letters of base64, of 512 and more, or shorter
// ones that begin as an encoded file does.
func base64Runs(text string, visit func(begin, end int)) {
	begin := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			c := text[i]
			if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '_' || c == '-' || c == '=' {
				continue
			}
		}
		if i-begin >= 512 || i-begin >= 24 && isBase64([]byte(text[begin:begin+8])) {
			visit(begin, i)
		}
		begin = i + 1
	}
}

// blobText looks into long runs of base64.
func (t *trace) blobText(at place, key, text string) {
	left := 16
	base64Runs(text, func(begin, end int) {
		run := text[begin:end]
		before := text[max(0, begin-40):begin]
		if strings.Contains(before, "data:image/") {
			return // a thumbnail, as modelspec has it
		}
		if left <= 0 {
			if head := unbase64(run[:min(len(run)/4*4, 88)]); plausible(head) {
				t.note("ST408", at, -1, "files", "more of the metadata looks like files in base64 than a scan reads")
			}
			return
		}
		data := unbase64(run)
		if data == nil {
			run = strings.TrimRight(run, "=")
			data, _ = base64.StdEncoding.DecodeString(run[:len(run)/4*4])
		}
		if len(data) == 0 {
			return
		}
		k, _ := identify(data[:min(len(data), 4096)])
		if k == kindMedia {
			return
		}
		if len(run) >= 512 && varied(run) {
			left--
			t.note("ST608", at, -1, shown(key), fmt.Sprintf("%s holds %d bytes in base64", shown(key), len(data)))
		}
		if plausible(data[:min(len(data), 64)]) {
			left--
			loose := at.in("metadata " + excerpt(key, 60))
			loose.loose = true
			apart := t.apart()
			if format := apart.content(inMemory(data), loose); format != "" {
				t.join(apart)
				t.note("ST330", at, -1, shown(key), fmt.Sprintf("%s holds a file (%s) in base64", shown(key), format))
			}
		}
	})
}

// varied tells encoded bytes from a run of one letter, or a hash in hexadecimal
// digits.
func varied(run string) bool {
	var upper, lower, digit int
	for _, c := range run {
		switch {
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= '0' && c <= '9':
			digit++
		}
	}
	return upper > len(run)/20 && lower > len(run)/20 && digit > 0
}

// tensorNames are looked at like metadata, but for what Check already tells.
func (t *trace) tensorNames(at place, f *safetensors.File) {
	for tensor := range f.All() {
		for _, r := range tensor.Name {
			if r == 0x1b || r == 0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || unicode.Is(unicode.Cc, r) {
				t.add(Finding{ID: "ST606", File: at.file, Offset: tensor.Offset(), Tensor: tensor.Name, Message: fmt.Sprintf("the name %s has a control character (%U)", quote(tensor.Name), r)})
				break
			}
		}
	}
}
