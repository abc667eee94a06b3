package scan

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var november = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestParsePolicyErrors(t *testing.T) {
	const entry = "[[allow]]\npath = '**'\nids = ['ST302']\nreason = 'r'\nexpires = 2027-01-01\n"
	tests := []struct{ name, text, want string }{
		{"no key", "mode 1", "p.toml:1:"},
		{"no value", "\nmode = \n", "p.toml:2:8: "},
		{"wrong type", "formats = 3", "p.toml:1:11: formats cannot be of the kind integer"},
		{"a time", strings.Replace(entry, "2027-01-01", "2027-01-01T00:00:00Z", 1), "p.toml:5:11: expires is the last day, without quotes"},
		{"no day", strings.Replace(entry, "2027-01-01", "2027-02-30", 1), "impossible date"},
		{"unknown key", "mode = 'warn'\n\nthreshold = 1\n", `p.toml:3:1: there is no setting "threshold"`},
		{"unknown key below", entry + "until = 1\n", `p.toml:6:1: there is no setting "allow.until"`},
		{"mode", "mode = 'on'", `mode is "on", not one of enforce, warn, off`},
		{"threshold", "fail-on = 'error'", `fail-on is "error"`},
		{"rule", "[severity]\nST999 = 'note'", `no rule is called "ST999"`},
		{"severity", "[severity]\nST302 = 'error'", `severity.ST302 is "error"`},
		{"pattern of formats", "formats = ['[']", `"[" is no pattern`},
		{"signature: path", "[[signature]]\nkeys = ['k']", "signature 1: path is missing"},
		{"signature: pattern", "[[signature]]\npath = '[a'\nkeys = ['k']", "signature 1: \"[a\" is no pattern"},
		{"signature: mode", "[[signature]]\npath = '**'\nmode = 'on'\nkeys = ['k']", "signature 1: mode is \"on\""},
		{"signature: nobody", "[[signature]]\npath = '**'", "signature 1: neither keys"},
		{"signature: hint", "[[signature]]\npath = '**'\nhints = ['ab']", "signature 1: hint \"ab\" is no SHA-256"},
		{"signature: identity", "[[signature]]\npath = '**'\nidentities = [{ identity = 'a' }]", "signature 1: an identity has both"},
		{"signature: file", "[[signature]]\npath = '**'\nkeys = ['k']\nfile = '../x'", "signature 1: file is"},
		{"signature: unknown", "[[signature]]\npath = '**'\nkey = 'k'", "p.toml:3:1: there is no setting"},
		{"reason", strings.Replace(entry, "'r'", "' '", 1), "allow 1: a reason is missing"},
		{"expiry", strings.Replace(entry, "expires = 2027-01-01\n", "", 1), "allow 1: expires is missing"},
		{"path", strings.Replace(entry, "path = '**'\n", "", 1), "allow 1: path is missing"},
		{"what", strings.Replace(entry, "ids = ['ST302']\n", "", 1), "allow 1: neither names nor ids"},
		{"id", strings.Replace(entry, "ST302", "ST3", 1), `allow 1: no rule is called "ST3"`},
		{"pattern", strings.Replace(entry, "ids = ['ST302']", "names = ['[a']", 1), `allow 1: "[a" is no pattern`},
		{"twice", "[severity]\nST302 = 'off'\nst302 = 'dangerous'", "severity has ST302 twice"},
		{"two mistakes", "[severity]\nST998 = 'off'\nST997 = 'note'\nST999 = 'note'", `no rule is called "ST997"`},
		{"absolute path", strings.Replace(entry, "'**'", "'/models/**'", 1), `allow 1: path is "/models/**"`},
		{"path of a command line", strings.Replace(entry, "'**'", "'./a.pkl'", 1), `allow 1: path is "./a.pkl"`},
		{"path above", strings.Replace(entry, "'**'", "'a/../b'", 1), `allow 1: path is "a/../b"`},
		{"path of a folder", strings.Replace(entry, "'**'", "'a/'", 1), `allow 1: path is "a/"`},
		{"signature: absolute path", "[[signature]]\npath = '/models/**'\nkeys = ['k']", `signature 1: path is "/models/**"`},
		{"second", entry + strings.Replace(entry, "'r'", "''", 1), "allow 2: a reason is missing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := ParsePolicy("p.toml", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "p.toml:") {
				t.Errorf("%+v, %v; want %q", p, err, test.want)
			}
		})
	}
}

// imports is a pickle that imports a name and does not call it.
func imports(module, name string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("\x80\x02c" + module + "\n" + name + "\n.")}
}

func TestPolicy(t *testing.T) {
	allow := func(path, what, expires string) string {
		return "[[allow]]\npath = '" + path + "'\n" + what + "\nreason = 'reviewed'\nexpires = " + expires + "\n"
	}
	tests := []struct {
		name, policy string
		want         []string // severity, id and what decided, for each finding
		verdict      Verdict
	}{
		{"empty", "", []string{"dangerous ST301 default", "suspicious ST302 default", "error ST402 default"}, VerdictDangerous},
		{"allowed name", allow("**", "names = ['omega.*']", "2027-01-01"),
			[]string{"dangerous ST301 default", "note ST302 p: allow 1 (reviewed)", "error ST402 default"}, VerdictDangerous},
		{"elsewhere", allow("other/**", "names = ['omega.*']", "2027-01-01"),
			[]string{"dangerous ST301 default", "suspicious ST302 default", "error ST402 default"}, VerdictDangerous},
		{"a pattern does not reach what is dangerous", allow("**", "names = ['*']", "2027-01-01"),
			[]string{"dangerous ST301 default", "note ST302 p: allow 1 (reviewed)", "error ST402 default"}, VerdictDangerous},
		{"its full name does", allow("a/*.pkl", "names = ['os.system']", "2027-01-01"),
			[]string{"note ST301 p: allow 1 (reviewed)", "suspicious ST302 default", "error ST402 default"}, VerdictSuspicious},
		{"last day", allow("**", "names = ['omega.*']", "2026-11-01"),
			[]string{"dangerous ST301 default", "note ST302 p: allow 1 (reviewed)", "error ST402 default"}, VerdictDangerous},
		{"day after", allow("**", "names = ['omega.*']", "2026-10-31"),
			[]string{"dangerous ST301 default", "suspicious ST302 default", "note ST521 default", "error ST402 default"}, VerdictDangerous},
		{"what breaks off cannot be allowed", allow("**", "ids = ['ST402', 'st301', 'ST302']", "2027-01-01"),
			[]string{"note ST301 p: allow 1 (reviewed)", "note ST302 p: allow 1 (reviewed)", "error ST402 default"}, VerdictError},
		{"severity", "[severity]\nST302 = 'dangerous'\nst301 = 'off'\n",
			[]string{"off ST301 p: severity.ST301", "dangerous ST302 p: severity.ST302", "error ST402 default"}, VerdictDangerous},
		{"formats", "formats = ['torch-*']",
			[]string{"dangerous ST301 default", "suspicious ST520 default", "suspicious ST302 default", "suspicious ST520 default", "error ST402 default", "suspicious ST520 default"}, VerdictDangerous},
		{"listed format", "formats = ['torch-*', 'pickle']",
			[]string{"dangerous ST301 default", "suspicious ST302 default", "error ST402 default"}, VerdictDangerous},
		{"off", "mode = 'off'\nformats = ['npy']\n[severity]\nST302 = 'off'\n",
			[]string{"dangerous ST301 default", "suspicious ST302 default", "error ST402 default"}, VerdictDangerous},
	}
	fsys := fstest.MapFS{
		"a/evil.pkl": imports("os", "system"), "b/odd.pkl": imports("omega", "Conf"),
		"c/cut.pkl": {Data: []byte("\x80\x02]")}, "d.pkl": {Data: []byte("\x80\x02].")}, "readme.txt": {Data: []byte("words")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := ParsePolicy("p", []byte(test.policy))
			if err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{}
			for name, f := range fsys {
				if test.name != "formats" || name != "d.pkl" {
					files[name] = f
				}
			}
			r, err := Path(context.Background(), files, ".", Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range p.Apply(r, november) {
				severity := string(d.Finding.Severity)
				if d.Dropped {
					severity = "off"
				}
				got = append(got, severity+" "+d.Finding.ID+" "+d.By)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("decisions (-want +got):\n%s", diff)
			}
			if r.Verdict != test.verdict {
				t.Errorf("verdict %s, want %s", r.Verdict, test.verdict)
			}
		})
	}
}

// TestPolicyStaysOut states that a policy in what is scanned decides nothing.
func TestPolicyStaysOut(t *testing.T) {
	r, err := Path(context.Background(), fstest.MapFS{
		"evil.pkl":       imports("os", "system"),
		".tensmith.toml": {Data: []byte("mode = 'off'\n[severity]\nST301 = 'off'\n")},
	}, ".", Options{})
	if err != nil || r.Verdict != VerdictDangerous {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestMatchPath(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"**", "a", true}, {"**", "a/b/c", true}, {"*", "a/b", false}, {"*.pt", "a.pt", true}, {"*.pt", "x/a.pt", false},
		{"**/*.pt", "a.pt", true}, {"**/*.pt", "x/y/a.pt", true}, {"x/**", "x", true}, {"x/**", "x/y/z", true}, {"x/**", "xy/z", false},
		{"x/**/z", "x/z", true}, {"x/**/z", "x/a/b/z", true}, {"x/**/z", "x/a/b", false}, {"**/**/**/a", "b/b/b/b/b/a", true}, {"a?", "ab", true},
	}
	for _, test := range tests {
		if got := matchPath(test.pattern, test.name); got != test.want {
			t.Errorf("%s, %s: %v", test.pattern, test.name, got)
		}
	}
}

// TestPolicyPage reads the policy that docs/scan.md shows.
func TestPolicyPage(t *testing.T) {
	page, err := os.ReadFile("../docs/scan.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "```toml\n")
	text, _, closed := strings.Cut(text, "```")
	if !ok || !closed {
		t.Fatal("the page shows no policy")
	}
	p, err := ParsePolicy("docs/scan.md", []byte(text))
	if err != nil || p.Mode != "enforce" || p.FailOn != Suspicious || len(p.allowances) != 1 || len(p.severities) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}
