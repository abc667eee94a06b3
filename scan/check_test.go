package scan

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/conformance"
)

var update = flag.Bool("update", false, "rewrite docs/findings.md")

// file returns a file with a header and n bytes of data.
func file(header string, n int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("\x00", n)
}

// padded returns a file whose data begins at a multiple of 8.
func padded(header string, n int) string { return file(header+strings.Repeat(" ", -len(header)&7), n) }

func entry(name, dtype, shape string, begin, end int) string {
	return fmt.Sprintf(`"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
}

// one is a header of one F32, 62 bytes long.
var one = "{" + entry("a", "F32", "1", 0, 4) + "}"

func gzipped() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte("weights"))
	w.Close()
	return b.String()
}

func zipped() string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create("archive/data.pkl")
	f.Write([]byte("\x80\x02}."))
	w.Close()
	return b.String()
}

// TestRules has a model for every rule of the catalogue.
func TestRules(t *testing.T) {
	big := strings.Repeat(" ", 25_000_000)
	index := func(m string) string { return `{"metadata":{"total_size":4},"weight_map":{` + m + `}}` }
	dir := func(files ...string) fstest.MapFS {
		fsys := fstest.MapFS{}
		for i := 0; i < len(files); i += 2 {
			fsys[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
		}
		return fsys
	}
	single := func(content string) fstest.MapFS { return dir("m.safetensors", content) }
	tests := []struct {
		name string
		fsys fstest.MapFS
		open string
		want string // ids, in order
	}{
		{"sound", single(file(one+"  ", 4)), "m.safetensors", ""},
		{"stub", single("abc\x01"), "m.safetensors", "ST001"},
		{"length", single("\xff\xff\xff\xff\xff\xff\xff\x7f{}\xff"), "m.safetensors", "ST002"},
		{"cut header", single(file(one, 0)[:40]), "m.safetensors", "ST003"},
		{"not UTF-8", single(file("{\"\xff\":1}", 0)), "m.safetensors", "ST004"},
		{"not JSON", single(file("{,}", 0)), "m.safetensors", "ST005"},
		{"a number", single(file(`{"a":1}`, 0)), "m.safetensors", "ST006"},
		{"twice", single(file("{"+entry("a", "U8", "1", 0, 1)+","+entry("a", "U8", "1", 1, 2)+"}", 2)), "m.safetensors", "ST007"},
		{"array", single(file(`{"a":["F32",[1],[0,4]]}`, 4)), "m.safetensors", "ST008"},
		{"dtype", single(file("{"+entry("a", "F31", "1", 0, 4)+"}", 4)), "m.safetensors", "ST009"},
		{"gap", single(file("{"+entry("a", "U8", "1", 1, 2)+"}", 2)), "m.safetensors", "ST010"},
		{"overflow", single(file("{"+entry("a", "U8", "4294967296,4294967296", 0, 0)+"}", 0)), "m.safetensors", "ST011"},
		{"half a byte", single(file("{"+entry("a", "F4", "3", 0, 1)+"}", 1)), "m.safetensors", "ST012"},
		{"size", single(file("{"+entry("a", "F32", "2", 0, 4)+"}", 4)), "m.safetensors", "ST013"},
		{"cut data", single(file(one, 3)), "m.safetensors", "ST014"},
		{"trailing", single(file(one, 5)), "m.safetensors", "ST015"},
		{"pointer", single("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"), "m.safetensors", "ST020 ST002"},
		{"pointer in a directory", dir("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"), ".", "ST020 ST002"},
		{"page for a shard", dir("model.safetensors.index.json", index(`"a":"x.safetensors"`), "x.safetensors", "<!DOCTYPE html><html></html>"), ".", "ST021 ST002"},
		{"page", single("<!DOCTYPE html><html></html>"), "m.safetensors", "ST021 ST002"},
		{"gzip", single(gzipped()), "m.safetensors", "ST022 ST003"},
		{"zip", single(zipped()), "m.safetensors", "ST023 ST002"},
		{"pickle", single("\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s."), "m.safetensors", "ST024 ST002"},
		{"gguf", single("GGUF\x03\x00\x00\x00\x00\x00"), "m.safetensors", "ST025 ST002"},
		{"text", single("hello, world, and all who are in it"), "m.safetensors", "ST026 ST002"},
		{"empty", single(""), "m.safetensors", "ST026 ST001"},
		{"0.4", single(file(`{},"__metadata__":{"key":"value"}}      `, 0)), "m.safetensors", "ST027 ST005"},
		{"0.8.0", single(file(`{},"__metadata__":{}}   `, 0)), "m.safetensors", "ST027 ST005"},
		{"no shard", dir("model.safetensors.index.json", index(`"a":"x.safetensors"`)), ".", "ST030"},
		{"no neighbour", dir("m-00001-of-00002.safetensors", file(one+"  ", 4)), ".", "ST030"},
		{"elsewhere", dir("model.safetensors.index.json", index(`"b":"x.safetensors"`), "x.safetensors", file(one+"  ", 4)), ".", "ST031 ST109"},
		{"escape", dir("model.safetensors.index.json", index(`"a":"../x.safetensors"`)), ".", "ST032"},
		{"space before", single(file("  "+one, 4)), "m.safetensors", "ST101"},
		{"newline behind", single(file(one+"\n\n", 4)), "m.safetensors", "ST102"},
		{"odd header", single(file(one, 4)), "m.safetensors", "ST103 ST104"},
		{"unaligned", single(padded("{"+entry("a", "U8", "1", 0, 1)+","+entry("b", "F32", "1", 1, 5)+"}", 5)), "m.safetensors", "ST112 ST104"},
		{"field", single(file(strings.Replace(one, "}}", `,"x":1}}`, 1)+"    ", 4)), "m.safetensors", "ST105"},
		{"null", single(file(`{"__metadata__":null}   `, 0)), "m.safetensors", "ST106"},
		{"big header", single(file(one+"  "+big, 4)), "m.safetensors", "ST107"},
		{"far dimension", single(padded("{"+entry("a", "U8", "0,9007199254740993", 0, 0)+"}", 0)), "m.safetensors", "ST108"},
		{"total", dir("model.safetensors.index.json", strings.Replace(index(`"a":"x.safetensors"`), "4", "5", 1), "x.safetensors", file(one+"  ", 4)), ".", "ST109"},
		{"copy", dir("consolidated.safetensors", file(one+"  ", 4), "m.safetensors", file(one+"  ", 4)), ".", "ST110"},
		{"name", single(padded("{"+entry(`\u001b[31m`, "U8", "1", 0, 1)+"}", 1)), "m.safetensors", "ST111"},
		{"path", single(padded("{"+entry("../a", "U8", "1", 0, 1)+"}", 1)), "m.safetensors", "ST111"},
	}
	met := map[string]bool{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report, err := Check(context.Background(), test.fsys, test.open)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			valid := true
			for _, f := range report.Findings {
				if !slices.Contains(ids, f.ID) {
					ids = append(ids, f.ID)
				}
				met[f.ID] = true
				valid = valid && f.Severity != Error
				if f.Message == "" || f.File == "" {
					t.Errorf("finding without message or file: %+v", f)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(ids, " ")); diff != "" {
				t.Errorf("ids (-want +got):\n%s%+v", diff, report.Findings)
			}
			if report.Valid != valid {
				t.Errorf("valid is %v with %v", report.Valid, ids)
			}
		})
	}
	for _, r := range structureRules {
		if !met[r.ID] {
			t.Errorf("%s has no test", r.ID)
		}
	}
}

// TestConformance states that a file is valid exactly if it conforms.
func TestConformance(t *testing.T) {
	for v := range conformance.Vectors() {
		data := v.Bytes()
		report, err := CheckBytes(bytes.NewReader(data), int64(len(data)), v.Name)
		if err != nil || report.Valid != v.Accept {
			t.Errorf("%s: valid %v, want %v (%v)", v.Name, report.Valid, v.Accept, err)
		}
	}
}

func TestCutOffByHowMuch(t *testing.T) {
	report, err := CheckBytes(strings.NewReader(file(one, 1)), int64(len(file(one, 1))), "m")
	if err != nil || len(report.Findings) != 1 || !strings.Contains(report.Findings[0].Message, "3 missing") {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Check(context.Background(), fstest.MapFS{}, "none"); !os.IsNotExist(err) && err != fs.ErrNotExist {
		t.Errorf("error %v, want one that says that there is no such file", err)
	}
}

// TestCatalogue keeps docs/findings.md in step with the rules.
func TestCatalogue(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Findings\n\nWhat `tensmith check` and `tensmith scan` report, by id. Ids are stable. `tensmith explain ID` prints one of these.\n" +
		"What is **dangerous** can run code, open files or reach a network; what is **suspicious** is not known to be harmless.\n" +
		"An **error** is what the format forbids (ST0xx, which make a file suspicious in a scan), or what cannot be read\n(ST4xx); a **note** is legal, and worth knowing.\n\n" +
		"This page is made from the catalogue in `scan/rules*.go` by `go test ./scan -run TestCatalogue -update`.\n")
	last := ""
	for _, r := range Rules {
		if r.ID <= last {
			t.Errorf("%s stands behind %s", r.ID, last)
		}
		last = r.ID
		fmt.Fprintf(&b, "\n## %s: %s\n\n*%s.* %s\n\n**What to do:** %s\n", r.ID, r.Title, r.Severity, r.Why, r.Do)
	}
	const name = "../docs/findings.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("docs/findings.md (-rules +page):\n%s", diff)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(file(one, 4)))
	f.Add([]byte(zipped()))
	f.Add([]byte("(lp0\n."))
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := CheckBytes(bytes.NewReader(data), int64(len(data)), "m")
		if err != nil {
			t.Fatal(err) // memory does not fail to be read
		}
		if !report.Valid && len(report.Findings) == 0 {
			t.Fatal("not valid, without a reason")
		}
	})
}
