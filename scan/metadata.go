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
// it. Nothing of what matches is ever shown.
var secrets = []struct {
	id, what string
	pattern  *regexp.Regexp
}{
	{"ST601", "a private key", regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`)},
	{"ST602", "a token of Hugging Face", regexp.MustCompile(`\bhf_[A-Za-z0-9]{30,}\b`)},
	{"ST602", "an access key of AWS", regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`)},
	{"ST602", "a token of GitHub", regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b`)},
	{"ST602", "a token of GitLab", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20,}`)},
	{"ST602", "a key of an API", regexp.MustCompile(`\bsk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{32,}`)},
	{"ST602", "a key of Google", regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{35}\b`)},
	{"ST602", "a token of Slack", regexp.MustCompile(`\bxox[abposr]-[A-Za-z0-9-]{10,}`)},
	{"ST602", "a token of Civitai or Weights & Biases", regexp.MustCompile(`(?i)\b(?:wandb|civitai)[\w .-]{0,20}(?:key|token)["' :=]+[a-f0-9]{32,40}\b`)},
	{"ST602", "a web token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}`)},
	{"ST602", "a password in an address", regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://[^\s/:@"']+:[^\s/:@"']{3,}@`)},
	{"ST602", "a secret", regexp.MustCompile(`(?i)["']?\b(?:password|passwd|secret|api_?key|access_?token|auth_?token)\b["']?\s*[:=]\s*["']?[^\s"',;{}\[\]]{8,}`)},
	{"ST603", "an e-mail address", regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b`)},
	{"ST604", "a path of someone's home", regexp.MustCompile(`(?i)(?:/home/|/Users/|[A-Z]:\\{1,2}Users\\{1,2})[A-Za-z0-9._-]+`)},
}

// programs are what no metadata need.
var programs = regexp.MustCompile(`(?i)<script\b|javascript:|\bon(?:load|error|click)\s*=\s*["']|#!/|\b(?:eval|exec|__import__|os\.system|subprocess\.\w+|compile)\s*\(|\bpowershell(?:\.exe)?\s+-|\b(?:curl|wget)\s+[^|\n]*\|\s*(?:ba)?sh\b|\{\{.*__\w+__.*\}\}|\$\{jndi:`)

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
	for _, key := range keys {
		value := meta[key]
		t.metadataText(at, key, key)
		t.metadataText(at, key, value)
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
func shown(key string) string { return fmt.Sprintf("%+q", clip(key, 60)) }

// redact leaves nothing of a secret but how it is called.
func redact(match string) string { return fmt.Sprintf("[%d bytes, not shown]", len(match)) }

// metadataText judges a key or a value.
func (t *trace) metadataText(at place, key, text string) {
	if len(text) > 16<<20 {
		text = text[:16<<20]
	}
	for _, s := range secrets {
		match := s.pattern.FindString(text)
		if match == "" || s.id == "ST603" && publicMail(match) {
			continue
		}
		t.note(s.id, at, -1, shown(key)+" "+s.what, fmt.Sprintf("%s has %s: %s", shown(key), s.what, redact(match)))
	}
	if loc := programs.FindStringIndex(text); loc != nil {
		t.note("ST605", at, -1, shown(key), fmt.Sprintf("%s holds what looks like a program: %+q", shown(key), clip(text[loc[0]:loc[1]], 40)))
	}
	t.hiddenText(at, key, text)
	t.blobText(at, key, text)
}

// publicMail leaves out addresses that are nobody's.
func publicMail(address string) bool {
	lower := strings.ToLower(address)
	for _, end := range []string{"@example.com", "@example.org", "@localhost", "@users.noreply.github.com", "@2x.png"} {
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

var longBase64 = regexp.MustCompile(`[A-Za-z0-9+/_-]{512,}={0,2}`)

// blobText looks into long runs of base64.
func (t *trace) blobText(at place, key, text string) {
	for _, loc := range longBase64.FindAllStringIndex(text, 16) {
		run := text[loc[0]:loc[1]]
		if strings.HasPrefix(text[max(0, loc[0]-40):loc[0]], "data:image/") || strings.HasSuffix(text[:loc[0]], ";base64,") && strings.Contains(text[max(0, loc[0]-40):loc[0]], "image/") {
			continue // a thumbnail, as modelspec has it
		}
		data := unbase64(run)
		if data == nil {
			data, _ = base64.StdEncoding.DecodeString(run[:len(run)/4*4])
		}
		if data == nil || !varied(run) {
			continue
		}
		k, format := identify(data[:min(len(data), 4096)])
		if k == kindMedia {
			continue
		}
		id, message := "ST608", fmt.Sprintf("%s holds %d bytes in base64", shown(key), len(data))
		t.note(id, at, -1, shown(key), message)
		if k != kindUnknown {
			loose := at.in("metadata " + clip(key, 60))
			loose.loose = true
			apart := t.apart()
			if apart.content(inMemory(data), loose) != "" {
				t.join(apart)
				t.note("ST330", at, -1, shown(key), fmt.Sprintf("a file (%s) in base64 within the metadata", format))
			}
		}
	}
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
