package cases

import "strings"

// entries: the fields of a tensor.
func entries() []Case {
	fields := func(text string) []byte { return file(`{"a":{`+text+`}}`, 4) }
	is := func(value string) []byte { return file(`{"a":`+value+`}`, 0) }
	return []Case{
		refuse("missing", "tensor-empty-object", is(`{}`), "decoders that fill in zeros take it"),
		refuse("missing", "tensor-without-dtype", fields(`"shape":[1],"data_offsets":[0,4]`), "all three fields are needed"),
		refuse("missing", "tensor-without-shape", fields(`"dtype":"F32","data_offsets":[0,4]`), "all three fields are needed"),
		refuse("missing", "tensor-without-offsets", fields(`"dtype":"F32","shape":[1]`), "all three fields are needed"),
		refuse("type", "tensor-null", is(`null`), "decoders that fill in zeros take it"),
		refuse("type", "tensor-string", is(`"F32"`), "a tensor is an object"),
		refuse("type", "tensor-number", is(`1`), "a tensor is an object"),
		refuse("type", "tensor-false", is(`false`), "a tensor is an object"),
		refuse("missing", "tensor-fields-title-case", fields(`"Dtype":"F32","Shape":[1],"Data_Offsets":[0,4]`), "field names are case-sensitive"),
		refuse("missing", "tensor-dtype-upper-case", fields(`"DTYPE":"F32","shape":[1],"data_offsets":[0,4]`), "field names are case-sensitive"),
		refuse("missing", "tensor-offsets-misspelt", fields(`"dtype":"F32","shape":[1],"offsets":[0,4]`), "an unknown field is no offset"),
		accept("tensor-fields-reversed", fields(`"data_offsets":[0,4],"shape":[1],"dtype":"F32"`), "fields in any order"),
		accept("tensor-field-escaped", fields(`"\u0064type":"F32","shape":[1],"data_offsets":[0,4]`), "keys are compared after unescaping"),
	}
}

// forms: what the reference's decoder takes beyond what its README describes.
// Files that use them are refused here: an author who sees one has found a
// second encoding of the same tensor, which nobody else reads.
func forms() []Case {
	is := func(value string) []byte { return file(`{"a":`+value+`}`, 4) }
	dtype := func(value string) []byte {
		return is(`{"dtype":` + value + `,"shape":[1],"data_offsets":[0,4]}`)
	}
	return []Case{
		refuse("form", "tensor-array", is(`["F32",[1],[0,4]]`), "an array in field order, which the reference takes").butReference("ok"),
		refuse("form", "tensor-array-of-2", is(`["F32",[1]]`), "an array, and one short"),
		refuse("form", "tensor-array-of-4", is(`["F32",[1],[0,4],0]`), "an array, and one too many"),
		refuse("form", "tensor-array-empty", is(`[]`), "an array, and empty"),
		refuse("form", "dtype-map-null", dtype(`{"F32":null}`), "a map with the dtype as key, which the reference takes").butReference("ok"),
		refuse("form", "dtype-map-value", dtype(`{"F32":1}`), "a map, and with a value"),
		refuse("form", "dtype-map-empty", dtype(`{}`), "a map, and empty"),
		refuse("form", "dtype-map-of-2", dtype(`{"F32":null,"F16":null}`), "a map, and of two"),
	}
}

// duplicates: the same key twice.
func duplicates() []Case {
	tensor := oneF32[1 : len(oneF32)-1]
	body := tensor[strings.Index(tensor, ":")+1:]
	field := func(text string) []byte { return file(oneF32[:len(oneF32)-2]+","+text+"}}", 4) }
	meta := func(text string) []byte { return file(`{"__metadata__":`+text+`}`, 0) }
	return []Case{
		refuse("duplicate", "duplicate-name-identical", file(object(tensor, tensor), 4), "the same entry twice; in the reference the last wins").butReference("ok"),
		refuse("duplicate", "duplicate-name-last-valid", file(object(entry("a", "F32", "[9]", "[5,7]"), tensor), 4), "in the reference the last wins").butReference("ok"),
		refuse("duplicate", "duplicate-name-escaped", file(object(tensor, `"\u0061":`+body), 4), "the same name after unescaping").butReference("ok"),
		refuse("duplicate", "duplicate-name-apart", file(object(entry("a", "F32", "[1]", "[0,4]"), entry("b", "F32", "[1]", "[4,8]"), entry("a", "F32", "[1]", "[0,4]")), 8), "another tensor between the two").butReference("ok"),
		refuse("duplicate", "duplicate-name-empty", file(object(entry("", "F32", "[1]", "[0,4]"), entry("", "F32", "[1]", "[0,4]")), 4), "the empty name twice").butReference("ok"),
		refuse("duplicate", "duplicate-name-two-dtypes", file(object(entry("a", "I32", "[1]", "[0,4]"), entry("a", "F32", "[1]", "[0,4]")), 4), "two readings of the same bytes").butReference("ok"),
		refuse("duplicate", "duplicate-name-last-bad", file(object(tensor, entry("a", "F32", "[9]", "[5,7]")), 4), "the first would be right").butReference("InvalidOffset"),
		refuse("duplicate", "duplicate-name-two-regions", two2("a", "a"), "where the last wins, a hole is left").butReference("InvalidOffset"),
		refuse("dtype", "duplicate-name-first-dtype-bad", file(object(entry("a", "NOPE", "[1]", "[0,4]"), tensor), 4), "what is overwritten is checked all the same"),
		refuse("duplicate", "duplicate-metadata-key", meta(`{"k":"1","k":"2"}`), "in the reference the last wins").butReference("ok"),
		refuse("duplicate", "duplicate-metadata-key-identical", meta(`{"k":"1","k":"1"}`), "even where both agree").butReference("ok"),
		refuse("duplicate", "duplicate-metadata-key-escaped", meta(`{"k":"1","\u006b":"2"}`), "the same key after unescaping").butReference("ok"),
		refuse("duplicate", "duplicate-metadata-key-apart", meta(`{"k":"1","l":"","m":"","k":"2"}`), "others between the two").butReference("ok"),
		refuse("duplicate", "duplicate-metadata", meta(`{"k":"1"},"__metadata__":{"k":"1"}`), "one __metadata__ at most"),
		refuse("duplicate", "duplicate-metadata-null-first", meta(`null,"__metadata__":{"k":"1"}`), "null counts"),
		refuse("duplicate", "duplicate-metadata-empty", meta(`{},"__metadata__":{}`), "even where both are empty"),
		refuse("duplicate", "duplicate-metadata-escaped", meta(`{},"\u005f_metadata__":{}`), "the same key after unescaping"),
		refuse("duplicate", "duplicate-field-dtype", field(`"dtype":"F32"`), "even where both agree"),
		refuse("duplicate", "duplicate-field-shape", field(`"shape":[1]`), "even where both agree"),
		refuse("duplicate", "duplicate-field-offsets", field(`"data_offsets":[0,4]`), "even where both agree"),
		refuse("duplicate", "duplicate-field-escaped", field(`"\u0073hape":[1]`), "the same key after unescaping"),
	}
}

// two2 is two F32 [1] tensors of the given names, one behind the other.
func two2(a, b string) []byte {
	return file(object(entry(a, "F32", "[1]", "[0,4]"), entry(b, "F32", "[1]", "[4,8]")), 8)
}

// unknowns: fields the format does not know are ignored, but they are parsed.
func unknowns() []Case {
	extra := func(text string) []byte { return file(oneF32[:len(oneF32)-2]+","+text+"}}", 4) }
	nested := func(depth int) []byte {
		return extra(`"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth))
	}
	objects := func(depth int) []byte {
		return extra(`"x":` + strings.Repeat(`{"":`, depth) + "0" + strings.Repeat("}", depth))
	}
	return []Case{
		accept("unknown-field", extra(`"x":"y"`), "ignored"),
		accept("unknown-field-first", file(`{"a":{"x":1,"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "ignored in front too"),
		accept("unknown-field-of-each-kind", extra(`"s":"t","n":-1.5e3,"t":true,"f":false,"z":null,"a":[1,"b",[]],"o":{"p":{}}`), "ignored, whatever it is"),
		accept("unknown-field-nested-known-names", extra(`"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}`), "the names mean nothing deeper down"),
		accept("unknown-field-twice", extra(`"x":1,"x":2`), "a duplicate that is ignored"),
		accept("unknown-fields-nntrainer", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"nntr_dtype":"Q4_0","nntr_shape":[1,1,1,4]}}`, 4), "as nntrainer writes"),
		accept("unknown-field-minus-zero", extra(`"x":-0`), "a number like any other where it is ignored"),
		accept("unknown-field-100-digits", extra(`"x":1`+strings.Repeat("0", 99)), "within the range of a float of 64 bits"),
		accept("unknown-field-float-smallest", extra(`"x":1e-400`), "too small becomes 0, which is in range"),
		accept("unknown-field-float-largest", extra(`"x":1.7976931348623157e308`), "the largest float of 64 bits"),
		refuse("json", "unknown-field-1e400", extra(`"x":1e400`), "a number out of range, even where it is ignored"),
		refuse("json", "unknown-field-400-digits", extra(`"x":1`+strings.Repeat("0", 399)), "a number out of range, even where it is ignored"),
		refuse("json", "unknown-field-leading-zero", extra(`"x":01`), "no number of JSON"),
		refuse("json", "unknown-field-nan", extra(`"x":NaN`), "no value of JSON"),
		refuse("json", "unknown-field-infinity", extra(`"x":-Infinity`), "no value of JSON"),
		refuse("json", "unknown-field-point-alone", extra(`"x":1.`), "digits follow the point"),
		refuse("json", "unknown-field-point-first", extra(`"x":.5`), "digits come before the point"),
		refuse("json", "unknown-field-exponent-empty", extra(`"x":1e`), "digits follow the e"),
		refuse("json", "unknown-field-minus-alone", extra(`"x":-`), "digits follow the sign"),
		refuse("json", "unknown-field-lone-surrogate-value", extra(`"x":"\ud800"`), "strings are checked even where they are ignored"),
		refuse("json", "unknown-field-lone-surrogate-key", extra(`"\ud800":1`), "keys are checked even where they are ignored"),
		accept("unknown-field-depth-125", nested(125), "127 levels with the two objects around: the most"),
		refuse("json", "unknown-field-depth-126", nested(126), "128 levels: one too many"),
		refuse("json", "unknown-field-depth-200", nested(200), "above the limit of 127 levels"),
		accept("unknown-field-objects-125", objects(125), "127 levels of objects: the most"),
		refuse("json", "unknown-field-objects-126", objects(126), "128 levels of objects: one too many"),
		refuse("type", "unknown-member-number", file(`{"x":1}`, 0), "every key but __metadata__ is a tensor"),
		refuse("missing", "unknown-member-object", file(`{"x":{"y":1}}`, 0), "every key but __metadata__ is a tensor"),
		refuse("type", "unknown-member-comment", file(`{"_comment":"made by hand",`+oneF32[1:], 4), "every key but __metadata__ is a tensor"),
	}
}
