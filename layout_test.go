package tensmith_test

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tensmith/tensmith"

// layout is the import table: what the files of a folder may import besides
// the standard library. Tests are not held to it. The row of the longest path
// counts; a row that ends in /* is for every folder below. An import that ends
// in /... stands for all packages there.
//
// A folder that has no row fails. A row is added with its reason, not widened
// to make a test pass.
var layout = []struct {
	folder string
	ours   []string // packages of this module
	others []string // packages of other modules
	why    string
}{
	{".", nil, nil,
		"documentation alone"},
	{"safetensors", []string{"internal/memory"}, nil,
		"who reads the format compiles nothing but the standard library; memory takes no more"},
	{"internal/memory", nil, nil,
		"how much there is, and memory that is not cleared, for who writes files and who reads them"},
	{"internal/escape", nil, nil,
		"escapes that the encoders of std leave out, for the documents of the command and for reports"},
	{"numeric", []string{"safetensors"}, nil,
		"it knows the dtypes, and needs nothing else"},
	{"pickle", nil, nil,
		"a reader of hostile bytes is audited whole, so it stands alone"},
	{"internal/digest", nil, []string{"golang.org/x/sys/cpu"},
		"many SHA-256 at once, faster than std's one by one; it asks what the processor can do"},
	{"convert", []string{"safetensors", "numeric", "pickle", "internal/digest", "convert/..."}, nil,
		"the table of foreign formats is the one place that knows them all"},
	{"convert/*", []string{"safetensors", "numeric", "pickle"}, nil,
		"a foreign format knows neither the table nor its siblings"},
	{"internal/bench", []string{"safetensors", "load"}, []string{"golang.org/x/sys/unix"},
		"it times what programs would call, and asks the system for what the machine can do"},
	{"internal/xzwindow", nil, []string{"github.com/ulikunitz/xz/lzma"},
		"what a reader of .xz will ask for, for those who open it and those who scan it"},
	{"convert/torch", []string{"safetensors", "numeric", "pickle", "internal/xzwindow"}, []string{"github.com/ulikunitz/xz/...", "github.com/klauspost/compress/zstd", "github.com/pierrec/lz4/v4"},
		"checkpoints come in .xz, .lzma, .zst and .lz4, which std cannot unpack"},
	{"describe", []string{"safetensors", "numeric"}, nil,
		"what a model is shows in its header and config alone"},
	{"quant", []string{"safetensors", "numeric", "describe"}, nil,
		"what packed weights are, describe tells; what their bytes mean, quant"},
	{"scan", []string{"safetensors", "numeric", "pickle", "convert", "convert/...", "describe", "internal/xzwindow", "sign"},
		[]string{"github.com/pelletier/go-toml/v2", "github.com/ulikunitz/xz/...", "github.com/klauspost/compress/zstd", "github.com/klauspost/compress/snappy", "github.com/pierrec/lz4/v4"},
		"findings are about every supported file; a policy says who has to have signed it"},
	{"scan/report", []string{"scan", "internal/escape"}, []string{"github.com/owenrumney/go-sarif/..."},
		"the formats of other programs, and the library of SARIF, stay in this folder"},
	{"load", []string{"safetensors", "internal/memory"}, []string{"golang.org/x/sys/unix"},
		"tensors into memory, however the system does that best; x/sys has the calls that std lacks"},
	{"sign", []string{"safetensors", "internal/digest"}, []string{"lukechampine.com/blake3", "golang.org/x/crypto/..."},
		"signing with a key needs no service; who imports it gets std, the hashes and encrypted keys that std lacks, and many SHA-256 at once"},
	{"sign/pkcs11", nil, []string{"github.com/ThalesGroup/crypto11"},
		"a library of someone's hardware, by cgo, under a build tag; whoever has no such thing compiles doc and URI alone"},
	{"sign/keyless", []string{"sign"},
		[]string{"github.com/sigstore/...", "github.com/theupdateframework/go-tuf/v2/metadata", "github.com/coreos/go-oidc/v3/oidc", "golang.org/x/oauth2"},
		"the client of Sigstore, and what comes with it, stays in this folder"},
	{"attest", []string{"convert", "sign"}, nil,
		"statements are signed by sign; a conversion is what convert reports of it"},
	{"sbom", []string{"safetensors", "describe", "internal/digest"},
		[]string{"github.com/CycloneDX/cyclonedx-go", "go.yaml.in/yaml/v3", "golang.org/x/crypto/blake2b", "lukechampine.com/blake3"},
		"what a model is, describe tells; cards are YAML; the digests that CycloneDX has"},
	{"audit", nil, []string{"golang.org/x/sys/windows"},
		"a log knows no models; files are locked in another way on Windows"},
	{"source", []string{"source/..."}, nil,
		"an address becomes an fs.FS before a format is known"},
	{"source/*", nil, nil,
		"one client library a folder, named in a row of its own"},
	{"serve", []string{"safetensors", "numeric", "pickle", "convert", "convert/...", "describe", "quant", "scan", "sign", "sign/...", "source", "source/..."}, nil,
		"a front end"},
	{"conformance", []string{"conformance/internal/..."}, nil,
		"the kit grades this module too, so it does not share its code"},
	{"conformance/*", []string{"conformance/internal/..."}, nil,
		"the table of vectors and its generator, independent like the kit"},
	{"cmd/tensmith/internal/...", []string{"audit", "sbom", "cmd/tensmith/internal/start"}, nil,
		"gives back what the start takes of memory; imports to be initialised behind"},
	{"cmd/tensmith", []string{"safetensors", "numeric", "pickle", "convert", "convert/...", "describe", "quant", "scan", "scan/...", "sign", "sign/...", "source", "source/...", "serve", "conformance", "attest", "sbom", "audit", "internal/bench", "internal/digest", "internal/memory", "internal/escape", "cmd/tensmith/internal/..."},
		[]string{"github.com/spf13/cobra/...", "github.com/spf13/pflag", "github.com/CycloneDX/cyclonedx-go", "golang.org/x/term"},
		"flags and printing over everything; cobra for flags and completion"},
	{"interop", nil, nil,
		"tests that run other programs; no code"},
}

// guarded are the imports that need an address: which folders may have them.
// An import's row also stands for what lies below it.
var guarded = []struct {
	imported string
	folders  map[string]string // and why
}{
	{"unsafe", map[string]string{
		"load":            "memory is aligned by its address, and mincore takes one",
		"safetensors":     "names are strings in the header's own bytes; a view of Windows is an address",
		"internal/bench":  "mincore takes the address of a mapping, and huge pages begin at one",
		"internal/memory": "memory that is overwritten need not be cleared, which make does",
	}},
	{"syscall", map[string]string{
		"load":                        "a raw connection is what a file is asked by",
		"safetensors":                 "mmap, and fallocate before the workers of an output begin",
		"cmd/tensmith":                "signals",
		"cmd/tensmith/internal/start": "madvise",
		"conformance":                 "a graded program ends with what it has started",
		"audit":                       "two processes that append lock the log",
		"sign":                        "a pipe in the place of a file is opened without waiting for a writer",
	}},
	{"golang.org/x/sys", map[string]string{
		"load":            "calls of Linux that std lacks",
		"audit":           "the same on Windows",
		"cmd/tensmith":    "width and kind of the terminal",
		"internal/digest": "what the processor can do",
		"internal/bench":  "mappings, direct access, the page cache",
	}},
	{"net", map[string]string{
		"sign/keyless":   "a certificate and a log entry come from a service",
		"sign/pkcs11":    "escapes of a URI",
		"source/*":       "addresses of other machines",
		"serve":          "a server",
		"internal/bench": "one probe sends bytes to itself",
	}},
	{"os/exec", map[string]string{
		"conformance":     "the graded implementation is a program",
		"conformance/gen": "asks the reference implementation",
		"cmd/tensmith":    "looks whether the program to grade is there",
		"internal/bench":  "each case runs in a process of its own, which is this program again",
	}},
	{"plugin", nil},
	{"log", nil}, // only the command speaks, and it has stderr
	{"C", nil},   // one static binary, and memory safety
	{"testing", nil},
}

// testImports are the other modules' packages that tests may import.
var testImports = map[string]string{
	"github.com/google/go-cmp/...":                      "the only assertion help",
	"github.com/rogpeppe/go-internal/testscript":        "scripts of the command",
	"github.com/rogpeppe/go-internal/testscript/*":      "scripts of the command",
	"github.com/owenrumney/go-sarif/...":                "holds reports to the schema",
	"github.com/sigstore/...":                           "an instance of Sigstore in memory, made by its own people",
	"github.com/digitorus/timestamp":                    "answers of a timestamp authority",
	"github.com/google/certificate-transparency-go/...": "a log of certificates",
	"github.com/theupdateframework/go-tuf/v2/...":       "a repository of TUF to download from",
	"github.com/CycloneDX/cyclonedx-go":                 "reads the bills back",
	"github.com/xeipuuv/gojsonschema":                   "holds bills to the schema",
	"golang.org/x/sys/unix":                             "benchmarks drop files from the page cache",
}

// names bounds the exported names of a package. The default is for those that
// have no row.
var names = map[string]int{
	"safetensors": 69, // 22 are dtypes
	"pickle":      55, // 15 are kinds of events, and each type of Python's data is one
	"convert":     60, // 38 are formats that it tells apart
	"sign":        55, // 18 are names of the format: algorithms, methods, links, types; 5 are errors
	"":            35,
}

// source is one Go file of the module.
type source struct {
	folder string // of the module, with slashes
	name   string
	test   bool
	lines  int
	syntax *ast.File
}

func (s source) String() string { return path.Join(s.folder, s.name) }

func (s source) imports() (paths []string) {
	for _, spec := range s.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has accepted it
		}
		paths = append(paths, p)
	}
	return paths
}

// sources parses every Go file of the module, whatever system it is for. The
// nested modules are none of its folders.
func sources(t *testing.T) (all []source) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			hidden := len(d.Name()) > 1 && (d.Name()[0] == '.' || d.Name()[0] == '_')
			if name != "." && (err == nil || hidden || d.Name() == "testdata" || d.Name() == "target") {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{
			folder: filepath.ToSlash(filepath.Dir(name)),
			name:   d.Name(),
			test:   strings.HasSuffix(name, "_test.go"),
			lines:  bytes.Count(content, []byte("\n")),
			syntax: syntax,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d Go files found", len(all))
	}
	return all
}

// matches tells whether a pattern of a table stands for a path.
func matches(pattern, p string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == prefix || strings.HasPrefix(p, prefix+"/")
	}
	if prefix, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(p, prefix+"/")
	}
	return pattern == p
}

func matchesAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

// standard tells whether a package is one of the standard library's: the
// first element of all others has a dot.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			for _, p := range s.imports() {
				if !standard(p) && !matches(module+"/...", p) && !matchesAny(sorted(testImports), p) {
					t.Errorf("%s imports %s; tests may import %v", s, p, sorted(testImports))
				}
			}
			continue
		}
		row := -1
		for i := range layout {
			if matches(layout[i].folder, s.folder) && (row < 0 || len(layout[i].folder) > len(layout[row].folder)) {
				row = i
			}
		}
		if row < 0 {
			t.Errorf("%s: the folder has no row in the table of layout_test.go", s)
			continue
		}
		for _, p := range s.imports() {
			ours, isOurs := strings.CutPrefix(p, module+"/")
			switch {
			case isOurs && matchesAny(layout[row].ours, ours), standard(p):
			case !isOurs && matchesAny(layout[row].others, p):
			default:
				t.Errorf("%s imports %s; %s may import std, %v and %v: %s",
					s, p, layout[row].folder, layout[row].ours, layout[row].others, layout[row].why)
			}
		}
	}
}

func TestGuardedImports(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, p := range s.imports() {
			for _, g := range guarded {
				if p != g.imported && !strings.HasPrefix(p, g.imported+"/") {
					continue
				}
				if s.test && g.imported != "C" && g.imported != "plugin" {
					continue
				}
				used[g.imported+" "+s.folder] = true
				if !matchesAny(sorted(g.folders), s.folder) {
					t.Errorf("%s imports %s, which only %v may", s, p, sorted(g.folders))
				}
			}
		}
	}
	for _, g := range guarded {
		for _, folder := range sorted(g.folders) {
			if _, err := os.Stat(folder); err == nil && !used[g.imported+" "+folder] {
				t.Logf("%s need not be allowed to import %s any longer", folder, g.imported)
			}
		}
	}
}

// TestStandardAlone asks the go command, which follows imports to their end.
func TestStandardAlone(t *testing.T) {
	for _, folder := range []string{"safetensors", "pickle"} {
		for _, system := range []string{"linux", "windows", "darwin"} {
			list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+folder)
			list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
			list.Stderr = os.Stderr
			out, err := list.Output()
			if err != nil {
				t.Fatal(err)
			}
			want := module + "/" + folder
			if folder == "safetensors" {
				want = module + "/internal/memory\n" + want // which the table holds to the standard library
			}
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("%s on %s depends on\n%s\nwant itself and the standard library", folder, system, got)
			}
		}
	}
}

// TestSignAlone: a signature with a key brings no client of any service.
func TestSignAlone(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./sign")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
	// cpuid is behind blake3, and x/sys behind kernels that not every processor has.
	want := []string{module, "github.com/klauspost/cpuid/v2", "golang.org/x/crypto", "golang.org/x/sys", "lukechampine.com/blake3"}
	if len(got) < 2 {
		t.Errorf("sign depends on the modules %v and no others", got)
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("sign depends on %s, and may depend on %v", name, want)
		}
	}
}

func TestHouseRules(t *testing.T) {
	nameless := []string{"util", "utils", "helper", "helpers", "common", "types", "errors", "misc", "base", "shared"}
	for _, s := range sources(t) {
		stem := strings.TrimSuffix(strings.TrimSuffix(s.name, ".go"), "_test")
		if slices.Contains(nameless, path.Base(s.folder)) || slices.Contains(nameless, s.syntax.Name.Name) || slices.Contains(nameless, stem) {
			t.Errorf("%s is named after nothing it holds", s)
		}
		if s.lines > 700 && !ast.IsGenerated(s.syntax) {
			t.Errorf("%s has %d lines; 450 is long", s, s.lines)
		}
		for _, decl := range s.syntax.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function; tables and struct fields do without", s)
			}
		}
	}
}

func TestExportedNames(t *testing.T) {
	exported := map[string][]string{}
	for _, s := range sources(t) {
		if s.test || s.syntax.Name.Name == "main" || strings.Contains(s.folder, "internal") {
			continue
		}
		for _, name := range declared(s.syntax) {
			if ast.IsExported(name) {
				exported[s.folder] = append(exported[s.folder], name)
			}
		}
	}
	for _, folder := range sorted(exported) {
		got, limit := len(exported[folder]), cmp.Or(names[folder], names[""])
		t.Logf("%-20s %3d of %d", folder, got, limit)
		if got > limit {
			slices.Sort(exported[folder])
			t.Errorf("%s exports %d names, more than %d: %v", folder, got, limit, exported[folder])
		}
	}
}

// declared gives the names of a file's package-level declarations, methods
// excepted.
func declared(file *ast.File) (found []string) {
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				found = append(found, decl.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					found = append(found, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						found = append(found, name.Name)
					}
				}
			}
		}
	}
	return found
}

// sorted gives the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
