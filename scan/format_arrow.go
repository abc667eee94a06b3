package scan

import (
	"bytes"
	"encoding/base64"
)

// Columns of Arrow may have types of a program. The name of one kind of them has
// pyarrow unpickle what stands beside it. It stands in the schema: in a file or
// stream of Arrow at the beginning and in its footer, in Parquet in base64 in the
// footer, all of which are never compressed.

const pickledType = "arrow.py_extension_type"

// pickledTypes has the name as it is, and what stands for it in base64 wherever
// it begins.
func pickledTypes() [][]byte {
	marks := [][]byte{[]byte(pickledType)}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte("\x00\x00"[:shift] + pickledType))
		marks = append(marks, []byte(text[4:len(text)-4]))
	}
	return marks
}

// maxSchema is how much is searched at either end of a table.
const maxSchema = 16 << 20

// arrow looks for a pickled type in a table.
func (t *trace) arrow(b blob, at place, format string) {
	marks, longest := pickledTypes(), int64(64)
	search := func(from, to int64) bool {
		for off := from; off < to && t.ctx.Err() == nil; {
			const step = 1 << 20
			p, err := b.at(off, min(step+longest, b.size-off))
			if err != nil {
				t.unreadable(at, off, err)
				return true
			}
			for _, mark := range marks {
				if i := bytes.Index(p, mark); i >= 0 {
					t.note("ST388", at, off+int64(i), pickledType, "a column whose type is a pickle, in "+format)
					t.junk(b.rest(off+int64(i)), at, off+int64(i))
					return true
				}
			}
			off += step
		}
		return false
	}
	head := min(b.size, maxSchema)
	if search(0, head) || head == b.size {
		return
	}
	foot := max(head, b.size-maxSchema)
	if end, err := b.at(b.size-10, 10); err == nil && len(end) == 10 {
		size := int64(le.Uint32(end[2:])) // before the mark: PAR1
		if format == "arrow" {
			size = int64(le.Uint32(end)) // ARROW1
		}
		if size > maxSchema && size < b.size {
			t.note("ST404", at, b.size-size, "schema", "the footer of the table is longer than a scan searches")
		}
	}
	search(foot, b.size)
}
