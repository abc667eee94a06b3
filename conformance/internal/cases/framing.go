package cases

import "strings"

// framing: the 8 bytes in front, and the length they give.
func framing() []Case {
	return []Case{
		refuse("header-too-small", "empty-file", nil, "0 bytes: no length"),
		refuse("header-too-small", "one-byte", []byte("{"), "1 byte: no length"),
		refuse("header-too-small", "seven-bytes", make([]byte, 7), "7 bytes: one short of a length"),
		refuse("header-too-small", "length-32-bit", []byte("\x02\x00\x00\x00{}"), "a length of 32 bits; the file has 6 bytes"),
		refuse("json", "length-zero-alone", framed(0, ""), "an empty text is no JSON"),
		refuse("json", "length-zero-with-data", framed(0, "{}"), "the braces are data, the text is empty"),
		refuse("header-length", "length-one-nothing-behind", framed(1, ""), "the header reaches past the end of the file"),
		refuse("header-length", "length-one-too-big", framed(3, "{}"), "the header reaches one byte past the end"),
		refuse("header-length", "length-at-limit-short-file", framed(100_000_000, "{}"), "100,000,000 is allowed, so the file's end is the cause"),
		refuse("header-length", "length-cut-download", framed(uint64(len(oneF32)), oneF32[:30]), "a download that stopped inside the header"),
		refuse("header-too-large", "length-over-limit", framed(100_000_001, "{}"), "the limit is 100,000,000 bytes and is checked before the file's length"),
		refuse("header-too-large", "length-2-32-plus-2", framed(1<<32+2, "{}"), "must not be cut to 32 bits, which would leave 2"),
		refuse("header-too-large", "length-2-40", framed(1<<40, "{}"), "must not be allocated before it is checked"),
		refuse("header-too-large", "length-2-63", framed(1<<63, "{}"), "negative as a signed integer"),
		refuse("header-too-large", "length-2-63-less-1", framed(1<<63-1, "{}"), "8 more overflows a signed integer"),
		refuse("header-too-large", "length-max", framed(1<<64-1, "{}"), "8 more overflows 64 bits"),
		refuse("header-too-large", "length-max-less-7", framed(1<<64-8, "{}"), "8 more is 0 in 64 bits"),
		refuse("header-too-large", "length-big-endian", append([]byte{0, 0, 0, 0, 0, 0, 0, 2}, "{}"...), "the length is little-endian"),
		refuse("json", "length-one-too-small", framed(uint64(len(oneF32)-1), oneF32+"\x00\x00\x00\x00"), "the last brace is left out of the header"),
		refuse("json", "length-takes-in-zero-data", framed(uint64(len(oneF32)+4), oneF32+"\x00\x00\x00\x00"), "NUL is no JSON whitespace"),
		refuse("file-size", "length-takes-in-space-data", framed(uint64(len(oneF32)+4), oneF32+"    "), "the header swallowed the data: 4 bytes are missing"),
		accept("smallest", file("{}", 0), "10 bytes, the smallest legal file"),
		refuse("file-size", "smallest-with-data", file("{}", 1), "a byte that no tensor holds"),
		accept("one-tensor", file(oneF32, 4), "the plainest file with a tensor"),
		accept("header-odd-length", file(oneF32+strings.Repeat(" ", 1+len(oneF32)%2), 4), "the length need not be a multiple of 8, nor even"),
		accept("header-multiple-of-8", file(oneF32+strings.Repeat(" ", 7-(len(oneF32)+7)%8), 4), "as the reference's writer pads"),
	}
}

// padding: whitespace around the JSON text.
func padding() []Case {
	space := func(n int) string { return strings.Repeat(" ", n) }
	return []Case{
		accept("space-behind", file("{}"+space(6), 0), "what the reference writes for no tensors"),
		accept("whitespace-behind", file("{}\r \t\n", 0), "any JSON whitespace may follow"),
		accept("space-in-front", file(" {}", 0), "the README demands {, the reference takes whitespace"),
		accept("whitespace-in-front", file("\t\n\r {} ", 0), "tab, line feed, carriage return, space"),
		accept("whitespace-inside", file("{ \"a\" :\n{\t\"dtype\" : \"F32\" ,\r\n\"shape\" : [ 1 ] , \"data_offsets\" : [ 0 , 4 ] } }", 4), "whitespace between any two tokens"),
		accept("padded-4096-behind", file(oneF32+space(4096-8-len(oneF32)), 4), "data on a page boundary"),
		accept("padded-4096-in-front", file(space(4096-8-len(oneF32))+oneF32, 4), "the reference's tests keep this on purpose"),
		refuse("json", "bom-in-front", file("\ufeff{}", 0), "a byte order mark is no JSON whitespace"),
		refuse("json", "nul-behind", file("{}\x00\x00", 0), "NUL is no JSON whitespace"),
		refuse("json", "nul-in-front", file("\x00{}", 0), "NUL is no JSON whitespace"),
		refuse("json", "form-feed-behind", file("{}\f", 0), "form feed is no JSON whitespace"),
		refuse("json", "vertical-tab-behind", file("{}\v", 0), "vertical tab is no JSON whitespace"),
		refuse("json", "no-break-space-behind", file("{}\u00a0", 0), "U+00A0 is no JSON whitespace"),
		refuse("json", "next-line-behind", file("{}\u0085", 0), "U+0085 is no JSON whitespace"),
		refuse("json", "line-separator-behind", file("{}\u2028", 0), "U+2028 is no JSON whitespace"),
		refuse("json", "ideographic-space-behind", file("{}\u3000", 0), "U+3000 is no JSON whitespace"),
		refuse("json", "only-spaces", file(space(8), 0), "padding without a text"),
	}
}
