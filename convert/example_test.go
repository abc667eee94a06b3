package convert_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/safetensors"
)

// A checkpoint in memory becomes safetensors in memory.
func ExampleOpen() {
	data, err := os.ReadFile("torch/testdata/torch113/tied.pt")
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := convert.Open(fstest.MapFS{"model.pt": {Data: data}}, "model.pt", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	var out bytes.Buffer
	e := safetensors.Encoder{Metadata: f.Metadata}
	if err := e.Encode(&out, f.Entries); err != nil {
		fmt.Println(err)
		return
	}
	s, err := safetensors.NewFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for t := range s.All() {
		fmt.Println(t.Name, t.DType, t.Shape)
	}
	fmt.Println(s.Metadata())
	// Output:
	// embed.weight F32 [4 6]
	// other F32 [3]
	// map[format:pt head.weight:embed.weight]
}

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
