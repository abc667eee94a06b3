package safetensors

import (
	"encoding/binary"
	"math/bits"
)

// An offsetText is the decimal digits of an integer below 2^63: up to eight that
// come first, and groups of eight behind them. A digit is a byte, the first in
// the lowest. In registers they are stored faster than copied from memory that
// has just been written.
type offsetText struct {
	first  uint64
	digits int // of first
	groups [2]uint64
	n      int // of groups
}

func offsetTextOf(n int64) (d offsetText) {
	const eight = 100_000_000
	u := uint64(n)
	switch {
	case u >= eight*eight:
		d.groups[0], d.groups[1], d.n = eightDigits(u/eight%eight), eightDigits(u%eight), 2
		u /= eight * eight
	case u >= eight:
		d.groups[0], d.n = eightDigits(u%eight), 1
		u /= eight
	}
	d.first = eightDigits(u)
	zeros := min(bits.TrailingZeros64(d.first&0x0f0f0f0f0f0f0f0f)/8, 7)
	d.first >>= 8 * zeros
	d.digits = 8 - zeros
	return d
}

// put stores the digits and returns how many there are. It may overwrite what
// is behind them: b has 24 bytes.
func (d *offsetText) put(b []byte) int {
	b = b[:24]
	binary.LittleEndian.PutUint64(b, d.first)
	at := d.digits
	for _, group := range d.groups[:d.n] {
		binary.LittleEndian.PutUint64(b[at:], group)
		at += 8
	}
	return at
}

// eightDigits returns the digits of n, which is below 10^8, with zeros before
// it. The quotients are made in all digits at once, by multiplication with the
// inverse: see P. Khuong, "How to print integers really fast", 2017.
func eightDigits(n uint64) uint64 {
	n = n/10_000 | n%10_000<<32
	hundreds := n * 10_486 >> 20 & 0x7f_0000007f
	n = hundreds | (n-hundreds*100)<<16
	tens := n * 103 >> 10 & 0x000f_000f_000f_000f
	n = tens | (n-tens*10)<<8
	return n | ones*'0'
}
