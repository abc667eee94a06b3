package safetensors

import "math/bits"

// canonical reads entries from offset i on for as long as they are spelled as
// the reference implementation writes them, and returns the offset of the key
// of the first that is not, or of the last in any case: entry takes those. It
// is several times faster, accepts nothing that entry does not, and leaves
// every error to it.
func (p *parser) canonical(i int) int {
	const (
		behindName    = `"` + behindName
		behindOffsets = behindOffsets + `"`
	)
	text := p.text
	for i < len(text) && text[i] == '"' {
		j := plain(text, i+1)
		name := text[i+1 : j]
		if !follows(text, j, behindName) || string(name) == reservedName {
			return i
		}
		e := entry{name: uint32(i + 1), nameLen: uint32(len(name))}
		j += len(behindName)

		k := j
		for k < len(text) && text[k] != '"' && k-j < len("F8_E4M3FNUZ") {
			k++
		}
		if e.dtype = lookupDType(string(text[j:k])); e.dtype == 0 || !follows(text, k, behindDType) {
			return i
		}
		k += len(behindDType)

		e.shape = uint32(k)
		elements, wraps := uint64(1), false
		if k < len(text) && text[k] != ']' {
			for {
				var n uint64
				if n, k = number(text, k); k < 0 {
					return i
				}
				var hi uint64
				hi, elements = bits.Mul64(elements, n)
				wraps = wraps || hi != 0
				if k >= len(text) || text[k] != ',' {
					break
				}
				k++
			}
		}
		if !follows(text, k, behindShape) {
			return i
		}
		k += len(behindShape)

		e.offsets = uint32(k - 1)
		if e.begin, k = number(text, k); k < 0 || k >= len(text) || text[k] != ',' {
			return i
		}
		if e.end, k = number(text, k+1); k < 0 || !follows(text, k, behindOffsets) {
			return i
		}
		e.flags = checkSize(e.dtype, elements, wraps, e.end-e.begin)
		e.hash = p.h.hash(name)
		p.add(e)
		i = k + len(behindOffsets) - 1
	}
	return i
}

func follows(text []byte, i int, want string) bool {
	return len(text)-i >= len(want) && string(text[i:i+len(want)]) == want
}

// number reads an integer of at most 19 digits, which fits in 64 bits, and
// returns the offset behind it, or -1 if there is none in its shortest form.
func number(text []byte, i int) (uint64, int) {
	var n uint64
	j := i
	for ; j < len(text); j++ {
		c := text[j] - '0'
		if c > 9 {
			break
		}
		n = n*10 + uint64(c)
	}
	if j == i || j-i > 19 || j-i > 1 && text[i] == '0' {
		return 0, -1
	}
	return n, j
}
