package scan

import "bytes"

// An hdf5Cursor reads fields one after the other. What is not there reads as 0,
// and bad tells.
type hdf5Cursor struct {
	h   *hdf5File
	p   []byte
	at  int64 // of p in the blob
	bad bool
}

func (c *hdf5Cursor) take(n uint64) []byte {
	if n > uint64(len(c.p)) {
		c.bad, c.p = true, nil
		return nil
	}
	p := c.p[:n]
	c.p = c.p[n:]
	c.at += int64(n)
	return p
}

// number reads an unsigned integer of n bytes, at most 8.
func (c *hdf5Cursor) number(n int) (v uint64) {
	p := c.take(uint64(n))
	for i := len(p) - 1; i >= 0; i-- {
		v = v<<8 | uint64(p[i])
	}
	return v
}

func (c *hdf5Cursor) address() uint64 {
	v := c.number(c.h.offset)
	if c.h.undefined(v) {
		return 1<<64 - 1
	}
	return v
}

func (c *hdf5Cursor) size() uint64 { return c.number(c.h.length) }

func (c *hdf5Cursor) is(mark string) bool { return string(c.take(uint64(len(mark)))) == mark }

// text reads up to a NUL.
func (c *hdf5Cursor) text() string {
	i := bytes.IndexByte(c.p, 0)
	if i < 0 {
		c.bad = true
		return ""
	}
	s := string(c.p[:i])
	c.take(uint64(i) + 1)
	return s
}
