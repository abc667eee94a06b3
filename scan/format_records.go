package scan

import (
	"fmt"
	"hash/crc32"
)

// A file of records is what TensorFlow keeps examples in, and TensorBoard what it
// draws (tensorflow/core/lib/io/record_writer.h): of each record its length, a sum
// over that, its bytes, and a sum over those.

const (
	recordHead = 8 + 4
	recordFoot = 4
	maxRecord  = 1 << 16 // of which the sum over its bytes is compared, too
)

// records reads such a file to its end, and tells what it is.
func (t *trace) records(b blob, at place) string {
	format, n := "tfrecord", 0
	for off := int64(0); off < b.size; n++ {
		head, err := b.at(off, recordHead)
		if err != nil || len(head) < recordHead || maskedSum(head[:8]) != le.Uint32(head[8:]) || !t.work(workField) || t.ctx.Err() != nil {
			return ""
		}
		size := le.Uint64(head)
		if size > uint64(max(b.size-off-recordHead-recordFoot, 0)) {
			return ""
		}
		off += recordHead
		if size <= maxRecord {
			data, err := b.at(off, int64(size)+recordFoot)
			if err != nil || uint64(len(data)) < size+recordFoot || !t.work(int64(size)/4) || maskedSum(data[:size]) != le.Uint32(data[size:]) {
				return ""
			}
			if n == 0 {
				record, _ := b.sub(off, int64(size))
				format = t.recordFormat(record)
			}
		}
		off += int64(size) + recordFoot
	}
	what := "TensorFlow"
	if format == "tensorboard" {
		what = "TensorBoard"
	}
	t.note("ST409", at, 0, format, fmt.Sprintf("records of %s, %d of them, which hold no code", what, n))
	return format
}

// recordFormat knows the Event with which what TensorBoard draws begins, by its
// file_version = 3 (tensorflow/core/util/event.proto).
func (t *trace) recordFormat(record blob) string {
	format := "tfrecord"
	if record.size > 256 {
		return format
	}
	t.fields(record, func(f field) bool {
		if f.number == 3 && f.wire == 2 && f.str() == "brain.Event:2" {
			format = "tensorboard"
		}
		return true
	})
	return format
}

// castagnoli is the polynomial of the sums of LevelDB and of TensorFlow.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedSum is the sum over p as those two store it.
func maskedSum(p []byte) uint32 {
	sum := crc32.Checksum(p, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}
