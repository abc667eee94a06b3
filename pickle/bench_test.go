package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// stateDict is data.pkl as torch.save writes it, for n tensors.
func stateDict(n int) []byte {
	var b bytes.Buffer
	memo := uint32(0)
	put := func() { b.WriteString("r" + string(binary.LittleEndian.AppendUint32(nil, memo))); memo++ }
	text := func(s string) {
		b.WriteByte('X')
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
		b.WriteString(s)
		put()
	}
	number := func(n int) { b.WriteByte('J'); b.Write(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	b.WriteString("\x80\x02ccollections\nOrderedDict\n")
	put() // 0
	b.WriteString(")R")
	put()
	b.WriteString("(")
	text("storage")                          // 2
	b.WriteString("0ctorch\nFloatStorage\n") // 3
	put()
	b.WriteByte('0')
	text("cpu") // 4
	b.WriteString("0ctorch._utils\n_rebuild_tensor_v2\n")
	put() // 5
	b.WriteByte('0')
	for i := range n {
		if i > 0 && i%1000 == 0 {
			b.WriteString("u(") // picklers write items by the thousand
		}
		text(fmt.Sprintf("model.layers.%d.self_attn.q_proj.weight", i))
		b.WriteString("h\x05((h\x02h\x03")
		text(fmt.Sprint(i))
		b.WriteString("h\x04")
		number(4096 * 1024)
		b.WriteByte('t')
		put()
		b.WriteString("QK\x00")
		number(4096)
		number(1024)
		b.WriteByte('\x86')
		put()
		number(1024)
		b.WriteString("K\x01\x86")
		put()
		b.WriteString("\x89h\x00)R")
		put()
		b.WriteByte('t')
		put()
		b.WriteByte('R')
		put()
	}
	b.WriteString("u.")
	return b.Bytes()
}

// TestManyTensors holds that a checkpoint of 100,000 tensors stays within the
// default budget.
func TestManyTensors(t *testing.T) {
	data := stateDict(100_000)
	d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
	v, err := d.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(v.(*Object).Pairs()); n != 100_000 {
		t.Errorf("%d tensors", n)
	}
	t.Logf("%d bytes of pickle, %d accounted of %d", len(data), d.mem.used, d.mem.max)
}

func BenchmarkDecode(b *testing.B) {
	data := stateDict(100_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Unmarshal(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvents(b *testing.B) {
	data := stateDict(100_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var log Log
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		d.OnEvent = log.Add
		if _, err := d.Decode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDisassemble(b *testing.B) {
	data := stateDict(100_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for _, err := range Disassemble(bytes.NewReader(data), 0, int64(len(data)), Limits{}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
