package scan

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKeras has what Keras itself has written: policies of dtypes of the module
// keras, activations of builtins, operations, an optimizer, a loss.
func TestKeras(t *testing.T) {
	r, err := Path(context.Background(), os.DirFS("testdata/keras"), ".", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fun.keras clean", "seq.keras clean"}, summary(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUnknownModel states that a file that is called a model and is nothing
// known is suspicious, and not an error on top of it: nothing says that it
// should have been a pickle.
func TestUnknownModel(t *testing.T) {
	f := reader(t, "weights.bin", []byte("\x4b\x01\x3f\x80\x00\xff\xfe\x00\x3f\x80\x00\xff\xfe\x00"), Options{})
	var got []string
	for _, finding := range f.Findings {
		got = append(got, finding.ID)
	}
	if diff := cmp.Diff([]string{"ST405"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
