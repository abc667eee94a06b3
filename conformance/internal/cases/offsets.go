package cases

import "strings"

// sizes: begin to end must be what dtype and shape say.
func sizes() []Case {
	return []Case{
		refuse("size", "size-span-too-small", one("F32", "[2]", "[0,4]", 4), "2 elements are 8 bytes"),
		refuse("size", "size-span-too-big", one("F32", "[1]", "[0,8]", 8), "1 element is 4 bytes"),
		refuse("size", "size-span-empty", one("F32", "[1]", "[0,0]", 0), "1 element is 4 bytes"),
		refuse("size", "size-f16-as-f32", one("F16", "[1]", "[0,4]", 4), "2 bytes an element"),
		refuse("size", "size-sum-right-parts-wrong", two("[0,8]", "[8,12]", 12), "each tensor is checked, not the sum"),
		refuse("size", "size-two-swapped", file(object(entry("a", "F32", "[2]", "[0,4]"), entry("b", "F32", "[1]", "[4,12]")), 12), "each tensor is checked, not the sum"),
		refuse("file-size", "size-one-byte-missing", one("F32", "[1]", "[0,4]", 3), "the file ends inside the tensor"),
		refuse("file-size", "size-data-missing", one("F32", "[1]", "[0,4]", 0), "a header and nothing behind it"),
		refuse("file-size", "size-one-byte-more", one("F32", "[1]", "[0,4]", 5), "a byte that no tensor holds"),
		refuse("file-size", "size-metadata-only-with-data", file(`{"__metadata__":{"k":"v"}}`, 8), "bytes that no tensor holds"),
		refuse("file-size", "size-last-tensor-missing", two("[0,4]", "[4,8]", 4), "the file ends between two tensors"),
		refuse("file-size", "size-half-missing", one("F64", "[512]", "[0,4096]", 2048), "a download that stopped half way"),
		refuse("file-size", "size-header-twice", append(one("F32", "[1]", "[0,4]", 4), one("F32", "[1]", "[0,4]", 4)...), "one file behind another"),
		refuse("file-size", "size-eight-of-2-61-less-1", spans(8), "the sum just fits 64 bits"),
		refuse("offset", "size-nine-of-2-61-less-1", spans(9), "the sum wraps 64 bits"),
	}
}

// spans is n tensors of 2^61-1 bytes end to end, their offsets modulo 2^64.
func spans(n int) []byte {
	const step = 1<<61 - 1
	var members []string
	var at uint64
	for i := range n {
		members = append(members, entry("t"+decimal(uint64(i)), "U8", "["+pow61Less+"]", "["+decimal(at)+","+decimal(at+step)+"]"))
		at += step
	}
	return file(object(members...), 0)
}

// offsets: the data section is covered from its first byte to its last, once.
func offsets() []Case {
	u8 := func(name, offsets, n string) string { return entry(name, "U8", "["+n+"]", offsets) }
	return []Case{
		refuse("offset", "offsets-reversed", one("F32", "[1]", "[4,0]", 4), "end before begin"),
		refuse("offset", "offsets-reversed-empty", one("F32", "[0]", "[4,0]", 4), "end before begin"),
		refuse("offset", "offsets-begin-at-4", one("F32", "[1]", "[4,8]", 8), "4 bytes that no tensor holds"),
		refuse("offset", "offsets-absolute", one("F32", "[1]", "[62,66]", 4), "counted from the file's begin instead of the data's"),
		refuse("offset", "offsets-begin-max", one("F32", "[1]", "["+max64+",3]", 4), "begin plus 4 is 3 in 64 bits"),
		refuse("offset", "offsets-begin-2-63", one("F32", "[1]", "["+pow63+",9223372036854775812]", 4), "negative only as a signed integer"),
		accept("offsets-two", two("[0,4]", "[4,8]", 8), "one behind the other"),
		accept("offsets-out-of-order", two("[4,8]", "[0,4]", 8), "the header's order is free"),
		accept("offsets-three-out-of-order", file(object(u8("a", "[5,9]", "4"), u8("b", "[0,2]", "2"), u8("c", "[2,5]", "3")), 9), "the header's order is free"),
		refuse("offset", "offsets-gap", two("[0,4]", "[8,12]", 12), "4 bytes that no tensor holds"),
		refuse("offset", "offsets-gap-of-1", two("[0,4]", "[5,9]", 9), "padding between tensors is not allowed"),
		refuse("offset", "offsets-gap-for-alignment", file(object(u8("a", "[0,1]", "1"), entry("b", "F32", "[1]", "[4,8]")), 8), "padding between tensors is not allowed"),
		refuse("offset", "offsets-gap-at-begin", two("[1,5]", "[5,9]", 9), "a byte that no tensor holds"),
		refuse("offset", "offsets-same", two("[0,4]", "[0,4]", 4), "tensors may not share bytes"),
		refuse("offset", "offsets-overlap", two("[0,4]", "[2,6]", 6), "tensors may not share bytes"),
		refuse("offset", "offsets-overlap-of-1", two("[0,4]", "[3,7]", 7), "tensors may not share bytes"),
		refuse("offset", "offsets-nested-tensors", file(object(u8("a", "[0,8]", "8"), u8("b", "[2,4]", "2")), 8), "tensors may not share bytes"),
		refuse("offset", "offsets-overlap-then-gap", file(object(u8("a", "[0,4]", "4"), u8("b", "[2,6]", "4"), u8("c", "[8,12]", "4")), 12), "the sum of the sizes is the data's, and yet"),
		refuse("offset", "offsets-tied-weights", file(object(entry("embed.weight", "F16", "[2]", "[0,4]"), entry("lm_head.weight", "F16", "[2]", "[0,4]")), 4), "tied weights are stored once"),
		accept("offsets-unaligned-f32", file(object(u8("a", "[0,1]", "1"), entry("b", "F32", "[1]", "[1,5]")), 5), "no alignment is asked of a file"),
		accept("offsets-unaligned-f64", file(object(entry("a", "F16", "[1]", "[0,2]"), entry("b", "F64", "[1]", "[2,10]")), 10), "no alignment is asked of a file"),
	}
}

// zeroSized: tensors of no bytes lie on a boundary like any other.
func zeroSized() []Case {
	f32 := func(name, offsets string) string { return entry(name, "F32", "[1]", offsets) }
	none := func(name, offsets string) string { return entry(name, "F32", "[0]", offsets) }
	return []Case{
		accept("zero-sized-at-begin", file(object(none("a", "[0,0]"), f32("b", "[0,4]")), 4), "a boundary"),
		accept("zero-sized-at-end", file(object(f32("a", "[0,4]"), none("b", "[4,4]")), 4), "a boundary"),
		accept("zero-sized-in-the-middle", file(object(f32("a", "[0,4]"), none("b", "[4,4]"), f32("c", "[4,8]")), 8), "a boundary"),
		accept("zero-sized-listed-behind", file(object(f32("a", "[0,4]"), none("b", "[0,0]")), 4), "the same begin, listed second"),
		accept("zero-sized-many-listed-behind", file(object(f32("a", "[0,4]"), none("b", "[0,0]"), none("c", "[0,0]"), f32("d", "[4,8]"), none("e", "[4,4]")), 8), "sorting by begin alone is not enough"),
		accept("zero-sized-three-at-one-place", file(object(none("a", "[0,0]"), none("b", "[0,0]"), none("c", "[0,0]")), 0), "nothing overlaps"),
		refuse("offset", "zero-sized-inside-another", file(object(f32("a", "[0,4]"), none("b", "[2,2]")), 4), "no boundary"),
		refuse("offset", "zero-sized-beyond-the-end", file(object(f32("a", "[0,4]"), none("b", "[8,8]")), 4), "no boundary"),
		refuse("offset", "zero-sized-alone-at-4", one("F32", "[0]", "[4,4]", 0), "no boundary"),
		refuse("file-size", "zero-sized-with-data", one("F32", "[0]", "[0,0]", 1), "a byte that no tensor holds"),
	}
}

// precedence: two failures in one file. Which of them is named is told by the
// order of the checks; the verdict is the same either way.
func precedence() []Case {
	return []Case{
		refuse("offset", "first-offset-then-overflow", one("F32", "["+max64+"]", "[4,8]", 8), "offsets are checked before sizes"),
		refuse("overflow", "first-overflow-then-file-size", one("F32", "["+max64+"]", "[0,4]", 0), "sizes are checked before the file's"),
		refuse("misaligned", "first-misaligned-then-size", one("F4", "[3]", "[0,9]", 9), "whole bytes are checked before the span"),
		refuse("size", "first-size-then-file-size", one("F32", "[2]", "[0,4]", 3), "the span is checked before the file's size"),
		refuse("type", "first-type-then-offset", one("F32", `"1"`, "[4,8]", 4), "the text is read before it is judged"),
	}
}

// writers: what programs in the wild write, right and wrong.
func writers() []Case {
	unpadded := `{"__metadata__":null,"w.1":` + strings.TrimPrefix(entry("", "F32", "[2]", "[4,12]"), `"":`) + `,"w.2":` + strings.TrimPrefix(entry("", "F16", "[2]", "[0,4]"), `"":`) + `}`
	return []Case{
		accept("writer-mlx", file(unpadded, 12), "as MLX: no padding, null metadata, data in another order than the header"),
		accept("writer-reference", file(pad8(`{"__metadata__":{"format":"pt"},`+oneF32[1:]), 4), "as the reference: metadata first, padded to 8"),
		accept("writer-python-json-dumps", file(`{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}`, 4), "as json.dumps with its spaces"),
		accept("writer-indented", file("{\n  \"a\": {\n    \"dtype\": \"F32\",\n    \"shape\": [\n      1\n    ],\n    \"data_offsets\": [\n      0,\n      4\n    ]\n  }\n}\n", 4), "an indented header"),
		accept("writer-ascii-escapes", file(`{"\u5c42":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "as json.dumps escapes beyond ASCII"),
		refuse("json", "writer-0-4-metadata-only", file(`{},"__metadata__":{"key":"value"}}   `, 0), "as release 0.4 of the reference wrote metadata without tensors"),
		refuse("file-size", "writer-4-stray-bytes", two("[0,4]", "[4,8]", 12), "4 bytes too many, as in a file that was passed around widely"),
		refuse("dtype", "writer-framework-dtype", one("float32", "[1]", "[0,4]", 4), "a dtype by its name in a framework"),
		refuse("offset", "writer-aligned-to-64", two("[0,4]", "[64,68]", 68), "tensors padded to 64 bytes"),
		refuse("file-size", "writer-data-padded", one("F32", "[1]", "[0,4]", 8), "data padded to 8 bytes at its end"),
		refuse("missing", "writer-index-as-header", file(`{"metadata":{"total_size":4},"weight_map":{"a":"model-00001-of-00001.safetensors"}}`, 0), "the index of a sharded model for a header"),
	}
}

func pad8(header string) string { return header + strings.Repeat(" ", 7-(len(header)+7)%8) }
