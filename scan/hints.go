package scan

import (
	"strings"
	"sync"
)

// Of the strings of a pickle nearly all hold neither secrets nor programs, and there
// may be a gigabyte of them. So what such texts have in them is looked for in one
// pass, whatever a string holds, and not by as many searches as there are hints.

// hinted are the hints that a string has, as bits.
type hinted uint8

const (
	hintSecret  hinted = 1 << iota // one of issued
	hintImport                     // of Python source
	hintCommand                    // one of commandHints
	hintsAll    = 1<<iota - 1
)

// A hint is looked for by two bytes of it that are rare in texts.
type hint struct {
	text string
	at   int  // of those in text
	fold bool // capital letters are no others
	bit  hinted
}

type hintTable struct {
	pairs [1 << 10]uint64 // a bit for each two bytes
	hints map[uint16][]hint
}

var hintsOf = sync.OnceValue(func() *hintTable {
	t := &hintTable{hints: map[uint16][]hint{}}
	for _, text := range issued {
		t.add(hint{text: text, bit: hintSecret})
	}
	for _, text := range commandHints {
		t.add(hint{text: text, bit: hintCommand, fold: true})
	}
	t.add(hint{text: "import ", bit: hintImport})
	return t
})

// add enters a hint, in lower case if it is folded.
func (t *hintTable) add(h hint) {
	best := -1
	for i := range len(h.text) - 1 {
		if r := rarity(h.text[i]) + rarity(h.text[i+1]); r > best {
			best, h.at = r, i
		}
	}
	a, b := h.text[h.at], h.text[h.at+1]
	for _, a := range cases(a, h.fold) {
		for _, b := range cases(b, h.fold) {
			pair := uint16(a) | uint16(b)<<8
			t.pairs[pair/64] |= 1 << (pair % 64)
			t.hints[pair] = append(t.hints[pair], h)
		}
	}
}

func cases(c byte, fold bool) []byte {
	if fold && c >= 'a' && c <= 'z' {
		return []byte{c, c - 'a' + 'A'}
	}
	return []byte{c}
}

// rarity is more for bytes that texts have less of.
func rarity(c byte) int {
	if i := strings.IndexByte(" etaoinsrhldcumfpgwybvk", c); i >= 0 {
		return i
	}
	return 32
}

// find returns which hints stand in text, and how many places looked like one.
func find[T ~string | ~[]byte](t *hintTable, text T) (found hinted, places int) {
	for i := 0; i+1 < len(text); i++ {
		pair := uint16(text[i]) | uint16(text[i+1])<<8
		if t.pairs[pair/64]&(1<<(pair%64)) == 0 {
			continue
		}
		places++
		for _, h := range t.hints[pair] {
			if begin := i - h.at; found&h.bit == 0 && begin >= 0 && len(text)-begin >= len(h.text) && h.stands(string(text[begin:begin+len(h.text)])) {
				found |= h.bit
			}
		}
		if found == hintsAll {
			break
		}
	}
	return found, places
}

// stands tells whether text, which is as long, is the hint.
func (h *hint) stands(text string) bool {
	for i := range len(text) {
		c := text[i]
		if h.fold && c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != h.text[i] {
			return false
		}
	}
	return true
}
