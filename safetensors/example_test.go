package safetensors_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/tensmith/tensmith/numeric"
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

// Package numeric makes numbers of the bytes, whatever dtype they are of.
func ExampleTensor_Bytes() {
	f, err := safetensors.Open("testdata/real/torch.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	t, err := f.Tensor("model.embed.weight") // BF16
	if err != nil {
		log.Fatal(err)
	}
	data, err := t.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	values := make([]float32, len(data)*8/t.DType.Bits())
	if err := numeric.Decode(values, t.DType, data); err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Shape, values[:4])
	// Output: [8 4] [0 0.25 0.5 0.75]
}

// What is mapped is touched, not read. The bytes are the file's, and gone when
// it is closed.
func ExampleMap() {
	f, err := safetensors.Map("testdata/real/numpy.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	t, err := f.Tensor("layer.1.float32")
	if err != nil {
		log.Fatal(err)
	}
	data, err := t.Bytes() // no copy
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(data), "bytes")
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	_, err = t.Bytes()
	fmt.Println(errors.Is(err, fs.ErrClosed))
	// Output:
	// 24 bytes
	// true
}

// A remote is a file on a server that answers requests for ranges. Each read is
// a request: NewFile makes two, for eight bytes and for the header.
type remote struct {
	ctx context.Context
	url string
}

func (r remote) ReadAt(p []byte, off int64) (int, error) {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return 0, errors.New(resp.Status) // of 200 the body is the whole file
	}
	return io.ReadFull(resp.Body, p)
}

// A model on a server is judged, and one tensor of it read, without a download.
func ExampleNewFile() {
	server := httptest.NewServer(http.FileServer(http.Dir("testdata/real")))
	defer server.Close()
	url := server.URL + "/torch.safetensors"
	head, err := http.Head(url)
	if err != nil {
		log.Fatal(err)
	}
	head.Body.Close()

	f, err := safetensors.NewFile(remote{context.Background(), url}, head.ContentLength)
	if err != nil {
		log.Fatal(err) // a *FormatError says why it is not to be accepted
	}
	t, err := f.Tensor("model.embed.weight")
	if err != nil {
		log.Fatal(err)
	}
	data, err := t.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Len(), "tensors;", t.Name, "is", len(data), "of", f.Size(), "bytes")
	// Output: 6 tensors; model.embed.weight is 64 of 656 bytes
}

func ExampleEditMetadata() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "model.safetensors")
	ctx := context.Background()
	// Slack is room in the header; without it the first edit writes the file anew.
	e := &safetensors.Encoder{Metadata: map[string]string{"format": "pt"}, Slack: 256}
	if err := e.WriteFile(ctx, name, nil); err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	metadata := f.Metadata() // what is not in the new metadata is gone
	f.Close()
	metadata["modelspec.title"] = "My model"
	inPlace, err := safetensors.EditMetadata(ctx, name, metadata)
	fmt.Println("in place:", inPlace, err)
	// Output: in place: true <nil>
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
