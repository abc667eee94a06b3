package quant_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"testing"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/quant"
	"github.com/tensmith/tensmith/safetensors"
)

// TestTwins holds what is computed in tiles and bands, at sizes that need
// several, to the formula of the scheme, an element at a time.
func TestTwins(t *testing.T) {
	const rows, cols, group = 264, 3008, 64 // of the weight; more than is computed at a time
	at := func(e safetensors.Entry, i uint64) float32 {
		width := uint64(e.DType.Bits() / 8)
		raw := make([]byte, width)
		if _, err := e.Data.(io.ReaderAt).ReadAt(raw, int64(i*width)); err != nil {
			t.Fatal(err)
		}
		var v [1]float32
		if err := numeric.Decode(v[:], e.DType, raw); err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	word := func(e safetensors.Entry, i uint64) uint32 {
		var raw [4]byte
		if _, err := e.Data.(io.ReaderAt).ReadAt(raw[:], int64(i*4)); err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint32(raw[:])
	}
	// small are finite numbers of either sign.
	small := func(name string, n int, shape ...uint64) safetensors.Entry {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(i%37-18) / 64
		}
		raw := make([]byte, 2*n)
		if err := numeric.Encode(raw, f16, values, numeric.ToSpecial); err != nil {
			t.Fatal(err)
		}
		return holds(name, f16, raw, shape...)
	}
	scales := small("a.scales", cols/group*rows, cols/group, rows)
	index := make([]int32, cols)
	for i := range index {
		index[i] = int32(i * 7 % (cols / group))
	}
	gidx := holds("a.g_idx", i32, int32s(index...), cols)
	codes4, zeros4 := filled("a.qweight", i32, cols/8, rows), filled("a.qzeros", i32, cols/group, rows/8)
	codes3 := filled("a.qweight", i32, cols*3/32, rows)
	awq := filled("a.qweight", i32, cols, rows/8)
	order := []uint64{0, 4, 1, 5, 2, 6, 3, 7} // the nibble of each element of a word
	blocks, powers := filled("a_blocks", u8, 2, cols/32*2, 5, 16), filled("a_scales", u8, 2, cols/32*2, 5)
	field := func(e safetensors.Entry, stride, place, bit, bits uint64) uint32 {
		v := uint64(word(e, bit/32*stride+place))
		if bit%32+bits > 32 {
			v |= uint64(word(e, (bit/32+1)*stride+place)) << 32
		}
		return uint32(v>>(bit%32)) & (1<<bits - 1)
	}
	tests := []struct {
		name    string
		entries []safetensors.Entry
		rows    uint64
		cols    uint64
		want    func(r, c uint64) float32
	}{
		{"GPTQ", []safetensors.Entry{codes4, zeros4, scales}, rows, cols, func(r, c uint64) float32 {
			g := c / group
			z := word(zeros4, g*(rows/8)+r/8)>>(r%8*4)&15 + 1
			return (float32(field(codes4, rows, r, c*4, 4)) - float32(z&15)) * at(scales, g*rows+r)
		}},
		{"GPTQ with a group index", []safetensors.Entry{codes4, zeros4, scales, gidx}, rows, cols, func(r, c uint64) float32 {
			g := uint64(index[c])
			z := word(zeros4, g*(rows/8)+r/8)>>(r%8*4)&15 + 1
			return (float32(field(codes4, rows, r, c*4, 4)) - float32(z&15)) * at(scales, g*rows+r)
		}},
		{"GPTQ without zero points, 3 bits", []safetensors.Entry{codes3, scales, gidx}, rows, cols, func(r, c uint64) float32 {
			return (float32(field(codes3, rows, r, c*3, 3)) - 4) * at(scales, uint64(index[c])*rows+r)
		}},
		{"AWQ", []safetensors.Entry{awq, zeros4, scales}, rows, cols, func(r, c uint64) float32 {
			g, shift := c/group, order[r%8]*4
			z := word(zeros4, g*(rows/8)+r/8) >> shift & 15
			return (float32(word(awq, c*(rows/8)+r/8)>>shift&15) - float32(z)) * at(scales, g*rows+r)
		}},
		{"gpt-oss", []safetensors.Entry{blocks, powers}, 2 * 160, cols / 32 * 2, func(r, c uint64) float32 {
			e, in := r/160, r%160
			stored := e*(cols/32*2) + c
			code := byte(at(blocks, stored*80+in/2))
			if in%2 == 1 {
				code >>= 4
			}
			value := []float32{0, 0.5, 1, 1.5, 2, 3, 4, 6}[code&7]
			if code&8 != 0 {
				value = -value
			}
			power := at(powers, stored*5+in/32)
			if power == 255 {
				return float32(math.NaN())
			}
			return value * float32(math.Ldexp(1, int(power)-127))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := quant.Entries(test.entries, nil, nil)
			packed := m.Packed()
			if len(packed) != 1 {
				t.Fatalf("%d packed tensors", len(packed))
			}
			w, err := m.Weight(packed[0].Name, f32)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if _, err := w.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			if uint64(got.Len()) != test.rows*test.cols*4 {
				t.Fatalf("%d bytes of %d, want %d×%d", got.Len(), w.Shape, test.rows, test.cols)
			}
			// Every 61st element is enough: nothing repeats at 61.
			for i := uint64(0); i < test.rows*test.cols; i += 61 {
				value := math.Float32frombits(binary.LittleEndian.Uint32(got.Bytes()[i*4:]))
				want := test.want(i/test.cols, i%test.cols)
				if value != want && (value == value || want == want) {
					t.Fatalf("element %d, %d is %v, want %v", i/test.cols, i%test.cols, value, want)
				}
			}
		})
	}
}

// TestCodeBooks holds that a file without quant_map is read like one with it.
func TestCodeBooks(t *testing.T) {
	for _, s := range samples(t) {
		if s.name != "nf4" && s.name != "fp4" {
			continue
		}
		var without []safetensors.Entry
		for _, e := range s.packed {
			if e.Name != "half.weight.quant_map" {
				without = append(without, e)
			}
		}
		read := func(entries []safetensors.Entry) []byte {
			w, err := quant.Entries(entries, nil, s.config).Weight("half.weight", f32)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if _, err := w.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		if !bytes.Equal(read(s.packed), read(without)) {
			t.Errorf("%s: another code book", s.name)
		}
	}
}

// TestNatural holds the type that weights get if none is asked for.
func TestNatural(t *testing.T) {
	want := map[string]safetensors.DType{"awq a.weight": f16, "fp8-block a.weight": safetensors.BF16, "nf4 full.weight": f32, "nf4 half.weight": f16,
		"fp8-rows half.weight": f16, "gpt-oss model.layers.0.mlp.experts.gate_up_proj": safetensors.BF16}
	for _, s := range samples(t) {
		list, err := quant.Entries(s.packed, nil, s.config).Unpacked(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if d, ok := want[s.name+" "+e.Name]; ok && d != e.DType {
				t.Errorf("%s %s is %s, want %s", s.name, e.Name, e.DType, d)
			}
			delete(want, s.name+" "+e.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}

// TestQuantizedPieces holds that codes and scales are the same whatever pieces
// they are read in.
func TestQuantizedPieces(t *testing.T) {
	values := make([]float32, 260*352)
	for i := range values {
		values[i] = float32(math.Sin(float64(i)) * float64(i%97))
	}
	raw := make([]byte, 4*len(values))
	if err := numeric.Encode(raw, f32, values, numeric.ToSpecial); err != nil {
		t.Fatal(err)
	}
	for _, to := range []safetensors.DType{e4m3, safetensors.F8E5M2, safetensors.F4} {
		for _, scaling := range []quant.Scaling{quant.PerTensor, quant.Block128, quant.MX} {
			q, err := quant.Quantize(holds("a.weight", f32, raw, 260, 352), to, scaling, numeric.Saturate)
			if to == safetensors.F4 && scaling != quant.MX {
				if err == nil {
					t.Errorf("%s as F4", scaling)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range q.Entries() {
				var whole bytes.Buffer
				if _, err := e.Data.WriteTo(&whole); err != nil {
					t.Fatal(err)
				}
				for off := 0; off < whole.Len(); off += 1 + whole.Len()/23 {
					for _, size := range []int{1, 3, 33, 7001} {
						piece := make([]byte, size)
						n, err := e.Data.(io.ReaderAt).ReadAt(piece, int64(off))
						if end := min(whole.Len(), off+size); n != end-off || (err == io.EOF) != (n < size) || !bytes.Equal(piece[:n], whole.Bytes()[off:end]) {
							t.Fatalf("%s %s: %d bytes at %d: %d, %v", e.Name, scaling, size, off, n, err)
						}
					}
				}
			}
		}
	}
}

// TestLoss holds the figures to sums that can be done by hand, in every way to
// round.
func TestLoss(t *testing.T) {
	inf := float32(math.Inf(1))
	data := func(values ...float32) safetensors.Entry {
		raw := make([]byte, 4*len(values))
		if err := numeric.Encode(raw, f32, values, numeric.ToSpecial); err != nil {
			t.Fatal(err)
		}
		return holds("a.weight", f32, raw, 1, uint64(len(values)))
	}
	tests := []struct {
		name    string
		e       safetensors.Entry
		to      safetensors.DType
		scaling quant.Scaling
		mode    numeric.Overflow
		over    uint64
		most    float64
		sqnr    float64
	}{
		{"E4M3, what is between", data(1, 17), e4m3, quant.Unscaled, numeric.ToSpecial, 0, 1, 10 * math.Log10(290)},
		{"E4M3, 464 is the last to round down", data(464, -464, 448), e4m3, quant.Unscaled, numeric.Saturate, 0, 16, 10 * math.Log10((464.*464*2+448*448)/512)},
		{"E4M3, beyond it", data(465, -1000, 448, inf), e4m3, quant.Unscaled, numeric.Saturate, 3, 552, 10 * math.Log10((465.*465+1e6+448*448)/(17*17+552*552))},
		{"E4M3, beyond it and gone", data(465, -1000, 448, inf), e4m3, quant.Unscaled, numeric.ToSpecial, 3, 0, math.Inf(1)},
		{"F16, the middle goes up", data(65520, 65519), f16, quant.Unscaled, numeric.Saturate, 1, 16, math.NaN()},
		{"F16 has infinities", data(65520, inf), f16, quant.Unscaled, numeric.ToSpecial, 1, 0, math.Inf(1)},
		{"F4 always saturates", data(7, 6.9, 5, 0), safetensors.F4, quant.Unscaled, numeric.ToSpecial, 1, 1, math.NaN()},
		{"E5M2 has infinities", data(100, inf), safetensors.F8E5M2, quant.PerTensor, numeric.ToSpecial, 0, math.NaN(), math.NaN()},
		{"scales leave no infinity in E4M3", data(100, inf), e4m3, quant.PerTensor, numeric.ToSpecial, 1, math.NaN(), math.NaN()},
		{"scales leave nothing over", data(1000, -3), e4m3, quant.PerTensor, numeric.ToSpecial, 0, math.NaN(), math.NaN()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q, err := quant.Quantize(test.e, test.to, test.scaling, test.mode)
			if err != nil {
				t.Fatal(err)
			}
			l, err := q.Loss(t.Context(), numeric.Scan{})
			if err != nil {
				t.Fatal(err)
			}
			if l.Overflow != test.over {
				t.Errorf("%d numbers had no place, want %d", l.Overflow, test.over)
			}
			if test.most == test.most && l.MaxAbs != test.most {
				t.Errorf("largest error %v, want %v", l.MaxAbs, test.most)
			}
			if got := l.SQNR; test.sqnr == test.sqnr && got != test.sqnr && math.Abs(got-test.sqnr) > 1e-9 {
				t.Errorf("SQNR %v, want %v", got, test.sqnr)
			}
		})
	}
}

// FuzzQuantize states, for any numbers, that a quantised weight is read back by
// what recognises it, that no finite number is further off than its type
// allows, and that with MX what was quantised stays what it is when it is again.
func FuzzQuantize(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 200, 66, 255, 255, 127, 127}, uint8(0))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 128, 127, 0, 0, 192, 255, 0, 0, 0, 128}, uint8(5))
	f.Fuzz(func(t *testing.T, seed []byte, which uint8) {
		kinds := []struct {
			to      safetensors.DType
			scaling quant.Scaling
			half    float64 // of the distance of neighbours, relative to the number
			least   float64 // likewise below the normal numbers, relative to the largest
		}{
			{e4m3, quant.PerTensor, 1. / 16, 0x1p-10 / 448}, {e4m3, quant.Block128, 1. / 16, 0x1p-10 / 448}, {e4m3, quant.MX, 1. / 8, 0x1p-10 / 256},
			{safetensors.F8E5M2, quant.PerTensor, 1. / 8, 0x1p-17 / 57344}, {safetensors.F8E5M2, quant.MX, 1. / 8, 0x1p-17 / 32768}, {safetensors.F4, quant.MX, 1. / 4, 0.25 / 4},
		}
		k := kinds[int(which)%len(kinds)]
		raw := make([]byte, 4*3*64)
		for i := range raw {
			if len(seed) > 0 {
				raw[i] = seed[i%len(seed)]
			}
		}
		values := make([]float32, 3*64)
		most := 0.0
		for i := range values {
			v := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			if v != v && k.to == safetensors.F4 {
				v = 0
				clear(raw[4*i : 4*i+4])
			}
			values[i] = v
			if m := math.Abs(float64(v)); m > most && m <= math.MaxFloat32 {
				most = m
			}
		}
		q, err := quant.Quantize(holds("a.weight", f32, raw, 3, 64), k.to, k.scaling, numeric.Saturate)
		if err != nil {
			t.Fatal(err)
		}
		read := func(q *quant.Quantized) []byte {
			m := quant.Entries(q.Entries(), nil, nil)
			packed := m.Packed()
			if len(packed) != 1 {
				t.Fatalf("%d packed tensors", len(packed))
			}
			w, err := m.Weight(packed[0].Name, f32)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if _, err := w.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		back := read(q)
		direct := make([]byte, len(back))
		if _, err := q.Data().Source.ReadAt(direct, 0); err != nil || !bytes.Equal(back, direct) {
			t.Fatalf("read back otherwise, %v", err)
		}
		for i, v := range values {
			got := float64(math.Float32frombits(binary.LittleEndian.Uint32(back[4*i:])))
			x := float64(v)
			// Where a scale is at the end of its range, or infinite numbers
			// are about, bounds are others.
			if math.Abs(x) > math.MaxFloat32 || x != x || most < 0x1p-100 || most > 0x1p120 {
				continue
			}
			if off := math.Abs(got - x); off > (k.half*math.Abs(x)+k.least*most)*(1+1e-5) {
				t.Fatalf("element %d of %v is %v, off by %v", i, x, got, off)
			}
		}
		if k.scaling != quant.MX {
			return
		}
		again, err := quant.Quantize(holds("a.weight", f32, back, 3, 64), k.to, k.scaling, numeric.Saturate)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range read(again) {
			// A NaN keeps its sign and nothing else.
			if word := i / 4 * 4; m != back[i] && math.Float32frombits(binary.LittleEndian.Uint32(back[word:])) == math.Float32frombits(binary.LittleEndian.Uint32(back[word:])) {
				t.Fatalf("byte %d of what is quantised again differs", i)
			}
		}
	})
}
