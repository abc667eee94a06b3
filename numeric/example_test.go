package numeric_test

import (
	"bytes"
	"context"
	"fmt"
	"math"

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

// What is in a tensor: a NaN among eighths.
func ExampleScan_Stats() {
	values := make([]float32, 1000)
	for i := range values {
		values[i] = float32(i%21-10) / 8
	}
	values[7] = float32(math.NaN())
	raw := make([]byte, 2*len(values))
	if err := numeric.Encode(raw, safetensors.BF16, values, numeric.ToSpecial); err != nil {
		fmt.Println(err)
	}

	scan := numeric.Scan{Quantiles: true}
	s, err := scan.Stats(context.Background(), numeric.Data{DType: safetensors.BF16, Source: numeric.Memory(raw), Size: int64(len(raw))})
	if err != nil {
		fmt.Println(err)
		return
	}
	median, _ := s.Quantile(0.5)
	fmt.Println(s.Count, "numbers,", s.NaNs, "NaN,", s.Zeros, "zeros")
	fmt.Printf("%v to %v, median %v, mean %.4f, std %.4f\n", s.Min(), s.Max(), median, s.Mean(), s.Std())
	fmt.Println(s.Histogram(numeric.LinearEdges(-1.25, 1.25, 5)))
	// Output:
	// 1000 numbers, 1 NaN, 48 zeros
	// -1.25 to 1.25, median 0, mean -0.0061, std 0.7563
	// [192 191 192 189 235]
}

// A cast is written as it is read, and compared with what it came from.
func ExampleCast() {
	values := []float32{0.1, 0.2, 0.3, -1, 500}
	raw := make([]byte, 4*len(values))
	if err := numeric.Encode(raw, safetensors.F32, values, numeric.ToSpecial); err != nil {
		fmt.Println(err)
	}
	data := numeric.Data{DType: safetensors.F32, Source: numeric.Memory(raw), Size: int64(len(raw))}
	cast, err := numeric.NewCast(data, safetensors.F8E4M3, numeric.Saturate)
	if err != nil {
		fmt.Println(err)
		return
	}

	var file bytes.Buffer
	entry := safetensors.Entry{Info: safetensors.Info{Name: "w", DType: safetensors.F8E4M3, Shape: []uint64{5}}, Data: cast}
	if err := new(safetensors.Encoder).Encode(&file, []safetensors.Entry{entry}); err != nil {
		fmt.Println(err)
	}
	lost, err := numeric.Scan{}.Compare(context.Background(), data, cast.Data(), numeric.Tolerance{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d bytes of data; max-abs %v at %d, %.1f dB\n", cast.Size(), lost.MaxAbs, lost.MaxAbsAt, lost.SQNR())
	// Output:
	// 5 bytes of data; max-abs 52 at 4, 19.7 dB
}
