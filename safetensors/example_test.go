package safetensors_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tensmith/tensmith/safetensors"
)

func ExampleOpen() {
	f, err := safetensors.Open("testdata/real/torch.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Println("format:", f.Metadata()["format"])
	for t := range f.All() {
		fmt.Println(t.Name, t.DType, t.Shape, t.Size(), "bytes")
	}
	// Output:
	// format: pt
	// model.layers.0.bias F32 [4] 16 bytes
	// model.nan F32 [4] 16 bytes
	// model.embed.weight BF16 [8 4] 64 bytes
	// model.layers.0.weight F16 [4 4] 32 bytes
	// model.layers.1.e4m3 F8_E4M3 [4 4] 16 bytes
	// model.layers.1.e5m2 F8_E5M2 [4 4] 16 bytes
}

func ExampleTensor_Slice() {
	f, err := safetensors.Open("testdata/real/numpy.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	t, err := f.Tensor("layer.1.float32") // of 2 rows and 3 columns
	if err != nil {
		log.Fatal(err)
	}
	// The last two columns of every row: [:, 1:3].
	s, err := t.Slice(safetensors.Range{}, safetensors.Span(1, 3))
	if err != nil {
		log.Fatal(err)
	}
	data, err := s.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	values := make([]float32, len(data)/4)
	if _, err := binary.Decode(data, binary.LittleEndian, values); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.DType, s.Shape, values)
	// Output: F32 [2 2] [2 3 5 6]
}

func ExampleEncoder() {
	weights := []float32{1, 2, 3, 4, 5, 6}
	data, err := binary.Append(nil, binary.LittleEndian, weights)
	if err != nil {
		log.Fatal(err)
	}
	entries := []safetensors.Entry{{
		Info: safetensors.Info{Name: "weight", DType: safetensors.F32, Shape: []uint64{2, 3}},
		Data: bytes.NewReader(data),
	}}
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	e := &safetensors.Encoder{Metadata: map[string]string{"format": "pt"}}
	name := filepath.Join(dir, "model.safetensors")
	if err := e.WriteFile(context.Background(), name, entries); err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Printf("%s\n", f.Header())
	// Output: {"__metadata__":{"format":"pt"},"weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}
}

func ExampleOpenCheckpoint() {
	// A directory with an index and three shards.
	c, err := safetensors.OpenCheckpoint("testdata/real/sharded")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Len(), "tensors in", len(c.Files()), "files")
	t, err := c.Tensor("lm_head.weight")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.DType, t.Shape, "in", filepath.Base(t.File().Name()))
	// Output:
	// 30 tensors in 3 files
	// BF16 [16 8] in model-00003-of-00003.safetensors
}

// A file that breaks the format says where and why.
func ExampleFormatError() {
	header := `{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,12]}}`
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(append(file, header...), make([]byte, 12)...)
	_, err := safetensors.NewFile(bytes.NewReader(file), int64(len(file)))
	fmt.Println(err)
	// Output: byte 57: tensor "w": data_offsets disagree with dtype and shape: data_offsets [0,12] are 12 bytes, F32 [2,2] takes 16
}
