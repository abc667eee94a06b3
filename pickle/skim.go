package pickle

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// Skim reads pickles that stand back to back as [Decoder] does, but builds no
// values, and calls visit for names that are imported and codes of
// extensions. It takes some MiB at any length of the input, and a tenth of the
// time, and so can go on where a [LimitError] ends a Decoder: to find what is
// [Dangerous], it is exact, and tells of no other name but by chance. A name that cannot
// be, with the module that it is of, stands with a question mark in the place of
// what no dangerous name has. A name that was told lately is not told again. Ranges
// that raw has, in their order, are skipped, as [Decoder.RawAfterBuild] has them. If
// inner is not nil, it is called for bytes, and for what Python 2 has in their place:
// they may be pickles of their own. What it reads takes from work, as in
// [Decoder.Work].
//
// The offset it returns is behind the last STOP. If there was none, or nothing is
// left of work, it is where reading ended, and the error tells why.
func Skim(r io.ReaderAt, offset, end int64, work *int64, raw []Range, visit func(*Symbol), inner func(Range)) (next int64, err error) {
	k := skimmer{skimScanner: skimScanner{r: r, base: offset, end: max(end, offset), work: work}, raw: raw, visit: visit, inner: inner}
	most, whole := *work, int64(-1)
	for *work > 0 {
		more, err := k.step()
		switch {
		case err != nil && whole >= 0:
			return whole, nil
		case err != nil:
			return k.offset(), err
		case !more:
			whole = k.offset()
			k.restart()
		}
	}
	return k.offset(), workLimit(most)
}

// restart is for the next pickle, which finds the stack and the memo empty.
func (k *skimmer) restart() {
	k.stack, k.bottom, k.marks, k.gone = k.stack[:0], 0, k.marks[:0], false
	k.lost, k.size, k.proto = false, 0, 0
	*k.work -= workStart/8 + int64(len(k.known)+len(k.memo))
	clear(k.memo)
	k.known, k.objects = k.known[:0], k.objects[:0]
}

// What a skimmer holds of the stack: a text that can be a part of what is
// dangerous, by its number, or one of these.
const (
	skimPlain  = iota // anything that names nothing of interest
	skimOpaque        // the result of a call, or not known any more
	skimTexts         // the first of texts
)

// What a skimmer remembers. What is further down on the stack, or more in the
// memo, is not known any more.
const (
	skimStack = 1 << 21
	skimMarks = 1 << 19
	skimMemo  = 1 << 17
	skimNames = 1 << 14 // texts
	skimText  = 256     // bytes of a text, beyond which it is not read
	skimKeys  = 1 << 25
)

// A skimmer knows of each value on the stack and in the memo only whether it is
// a text that names something.
type skimmer struct {
	skimScanner
	stack   []uint16
	bottom  int64   // values below those that are held
	marks   []int64 // heights
	gone    bool    // marks below were forgotten
	memo    map[int64]uint16
	known   skimSet // all keys
	objects skimSet // keys of what is opaque
	lost    bool    // of some keys it is not known what they hold
	size    int64   // of the memo, which is the key of MEMOIZE
	proto   uint8
	texts   []string
	numbers map[string]uint16
	last    [64]toldName
	unknown Op // that told of a name last
	raw     []Range
	visit   func(*Symbol)
	inner   func(Range)
	o       skimmed
}

func (k *skimmer) push(v uint16) {
	if len(k.stack) == skimStack {
		k.bottom += skimStack / 2
		k.stack = k.stack[:copy(k.stack, k.stack[skimStack/2:])]
	}
	k.stack = append(k.stack, v)
}

// pop takes n values. Python ends where there are none.
func (k *skimmer) pop(n int) bool {
	if n <= len(k.stack) {
		k.stack = k.stack[:len(k.stack)-n]
		return true
	}
	n -= len(k.stack)
	k.stack = k.stack[:0]
	k.bottom -= int64(n)
	return k.bottom >= 0
}

// top is the value n below the uppermost.
func (k *skimmer) top(n int) uint16 {
	if n < len(k.stack) {
		return k.stack[len(k.stack)-1-n]
	}
	return skimOpaque
}

func (k *skimmer) height() int64 { return k.bottom + int64(len(k.stack)) }

func (k *skimmer) mark() {
	if len(k.marks) == skimMarks {
		k.gone = true
		k.marks = k.marks[:copy(k.marks, k.marks[skimMarks/2:])]
	}
	k.marks = append(k.marks, k.height())
}

func (k *skimmer) popMark() bool {
	if n := len(k.marks); n > 0 {
		at := min(k.marks[n-1], k.height())
		k.marks = k.marks[:n-1]
		if at < k.bottom {
			k.bottom, k.stack = at, k.stack[:0]
		} else {
			k.stack = k.stack[:at-k.bottom]
		}
		return true
	}
	if k.gone {
		k.forget()
		return true
	}
	k.bottom, k.stack = 0, k.stack[:0]
	return false
}

// forget is for a mark that is not held any more: how many values are below it is
// not known, nor what they are.
func (k *skimmer) forget() { k.bottom, k.stack = 1<<62, k.stack[:0] }

// A skimSet has keys of the memo.
type skimSet []uint64

func (s skimSet) has(key int64) bool {
	return key>>6 < int64(len(s)) && s[key>>6]&(1<<(key&63)) != 0
}

// set adds a key below skimKeys.
func (s *skimSet) set(key int64) {
	if n := int(key>>6) + 1; n > len(*s) {
		*s = append(*s, make(skimSet, max(n-len(*s), min(len(*s), (skimKeys>>6)-len(*s))))...)
	}
	(*s)[key>>6] |= 1 << (key & 63)
}

// put sets an entry of the memo.
func (k *skimmer) put(key int64, v uint16) {
	if key < 0 || key >= skimKeys {
		k.lost = true
		return
	}
	if !k.known.has(key) {
		k.known.set(key)
		k.size++
	}
	switch {
	case v == skimOpaque:
		k.objects.set(key)
		return
	case k.objects.has(key):
		k.objects[key>>6] &^= 1 << (key & 63)
	}
	if v == skimPlain {
		if len(k.memo) > 0 {
			*k.work -= workLookup
			delete(k.memo, key)
		}
		return
	}
	*k.work -= workLookup
	if _, there := k.memo[key]; !there && len(k.memo) == skimMemo {
		k.lost = true
		return
	}
	if k.memo == nil {
		k.memo = make(map[int64]uint16)
	}
	k.memo[key] = v
}

func (k *skimmer) get(key int64) uint16 {
	if key < 0 || k.lost || k.objects.has(key) {
		return skimOpaque
	}
	if len(k.memo) == 0 {
		return skimPlain
	}
	*k.work -= workLookup
	return k.memo[key]
}

// text returns the number of a text.
func (k *skimmer) text(b []byte) uint16 {
	switch {
	case k.o.long || len(b) > skimText:
		return skimOpaque
	case !k.relevant(b):
		return skimPlain
	}
	*k.work -= workLookup
	n, ok := k.numbers[string(b)]
	if !ok {
		if len(k.texts) == skimNames {
			return skimOpaque
		}
		if k.numbers == nil {
			k.numbers = make(map[string]uint16)
		}
		n = uint16(skimTexts + len(k.texts))
		k.texts = append(k.texts, string(b))
		k.numbers[k.texts[len(k.texts)-1]] = n
	}
	return n
}

// relevant tells whether it can decide about a name that a text is a part of it:
// if it has a word that a table has, or reaches into the interpreter, or through
// more names than any that is in use.
func (k *skimmer) relevant(b []byte) bool {
	words := tableWords()
	*k.work -= int64(len(b)) / perWork
	for n := 0; ; n++ {
		*k.work -= workWord
		i := bytes.IndexByte(b, '.')
		word := b
		if i >= 0 {
			word = b[:i]
		}
		if words.has(word) || len(word) > 1 && word[0] == '_' && word[1] == '_' || n == maxParts {
			return true
		}
		if i < 0 {
			return false
		}
		b = b[i+1:]
	}
}

// A wordSet is words, and for each a bit by its length and its ends, which tells
// of most others that they are none.
type wordSet struct {
	words map[string]struct{}
	bits  [1 << 8]uint64
}

func wordBit(first, last byte, n int) uint32 {
	return (uint32(first)*37 + uint32(last)*1031 + uint32(n)*5407) % (1 << 14)
}

func (s *wordSet) add(path string) {
	for word := range strings.SplitSeq(path, ".") {
		if word != "" {
			s.words[word] = struct{}{}
			bit := wordBit(word[0], word[len(word)-1], len(word))
			s.bits[bit/64] |= 1 << (bit % 64)
		}
	}
}

func (s *wordSet) has(word []byte) bool {
	if len(word) == 0 {
		return false
	}
	bit := wordBit(word[0], word[len(word)-1], len(word))
	if s.bits[bit/64]&(1<<(bit%64)) == 0 {
		return false
	}
	_, ok := s.words[string(word)]
	return ok
}

// tableWords are the words between the dots of all names that are judged, and of
// what they were called in Python 2.
var tableWords = sync.OnceValue(func() *wordSet {
	set := &wordSet{words: make(map[string]struct{})}
	add := set.add
	for path := range dangerous().why {
		add(path)
	}
	for name := range coreModules() {
		add(name)
	}
	for path := range allowedNames() {
		add(path)
	}
	for path := range dataNames {
		add(path)
	}
	for old, now := range renamedModules {
		add(old)
		add(now)
	}
	for old, now := range renamedNames {
		add(old.module + "." + old.name)
		add(now.module + "." + now.name)
	}
	return set
})

// A toldName is a name that was told, and whether as protocols 0 to 2 have it.
type toldName struct {
	module, name string
	renamed      bool
}

// name tells of a name that is imported.
func (k *skimmer) name(module, name []byte) {
	if len(module) == 0 || len(name) == 0 {
		return // which Python does not look up
	}
	at := &k.last[nameSlot(module, name, len(k.last))]
	if at.module == string(module) && at.name == string(name) && at.renamed == (k.proto < 3) {
		return
	}
	if !k.relevant(module) && !k.relevant(name) {
		return
	}
	*k.work -= workName + 20*int64(len(module)+len(name))
	s := &Symbol{WrittenModule: string(module), WrittenName: string(name), Offset: k.o.off, Op: k.o.op, Protocol: k.proto}
	*at = toldName{s.WrittenModule, s.WrittenName, k.proto < 3}
	s.Module, s.Name = s.WrittenModule, s.WrittenName
	if k.proto < 3 {
		s.Module, s.Name = renamed(s.Module, s.Name)
	}
	k.visit(s)
}

// computed tells of a name that nobody knows without calling.
func (k *skimmer) computed() {
	if k.unknown == k.o.op {
		return
	}
	k.unknown = k.o.op
	k.visit(&Symbol{Offset: k.o.off, Op: k.o.op, Protocol: k.proto, Computed: true})
}

// stackGlobal joins the two uppermost values to a name.
func (k *skimmer) stackGlobal() {
	module, name := k.top(1), k.top(0)
	if module == skimOpaque || name == skimOpaque {
		k.computed()
		return
	}
	k.join(module, name)
}

// join tells of the name that two texts are.
func (k *skimmer) join(module, name uint16) {
	if module < skimTexts && name < skimTexts {
		return
	}
	text := func(v uint16) []byte {
		if v < skimTexts {
			return []byte("?")
		}
		return []byte(k.texts[v-skimTexts])
	}
	k.name(text(module), text(name))
}

// bytes tells of the operand that was read last.
func (k *skimmer) bytes() {
	if k.inner != nil {
		k.inner(Range{k.o.op, k.offset() - k.o.n, k.o.n})
	}
}

// step executes an opcode. There is no more behind STOP.
func (k *skimmer) step() (more bool, err error) {
	for len(k.raw) > 0 && k.offset() >= k.raw[0].Offset {
		if k.offset() == k.raw[0].Offset {
			k.skip(k.raw[0].Size)
		}
		k.raw = k.raw[1:]
	}
	o := &k.o
	if err := k.next(o); err != nil {
		return false, err
	}
	info := &opcodes[o.op]
	switch o.op {
	case opStop:
		return false, nil
	case opMark:
		k.mark()
		return true, nil
	case opPop:
		if n := len(k.marks); n > 0 && k.marks[n-1] == k.height() {
			k.marks = k.marks[:n-1]
			return true, nil
		} else if n == 0 && k.gone { // it takes a value or a mark
			k.forget()
			return true, nil
		}
	case opDup:
		k.push(k.top(0))
		return true, nil
	case opProto:
		k.proto = uint8(o.n)
		return true, nil
	case opFrame, opReadonlyBuffer:
		return true, nil
	case opPut, opBinput, opLongBinput:
		k.put(o.n, k.top(0))
		return true, nil
	case opMemoize:
		k.put(k.size, k.top(0))
		return true, nil
	case opGet, opBinget, opLongBinget:
		k.push(k.get(o.n))
		return true, nil
	case opBinbytes, opShortBinbytes, opBinbytes8, opBytearray8:
		k.bytes()
	case opString, opUnicode, opBinstring, opShortBinstring, opBinunicode, opShortBinunicode, opBinunicode8:
		if o.op == opBinstring || o.op == opShortBinstring {
			k.bytes()
		}
		k.push(k.text(k.decoded()))
		return true, nil
	case opGlobal, opInst:
		k.name(o.first, o.data)
	case opStackGlobal:
		k.stackGlobal()
	case opExt1, opExt2, opExt4:
		k.computed()
	case opAppend, opAppends, opSetitem, opSetitems, opAdditems, opBuild:
		if info.mark && !k.popMark() {
			return false, malformed("no mark")
		}
		n := int(info.pops) - 1
		if info.mark {
			n = 0
		}
		if !k.pop(n) {
			return false, malformed("stack is empty")
		}
		return true, nil // the object stays
	}
	if info.mark && !k.popMark() {
		return false, malformed("no mark")
	}
	if info.pops > 0 && !k.pop(int(info.pops)) {
		return false, malformed("stack is empty")
	}
	if info.push > 0 {
		v := uint16(skimPlain)
		switch o.op {
		case opReduce, opNewobj, opNewobjEx, opObj, opInst, opGlobal, opStackGlobal, opExt1, opExt2, opExt4, opPersid, opBinpersid:
			v = skimOpaque
		}
		k.push(v)
	}
	return true, nil
}

// decoded is the text of a string, without the escapes of protocol 0. What is
// too long to be a name is left out.
func (k *skimmer) decoded() []byte {
	var out []byte
	var err error
	switch k.o.op {
	case opString:
		*k.work -= 60 + 2*int64(len(k.o.data))
		out, _, err = decodeString(k.o.data)
	case opUnicode:
		*k.work -= 60 + 2*int64(len(k.o.data))
		out, _, err = decodeRawUnicode(k.o.data)
	default:
		return k.o.data
	}
	if err != nil {
		return nil // what ends a Decoder
	}
	return out
}
