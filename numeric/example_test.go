package numeric_test

import (
	"fmt"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// A BF16 tensor's bytes become numbers, and numbers FP8.
func Example() {
	raw := []byte{0x80, 0x3F, 0xCD, 0x3D, 0x00, 0xC4}
	values := make([]float32, len(raw)/2)
	if err := numeric.Decode(values, safetensors.BF16, raw); err != nil {
		fmt.Println(err)
	}
	fmt.Println(values)

	fp8 := make([]byte, len(values))
	if err := numeric.Encode(fp8, safetensors.F8E4M3, values, numeric.Saturate); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%#x\n", fp8)
	// Output:
	// [1 0.100097656 -512]
	// 0x381dfe
}

func ExampleAppendText() {
	raw := []byte{0x80, 0x3F, 0xCD, 0x3D}
	text, err := numeric.AppendText(nil, safetensors.BF16, raw, 1)
	fmt.Println(string(text), err)
	// Output: 0.1 <nil>
}

func ExampleEncode_refused() {
	err := numeric.Encode(make([]byte, 2), safetensors.I8, []float64{1, 300}, numeric.ToSpecial)
	fmt.Println(err)
	// Output: value 1: 300 as I8: out of range
}
