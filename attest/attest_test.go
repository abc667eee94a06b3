package attest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/attest"
	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/sign"
)

func digest(c string) string { return strings.Repeat(c, 64) }

var (
	files   = []attest.File{{Name: "b.safetensors", SHA256: digest("2")}, {Name: "a.safetensors", SHA256: digest("1")}}
	tensors = []attest.Tensor{
		{Name: "w\n\\", DType: "F16", Shape: []uint64{2, 3}, SHA256: digest("c")},
		{Name: "b", DType: "F32", SHA256: digest("b")},
		{Name: "a <&>", DType: "BF16", Shape: []uint64{4}, SHA256: digest("a")},
	}
)

// TestTensors: a statement survives its encoding. The digest is that of
// sha256sum over the lines of `tensmith hash --tensors`, made with printf.
func TestTensors(t *testing.T) {
	s, err := attest.NewTensors(files, tensors)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := sign.ParseStatement(payload)
	if err != nil {
		t.Fatal(err)
	}
	got, err := attest.ParseTensors(again)
	if err != nil {
		t.Fatal(err)
	}
	want := &attest.Tensors{
		Digest: "488af2c260a49843e59a4cbd14213bb8659b8a7d0580fb7e7934d6c922444463",
		Tensors: []attest.Tensor{
			{Name: "a <&>", DType: "BF16", Shape: []uint64{4}, SHA256: digest("a")},
			{Name: "b", DType: "F32", Shape: []uint64{}, SHA256: digest("b")},
			{Name: "w\n\\", DType: "F16", Shape: []uint64{2, 3}, SHA256: digest("c")},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	subjects := []sign.Subject{{Name: "a.safetensors", Digest: map[string]string{"sha256": digest("1")}}, {Name: "b.safetensors", Digest: map[string]string{"sha256": digest("2")}}}
	if diff := cmp.Diff(subjects, again.Subject); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		files []attest.File
		want  bool
	}{
		{files, true},
		{[]attest.File{{Name: "renamed", SHA256: digest("1")}, files[0]}, true},
		{files[:1], false},
		{append(files[:2:2], files[0]), false},
		{[]attest.File{files[0], files[0]}, false},
		{[]attest.File{files[0], {Name: "a.safetensors", SHA256: digest("3")}}, false},
		{nil, false},
	} {
		if got := attest.SameFiles(again, test.files); got != test.want {
			t.Errorf("%v: %t", test.files, got)
		}
	}
}

func TestCompare(t *testing.T) {
	x := func(name, dtype, sum string, shape ...uint64) attest.Tensor {
		return attest.Tensor{Name: name, DType: dtype, Shape: shape, SHA256: digest(sum)}
	}
	signed := attest.Tensors{Tensors: []attest.Tensor{x("a", "F16", "a", 2, 3), x("b", "F16", "b", 4), x("c", "F16", "c", 4), x("d", "F16", "d"), x("e", "F16", "d")}}
	for _, test := range []struct {
		what  string
		found []attest.Tensor
		want  attest.Difference
	}{
		{"same, in another order", []attest.Tensor{signed.Tensors[4], signed.Tensors[3], signed.Tensors[2], signed.Tensors[1], signed.Tensors[0]}, attest.Difference{}},
		{"none", nil, attest.Difference{Missing: []string{"a", "b", "c", "d", "e"}}},
		{"all that can differ", []attest.Tensor{x("a", "BF16", "a", 2, 3), x("b", "F16", "c", 4), x("new", "F16", "f"), x("see", "F16", "c", 4), x("z", "F16", "d"), x("y", "F16", "d")},
			attest.Difference{Changed: []string{"b"}, Retyped: []string{"a"}, Extra: []string{"new"}, Renamed: [][2]string{{"c", "see"}, {"d", "y"}, {"e", "z"}}}},
		{"another shape", append([]attest.Tensor{x("a", "F16", "a", 3, 2)}, signed.Tensors[1:]...), attest.Difference{Retyped: []string{"a"}}},
	} {
		got := signed.Compare(test.found)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.what, diff)
		}
		if got.Empty() != (test.what == "same, in another order") {
			t.Errorf("%s: empty is %t", test.what, got.Empty())
		}
	}
}

func TestMalformed(t *testing.T) {
	s, err := attest.NewTensors(files, tensors)
	if err != nil {
		t.Fatal(err)
	}
	text := string(s.Predicate)
	for what, predicate := range map[string]string{
		"no JSON":        "{",
		"other tensors":  strings.Replace(text, digest("a"), digest("9"), 1),
		"other digest":   `{"digest":"` + digest("0") + `","tensors":[]}`,
		"no digest":      strings.ReplaceAll(text, digest("a"), "abc"),
		"capitals":       strings.ReplaceAll(text, digest("a"), digest("A")),
		"out of order":   strings.Replace(text, `"name":"b"`, `"name":"zz"`, 1),
		"twice":          strings.Replace(text, `"name":"b"`, `"name":"a <&>"`, 1),
		"two digests":    strings.Replace(text, `"digest":`, `"Digest":"`+digest("0")+`","digest":`, 1),
		"two names":      strings.Replace(text, `"name":"b"`, `"name":"b","\u004eame":"c"`, 1),
		"two hashes":     strings.Replace(text, `"sha256":`, `"`+"\u017f"+`ha256":"","sha256":`, 1),
		"negative shape": strings.Replace(text, `[4]`, `[-4]`, 1),
	} {
		bad := *s
		bad.Predicate = json.RawMessage(predicate)
		if _, err := attest.ParseTensors(&bad); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := *s
	other.PredicateType = attest.ProvenanceType
	if _, err := attest.ParseTensors(&other); !errors.Is(err, attest.ErrMalformed) {
		t.Error(err)
	}
	if _, err := attest.ParseConversion(s); !errors.Is(err, attest.ErrMalformed) {
		t.Error(err)
	}
	if _, err := attest.ParseConversion(&other); !errors.Is(err, attest.ErrMalformed) {
		t.Error(err)
	}
	if _, err := attest.NewTensors(files, append(tensors, tensors[0])); !errors.Is(err, attest.ErrMalformed) {
		t.Error(err)
	}
}

// TestConversion converts a checkpoint and reads back what is stated of it.
func TestConversion(t *testing.T) {
	f, err := convert.Open(os.DirFS("../convert/torch/testdata/torch215"), "hf_bin", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := filepath.Join(t.TempDir(), "out.safetensors")
	report, err := f.Write(t.Context(), convert.Plan{Output: out, MaxShard: -1, Digests: true, DType: 0})
	if err != nil {
		t.Fatal(err)
	}
	c := attest.Conversion{
		Source: "hf_bin", URI: "pkg:huggingface/a/b@0123", Commit: "0123", Arguments: []string{"convert", "hf_bin"}, Version: "v1",
		Inputs: files, Outputs: []attest.File{{Name: "out.safetensors", SHA256: digest("e")}},
		Started: time.Unix(0, 0), Finished: time.Unix(60, 0), Report: report,
	}
	s, err := c.Statement()
	if err != nil {
		t.Fatal(err)
	}
	// What SLSA demands: https://slsa.dev/spec/v1.0/provenance
	var slsa struct {
		BuildDefinition struct {
			BuildType            string
			ExternalParameters   map[string]any
			ResolvedDependencies []struct {
				URI    string
				Name   string
				Digest map[string]string
			}
		}
		RunDetails struct {
			Builder  struct{ ID string }
			Metadata struct{ StartedOn, FinishedOn time.Time }
		}
	}
	if err := json.Unmarshal(s.Predicate, &slsa); err != nil {
		t.Fatal(err)
	}
	d := slsa.BuildDefinition.ResolvedDependencies
	if slsa.RunDetails.Builder.ID == "" || slsa.BuildDefinition.BuildType != attest.BuildType || slsa.BuildDefinition.ExternalParameters["source"] != "hf_bin" ||
		len(d) != 3 || d[0].URI != c.URI || d[0].Digest["gitCommit"] != "0123" || d[1].Digest["sha256"] != digest("1") ||
		!slsa.RunDetails.Metadata.FinishedOn.Equal(c.Finished) || s.Subject[0].Digest["sha256"] != digest("e") {
		t.Errorf("%+v of %+v", slsa, s.Subject)
	}
	o, err := attest.ParseConversion(s)
	if err != nil {
		t.Fatal(err)
	}
	if o.Source != "hf_bin" || o.URI != c.URI || o.Version != "v1" || !o.Lossless || o.Verdict != report.Verdict || len(o.Inputs) != 2 {
		t.Errorf("%+v", o)
	}
	var found []attest.Tensor
	for _, x := range report.Tensors {
		found = append(found, attest.Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape, SHA256: x.After})
	}
	if d := o.Tensors.Compare(found); !d.Empty() || len(found) == 0 {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(o.Tensors.Tensors, o.Before); diff != "" {
		t.Errorf("a conversion without loss has other tensors before: %s", diff)
	}
	// A claim that does not fit its digest is none.
	bad := *s
	bad.Predicate = json.RawMessage(strings.ReplaceAll(string(s.Predicate), found[0].SHA256, digest("7")))
	if _, err := attest.ParseConversion(&bad); !errors.Is(err, attest.ErrMalformed) {
		t.Error(err)
	}
	// Of two claims nobody knows which one is meant.
	var p map[string]map[string]any
	if err := json.Unmarshal(s.Predicate, &p); err != nil {
		t.Fatal(err)
	}
	products := p["runDetails"]["byproducts"].([]any)
	p["runDetails"]["byproducts"] = append(products, products[0])
	if bad.Predicate, err = json.Marshal(p); err != nil {
		t.Fatal(err)
	}
	if _, err := attest.ParseConversion(&bad); !errors.Is(err, attest.ErrMalformed) || !strings.Contains(err.Error(), "tensors is there twice") {
		t.Error(err)
	}
	// Without digests there is nothing to state.
	report.Tensors[0].After = ""
	if _, err := c.Statement(); !errors.Is(err, attest.ErrMalformed) {
		t.Error(err)
	}
}

// FuzzParse: no predicate makes the parsers panic, and what they take they say
// again.
func FuzzParse(f *testing.F) {
	s, err := attest.NewTensors(files, tensors)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(s.Predicate))
	f.Add([]byte(`{"buildDefinition":{"buildType":"` + attest.BuildType + `"},"runDetails":{"byproducts":[{"name":"tensors","annotations":{}}]}}`))
	f.Fuzz(func(t *testing.T, predicate []byte) {
		o, err := attest.ParseConversion(&sign.Statement{PredicateType: attest.ProvenanceType, Predicate: predicate})
		if err == nil && o.Tensors == nil {
			t.Error("a conversion without tensors")
		}
		got, err := attest.ParseTensors(&sign.Statement{PredicateType: attest.TensorsType, Predicate: predicate})
		if err != nil {
			return
		}
		if d := got.Compare(got.Tensors); !d.Empty() {
			t.Errorf("tensors differ from themselves: %+v", d)
		}
		again, err := attest.NewTensors(nil, got.Tensors)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := attest.ParseTensors(again)
		if err != nil || twice.Digest != got.Digest {
			t.Errorf("%v: %+v", err, twice)
		}
	})
}

func ExampleTensors_Compare() {
	files := []attest.File{{Name: "model.safetensors", SHA256: strings.Repeat("1", 64)}}
	w := attest.Tensor{Name: "weight", DType: "F32", Shape: []uint64{2, 2}, SHA256: strings.Repeat("a", 64)}
	statement, err := attest.NewTensors(files, []attest.Tensor{w})
	if err != nil {
		panic(err)
	}
	payload, err := statement.Encode() // to be signed by a sign.Key, for one
	if err != nil {
		panic(err)
	}

	statement, err = sign.ParseStatement(payload)
	if err != nil {
		panic(err)
	}
	signed, err := attest.ParseTensors(statement)
	if err != nil {
		panic(err)
	}
	w.SHA256 = strings.Repeat("b", 64)
	d := signed.Compare([]attest.Tensor{w})
	fmt.Println(d.Changed)
	// Output: [weight]
}
