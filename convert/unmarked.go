package convert

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Formats without a mark of their own are known by how they begin.

// detectProtobuf tells the two kinds of models apart that are protocol buffers.
// An ONNX ModelProto begins with ir_version (field 1, a small number), and what
// follows are producer_name and its like, which are texts, opset_import (8) or
// graph (7). A SavedModel has schema_version 1 in field 1, and in field 2 no
// text but a MetaGraphDef, which is a message and long.
func detectProtobuf(head []byte) Format {
	if len(head) < 8 || head[0] != 1<<3 || head[1] == 0 || head[1] > 64 {
		return Unknown
	}
	field, size, rest, ok := protoField(head[2:])
	switch {
	case !ok:
		return Unknown
	case field == 7 || field == 8: // graph, opset_import
		if len(rest) > 0 && (rest[0] == 1<<3|2 || field == 8 && rest[0]>>3 <= 2) {
			return ONNX
		}
	case field == 2 && head[1] == 1 && len(rest) > 0 && rest[0]&7 == 2 && rest[0]>>3 <= 7 && (size > 256 || !isText(rest[:min(size, uint64(len(rest)))])):
		return SavedModel
	case field == 2: // producer_name, and then another of the model's fields
		if size > 256 || size >= uint64(len(rest)) || !isText(rest[:size]) {
			return Unknown
		}
		if next, _, _, ok := protoField(rest[size:]); ok && next >= 2 && next <= 25 {
			return ONNX
		}
	}
	return Unknown
}

// protoField reads the head of a field that has a length.
func protoField(data []byte) (field, size uint64, rest []byte, ok bool) {
	tag, n := binary.Uvarint(data)
	if n <= 0 || tag&7 != 2 {
		return 0, 0, nil, false
	}
	data = data[n:]
	size, n = binary.Uvarint(data)
	if n <= 0 {
		return 0, 0, nil, false
	}
	return tag >> 3, size, data[n:], true
}

func isText(text []byte) bool {
	return utf8.Valid(text) && !bytes.ContainsFunc(text, func(r rune) bool { return r < 0x20 })
}

// isPaddle knows LoDTensor, the parts of .pdiparams: a version of 0, a level
// of detail of 0, a version of 0, and a short description that begins with
// field 1, the type of the elements.
func isPaddle(head []byte) bool {
	return len(head) > 24 && len(bytes.Trim(head[:16], "\x00")) == 0 &&
		binary.LittleEndian.Uint32(head[16:]) <= 256 && binary.LittleEndian.Uint32(head[16:]) >= 2 && head[20] == 1<<3 && head[21] < 64
}

// isTensorIndex knows the index of a tensor bundle by its first entry: under the
// empty key a BundleHeaderProto of 6 bytes, the number of shards and the
// version of the producer, 1. The block may have been compressed with Snappy,
// which leaves so short a beginning as it is behind a few bytes of its own.
func isTensorIndex(head []byte) bool {
	begin := head[:min(len(head), 20)]
	i := bytes.Index(begin, []byte("\x1a\x02\x08\x01"))
	// The number of shards before that takes one byte, or two from 128 on.
	return i >= 5 && bytes.HasPrefix(begin[i-5:], []byte("\x00\x00\x06\x08")) ||
		i >= 6 && bytes.HasPrefix(begin[i-6:], []byte("\x00\x00\x07\x08"))
}

// looksLikeFlax takes msgpack by a map whose first key is a word and whose first
// value is a map, an array or an extension, as Flax has for arrays.
func looksLikeFlax(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	at := 1
	switch c := head[0]; {
	case c > 0x80 && c <= 0x8f:
	case c == 0xde:
		at = 3
	case c == 0xdf:
		at = 5
	default:
		return false
	}
	key := int(head[at] &^ 0xe0)
	if head[at]&0xe0 != 0xa0 || key == 0 || at+1+key >= len(head) || !isText(head[at+1:at+1+key]) {
		return false
	}
	value := head[at+1+key]
	return value >= 0x80 && value <= 0x9f || value >= 0xc7 && value <= 0xc9 || value >= 0xd4 && value <= 0xd8 || value >= 0xdc && value <= 0xdf
}
