package numeric

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/tensmith/tensmith/safetensors"
)

// A counter is a worker's part of [Stats].
type counter struct {
	dtype   safetensors.DType
	normal  float64 // smallest normal value
	stats   Stats
	codes   *tally      // of a type of at most eight bits; its numbers are in codes or in stats
	tables  *codeTables // a kernel's
	long    bool        // of tables
	narrow  []float32
	wide    []float64
	counts  *words
	counted uint64 // the sum of counts
	small   int    // bytes that addSmall has counted, tableBytes at most

	quantiles bool
}

func newCounter(d safetensors.DType, quantiles bool) *counter {
	c := &counter{dtype: d, quantiles: quantiles}
	if l, ok := LimitsOf(d); ok {
		c.normal = l.MinNormal
	}
	switch {
	case d.Bits() <= 8:
		c.codes = newTally(d)
	case quantiles:
		c.stats.tally = newTally(d)
	}
	return c
}

// isNarrow tells whether blocks of the type are summarised as float32.
func isNarrow(d safetensors.DType) bool {
	switch d {
	case safetensors.F32, safetensors.C64, safetensors.BF16, safetensors.F16:
		return true
	}
	return false
}

// add takes in whole blocks; less only at the end of the data.
func (c *counter) add(src []byte) error {
	if c.dtype.Bits() <= 8 {
		for len(src) > 0 {
			done := c.addCodes(src)
			if done == 0 {
				done = min(len(src), smallBytes)
				c.addSmall(src[:done])
			}
			src = src[done:]
		}
		return nil
	}
	for part := range slices.Chunk(src, int(bytesOf(c.dtype, blockNumbers))) {
		if err := c.addBlock(part); err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) addBlock(src []byte) error {
	if isNarrow(c.dtype) {
		b, ok, err := c.narrowBlock(src)
		if err != nil {
			return err
		}
		if ok {
			if err := c.sum(&b, src); err != nil {
				return err
			}
			return c.tallyBlock(src, b.subnormals > 0)
		}
	}
	b, err := c.wideBlock(src)
	if err != nil {
		return err
	}
	if err := c.sum(&b, src); err != nil {
		return err
	}
	return c.tallyBlock(src, true)
}

// sum takes in what has been found in src.
func (c *counter) sum(b *block, src []byte) error {
	if !b.isCareless() {
		c.stats.add(b)
		return nil
	}
	if b.least < b.greatest { // else they are known
		if err := c.widen(src); err != nil {
			return err
		}
	}
	c.stats.addCareful(b, c.wide)
	return nil
}

// wideBlock summarises any src as float64.
func (c *counter) wideBlock(src []byte) (b block, err error) {
	l := newWideLanes(c.normal)
	done := l.kernelBytes(c.dtype, src)
	if err := c.widen(src[bytesOf(c.dtype, int64(done)):]); err != nil {
		return block{}, err
	}
	l.add(c.wide)
	b, ok := l.block(c.numbers(src))
	if ok {
		return b, nil
	}
	if err := c.widen(src); err != nil {
		return block{}, err
	}
	b = block{}
	b.addWide(c.wide, c.normal)
	return b, nil
}

// narrowBlock summarises src as float32, or returns false if not all is finite.
func (c *counter) narrowBlock(src []byte) (b block, ok bool, err error) {
	l := newLanes(math.Float32bits(float32(c.normal)))
	done := l.kernelBytes(c.dtype, src)
	numbers := c.numbers(src)
	if err := c.decodeNarrow(src[bytesOf(c.dtype, int64(done)):], numbers-done); err != nil {
		return block{}, false, err
	}
	l.add(c.narrow)
	b, ok = l.block(numbers)
	return b, ok, nil
}

// numbers returns how many there are in src.
func (c *counter) numbers(src []byte) int {
	g := groupOf(c.dtype)
	return int(int64(len(src)) / g.bytes * g.numbers)
}

func (c *counter) decodeNarrow(src []byte, numbers int) error {
	c.narrow = slices.Grow(c.narrow[:0], numbers)[:numbers]
	return Decode(c.narrow, c.dtype, src)
}

// widen decodes src.
func (c *counter) widen(src []byte) error {
	numbers := c.numbers(src)
	c.wide = slices.Grow(c.wide[:0], numbers)[:numbers]
	return Decode(c.wide, c.dtype, src)
}

// finish returns the stats, complete.
func (c *counter) finish() *Stats {
	c.flush()
	if c.stats.tally != nil {
		slices.Sort(c.stats.tally.few)
	}
	if c.codes != nil {
		// Everything follows from how often each code is there.
		all := new(Stats)
		for code, n := range c.codes.codes {
			all.addCode(n, c.codes.value(uint16(code)), c.normal)
		}
		c.stats.Merge(all)
		if c.quantiles {
			c.stats.tally = c.codes
		}
	}
	return &c.stats
}

// A words counts words of 16 bits, in two tables by turns: the processor waits
// for a count that it has just stored, and weights that are near are alike.
type words [2][1 << 16]uint32

// count counts the words of src, whose length is even.
func (counts *words) count(src []byte) {
	for ; len(src) >= 8; src = src[8:] {
		w := binary.LittleEndian.Uint64(src)
		counts[0][uint16(w)]++
		counts[1][uint16(w>>16)]++
		counts[0][uint16(w>>32)]++
		counts[1][uint16(w>>48)]++
	}
	for ; len(src) >= 2; src = src[2:] {
		counts[0][binary.LittleEndian.Uint16(src)]++
	}
}

// countUpper counts the upper halves of the 32-bit words of src.
func (counts *words) countUpper(src []byte) {
	for ; len(src) >= 8; src = src[8:] {
		w := binary.LittleEndian.Uint64(src)
		counts[0][uint16(w>>16)]++
		counts[1][uint16(w>>48)]++
	}
	for ; len(src) >= 4; src = src[4:] {
		counts[0][binary.LittleEndian.Uint16(src[2:])]++
	}
}

// table returns counts with room for more increments.
func (c *counter) table(more int) *words {
	if c.counts == nil {
		c.counts = new(words)
	}
	if c.counted+uint64(more) > math.MaxUint32 {
		c.flush()
	}
	c.counted += uint64(more)
	return c.counts
}

// tallyBlock counts the numbers of src by value, if that is wanted.
func (c *counter) tallyBlock(src []byte, subnormals bool) error {
	switch {
	case c.stats.tally == nil:
	case c.tallyFew(src, subnormals):
	case c.dtype.Bits() == 16:
		c.table(len(src) / 2).count(src)
	case !subnormals:
		// A sketch sees no more of a normal F32 than a BF16 does.
		c.table(len(src) / 4).countUpper(src)
		c.stats.tally.middle = true
	default:
		if err := c.widen(src); err != nil {
			return err
		}
		c.stats.tally.sketchAll(c.wide)
	}
	return nil
}

// tallyFew takes the numbers of src into the list of a tally, if they are few.
func (c *counter) tallyFew(src []byte, subnormals bool) bool {
	t := c.stats.tally
	step, upper := 2, 0
	if c.dtype.Bits() != 16 {
		if !isNarrow(c.dtype) || subnormals {
			return false
		}
		step, upper = 4, 2
	}
	n := len(src) / step
	if t.hasTables() || c.counts != nil || len(t.few)+n > fewNumbers {
		return false
	}
	t.few = slices.Grow(t.few, n)
	for ; len(src) >= step; src = src[step:] {
		t.few = append(t.few, binary.LittleEndian.Uint16(src[upper:]))
	}
	t.middle = t.middle || upper > 0
	return true
}

// addSmall counts the codes of a type of at most eight bits.
func (c *counter) addSmall(src []byte) {
	codes := c.codes.codes
	switch c.dtype {
	case safetensors.F6E2M3, safetensors.F6E3M2:
		for ; len(src) >= 3; src = src[3:] {
			w := uint32(src[0]) | uint32(src[1])<<8 | uint32(src[2])<<16
			codes[w&63]++
			codes[w>>6&63]++
			codes[w>>12&63]++
			codes[w>>18]++
		}
		return
	}
	even := 0
	if c.small += len(src); c.small >= tableBytes {
		even = len(src) &^ 1
		c.table(even / 2).count(src[:even])
		c.small = tableBytes
	}
	for _, b := range src[even:] {
		c.spread(uint16(b), 1, 1)
	}
}

// smallBytes is what is counted at a time where a kernel has failed. It is a
// multiple of every group.
const smallBytes = 96 << 10

// tableBytes is from where a table of all words costs less than it saves.
const tableBytes = 256 << 10

// flush moves the counts of words to the tally.
func (c *counter) flush() {
	if c.counts == nil {
		return
	}
	if c.stats.tally != nil {
		c.stats.tally.tables()
	}
	for word := range c.counts[0] {
		n := uint64(c.counts[0][word]) + uint64(c.counts[1][word])
		if n == 0 {
			continue
		}
		switch bits := c.dtype.Bits(); {
		case bits <= 8:
			c.spread(uint16(word), n, 2)
		case bits == 16:
			c.stats.tally.codes[word] += n
		default:
			c.stats.tally.sketch(float64(math.Float32frombits(uint32(word)<<16)), n)
		}
	}
	*c.counts = words{}
	c.counted = 0
}

// spread counts the codes in the low bytes of a word.
func (c *counter) spread(word uint16, n uint64, bytes int) {
	codes := c.codes.codes
	for range bytes {
		if c.dtype == safetensors.F4 {
			codes[word&15] += n
			codes[word>>4&15] += n
		} else {
			codes[word&0xFF] += n
		}
		word >>= 8
	}
}
