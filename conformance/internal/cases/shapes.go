package cases

import (
	"strconv"
	"strings"
)

const (
	max64     = "18446744073709551615" // 2^64-1
	over64    = "18446744073709551616" // 2^64
	pow63     = "9223372036854775808"
	pow61     = "2305843009213693952"
	pow61Less = "2305843009213693951"
	pow53Plus = "9007199254740993" // the least integer a float of 64 bits cannot hold
)

// shapes: ranks, products, and what they overflow.
func shapes() []Case {
	ones := strings.Repeat("1,", 999) + "1"
	return []Case{
		accept("shape-scalar", one("F32", "[]", "[0,4]", 4), "no dimensions, one element"),
		refuse("size", "shape-scalar-of-8", one("F32", "[]", "[0,8]", 8), "one element is 4 bytes"),
		refuse("size", "shape-scalar-of-0", one("F32", "[]", "[0,0]", 0), "one element is 4 bytes, not none"),
		accept("shape-rank-2", one("F32", "[2,3]", "[0,24]", 24), "row by row"),
		accept("shape-rank-8", one("U8", "[1,2,1,2,1,2,1,2]", "[0,16]", 16), "readers with 8 places for dimensions"),
		accept("shape-rank-9", one("U8", "[1,1,1,1,1,1,1,1,3]", "[0,3]", 3), "no limit on rank"),
		accept("shape-rank-1000", one("U8", "["+ones+"]", "[0,1]", 1), "no limit on rank"),
		accept("shape-zero", one("F32", "[0]", "[0,0]", 0), "no elements, no bytes"),
		accept("shape-zero-inside", one("F32", "[2,0,3]", "[0,0]", 0), "one 0 is enough"),
		refuse("size", "shape-zero-of-4", one("F32", "[0]", "[0,4]", 4), "no elements are no bytes"),
		refuse("size", "shape-2-53-plus-1", one("U8", "["+pow53Plus+"]", "[0,4]", 4), "2^53+1 elements"),
		accept("shape-2-53-plus-1-by-0", one("U8", "["+pow53Plus+",0]", "[0,0]", 0), "must come back exact, which floats cannot do"),
		refuse("size", "shape-2-53-plus-1-as-2-53", one("U8", "["+pow53Plus+"]", "[0,9007199254740992]", 0), "equal only to readers that use floats"),
		refuse("overflow", "shape-2-63", one("F32", "["+pow63+"]", "[0,4]", 4), "the bits overflow 64 bits"),
		accept("shape-2-63-by-0", one("F32", "["+pow63+",0]", "[0,0]", 0), "negative only as a signed integer"),
		accept("shape-max-by-0", one("F32", "["+max64+",0]", "[0,0]", 0), "the largest dimension"),
		refuse("overflow", "shape-max", one("F32", "["+max64+"]", "[0,4]", 4), "2^64-1 elements"),
		refuse("type", "shape-2-64", one("F32", "["+over64+"]", "[0,4]", 4), "more than 64 bits hold"),
		refuse("json", "shape-1e400", one("F32", "[1e400]", "[0,4]", 4), "no integer"),
		refuse("type", "shape-100-digits", one("F32", "[1"+strings.Repeat("0", 99)+"]", "[0,4]", 4), "more than 64 bits hold"),
		refuse("overflow", "shape-2-32-by-2-32", one("F32", "[4294967296,4294967296]", "[0,0]", 0), "the product is 0 in 64 bits"),
		refuse("overflow", "shape-product-wraps-to-1", one("U8", "[4294967297,18446744069414584321]", "[0,1]", 1), "the product is 1 in 64 bits"),
		refuse("overflow", "shape-bytes-wrap-to-0", one("U64", "["+pow61+"]", "[0,0]", 0), "the count fits, its bytes are 0 in 64 bits"),
		refuse("size", "shape-65536-by-65536", one("U8", "[65536,65536]", "[0,0]", 0), "the product is 0 in 32 bits"),
		refuse("overflow", "shape-u8-2-61", one("U8", "["+pow61+"]", "[0,"+pow61+"]", 0), "sizes are counted in bits"),
		refuse("file-size", "shape-u8-2-61-less-1", one("U8", "["+pow61Less+"]", "[0,"+pow61Less+"]", 0), "the largest tensor of bytes, and no file for it"),
		refuse("overflow", "shape-max-by-2-by-0", one("F32", "["+max64+",2,0]", "[0,0]", 0), "the product is taken from the left, each step checked"),
		accept("shape-0-by-max-by-2", one("F32", "[0,"+max64+",2]", "[0,0]", 0), "0 first, so no step overflows"),
	}
}

// numbers: integers are written as JSON writes them, from 0 to 2^64-1, and the
// two lists are lists.
func numbers() []Case {
	shape := func(v string) []byte { return one("F32", v, "[0,4]", 4) }
	span := func(v string) []byte { return one("F32", "[1]", v, 4) }
	list := []Case{
		refuse("type", "shape-null", shape("null"), "a shape is an array"),
		refuse("type", "shape-object", shape("{}"), "a shape is an array"),
		refuse("type", "shape-string", shape(`"1"`), "a shape is an array"),
		refuse("type", "shape-number", shape("1"), "a shape is an array"),
		refuse("type", "shape-true", shape("true"), "a shape is an array"),
		refuse("type", "shape-nested", shape("[[1]]"), "an array of integers"),
		refuse("type", "shape-of-true", shape("[true]"), "an array of integers"),
		refuse("type", "shape-of-null", shape("[null]"), "an array of integers"),
		refuse("type", "shape-of-string", shape(`["1"]`), "an array of integers"),
		refuse("type", "shape-of-object", shape("[{}]"), "an array of integers"),
		refuse("type", "offsets-null", span("null"), "an array of two integers"),
		refuse("type", "offsets-object", span(`{"0":0,"1":4}`), "an array of two integers"),
		refuse("type", "offsets-string", span(`"0,4"`), "an array of two integers"),
		refuse("type", "offsets-number", span("4"), "an array of two integers"),
		refuse("type", "offsets-empty", span("[]"), "an array of two integers"),
		refuse("type", "offsets-of-1", span("[0]"), "decoders of fixed arrays fill in 0"),
		refuse("type", "offsets-of-1-four", span("[4]"), "two integers"),
		refuse("type", "offsets-of-3", span("[0,4,8]"), "decoders of fixed arrays drop the third"),
		refuse("type", "offsets-of-3-null", span("[0,4,null]"), "two integers"),
		refuse("type", "offsets-of-null", span("[null,4]"), "two integers"),
		refuse("type", "offsets-of-strings", span(`["0","4"]`), "two integers"),
		refuse("type", "offsets-nested", span("[[0,4]]"), "two integers"),
		refuse("type", "offsets-begin-negative", span("[-4,0]"), "from 0 upwards"),
		refuse("type", "offsets-minus-zero", span("[-0,4]"), "-0 is no unsigned integer"),
		refuse("type", "offsets-end-2-64", span("[0,"+over64+"]"), "more than 64 bits hold"),
		refuse("type", "offsets-2-64-wraps-to-4", span("[0,18446744073709551620]"), "4 in 64 bits"),
		refuse("type", "offsets-float", span("[0,4.0]"), "a float, even where it is whole"),
		refuse("type", "offsets-exponent", span("[0,4e0]"), "a float, even where it is whole"),
		refuse("json", "offsets-leading-zero", span("[0,04]"), "no number of JSON"),
		refuse("json", "offsets-underscore", span("[0,0_4]"), "no number of JSON"),
		refuse("json", "offsets-hexadecimal", span("[0x0,0x4]"), "no number of JSON"),
	}
	for i, bad := range []struct{ number, class, why string }{
		{"1.0", "type", "a float, even where it is whole"},
		{"1e0", "type", "a float, even where it is whole"},
		{"1E+0", "type", "a float, even where it is whole"},
		{"10e-1", "type", "a float, even where it is whole"},
		{"-1", "type", "from 0 upwards"},
		{"-0", "type", "-0 is no unsigned integer"},
		{"01", "json", "no number begins with 0"},
		{"00", "json", "no number begins with 0"},
		{"+1", "json", "no sign but minus"},
		{"1.", "json", "digits follow the point"},
		{".1", "json", "digits come before the point"},
		{"1e", "json", "digits follow the e"},
		{"1e+", "json", "digits follow the sign"},
		{"-", "json", "digits follow the sign"},
		{"0x1", "json", "no hexadecimal"},
		{"1_0", "json", "no underscore"},
		{"1n", "json", "no suffix"},
		{"NaN", "json", "no value of JSON"},
		{"Infinity", "json", "no value of JSON"},
		{"１", "json", "a digit that only looks alike"},
	} {
		list = append(list, refuse(bad.class, "shape-number-"+twoDigits(i+1), shape("["+bad.number+"]"), bad.number+": "+bad.why))
	}
	return list
}

func twoDigits(n int) string {
	text := strconv.Itoa(n)
	return strings.Repeat("0", 2-len(text)) + text
}
