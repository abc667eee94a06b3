package cases

import (
	"fmt"
	"strings"
)

// dtypeBits lists the 22 dtypes with the bits of one element.
var dtypeBits = []struct {
	name string
	bits int
}{
	{"BOOL", 8}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8}, {"I8", 8},
	{"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
	{"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16}, {"I32", 32}, {"U32", 32}, {"F32", 32},
	{"C64", 64}, {"F64", 64}, {"I64", 64}, {"U64", 64},
}

// dtypes: the 22 names and everything that resembles them.
func dtypes() []Case {
	raw := func(value string) []byte {
		return file(`{"a":{"dtype":`+value+`,"shape":[1],"data_offsets":[0,4]}}`, 4)
	}
	var list []Case
	for _, d := range dtypeBits {
		n := d.bits * 4 / 8
		list = append(list, accept("dtype-"+slug(d.name), one(d.name, "[4]", fmt.Sprintf("[0,%d]", n), n),
			fmt.Sprintf("4 elements of %d bits are %d bytes", d.bits, n)))
	}
	list = append(list, accept("dtype-all", allDTypes(), "one tensor of each dtype, in the order the reference writes"))
	for _, d := range dtypeBits {
		n := d.bits*4/8 + 1
		list = append(list, refuse("size", "dtype-"+slug(d.name)+"-one-byte-more", one(d.name, "[4]", fmt.Sprintf("[0,%d]", n), n),
			fmt.Sprintf("4 elements of %d bits are not %d bytes", d.bits, n)))
	}
	for _, bad := range []struct{ slug, name, why string }{
		{"lower-case", "f32", "names are case-sensitive"},
		{"title-case", "Bool", "names are case-sensitive"},
		{"space-behind", "F32 ", "no space belongs to it"},
		{"empty", "", "not a dtype"},
		{"f128", "F128", "not a dtype"},
		{"c128", "C128", "not a dtype"},
		{"c32", "C32", "not a dtype"},
		{"f8", "F8", "F8 has five kinds, and none is called so"},
		{"f8-e4m3fn", "F8_E4M3FN", "called F8_E4M3 here"},
		{"e8m0", "E8M0", "called F8_E8M0 here"},
		{"f6", "F6", "F6 has two kinds"},
		{"f4-e2m1", "F4_E2M1", "called F4 here"},
		{"u4", "U4", "not a dtype"},
		{"i4", "I4", "not a dtype"},
		{"i128", "I128", "not a dtype"},
		{"bool8", "BOOL8", "a name and more"},
		{"f32-and-nul", `F32\u0000`, "readers with C strings see F32"},
		{"bfloat16", "bfloat16", "the name in other libraries"},
		{"torch-float32", "torch.float32", "the name in other libraries"},
		{"numpy-f4", "<f4", "the name in other libraries"},
		{"gguf-q4-0", "Q4_0", "a dtype of another format"},
		{"full-width", "Ｆ32", "letters that only look alike"},
	} {
		list = append(list, refuse("dtype", "dtype-bad-"+bad.slug, raw(`"`+bad.name+`"`), bad.why))
	}
	return append(list,
		accept("dtype-escaped", raw(`"\u0046\u00332"`), "compared after unescaping"),
		refuse("type", "dtype-null", raw(`null`), "a dtype is a string"),
		refuse("type", "dtype-number", raw(`17`), "a dtype is a string, not an index"),
		refuse("type", "dtype-array", raw(`["F32"]`), "a dtype is a string"),
		refuse("type", "dtype-true", raw(`true`), "a dtype is a string"),
		accept("value-bool-2", framedWith(object(entry("a", "BOOL", "[3]", "[0,3]")), "\x00\x02\xff"), "values are not checked"),
		accept("value-nan", framedWith(oneF32, "\xff\xff\xff\xff"), "values are not checked"),
	)
}

func framedWith(header, data string) []byte {
	return framed(uint64(len(header)), header+data)
}

func slug(dtype string) string {
	return strings.ToLower(strings.ReplaceAll(dtype, "_", "-"))
}

// allDTypes has a tensor of 4 elements of each dtype, laid out as the reference
// does: by dtype, the last of its list first, padded to 8 bytes.
func allDTypes() []byte {
	order := []int{21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	var members []string
	at := 0
	for _, i := range order {
		end := at + dtypeBits[i].bits*4/8
		members = append(members, entry("t."+slug(dtypeBits[i].name), dtypeBits[i].name, "[4]", fmt.Sprintf("[%d,%d]", at, end)))
		at = end
	}
	header := object(members...)
	return file(header+strings.Repeat(" ", 7-(len(header)+7)%8), at)
}

// subByte: elements that share bytes. Only the whole tensor must fill whole bytes.
func subByte() []Case {
	return []Case{
		refuse("misaligned", "f4-1", one("F4", "[1]", "[0,1]", 1), "4 bits are no whole byte"),
		refuse("misaligned", "f4-3-in-1", one("F4", "[3]", "[0,1]", 1), "12 bits are no whole byte, rounded down"),
		refuse("misaligned", "f4-3-in-2", one("F4", "[3]", "[0,2]", 2), "12 bits are no whole byte, rounded up"),
		refuse("misaligned", "f4-scalar", one("F4", "[]", "[0,1]", 1), "one element of 4 bits"),
		refuse("misaligned", "f6-1", one("F6_E2M3", "[1]", "[0,1]", 1), "6 bits are no whole byte"),
		refuse("misaligned", "f6-2", one("F6_E3M2", "[2]", "[0,2]", 2), "12 bits are no whole byte"),
		refuse("misaligned", "f6-e2m3-6", one("F6_E2M3", "[6]", "[0,5]", 5), "36 bits are no whole byte"),
		accept("f4-empty", one("F4", "[0]", "[0,0]", 0), "nothing fills nothing"),
		accept("f4-2x1", one("F4", "[2,1]", "[0,1]", 1), "a row may end inside a byte"),
		accept("f4-3x2", one("F4", "[3,2]", "[0,3]", 3), "24 bits"),
		accept("f6-e3m2-2x2", one("F6_E3M2", "[2,2]", "[0,3]", 3), "4 elements in 3 bytes"),
		accept("f4-between", file(object(entry("a", "F4", "[2]", "[0,1]"), entry("b", "U8", "[1]", "[1,2]")), 2), "packed tight before another dtype"),
		refuse("size", "f4-2-in-2", one("F4", "[2]", "[0,2]", 2), "the shape counts elements, not bytes"),
	}
}
