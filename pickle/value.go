package pickle

import (
	"strings"
	"unicode/utf8"
)

// Value is what a pickle holds:
//
//	None              nil
//	bool              bool
//	int               int64, or *big.Int if it does not fit
//	float             float64
//	str               string: UTF-8, where a lone surrogate stands in its three bytes
//	str of Python 2   [ByteString]
//	bytes             []byte
//	bytearray         [*ByteArray]
//	list              [*List]
//	tuple             [*Tuple]
//	dict              [*Dict]
//	set, frozenset    [*Set]
//	long text, bytes  [Range]
//	an imported name  [*Symbol]
//	a call's result   [*Object]
//	a persistent id   [*Persistent]
//	an extension code [*Extension]
//
// Pointers are shared where the pickle shares, and may form cycles.
type Value any

// ByteString is a str of Python 2 (STRING, BINSTRING, SHORT_BINSTRING): bytes
// whose encoding the file does not tell.
type ByteString string

// ByteArray is Python's bytearray.
type ByteArray struct{ Data []byte }

// Range is a string or bytes longer than [Limits.String], left in the file.
// Op tells its type. The bytes of the lines STRING and UNICODE still have
// their escapes, and the UTF-8 of BINUNICODE was not checked.
type Range struct {
	Op     Op
	Offset int64 // of the first byte, in the input
	Size   int64
}

// List is Python's list.
type List struct{ Items []Value }

// Tuple is Python's tuple.
type Tuple struct{ Items []Value }

// Set is a set or a frozenset. Items stand as in the file, equal ones too.
type Set struct {
	Items  []Value
	Frozen bool
}

// Dict is Python's dict. Pairs stand as in the file; of two with one key
// Python keeps the place of the first and the value of the last.
type Dict struct{ Pairs []Pair }

// Pair is an entry of a dict, or an item set on an [*Object].
type Pair struct{ Key, Value Value }

// Get returns the value of the last pair whose key is the text key, as
// [Text] reads it. It takes time linear in the number of pairs.
func (d *Dict) Get(key string) (Value, bool) { return lookup(d.Pairs, key) }

func lookup(pairs []Pair, key string) (Value, bool) {
	for i := len(pairs) - 1; i >= 0; i-- {
		if s, ok := Text(pairs[i].Key); ok && s == key {
			return pairs[i].Value, true
		}
	}
	return nil, false
}

// Text returns the text of a str, or of a Python 2 str, which is taken for
// UTF-8 if it is valid UTF-8 and for Latin-1 if not.
func Text(v Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case ByteString:
		if utf8.ValidString(string(v)) {
			return string(v), true
		}
		return latin1(string(v)), true
	}
	return "", false
}

func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// typeName names the type of v as Python does, for errors.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case float64:
		return "float"
	case string, ByteString:
		return "str"
	case []byte:
		return "bytes"
	case *ByteArray:
		return "bytearray"
	case Range:
		return "long " + v.Op.String()
	case *List:
		return "list"
	case *Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *Set:
		if v.Frozen {
			return "frozenset"
		}
		return "set"
	case *Symbol:
		return "imported name"
	case *Object, *Persistent, *Extension:
		return "object"
	}
	return "int"
}

// opaque tells whether v stands for an object of a type that only Python
// would know. It may be callable, a tuple, a container: nobody can tell.
func opaque(v Value) bool {
	switch v.(type) {
	case *Symbol, *Object, *Persistent, *Extension:
		return true
	}
	return false
}

// hashable tells whether v may be a key. Python looks into tuples; this does
// not, for a tuple can be deep.
func hashable(v Value) bool {
	switch v := v.(type) {
	case *List, *Dict, *ByteArray:
		return false
	case *Set:
		return v.Frozen
	}
	return true
}
