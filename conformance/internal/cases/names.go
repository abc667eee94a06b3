package cases

import "strings"

// names: any string is a name; the format sees nothing in it.
func names() []Case {
	named := func(name string) []byte { return file(object(entry(name, "F32", "[1]", "[0,4]")), 4) }
	pair := func(a, b string) []byte {
		return file(object(entry(a, "F32", "[1]", "[0,4]"), entry(b, "F32", "[1]", "[4,8]")), 8)
	}
	return []Case{
		accept("name-empty", named(""), "the empty string is a name"),
		accept("name-space", named(" "), "a space is a name"),
		accept("name-nul-escaped", named(`a\u0000b`), "readers with C strings see only a"),
		accept("name-path", named("../../etc/passwd"), "a name is no path"),
		accept("name-backslash-path", named(`C:\\model\\w`), "a name is no path"),
		accept("name-emoji", named("\U0001f600"), "beyond the basic plane"),
		accept("name-emoji-escaped", named(`\ud83d\ude00`), "the same name in escapes"),
		accept("name-64-kib", named(strings.Repeat("n", 65536)), "no limit on length"),
		accept("name-metadata-and-underscore", named("__metadata___"), "only the exact key is reserved"),
		accept("name-metadata-less-underscore", named("_metadata__"), "only the exact key is reserved"),
		accept("name-proto", file(object(entry("__proto__", "F32", "[1]", "[0,4]"), entry("constructor", "F32", "[1]", "[4,8]")), 8), "plain names, whatever the language"),
		accept("name-bidi-and-ansi", named(`\u202e\u001b[31mred`), "harmless to a reader; a terminal is another matter"),
		accept("name-markup-and-separator", named("<a&b>\u2028"), "nothing to escape here"),
		accept("name-replacement-character", named("\ufffd"), "U+FFFD itself is a character"),
		accept("name-quote-and-backslash", named(`\"\\`), "escaped in the header, plain in the name"),
		accept("name-dtype", named("dtype"), "a tensor may be called like a field"),
		accept("name-number", named("0"), "not an index"),
		accept("name-nfc-and-nfd", pair("\u00e9", "e\u0301"), "names are compared without normalising"),
		accept("name-case-pair", pair("A", "a"), "names are case-sensitive"),
		accept("name-prefix-pair", pair("a", `a\u0000`), "two names to all but C strings"),
		accept("name-utf16-order", file(object(entry("\uffee", "F32", "[1]", "[0,4]"), entry("\U0001f600", "F32", "[1]", "[4,8]")), 8), "byte order and UTF-16 order differ here"),
		refuse("json", "name-lone-surrogate", named(`\ud800`), "readers that put U+FFFD instead take it"),
		refuse("json", "name-two-lone-surrogates", pair(`\ud800`, `\ud801`), "they collide where both become U+FFFD"),
		refuse("json", "name-tab-raw", named("a\tb"), "a tab must be escaped in names too"),
	}
}

// metadata: the one key that is no tensor.
func metadata() []Case {
	is := func(value string) []byte { return file(`{"__metadata__":`+value+`}`, 0) }
	tensor := oneF32[1 : len(oneF32)-1]
	return []Case{
		accept("metadata", is(`{"format":"pt"}`), "a map of strings"),
		accept("metadata-empty", is(`{}`), "an empty map"),
		accept("metadata-null", is(`null`), "the same as none"),
		accept("metadata-key-empty", is(`{"":"x"}`), "any string is a key"),
		accept("metadata-json-in-string", is(`{"ss_tag_frequency":"{\"a\": {\"b\": 1}}"}`), "trainers put JSON into the strings"),
		accept("metadata-first", file(`{"__metadata__":{"k":"v"},`+tensor+`}`, 4), "where the reference writes it"),
		accept("metadata-last", file(`{`+tensor+`,"__metadata__":{"k":"v"}}`, 4), "it may stand anywhere"),
		accept("metadata-between", file(object(entry("a", "F32", "[1]", "[0,4]"), `"__metadata__":{"k":"v"}`, entry("b", "F32", "[1]", "[4,8]")), 8), "it may stand anywhere"),
		accept("metadata-null-with-tensor", file(`{"__metadata__":null,`+tensor+`}`, 4), "as MLX writes without metadata"),
		accept("metadata-key-escaped", file(`{"\u005f_metadata__":{"k":"v"}}`, 0), "keys are compared after unescaping"),
		accept("metadata-key-named-shape", file(`{"__metadata__":{"shape":"512x512","dtype":"x","data_offsets":"y"},`+tensor+`}`, 4), "readers that decode it as a tensor fail here"),
		accept("metadata-inner-metadata", is(`{"__metadata__":"x"}`), "a plain key one level down"),
		refuse("type", "metadata-value-number", is(`{"k":1}`), "values are strings"),
		refuse("type", "metadata-value-float", is(`{"k":1.5}`), "values are strings"),
		refuse("type", "metadata-value-true", is(`{"k":true}`), "values are strings"),
		refuse("type", "metadata-value-null", is(`{"k":null}`), "values are strings"),
		refuse("type", "metadata-value-object", is(`{"k":{}}`), "values are strings"),
		refuse("type", "metadata-value-array", is(`{"k":["v"]}`), "values are strings"),
		refuse("type", "metadata-second-value-number", is(`{"k":"v","l":1}`), "every value is a string"),
		refuse("type", "metadata-array", is(`[]`), "it is an object"),
		refuse("type", "metadata-array-of-pairs", is(`[["k","v"]]`), "it is an object"),
		refuse("type", "metadata-string", is(`"x"`), "it is an object"),
		refuse("type", "metadata-false", is(`false`), "it is an object"),
		refuse("type", "metadata-number", is(`0`), "it is an object"),
		refuse("type", "metadata-is-a-tensor", file(object(entry("__metadata__", "F32", "[1]", "[0,4]")), 4), "the name is reserved"),
		refuse("type", "metadata-upper-case", file(`{"__METADATA__":{"dtype":0}}`, 0), "another key, so a tensor, and none"),
		refuse("missing", "metadata-short-name", file(`{"metadata":{"format":"pt"}}`, 0), "another key, so a tensor, and none"),
	}
}
