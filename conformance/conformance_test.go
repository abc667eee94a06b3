package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/conformance/internal/cases"
)

func TestEmbeddedSize(t *testing.T) {
	size, files := int64(0), 0
	err := fs.WalkDir(FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		files++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if size > 1<<20 {
		t.Errorf("%d bytes are embedded, over 1 MiB", size)
	}
	vectors := len(slices.Collect(Vectors()))
	if vectors < 250 || files != 2*vectors {
		t.Errorf("%d vectors in %d files, want 250 or more in two files each", vectors, files)
	}
}

// The committed files are what the table makes; run go generate after a change.
func TestRegenerate(t *testing.T) {
	want, got := map[string]string{}, map[string]string{}
	for _, c := range cases.All() {
		description, err := c.Describe()
		if err != nil {
			t.Fatal(err)
		}
		want[c.Name+".safetensors"], want[c.Name+".json"] = string(c.File), string(description)
	}
	if n := 2 * len(cases.All()); len(want) != n {
		t.Fatalf("%d names for %d files: a name is used twice", len(want), n)
	}
	entries, err := fs.ReadDir(FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		b, err := fs.ReadFile(FS(), entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		got[entry.Name()] = string(b)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is not what the table makes", name)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("the table does not make %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestVectors(t *testing.T) {
	plain := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	content := map[[32]byte]string{}
	used := map[Class]int{}
	for v := range Vectors() {
		if !plain.MatchString(v.Name) || v.Why == "" || strings.Contains(v.Why, "\n") || v.Reference == "" {
			t.Errorf("%+v: the description is incomplete", v)
		}
		sum := sha256.Sum256(v.Bytes())
		if other, ok := content[sum]; ok {
			t.Errorf("%s and %s are the same file", v.Name, other)
		}
		content[sum] = v.Name
		if v.Accept != (v.Class == "") || v.Accept && v.Reference != "ok" {
			t.Errorf("%s: accept %v, class %q and reference %q disagree", v.Name, v.Accept, v.Class, v.Reference)
		}
		if v.Accept != (v.Tensors != nil) {
			t.Errorf("%s: accept %v with tensors %v", v.Name, v.Accept, v.Tensors)
		}
		for _, tensor := range v.Tensors {
			if raw, err := hex.DecodeString(tensor.SHA256); err != nil || len(raw) != sha256.Size || tensor.Shape == nil {
				t.Errorf("%s: tensor %+v is incomplete", v.Name, tensor)
			}
		}
		used[v.Class]++
	}
	for _, class := range Classes() {
		if used[class] == 0 || class.Meaning() == "" {
			t.Errorf("class %q: used by %d vectors, meaning %q", class, used[class], class.Meaning())
		}
		delete(used, class)
	}
	delete(used, "")
	if len(used) > 0 {
		t.Errorf("classes that are not in the list: %v", used)
	}
}

// Only the three documented exceptions may depart from the reference.
func TestDisputed(t *testing.T) {
	count := map[Class]int{}
	for v := range Vectors() {
		if v.Disputed() {
			count[v.Class]++
		}
	}
	if diff := cmp.Diff(map[Class]int{"duplicate": 10, "form": 2}, count); diff != "" {
		t.Errorf("vectors that the reference accepts (-want +got):\n%s", diff)
	}
}

// The expectation is read back as the facts about the file, unchanged by JSON.
func TestExpectation(t *testing.T) {
	nothing := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	want := map[string][]Tensor{
		"shape-2-63-by-0": {{Name: "a", DType: "F32", Shape: []uint64{1 << 63, 0}, SHA256: nothing}},
		"f4-empty":        {{Name: "a", DType: "F4", Shape: []uint64{0}, SHA256: nothing}},
		"smallest":        {},
	}
	for v := range Vectors() {
		if tensors, ok := want[v.Name]; ok {
			if diff := cmp.Diff(tensors, v.Tensors); diff != "" {
				t.Errorf("%s (-want +got):\n%s", v.Name, diff)
			}
			delete(want, v.Name)
		}
		if v.Name == "metadata-empty" && (v.Metadata == nil || len(v.Metadata) != 0) {
			t.Errorf("%s: metadata %#v, want an empty map", v.Name, v.Metadata)
		}
		if v.Name == "metadata-null" && v.Metadata != nil {
			t.Errorf("%s: metadata %#v, want nil", v.Name, v.Metadata)
		}
	}
	if len(want) > 0 {
		t.Errorf("no vectors %v", slices.Sorted(maps.Keys(want)))
	}
}

// Large vectors differ from each other and from the committed ones in name, and
// their sizes are what their purpose demands.
func TestLargeVectors(t *testing.T) {
	if testing.Short() {
		t.Skip("makes files of up to 100 MB")
	}
	sizes := map[string]int{
		"large-header-25000001":  8 + 25_000_001,
		"large-header-100000000": 8 + 100_000_000,
		"large-header-100000001": 8 + 100_000_001,
	}
	names := map[string]bool{}
	for v := range Vectors() {
		names[v.Name] = true
	}
	for v := range LargeVectors() {
		if names[v.Name] || !v.Large || v.Why == "" || v.Accept != (v.Class == "") {
			t.Errorf("%s: the description is wrong or the name is taken", v.Name)
		}
		names[v.Name] = true
		size := len(v.Bytes())
		if want := sizes[v.Name]; want != 0 && size != want || size < 200_000 {
			t.Errorf("%s has %d bytes, want %d", v.Name, size, want)
		}
	}
}
