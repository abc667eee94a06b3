package quant_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// zeros is data of any size that takes no memory.
type zeros int64

func (z zeros) Size() int64 { return int64(z) }

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(z) {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(z)-off)
	clear(p[:n])
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (z zeros) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.NewSectionReader(z, 0, int64(z)))
}

func entry(name string, d safetensors.DType, shape ...uint64) safetensors.Entry {
	info := safetensors.Info{Name: name, DType: d, Shape: shape}
	size, err := info.DataSize()
	if err != nil {
		panic(err)
	}
	return safetensors.Entry{Info: info, Data: zeros(size)}
}

func holds(name string, d safetensors.DType, data []byte, shape ...uint64) safetensors.Entry {
	return safetensors.Entry{Info: safetensors.Info{Name: name, DType: d, Shape: shape}, Data: bytes.NewReader(data)}
}

func int32s(v ...int32) (b []byte) {
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func int64s(v ...uint64) (b []byte) {
	for _, n := range v {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

const (
	i8, u8, i32 = safetensors.I8, safetensors.U8, safetensors.I32
	f16, f32    = safetensors.F16, safetensors.F32
	e4m3        = safetensors.F8E4M3
)

// TestRefused holds that a weight which cannot be had is an error that names
// the tensor and the cause.
func TestRefused(t *testing.T) {
	state := func(text string) safetensors.Entry {
		return holds("a.weight.quant_state.bitsandbytes__nf4", u8, []byte(text), uint64(len(text)))
	}
	index := func(v ...int32) safetensors.Entry { return holds("a.g_idx", i32, int32s(v...), uint64(len(v))) }
	gptq := func(more ...safetensors.Entry) []safetensors.Entry {
		return append(more, entry("a.qweight", i32, 1, 8), entry("a.scales", f16, 2, 8), entry("a.qzeros", i32, 2, 1))
	}
	shortData := entry("a.weight_scale", f32, 4)
	shortData.Data = zeros(12)
	tests := []struct {
		name    string
		config  string
		entries []safetensors.Entry
		tensor  string
		err     error
		detail  string
	}{
		{"group index too large", "", gptq(index(0, 0, 0, 0, 0, 0, 0, 2)), "a.g_idx", quant.ErrValue, "element 7 is group 2 of 2"},
		{"group index negative", "", gptq(index(-1, 0, 0, 0, 0, 0, 0, 1)), "a.g_idx", quant.ErrValue, "element 0 is group -1 of 2"},
		{"group index too short", "", gptq(index(0, 0, 0, 0, 1, 1, 1)), "a.g_idx", quant.ErrShape, "I32 [7] for 8 columns"},
		{"group index of another type", "", gptq(holds("a.g_idx", safetensors.I64, make([]byte, 64), 8)), "a.g_idx", quant.ErrShape, "I64"},
		{"GPTQ in a kernel's layout", `{"quantization_config":{"quant_method":"gptq","checkpoint_format":"marlin"}}`, gptq(), "a.qweight", quant.ErrScheme, "marlin"},
		{"GPTQ scales that are integers", "", []safetensors.Entry{entry("a.qweight", i32, 4, 8), entry("a.scales", i32, 2, 8), entry("a.qzeros", i32, 2, 1)}, "a.scales", quant.ErrDType, "I32"},
		{"GPTQ zero points of another shape", "", []safetensors.Entry{entry("a.qweight", i32, 4, 8), entry("a.scales", f16, 2, 8), entry("a.qzeros", i32, 3, 1)}, "a.qzeros", quant.ErrShape, "[3 1], where scales are [2 8]"},
		{"AWQ for another kernel", `{"quantization_config":{"quant_method":"awq","version":"gemv"}}`,
			[]safetensors.Entry{entry("a.qweight", i32, 64, 4), entry("a.scales", f16, 2, 32), entry("a.qzeros", i32, 2, 4)}, "a.qweight", quant.ErrScheme, "gemv"},
		{"FP8 scales that fit no blocks", "", []safetensors.Entry{entry("a.weight", e4m3, 7, 9), entry("a.weight_scale", f32, 5, 2)}, "a.weight_scale", quant.ErrShape, ""},
		{"FP8 scales of more dimensions", "", []safetensors.Entry{entry("a.weight", e4m3, 4, 4), entry("a.weight_scale", f32, 4, 4, 4)}, "a.weight_scale", quant.ErrShape, "more dimensions"},
		{"FP8 scales that are integers", "", []safetensors.Entry{entry("a.weight", e4m3, 4, 4), entry("a.weight_scale", i32, 4, 1)}, "a.weight_scale", quant.ErrDType, "I32 holds no scales"},
		{"FP8 without weights", "", []safetensors.Entry{entry("a.weight", e4m3, 0, 4), entry("a.weight_scale", f32, 0, 1)}, "a.weight", quant.ErrShape, "holds no weights"},
		{"data shorter than its shape", "", []safetensors.Entry{entry("a.weight", e4m3, 4, 4), shortData}, "a.weight_scale", quant.ErrShape, "16 bytes, the data is 12"},
		{"INT8 zero points of another shape", "", []safetensors.Entry{entry("a.weight", i8, 4, 4), entry("a.weight_scale", f32, 4, 1), entry("a.weight_zero_point", i8, 1, 4)}, "a.weight_zero_point", quant.ErrShape, ""},
		{"NVFP4 without its global scale", "", []safetensors.Entry{entry("a.weight", u8, 4, 16), entry("a.weight_scale", e4m3, 4, 2)}, "a.weight", quant.ErrMissing, "global scale"},
		{"NVFP4 global scale of another shape", "", []safetensors.Entry{entry("a.weight", u8, 4, 16), entry("a.weight_scale", e4m3, 4, 2), entry("a.weight_scale_2", f32, 4)}, "a.weight_scale_2", quant.ErrShape, ""},
		{"NVFP4 scales as a kernel wants them", "", []safetensors.Entry{entry("a.weight", u8, 4, 16), entry("a.weight_scale", e4m3, 128, 2), entry("a.weight_scale_2", f32)}, "a.weight_scale", quant.ErrScheme, "kernel"},
		{"ComfyUI's NVFP4", "", []safetensors.Entry{entry("a.weight", u8, 4, 16), entry("a.weight_scale", e4m3, 4, 2), entry("a.weight_scale_2", f32), entry("a.comfy_quant", u8, 2)}, "a.weight", quant.ErrScheme, "ComfyUI"},
		{"NF4 without a state", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", f32, 1)}, "a.weight", quant.ErrMissing, "quant state"},
		{"NF4 state that is no JSON", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", f32, 1), state("{")}, "a.weight.quant_state.bitsandbytes__nf4", quant.ErrValue, ""},
		{"NF4 blocks of nothing", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", f32, 1), state(`{"shape":[16],"blocksize":0}`)}, "a.weight.quant_state.bitsandbytes__nf4", quant.ErrValue, "blocks of 0"},
		{"NF4 of another shape", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", f32, 1), state(`{"shape":[18],"blocksize":64}`)}, "a.weight", quant.ErrShape, "8 bytes"},
		{"NF4 of a shape beyond numbers", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", f32, 1), state(`{"shape":[4294967296,4294967296,16],"blocksize":64}`)}, "a.weight", quant.ErrShape, ""},
		{"NF4 with too few magnitudes", "", []safetensors.Entry{entry("a.weight", u8, 128, 1), entry("a.weight.absmax", f32, 1), state(`{"shape":[16,16],"blocksize":64}`)}, "a.weight.absmax", quant.ErrShape, ""},
		{"NF4 magnitudes that are codes of nothing", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", u8, 1), state(`{"shape":[16],"blocksize":64}`)}, "a.weight.absmax", quant.ErrDType, ""},
		{"NF4 magnitudes in blocks of nothing", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", u8, 1), entry("a.weight.nested_absmax", f32, 1), entry("a.weight.nested_quant_map", f32, 256), state(`{"shape":[16],"blocksize":64}`)}, "a.weight.nested_absmax", quant.ErrShape, ""},
		{"NF4 with a code book of 15", "", []safetensors.Entry{entry("a.weight", u8, 8, 1), entry("a.weight.absmax", f32, 1), entry("a.weight.quant_map", f32, 15), state(`{"shape":[16],"blocksize":64}`)}, "a.weight.quant_map", quant.ErrShape, ""},
		{"bitsandbytes int8 with a scale for all", "", []safetensors.Entry{entry("a.weight", i8, 4, 4), entry("a.SCB", f32, 1)}, "a.SCB", quant.ErrShape, ""},
		{"pack-quantized that does not know its shape", "", []safetensors.Entry{entry("a.weight_packed", i32, 4, 2), entry("a.weight_scale", f16, 3, 1)}, "a.weight_scale", quant.ErrShape, ""},
		{"pack-quantized with a group index out of range", "", []safetensors.Entry{entry("a.weight_packed", i32, 1, 1), entry("a.weight_scale", f16, 1, 2), holds("a.weight_shape", safetensors.I64, int64s(1, 8), 2), holds("a.weight_g_idx", i32, int32s(0, 0, 0, 0, 1, 1, 1, 9), 8)}, "a.weight_g_idx", quant.ErrValue, "element 7 is group 9 of 2"},
		{"pack-quantized with zero points of another shape", "", []safetensors.Entry{entry("a.weight_packed", i32, 8, 1), entry("a.weight_scale", f16, 8, 1), entry("a.weight_zero_point", i32, 8, 1)}, "a.weight_zero_point", quant.ErrShape, ""},
		{"BitNet with a scale a row", `{"quantization_config":{"quant_method":"bitnet"}}`, []safetensors.Entry{entry("a.weight", u8, 4, 4), entry("a.weight_scale", f16, 16)}, "a.weight_scale", quant.ErrShape, "16 numbers"},
		{"AQLM of too many vectors", "", []safetensors.Entry{entry("a.codes", i8, 2, 3, 1), entry("a.codebooks", f16, 1, 512, 1, 8)}, "a.codebooks", quant.ErrShape, "512 vectors for codes of 8 bits"},
		{"AQLM of vectors that no bits count", "", []safetensors.Entry{entry("a.codes", i8, 2, 3, 1), entry("a.codebooks", f16, 1, 200, 1, 8)}, "a.codebooks", quant.ErrScheme, "200 vectors"},
		{"AQLM without vectors", "", []safetensors.Entry{entry("a.codes", i8, 2, 3, 0), entry("a.codebooks", f16, 0, 256, 1, 8)}, "a.codebooks", quant.ErrShape, ""},
		{"a scheme that nothing here reads", "", []safetensors.Entry{entry("a.trellis", safetensors.I16, 2, 2, 64), entry("a.svh", f16, 32), entry("a.suh", f16, 32)}, "a.trellis", quant.ErrScheme, "EXL3"},
		// As optimum-quanto 0.2.7 stores a qint4 weight of 128 by 128 in groups of 128.
		{"Quanto of four bits", "", []safetensors.Entry{entry("a.weight._data._data", u8, 64, 128), entry("a.weight._scale", f16, 128, 1), entry("a.weight._shift", f16, 128, 1)}, "a.weight._data._data", quant.ErrShape, "tells no shape"},
		{"what is not packed", "", []safetensors.Entry{entry("a.weight", f32, 2, 2)}, "a.weight", quant.ErrScheme, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := quant.Entries(test.entries, nil, []byte(test.config))
			packed := test.tensor
			for _, p := range m.Packed() {
				packed = p.Name
			}
			w, err := m.Weight(packed, f32)
			if err == nil {
				_, err = w.WriteTo(io.Discard)
			}
			e, ok := errors.AsType[*quant.Error](err)
			if !ok || e.Tensor != test.tensor || !errors.Is(err, test.err) || !strings.Contains(e.Detail, test.detail) {
				t.Errorf("%v; want %q, %v, %q", err, test.tensor, test.err, test.detail)
			}
		})
	}
}

// TestTwice holds that two tensors do not come out under one name.
func TestTwice(t *testing.T) {
	m := quant.Entries([]safetensors.Entry{entry("a.weight_packed", i32, 4, 1), entry("a.weight_scale", f16, 4, 1), entry("a.weight", f32, 1)}, nil, nil)
	if list, err := m.Unpacked(f32, nil); !errors.Is(err, quant.ErrScheme) {
		t.Errorf("%d tensors, %v", len(list), err)
	}
	// What stays packed does not come out.
	list, err := m.Unpacked(f32, func(name string) bool { return name == "a.weight_packed" })
	if err != nil || len(list) != 3 {
		t.Errorf("%d tensors, %v", len(list), err)
	}
}

// TestOrphans holds that a weight whose companions are gone is not passed on as
// plain integers.
func TestOrphans(t *testing.T) {
	for _, test := range []struct {
		orphan safetensors.Entry
		whole  []safetensors.Entry
	}{
		{entry("b.qweight", i32, 4, 8), []safetensors.Entry{entry("a.qweight", i32, 4, 8), entry("a.scales", f16, 2, 8)}},
		{entry("b.weight", e4m3, 4, 8), []safetensors.Entry{entry("a.weight", e4m3, 4, 8), entry("a.weight_scale", f32, 4, 1)}},
		{entry("b.weight_packed", i32, 4, 8), []safetensors.Entry{entry("a.weight_packed", i32, 4, 8), entry("a.weight_scale", f16, 4, 1)}},
		{entry("x.1.up_proj", e4m3, 2, 4, 8), []safetensors.Entry{entry("x.0.up_proj", e4m3, 2, 4, 8), entry("x.0.up_proj_scale", f32, 2, 4, 1)}},
		{entry("b.down_blocks", u8, 1, 2, 2, 16), []safetensors.Entry{entry("a.down_blocks", u8, 1, 2, 2, 16), entry("a.down_scales", u8, 1, 2, 2)}},
	} {
		m := quant.Entries(append(test.whole, test.orphan), nil, nil)
		_, err := m.Unpacked(f32, nil)
		if e, ok := errors.AsType[*quant.Error](err); !ok || e.Tensor != test.orphan.Name || !errors.Is(err, quant.ErrMissing) {
			t.Errorf("%s: %v", test.orphan.Name, err)
		}
		list, err := m.Unpacked(f32, func(name string) bool { return name == test.orphan.Name })
		if err != nil || len(list) != 2 {
			t.Errorf("%s: %d tensors, %v", test.orphan.Name, len(list), err)
		}
	}
}

// TestBroken holds that a reader's own error comes through, with the tensor.
func TestBroken(t *testing.T) {
	broken := errors.New("the disk is gone")
	scale := entry("a.weight_scale", f32, 4, 1)
	scale.Data = failing{zeros(16), broken}
	m := quant.Entries([]safetensors.Entry{entry("a.weight", e4m3, 4, 4), scale}, nil, nil)
	w, err := m.Weight("a.weight", f32)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.WriteTo(io.Discard)
	if e, ok := errors.AsType[*quant.Error](err); !ok || e.Tensor != "a.weight_scale" || !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct {
	zeros
	err error
}

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// FuzzUnpack makes models of a few tensors with names of all schemes, any
// types and shapes, and any data. Whatever they are, reading them in pieces
// gives what reading them at once does, or an error both times.
func FuzzUnpack(f *testing.F) {
	for _, s := range samples(f) {
		var text strings.Builder
		for _, e := range s.packed {
			fmt.Fprintf(&text, "%s\t%s", e.Name, e.DType)
			for _, d := range e.Shape {
				fmt.Fprintf(&text, "\t%d", min(d, 64))
			}
			text.WriteByte('\n')
		}
		f.Add(text.String(), s.config, []byte("\x01\x00\x80\x3f"))
	}
	f.Add("a.weight\tU8\t8\t1\na.weight.absmax\tF32\t1\na.weight.quant_state.bitsandbytes__nf4\tU8\t41\n", []byte(nil), []byte(`{"shape":[16],"blocksize":64,"dtype":""}  `))
	f.Fuzz(func(t *testing.T, text string, config, data []byte) {
		var entries []safetensors.Entry
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(fields) < 2 || seen[fields[0]] {
				continue
			}
			d, err := safetensors.ParseDType(fields[1])
			if err != nil {
				continue
			}
			info := safetensors.Info{Name: fields[0], DType: d}
			for _, field := range fields[2:] {
				var n uint64
				if _, err := fmt.Sscan(field, &n); err == nil {
					info.Shape = append(info.Shape, n)
				}
			}
			size, err := info.DataSize()
			if err != nil || size > 1<<16 {
				continue
			}
			seen[info.Name] = true
			raw := make([]byte, size)
			for i := range raw {
				if len(data) > 0 {
					raw[i] = data[i%len(data)]
				}
			}
			entries = append(entries, safetensors.Entry{Info: info, Data: bytes.NewReader(raw)})
		}
		m := quant.Entries(entries, nil, config)
		for _, p := range m.Packed() {
			w, err := m.Weight(p.Name, f16)
			if err != nil {
				if _, ok := errors.AsType[*quant.Error](err); !ok {
					t.Fatalf("%s: %v", p.Name, err)
				}
				continue
			}
			if w.Size() > 1<<22 {
				t.Fatalf("%s: %d bytes", p.Name, w.Size())
			}
			whole := make([]byte, w.Size())
			n, err := w.ReadAt(whole, 0)
			if err == nil && n < len(whole) {
				t.Fatalf("%s: %d of %d bytes", p.Name, n, len(whole))
			}
			for off := int64(0); off < w.Size(); off += 1 + w.Size()/7 {
				piece := make([]byte, min(w.Size()-off, 301))
				n, e := w.ReadAt(piece, off)
				if err == nil && (e != nil || n < len(piece) || !bytes.Equal(piece, whole[off:off+int64(n)])) {
					t.Fatalf("%s: %d bytes at %d differ, %v", p.Name, len(piece), off, e)
				}
			}
		}
	})
}

// TestBounded reads weights of gigabytes that are not there, and holds that
// nothing is kept of what lies outside of a piece.
func TestBounded(t *testing.T) {
	const many = 1 << 30
	half := func(name string, shape ...uint64) safetensors.Entry { return entry(name, f16, shape...) }
	tests := map[string][]safetensors.Entry{
		"FP8, one long row":        {entry("a.weight", e4m3, 2, many), entry("a.weight_scale", f32, 2, many/32)},
		"FP8, many rows":           {entry("a.weight", e4m3, many, 2), entry("a.weight_scale", f32, many, 1)},
		"GPTQ, one long column":    {entry("a.qweight", i32, many/8, 8), half("a.scales", many/128, 8), entry("a.qzeros", i32, many/128, 1)},
		"GPTQ, one group a column": {entry("a.qweight", i32, many/8, 8), half("a.scales", many, 8), entry("a.qzeros", i32, many, 1)},
		"AWQ":                      {entry("a.qweight", i32, many/4, 1), half("a.scales", many/32, 8), entry("a.qzeros", i32, many/32, 1)},
		"gpt-oss":                  {entry("a_blocks", u8, 1, 2, many/32, 16), entry("a_scales", u8, 1, 2, many/32)},
		"pack-quantized":           {entry("a.weight_packed", i32, 2, many/8), half("a.weight_scale", 2, many/32), entry("a.weight_zero_point", i32, 1, many/32)},
	}
	for name, entries := range tests {
		t.Run(name, func(t *testing.T) {
			m := quant.Entries(entries, nil, nil)
			packed := m.Packed()
			if len(packed) != 1 {
				t.Fatalf("%d packed tensors", len(packed))
			}
			w, err := m.Weight(packed[0].Name, f16)
			if err != nil {
				t.Fatal(err)
			}
			piece := make([]byte, 1<<20)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range int64(3) {
				if _, err := w.ReadAt(piece, w.Size()/6*2*i+i); err != nil {
					t.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			t.Log((after.TotalAlloc-before.TotalAlloc)>>20, "MiB")
			if after.TotalAlloc-before.TotalAlloc > 48<<20 {
				t.Errorf("%d bytes allocated to read three MiB", after.TotalAlloc-before.TotalAlloc)
			}
		})
	}
}

// TestQuantizeRefused holds that what cannot be scaled is an error.
func TestQuantizeRefused(t *testing.T) {
	nan := holds("a.weight", f32, append(make([]byte, 127*4), 0, 0, 0xC0, 0x7F), 4, 32)
	for _, test := range []struct {
		e       safetensors.Entry
		to      safetensors.DType
		scaling quant.Scaling
		err     error
	}{
		{entry("a", f32, 4), e4m3, quant.PerTensor, quant.ErrShape},
		{entry("a", f32, 0, 4), e4m3, quant.PerTensor, quant.ErrShape},
		{entry("a", f32, 4, 33), e4m3, quant.MX, quant.ErrShape},
		{entry("a", f32, 2, 2, 2, 2), e4m3, quant.Block128, quant.ErrShape},
		{entry("a", f32, 4, 32), safetensors.BF16, quant.PerTensor, quant.ErrDType},
		{entry("a", f32, 4, 32), safetensors.F4, quant.Block128, quant.ErrDType},
		{entry("a", i32, 4, 32), e4m3, quant.MX, quant.ErrDType},
		{entry("a", i32, 4, 32), e4m3, quant.Unscaled, numeric.ErrFloat},
		{entry("a", f32, 3), safetensors.F4, quant.Unscaled, numeric.ErrSize},
		{nan, safetensors.F4, quant.MX, numeric.ErrNaN},
		{nan, safetensors.F4, quant.Unscaled, numeric.ErrNaN},
	} {
		q, err := quant.Quantize(test.e, test.to, test.scaling, numeric.Saturate)
		if err == nil {
			_, err = q.Loss(t.Context(), numeric.Scan{})
		}
		if !errors.Is(err, test.err) {
			t.Errorf("%s %s %d to %s: %v, want %v", test.scaling, test.e.DType, test.e.Shape, test.to, err, test.err)
		}
	}
}
