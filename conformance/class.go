package conformance

import "slices"

// Class is the cause of a refusal, one of [Classes].
type Class string

// Classes gives the closed list of classes, in the order in which a reader meets
// the causes.
func Classes() []Class {
	list := make([]Class, len(meanings))
	for i, m := range meanings {
		list[i] = m.class
	}
	return list
}

// Meaning says in one line what the class stands for; empty for no class of ours.
func (c Class) Meaning() string {
	i := slices.IndexFunc(meanings, func(m meaning) bool { return m.class == c })
	if i < 0 {
		return ""
	}
	return meanings[i].text
}

type meaning struct {
	class Class
	text  string
}

var meanings = []meaning{
	{"header-too-small", "the file has fewer than 8 bytes"},
	{"header-too-large", "the header's length is over 100,000,000"},
	{"header-length", "the header reaches beyond the end of the file"},
	{"utf8", "the header is not UTF-8"},
	{"json", "the header is not one JSON text, nests deeper than 127 levels, or holds a number beyond a 64-bit float where fields are ignored"},
	{"type", "a JSON value is not of the kind that is demanded, or an integer is not written as one from 0 to 2^64-1"},
	{"missing", "a tensor lacks dtype, shape or data_offsets"},
	{"duplicate", "a tensor's name, a metadata key, a field or __metadata__ stands twice"},
	{"form", "a tensor is written as an array, or a dtype as an object"},
	{"dtype", "the dtype is none of the 22"},
	{"offset", "a tensor does not begin where the one before it ends, or ends before it begins"},
	{"overflow", "the elements or bits of a tensor overflow 64 bits"},
	{"misaligned", "the elements of a tensor do not fill whole bytes"},
	{"size", "data_offsets disagree with dtype and shape"},
	{"file-size", "the data is shorter or longer than the tensors"},
}
