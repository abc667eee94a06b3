package scan

import (
	"fmt"
	"strings"
)

// tflite reads the operators of a model of TensorFlow Lite, a FlatBuffer
// (tensorflow/lite/schema/schema.fbs): Model.operator_codes is its field 1,
// OperatorCode.custom_code its field 1.
func (t *trace) tflite(b blob, at place) {
	f := flat{b: b}
	model := f.table(int64(f.u32(0)))
	codes, n := f.vector(f.field(model, 1))
	for i := int64(0); i < n && !f.broken && t.ctx.Err() == nil; i++ {
		if !t.work(workOperator) {
			t.note("ST404", at, codes, "", "more operators than a scan reads")
			return
		}
		slot := codes + 4*i
		code := f.table(slot + int64(f.u32(slot)))
		name := f.text(f.field(code, 1))
		if name == "" {
			continue
		}
		op, isFlex := strings.CutPrefix(name, "Flex")
		switch why := fileNodes[op]; {
		case isFlex && why != "":
			t.note("ST374", at, slot, op, "the operator "+name+" "+why)
		case isFlex, strings.HasPrefix(name, "TFLite_"), strings.HasPrefix(name, "edgetpu-"):
			// An operator of TensorFlow, or one that Lite's own tools write.
		default:
			t.note("ST376", at, slot, clip(name, 80), fmt.Sprintf("the operator %+q, which the program that loads it implements", clip(name, 80)))
		}
	}
	if f.broken || model == 0 {
		t.note("ST402", at, 0, "", "the tables of the model lead out of the file")
	}
}

// A flat reads a FlatBuffer, whose offsets may be anything.
type flat struct {
	b      blob
	broken bool
}

func (f *flat) u16(off int64) uint16 { return uint16(f.number(off, 2)) }
func (f *flat) u32(off int64) uint32 { return uint32(f.number(off, 4)) }

func (f *flat) number(off, n int64) uint64 {
	var p [8]byte
	if off < 0 || off > f.b.size-n {
		f.broken = true
		return 0
	}
	if m, err := f.b.ReadAt(p[:n], off); int64(m) < n {
		f.broken = f.broken || err != nil
		return 0
	}
	return le.Uint64(p[:])
}

// table takes the offset of a table, which is 0 if there is none.
func (f *flat) table(off int64) int64 {
	if off < 4 || off > f.b.size-4 {
		f.broken = true
		return 0
	}
	return off
}

// field returns where a field of a table leads, or 0 if it has none.
func (f *flat) field(table int64, n int64) int64 {
	if table == 0 || f.broken {
		return 0
	}
	vtable := table - int64(int32(f.u32(table)))
	if 4+2*n+2 > int64(f.u16(vtable)) {
		return 0
	}
	at := int64(f.u16(vtable + 4 + 2*n))
	if at == 0 {
		return 0
	}
	return table + at + int64(f.u32(table+at))
}

// vector returns where the elements begin, and how many 4-byte ones fit.
func (f *flat) vector(off int64) (int64, int64) {
	if off == 0 {
		return 0, 0
	}
	n := int64(f.u32(off))
	if n > (f.b.size-off-4)/4 {
		f.broken = true
		return 0, 0
	}
	return off + 4, n
}

func (f *flat) text(off int64) string {
	if off == 0 {
		return ""
	}
	n := int64(f.u32(off))
	if n > f.b.size-off-4 {
		f.broken = true
		return ""
	}
	p, err := f.b.at(off+4, min(n, 256))
	if err != nil {
		f.broken = true
	}
	return string(p)
}
