package convert

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// TestDetectUnmarked: beginnings spelled by hand after the formats' own
// descriptions (onnx.proto, saved_model.proto, tensor_bundle.proto, msgpack's
// specification, flax/serialization.py, IREE's irpa.h, PaddlePaddle's
// SerializeToStream, TVM's runtime), and what is like them and is not.
func TestDetectUnmarked(t *testing.T) {
	fill := strings.Repeat("\x00", 64)
	for _, c := range []struct {
		head string
		want Format
	}{
		{"\x08\x08\x12\x07pytorch\x1a\x032.1:\x85\x01" + fill, ONNX},
		{"\x08\x08\x12\x08backends\x3a\x05\x0a\x03abc" + fill, ONNX}, // the graph at once
		{"\x08\x0a\x3a\x40\x0a\x05\x0a\x01X" + fill, ONNX},           // no producer
		{"\x08\x0a\x42\x02\x10\x15\x3a" + fill, ONNX},                // opset_import first
		{"\x08\x01\x12\xe6\x95\x04\x0a\xc8\x24" + fill, SavedModel},
		{"\x08\x01\x12\xdd\xa8\x02\x3a\xc3\x2e\x0a" + fill, SavedModel}, // its object graph first
		{"\x08\x01\x12\x06:tests\x1a\x032.1:\x85\x01" + fill, ONNX},
		{"\x08\x01\x08\x04\x10\x07\x4a\x20" + fill, Unknown}, // a TensorProto
		{"\x08\x08\x12\x07py\x00orch\x1a\x032.1:\x85" + fill, Unknown},
		{"\x00\x00\x06\x08\x01\x1a\x02\x08\x01\x00\x07\x0bcounter" + fill, TensorIndex},
		{"\x00\x00\x07\x08\x80\x01\x1a\x02\x08\x01\x00\x07\x0bcounter" + fill, TensorIndex}, // of 128 shards
		{"\x64\x6c\x00\x00\x06\x08\x01\x1a\x02\x08\x01\x00\x01\x0ba" + fill, TensorIndex},   // Snappy
		{"\x1c\x00\x00\x00TFL3" + fill, TFLite},
		{"IRPA\x00\x00\x00\x00\x58" + fill, IRPA},
		{"ML\xefR\x0dMLIR19" + fill, MLIR},
		{"\x86\xa6params\x86\xa7Dense_0\x82" + fill, Flax},
		{"\xde\x00\x10\xa6kernel\xc7\x4a\x01" + fill, Flax},
		{"\x86\xa6params\x01" + fill, Unknown},           // a number is no model
		{"\x86\xa6par\x00ms\x86\xa7Den" + fill, Unknown}, // and this no word
		{strings.Repeat("\x00", 16) + "\x04\x00\x00\x00\x08\x05\x10\x02" + fill, Paddle},
		{strings.Repeat("\x00", 30), Zeros},
		{"\xb7\x9c\x04\x05\x4f\x8d\xe5\xf7" + fill, TVM},
		{"\x1f\x8b\x00\x00\x00\x00\x00\x00{\"a\":" + strings.Repeat(" ", 0x8b1f), Safetensors}, // a length that is gzip's mark
		{"\x1f\x8b\x00\x00\x00\x00\x00\x00{\"a\":" + fill, Gzip},                               // of more than there is
		{"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + fill, Gzip},
	} {
		got, err := Detect(strings.NewReader(c.head), int64(len(c.head)))
		if err != nil || got != c.want {
			t.Errorf("%.24q is %s (%v), want %s", c.head, got, err, c.want)
		}
		// Cut anywhere it is something, and nothing panics.
		for n := range min(len(c.head), 200) {
			if _, err := Detect(strings.NewReader(c.head[:n]), int64(n)); err != nil {
				t.Errorf("%.24q cut at %d: %v", c.head, n, err)
			}
		}
	}
	// Text of any kind stays text.
	for _, text := range []string{"\x08\x08 is no text", "PK is a text", "module @weights {}"} {
		if got, _ := Detect(strings.NewReader(text), int64(len(text))); got != Text && got != Unknown {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte("\x08\x08\x12\x07pytorch\x1a\x032.1:"))
	f.Add([]byte("\x86\xa6params\x86\xa7Dense_0"))
	f.Add(binary.LittleEndian.AppendUint64(nil, 1<<40))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Detect(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if got.String() == "" || formatNames[got] == "" && got != Safetensors {
			t.Errorf("%q has no name", got)
		}
		// What begins a file is all that counts.
		if len(data) > 4096 {
			if again, _ := Detect(bytes.NewReader(data[:4096]), int64(len(data))); again != got {
				t.Errorf("%s, and %s by its first 4096 bytes", got, again)
			}
		}
	})
}
