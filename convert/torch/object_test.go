package torch

import (
	"os"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestObjects states what is listed of objects besides the tensors that have
// names by them, which TestOpen compares with torch's.
func TestObjects(t *testing.T) {
	for file, want := range map[string][]LeftOut{
		"named_tuple_p2.pt": nil,
		"named_tuple_p4.pt": nil,
		"dataclass_p2.pt":   {{Path: "run.step", Kind: "int"}},
		"dict_attribute.pt": {{Path: "w", Kind: "part of dict that has no name", Tensors: 1, Bytes: 12}},
		// The parameter is among those of the optimizer, too.
		"optimizer_object.pt": {{Path: "optimizer", Kind: "torch.optim.adam.Adam", Tensors: 4, Bytes: 28}},
	} {
		f, err := Open(os.DirFS("testdata/torch215"), file, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := gocmp.Diff(want, f.LeftOut()); diff != "" && len(want)+len(f.LeftOut()) > 0 {
			t.Errorf("%s: left out (-want +got):\n%s", file, diff)
		}
		f.Close()
	}
}

// TestPacked states that the tensors of a file are packed, and that what is
// not in the form that torch writes them in is not.
func TestPacked(t *testing.T) {
	r := &reader{fsys: os.DirFS("testdata")}
	defer r.close()
	c, err := r.file("torch215/flat.pt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.b.grow(c.value).names(c.value)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	for _, n := range list {
		if n.packed == "" || n.t != nil {
			t.Errorf("%s is not packed", n.name)
		}
		tensor, err := n.tensor(false)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := n.tensor(false); err != nil || again.s != tensor.s || again.viewKey() != tensor.viewKey() {
			t.Errorf("%s: another view when made again: %v", n.name, err)
		}
		if n.packed.place(c.b.at) != tensor.at {
			t.Errorf("%s: at %v, not %v", n.name, n.packed.place(c.b.at), tensor.at)
		}
	}
	many := sharing(append(slices.Clone(list), list[0]))
	if !many[0] || !many[len(list)] {
		t.Errorf("which share a storage: %v", many)
	}
}
