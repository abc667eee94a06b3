package torch_test

import (
	"fmt"
	"os"

	"github.com/tensmith/tensmith/convert/torch"
)

func ExampleOpen() {
	f, err := torch.Open(os.DirFS("testdata"), "torch113/lightning.pt", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	fmt.Println(f.Root(), f.Verdict())
	for _, e := range f.Entries()[:2] {
		fmt.Println(e.Name, e.DType, e.Shape)
	}
	for _, l := range f.LeftOut() {
		if l.Tensors > 0 {
			fmt.Printf("left out: %s (tensors: %d)\n", l.Path, l.Tensors)
		}
	}
	// Output:
	// state_dict suspicious
	// model.table I32 [6]
	// model.conv.weight F32 [3 2 2 2]
	// left out: callbacks (tensors: 1)
	// left out: optimizer_states (tensors: 18)
}

func ExampleOpen_dangerous() {
	_, err := torch.Open(os.DirFS("testdata"), "hand/evil_zip.pt", nil)
	fmt.Println(err)
	// Output:
	// hand/evil_zip.pt: would run code when loaded: os.system at hand/evil_zip.pt!archive/data.pkl@280 (runs programs)
}
