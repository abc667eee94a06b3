package cases

import (
	"bytes"
	"strconv"
	"strings"
)

// LargeCase is a case too large to commit: its File is empty, and Make makes it.
type LargeCase struct {
	Case
	Make func() []byte
}

// Large gives the cases that only a test of limits, memory or time needs.
func Large() []LargeCase {
	spaces := func(n int) func() []byte {
		return func() []byte { return framed(uint64(n), "{}"+strings.Repeat(" ", n-2)) }
	}
	unknown := func(value func() string) func() []byte {
		return func() []byte { return file(oneF32[:len(oneF32)-2]+`,"x":`+value()+"}}", 4) }
	}
	return []LargeCase{
		{accept("large-header-25000001", nil, "one byte over the limit that some clients of the Hub have"), spaces(25_000_001)},
		{accept("large-header-100000000", nil, "exactly the limit"), spaces(100_000_000)},
		{refuse("header-too-large", "large-header-100000001", nil, "one byte over the limit, and all of it there"), spaces(100_000_001)},
		{accept("large-100000-tensors", nil, "as many as the largest models have, and more"), func() []byte { return manyTensors(100_000, "") }},
		{refuse("duplicate", "large-100000-tensors-and-a-duplicate", nil, "the last is called as the first").butReference("InvalidOffset"), func() []byte {
			return manyTensors(100_000, ","+entry("t0", "U8", "[1]", "[100000,100001]"))
		}},
		{accept("large-10-million-dimensions", nil, "a shape of 20 MB"), func() []byte {
			return one("U8", "["+strings.Repeat("1,", 9_999_999)+"1]", "[0,1]", 1)
		}},
		{accept("large-empty-arrays", nil, "6.7 million values in an ignored field, 20 MB"), unknown(func() string {
			return "[" + strings.Repeat("[],", 6_700_000-1) + "[]]"
		})},
		{accept("large-2-million-metadata-keys", nil, "a metadata map of 26 MB"), func() []byte { return manyKeys(2_000_000, "") }},
		{refuse("duplicate", "large-2-million-metadata-keys-and-a-duplicate", nil, "the last key is the first").butReference("ok"), func() []byte {
			return manyKeys(2_000_000, `,"k0":""`)
		}},
		{accept("large-name", nil, "a name of 20 MB"), func() []byte {
			return file(object(entry(strings.Repeat("n", 20_000_000), "U8", "[1]", "[0,1]")), 1)
		}},
		{refuse("json", "large-depth-100000", nil, "overflows the stack of a reader that recurses without limit"), unknown(func() string {
			return strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
		})},
		{refuse("json", "large-depth-never-closed", nil, "20 million brackets that open"), unknown(func() string { return strings.Repeat("[", 20_000_000) })},
		{refuse("utf8", "large-utf8-last-byte", nil, "20 MB of padding, and its last byte is no UTF-8"), func() []byte {
			return file("{}"+strings.Repeat(" ", 20_000_000)+"\xff", 0)
		}},
	}
}

// manyTensors is n tensors of one byte each, t0 first; more is put behind the last.
func manyTensors(n int, more string) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		at, end := strconv.Itoa(i), strconv.Itoa(i+1)
		b.WriteString(entry("t"+at, "U8", "[1]", "["+at+","+end+"]"))
	}
	b.WriteString(more + "}")
	if more != "" {
		n++
	}
	return file(b.String(), n)
}

// manyKeys is metadata of n keys, k0 first; more is put behind the last.
func manyKeys(n int, more string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"__metadata__":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strconv.Itoa(i) + `":""`)
	}
	b.WriteString(more + "}}")
	return file(b.String(), 0)
}
