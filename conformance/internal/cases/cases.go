// Package cases is the table that the committed vectors are made from: each case
// is the bytes of one file, the verdict on it, and why.
//
// The bytes are plain Go expressions, so that a case can be read, and so that
// making the vectors again gives the same bytes. What an accepted file holds is
// not written down here: [Case.Content] takes it out of the file, and
// conformance/gen compares that with what the reference implementation finds.
package cases

import (
	"encoding/binary"
	"strings"
)

// Case is one file to be accepted or refused.
type Case struct {
	Name string
	Why  string
	File []byte

	// Class is the cause of the refusal, empty where the file is accepted.
	Class string

	// Reference is the reference implementation's answer: "ok" or the name of
	// its error.
	Reference string
}

// All gives every case, in the order of the format: framing first, then the
// text, then what it says, then other files under the wrong name.
func All() []Case {
	var all []Case
	for _, group := range [][]Case{
		framing(), padding(), text(), stringsAndUTF8(), names(), metadata(), entries(),
		forms(), duplicates(), dtypes(), subByte(), shapes(), numbers(), unknowns(),
		sizes(), offsets(), zeroSized(), precedence(), writers(), otherFiles(),
	} {
		all = append(all, group...)
	}
	return all
}

// errorOf is the reference's error for each class, save for the cases that name
// another.
var errorOf = map[string]string{
	"header-too-small": "HeaderTooSmall",
	"header-too-large": "HeaderTooLarge",
	"header-length":    "InvalidHeaderLength",
	"utf8":             "InvalidHeader",
	"json":             "InvalidHeaderDeserialization",
	"type":             "InvalidHeaderDeserialization",
	"missing":          "InvalidHeaderDeserialization",
	"duplicate":        "InvalidHeaderDeserialization",
	"form":             "InvalidHeaderDeserialization",
	"dtype":            "InvalidHeaderDeserialization",
	"offset":           "InvalidOffset",
	"overflow":         "ValidationOverflow",
	"misaligned":       "MisalignedSlice",
	"size":             "TensorInvalidInfo",
	"file-size":        "MetadataIncompleteBuffer",
}

func accept(name string, file []byte, why string) Case {
	return Case{Name: name, Why: why, File: file, Reference: "ok"}
}

func refuse(class, name string, file []byte, why string) Case {
	return Case{Name: name, Why: why, File: file, Class: class, Reference: errorOf[class]}
}

// butReference is a refusal where the reference answers otherwise than the class
// makes one expect: "ok" for the documented exceptions.
func (c Case) butReference(answer string) Case {
	c.Reference = answer
	return c
}

// oneF32 is the header most cases are a change of: one tensor of 4 bytes.
const oneF32 = `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`

// framed is a file that says its header is length bytes long, whatever rest is.
func framed(length uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, length), rest...)
}

// file is a header with its right length, and data bytes behind it.
func file(header string, data int) []byte {
	return append(framed(uint64(len(header)), header), pattern(data)...)
}

// pattern is n bytes of which no two neighbours agree, so that a digest of the
// wrong region is a wrong digest.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*151 + 7)
	}
	return b
}

// entry is one tensor of a header; all but the name are JSON text.
func entry(name, dtype, shape, offsets string) string {
	return `"` + name + `":{"dtype":"` + dtype + `","shape":` + shape + `,"data_offsets":` + offsets + `}`
}

func object(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

// one is a file of the tensor "a" alone.
func one(dtype, shape, offsets string, data int) []byte {
	return file(object(entry("a", dtype, shape, offsets)), data)
}

// two is a file of the F32 [1] tensors "a" and "b".
func two(a, b string, data int) []byte {
	return file(object(entry("a", "F32", "[1]", a), entry("b", "F32", "[1]", b)), data)
}
