package quant_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// A model of NF4 weights becomes one of BF16.
func Example() {
	c, err := safetensors.OpenCheckpoint("testdata/nf4.safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	m := quant.Open(c, nil)
	fmt.Println(m.Summary.Packing)

	plain, err := m.Unpacked(safetensors.BF16, func(name string) bool { return name != "plain.weight" })
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	err = new(safetensors.Encoder).WriteFile(context.Background(), filepath.Join(dir, "plain.safetensors"), plain)
	fmt.Println(c.Len(), "tensors became", len(plain), err)
	// Output:
	// bitsandbytes nf4
	// 29 tensors became 26 <nil>
}

// A weight in FP8 with scales for blocks of 128 by 128, and what that costs.
func ExampleQuantize() {
	c, err := safetensors.OpenCheckpoint("testdata/quantized/block128.safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	t, err := c.Tensor("from:b.weight")
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := quant.Quantize(safetensors.Entry{Info: t.Info, Data: t}, safetensors.F8E4M3, quant.Block128, numeric.Saturate)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range q.Entries() {
		fmt.Println(e.Name, e.DType, e.Shape)
	}
	loss, err := q.Loss(context.Background(), numeric.Scan{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.1f dB, %d overflows\n", loss.SQNR, loss.Overflow)
	// Output:
	// from:b.weight F8_E4M3 [6 128]
	// from:b.weight_scale_inv F32 [1 1]
	// 32.1 dB, 0 overflows
}
