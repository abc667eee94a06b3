package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile is a header whose names and metadata hold all that could break a
// line, a cell or a terminal.
const hostile = `{"__metadata__":{"k\u001b[31m":"v\u001b]0;title\u0007\nsecond\ttab"},` +
	`"\u001b[31mred":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},` +
	`"two\nlines":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},` +
	`"a\ttab\\":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},` +
	`"\"":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}`

const (
	realDir  = "../../safetensors/testdata/real/"
	torchDir = "../../convert/torch/testdata/"
	quantDir = "../../quant/testdata/"
)

// documented has runs of every verb, by verb: arguments without the verb, in
// which DIR is a directory to write to, and HOSTILE a file of hostile names.
// "1" or "2" in front is the exit status, if it is not 0.
var documented = map[string][][]string{
	"info":   {{realDir + "numpy.safetensors"}, {realDir + "mlx_like.safetensors", realDir + "sharded"}, {"HOSTILE"}},
	"ls":     {{realDir + "numpy.safetensors"}, {realDir + "mlx_like.safetensors"}, {"HOSTILE"}, {"1", "HOSTILE", "nothing"}},
	"tree":   {{realDir + "sharded"}, {"HOSTILE"}},
	"header": {{realDir + "numpy.safetensors"}, {realDir + "mlx_like.safetensors"}, {"HOSTILE"}},
	"show":   {{realDir + "torch_f4.safetensors", "blocks[0:2,::8]"}, {"HOSTILE", "two\nlines"}, {realDir + "numpy.safetensors", "empty"}, {realDir + "numpy.safetensors", "layer.6.int8[0,0]"}},
	"pickle": {{torchDir + "torch215/lightning.pt"}, {"2", torchDir + "hand/evil_legacy_second.pt"}},
	"check": {{realDir + "numpy.safetensors"}, {realDir + "mlx_like.safetensors", realDir + "sharded"},
		{"HOSTILE"}, {"1", torchDir + "hand/bad_html.pt"}, {"1", "HOSTILE", torchDir + "hand/bad_html.pt"}},
	"stats":       {{realDir + "numpy.safetensors"}, {"HOSTILE"}, {realDir + "sharded", "--by", "layer"}, {"1", "HOSTILE", "nothing"}},
	"hist":        {{realDir + "sharded", "lm_head.weight"}, {"HOSTILE", "*"}, {"1", "HOSTILE", "no*"}},
	"export":      {{"HOSTILE", "two\nlines", "--npy", "-o", "DIR/out.npy", "--force"}},
	"scan":        {{realDir + "numpy.safetensors"}, {"1", torchDir + "hand/evil_zip.pt", realDir + "numpy.safetensors"}, {"1", "HOSTILE"}},
	"policy":      {{"check", realDir + "numpy.safetensors", "--policy", "POLICY"}, {"1", "check", torchDir + "hand/evil_zip.pt", "--policy", "POLICY"}},
	"explain":     {{}, {"ST014"}, {"st014"}},
	"diff":        {{realDir + "sharded", realDir + "sharded", "--bytes"}, {"1", "HOSTILE", realDir + "mlx_like.safetensors"}},
	"hash":        {{realDir + "sharded", realDir + "numpy.safetensors"}, {"--tensors", "HOSTILE"}, {"--payload", "HOSTILE"}, {"-c", "SUMS"}, {"1", "-c", "GONE"}},
	"conformance": {{}, {"--list"}},
	"convert": {{torchDir + "published/published_lpips_alex_v0.1.pth", "-o", "DIR/out.safetensors", "--force"},
		{torchDir + "torch215/hf_bin", "-o", "DIR/out.safetensors", "--force"},
		{"1", torchDir + "hand/evil_legacy_second.pt", "-o", "DIR/none.safetensors"},
		{torchDir + "published/published_lpips_alex_v0.1.pth", "--dry-run", "-o", "DIR/none.safetensors"}},
	"meta": {{realDir + "numpy.safetensors"}, {realDir + "mlx_like.safetensors"}, {"HOSTILE"},
		{realDir + "numpy.safetensors", "--get", "format"}, {"1", realDir + "numpy.safetensors", "--get", "none"}, {"1", realDir + "numpy.safetensors", "--delete", "none", "-o", "DIR/none.safetensors"},
		{"HOSTILE", "--clear", "-o", "DIR/out.safetensors", "--force"}, {realDir + "sharded", "--set", "a=b", "-o", "DIR/out.safetensors", "--force"}},
	"select": {{"HOSTILE", "*", "-o", "DIR/out.safetensors", "--force"}, {"HOSTILE", "*", "--dry-run"}, {"1", "HOSTILE", "nothing", "-o", "DIR/none.safetensors"}},
	"drop":   {{"HOSTILE", "two*", "-o", "DIR/out.safetensors", "--force"}, {"1", "HOSTILE", "nothing", "-o", "DIR/none.safetensors"}},
	"rename": {{"HOSTILE", "s/^/x\t/", "-o", "DIR/out.safetensors", "--force"}, {"HOSTILE", "s/^/x\t/", "--dry-run"}, {"1", "HOSTILE", "s/nothing/x/", "-o", "DIR/none.safetensors"}},
	"merge":  {{"HOSTILE", realDir + "numpy.safetensors", "-o", "DIR/out.safetensors", "--force"}},
	"split":  {{realDir + "sharded", "-o", "DIR/out.safetensors", "--max-shard", "1kB", "--force"}, {"HOSTILE", "--dry-run"}},
	"join":   {{realDir + "sharded", "-o", "DIR/out.safetensors", "--force"}},
	"repack": {{realDir + "mlx_like.safetensors", "-o", "DIR/out.safetensors", "--force"}, {realDir + "mlx_like.safetensors", "--dry-run"}},
	"cast": {{realDir + "sharded", "--to", "f8_e4m3", "--scale", "tensor", "--only", "*", "-o", "DIR/out.safetensors", "--force"},
		{realDir + "numpy.safetensors", "--to", "bf16", "--dry-run"}, {quantDir + "mxfp4.safetensors", "--to", "f16", "--errors=false", "--dry-run"},
		{"1", "HOSTILE", "--to", "bf16", "-o", "DIR/none.safetensors"}},
	"dequantize": {{quantDir + "nf4.safetensors", "-o", "DIR/out.safetensors", "--force"}, {quantDir + "gpt-oss.safetensors", "--dry-run"},
		{"1", "HOSTILE", "-o", "DIR/none.safetensors"}},

	"bench":  {{"--list"}, {"--list", "--case", "save/*"}},
	"digest": {{realDir + "sharded"}, {"HOSTILE", "--hash", "blake3", "--shard-size", "2B"}},
	"sign":   {{"key", "--private-key", "PRIVATE", "--signature", "DIR/out.sig", "HOSTILE", "--force"}},
	"verify": {{"key", "--public-key", "PUBLIC", "--signature", "SIGNED", "HOSTILE"}, {"1", "key", "--public-key", "PUBLIC", "--signature", "SIGNED", realDir + "sharded"},
		{"1", "key", "--public-key", "PUBLIC", "--signature", "POLICY", "HOSTILE"}},
	"attest": {{"tensors", "HOSTILE"}, {"tensors", "HOSTILE", "-o", "DIR/out.json", "--force"}, {"verify", "--unsigned", "--attestation", "STATED", "HOSTILE"},
		{"1", "verify", "--unsigned", "--attestation", "STATED", realDir + "numpy.safetensors"}, {"1", "verify", "key", "--public-key", "PUBLIC", "--attestation", "STATED", "HOSTILE"}},
	"sbom":  {{realDir + "sharded"}, {"HOSTILE", "-o", "DIR/bom.json", "--force"}},
	"audit": {{"verify", "LOG"}, {"1", "verify", "SUMS"}, {"1", "verify", "LOG", "--expect-head", strings.Repeat("1", 64)}},

	"version":    {{}},
	"completion": {{"bash"}},
	"man":        {{"DIR"}},
}

// scene makes the files that documented speaks of, and puts their names into
// the arguments of a run.
func scene(t *testing.T) func(args []string) (want int, run []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "hostile.safetensors")
	text := append(binary.LittleEndian.AppendUint64(nil, uint64(len(hostile))), hostile...)
	if err := os.WriteFile(file, append(text, 0, 1, 2, 3), 0o666); err != nil {
		t.Fatal(err)
	}
	var sums, words bytes.Buffer
	if code := run(t.Context(), []string{"hash", file}, nil, &sums, &words); code != exitYes {
		t.Fatalf("hash: %d: %s", code, &words)
	}
	private, public := keyPair(t)
	for name, text := range map[string]string{"PRIVATE": private, "PUBLIC": public, "SUMS": sums.String(), "GONE": sums.String() + strings.Repeat("0", 64) + "  gone\tfile\n",
		"POLICY": "mode = \"enforce\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"sign", "key", "--private-key", filepath.Join(dir, "PRIVATE"), "--signature", filepath.Join(dir, "SIGNED"), "--audit", filepath.Join(dir, "LOG"), file},
		{"attest", "tensors", file, "-o", filepath.Join(dir, "STATED")},
	} {
		if code := run(t.Context(), args, nil, io.Discard, &words); code != exitYes {
			t.Fatalf("%s: %d: %s", args[0], code, &words)
		}
	}
	names := []string{"DIR", dir, "HOSTILE", file}
	for _, name := range []string{"SUMS", "GONE", "POLICY", "PRIVATE", "PUBLIC", "SIGNED", "STATED", "LOG"} {
		names = append(names, name, filepath.Join(dir, name))
	}
	put := strings.NewReplacer(names...)
	return func(args []string) (want int, run []string) {
		if len(args) > 0 && (args[0] == "1" || args[0] == "2") {
			want, args = int(args[0][0]-'0'), args[1:]
		}
		for _, arg := range args {
			run = append(run, put.Replace(arg))
		}
		return want, run
	}
}

// keyPair makes a key, as PEM.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	known, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: known}))
}

// eachDocumented runs every verb in a format, twice, and hands on what it
// printed.
func eachDocumented(t *testing.T, format []string, check func(t *testing.T, verb string, args []string, out []byte)) {
	set := scene(t)
	for _, group := range verbs {
		for _, make := range group.make {
			cmd := make(&app{})
			verb, _, _ := strings.Cut(cmd.Use, " ")
			if len(documented[verb]) == 0 {
				t.Errorf("documented has no run of the verb %s", verb)
			}
			for _, args := range documented[verb] {
				t.Run(verb+" "+strings.Join(args, " "), func(t *testing.T) {
					want, args := set(args)
					args = append(append([]string{verb}, format...), args...)
					var before []byte
					for i := range 2 {
						var out, words bytes.Buffer
						if code := run(t.Context(), args, strings.NewReader(""), &out, &words); code != want {
							t.Fatalf("exit status %d, want %d; %s", code, want, &words)
						}
						if i == 0 {
							check(t, verb, args, out.Bytes())
							before = out.Bytes()
						} else if diff := cmp.Diff(string(before), out.String()); diff != "" {
							t.Errorf("the same run printed something else:\n%s", diff)
						}
					}
				})
			}
		}
	}
}

// document checks the beginning of a document, and that it is well-formed.
func document(t *testing.T, verb string, text []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	var begin []json.Token
	for range 3 {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %.200s", err, text)
		}
		begin = append(begin, token)
	}
	if diff := cmp.Diff([]json.Token{json.Delim('{'), "schema", "tensmith." + verb + "/1"}, begin); diff != "" {
		t.Errorf("a document begins otherwise (-want +got):\n%s", diff)
	}
	var v map[string]any
	d = json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("there is something behind the document: %.200s", text[d.InputOffset():])
	}
	if metadata, ok := v["metadata"]; ok && metadata == nil {
		t.Error("metadata is null")
	}
}

func TestJSON(t *testing.T) {
	eachDocumented(t, []string{"--json"}, func(t *testing.T, verb string, _ []string, out []byte) {
		document(t, verb, out)
	})
}

func TestJSONLines(t *testing.T) {
	eachDocumented(t, []string{"--format", "jsonl"}, func(t *testing.T, verb string, args []string, out []byte) {
		text, ok := bytes.CutSuffix(out, []byte("\n"))
		if !ok {
			if len(out) == 0 && (verb == "ls" || verb == "stats" || verb == "hist") {
				return // no tensor, no line
			}
			t.Fatalf("the output does not end in a line end: %q", out)
		}
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			document(t, verb, line)
		}
	})
}

func TestTSV(t *testing.T) {
	heading := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	index := regexp.MustCompile(`^[0-9]+$`)
	eachDocumented(t, []string{"--format", "tsv"}, func(t *testing.T, verb string, _ []string, out []byte) {
		text, ok := strings.CutSuffix(string(out), "\n")
		if !ok {
			t.Fatalf("the output does not end in a line end: %q", out)
		}
		lines := strings.Split(text, "\n")
		headings := strings.Split(lines[0], "\t")
		for _, h := range headings {
			if !heading.MatchString(h) && (verb != "show" || h != "" && !index.MatchString(h)) {
				t.Errorf("heading %q", h)
			}
		}
		for _, line := range lines[1:] {
			if cells := strings.Split(line, "\t"); len(cells) != len(headings) {
				t.Errorf("%d cells under %d headings: %q", len(cells), len(headings), line)
			}
			if strings.ContainsFunc(strings.ReplaceAll(line, "\t", ""), unprintable) {
				t.Errorf("not for the eye: %q", line)
			}
			if slices.Contains(strings.Split(line, "\t"), `""`) {
				t.Errorf("quotes for an empty cell: %q", line)
			}
		}
	})
}

// TestTSVCell holds the escapes to what they say of a cell.
func TestTSVCell(t *testing.T) {
	for text, want := range map[string]string{
		"":             "",
		"plain ü 漢":    "plain ü 漢",
		`"`:            `"`,
		"a\tb\nc\rd":   `a\tb\nc\rd`,
		`\`:            `\\`,
		"\x1b[31m\x7f": `\x1b[31m\x7f`,
		"\u202e":       `\u202e`,
		"\xff":         `\xff`,
		"\ufffd":       "\ufffd",
		"'":            "'",
	} {
		if got := tsvCell(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// TestTrouble: what is no answer has no document, in any format.
func TestTrouble(t *testing.T) {
	for _, args := range [][]string{{"info", "nowhere"}, {"ls", "nowhere"}, {"check", "nowhere"}, {"hash", "nowhere"}, {"convert", "nowhere"},
		{"pickle", "nowhere"}, {"repack", "nowhere", "-o", "x.safetensors"}, {"explain", "ST999"}, {"info", realDir + "numpy.safetensors", "nowhere"}} {
		for _, format := range []string{"json", "tsv"} {
			var out, words bytes.Buffer
			code := run(t.Context(), append([]string{args[0], "--format", format}, args[1:]...), nil, &out, &words)
			if code != exitTrouble && code != exitUsage {
				t.Errorf("%q: exit status %d", args, code)
			}
			if format == "json" && out.Len() > 0 {
				t.Errorf("%q printed %s", args, &out)
			}
			if !strings.HasPrefix(words.String(), "tensmith: "+args[0]+": ") {
				t.Errorf("%q said %s", args, &words)
			}
		}
	}
}

// TestHelp: every verb says what its exit codes mean, and shows how it is used.
func TestHelp(t *testing.T) {
	walk := (&app{}).root().Commands()
	for i := 0; i < len(walk); i++ {
		cmd := walk[i]
		if cmd.HasSubCommands() {
			walk = append(walk, cmd.Commands()...)
			continue
		}
		if !strings.Contains(cmd.Long, "Exit status: ") {
			t.Errorf("%s does not tell its exit codes", cmd.Name())
		}
		if cmd.Example == "" && cmd.Name() != "version" {
			t.Errorf("%s has no example", cmd.Name())
		}
		for i, line := range strings.Split(cmd.Long+"\n"+cmd.Example, "\n") {
			if n := len([]rune(line)); n > 80 {
				t.Errorf("%s: line %d is %d columns wide: %s", cmd.Name(), i+1, n, line)
			}
		}
	}
	for verb := range documented {
		found := false
		for _, cmd := range walk {
			found = found || cmd.Name() == verb
		}
		if !found {
			t.Errorf("documented has runs of %s, which is no verb", verb)
		}
	}
}
