package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tensmith/tensmith/convert"
)

func Example() {
	f, err := convert.Open(os.DirFS("torch/testdata"), "torch113/tied.pt", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	report, err := f.Write(context.Background(), convert.Plan{Output: filepath.Join(dir, "tied.safetensors"), Verify: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range report.Tensors {
		fmt.Println(t.Name, t.DType, t.Shape, t.Alias, t.After[:8])
	}
	fmt.Println("lossless:", report.Lossless, report.Why[0])
	// Output:
	// embed.weight F32 [4 6] [head.weight] 6cea48e5
	// other F32 [3] [] e3f6e339
	// lossless: true all tensors of the input, bit by bit
}
