package digest

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"sync"
)

// A Stream is the SHA-256 of bytes that come piece by piece. The zero Stream
// has none yet.
type Stream struct {
	// Alone says that the stream is so long that all others will be done before
	// it. A pool then hashes it alone or in a pair, which takes a fraction of the
	// wide kernel's time for 16.
	Alone bool

	// state is what crypto/sha256 makes of itself for storage: a mark, the
	// eight words of the hash, what has not filled a block, and the number of
	// bytes. As long as there were none it is empty.
	state [stateLen]byte
}

const (
	stateLen = 4 + sha256.Size + sha256.BlockSize + 8
	words    = 4            // place of the hash in the state
	length   = stateLen - 8 // place of the number of bytes
)

// A stored is a hash whose state can be taken and set.
type stored interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

var hashes = sync.Pool{New: func() any { return sha256.New() }}

// borrow gives f the hash of the stream as crypto/sha256 has it.
func (s *Stream) borrow(f func(h stored)) {
	h := hashes.Get().(stored)
	defer hashes.Put(h)
	if s.state[0] == 0 {
		h.Reset()
	} else if err := h.UnmarshalBinary(s.state[:]); err != nil {
		panic(err) // it was crypto/sha256 that wrote it
	}
	f(h)
}

// write hashes p alone.
func (s *Stream) write(p []byte) {
	s.borrow(func(h stored) {
		h.Write(p)
		s.keep(h)
	})
}

func (s *Stream) keep(h stored) {
	if state, err := h.AppendBinary(s.state[:0]); err != nil || len(state) != stateLen {
		panic("digest: crypto/sha256 has a state of another form")
	}
}

// Sum returns the digest of all pieces. It must not be called while a pool has
// one of them.
func (s *Stream) Sum() (sum [sha256.Size]byte) {
	s.borrow(func(h stored) { h.Sum(sum[:0]) })
	return sum
}

// missing returns how many bytes fill the block that was begun.
func (s *Stream) missing() int {
	return int(-binary.BigEndian.Uint64(s.state[length:]) % sha256.BlockSize)
}

// load puts the hash in a column of the lanes' words. It is that of whole
// blocks.
func (s *Stream) load(lanes *[8][Lanes]uint32, lane int) {
	if s.state[0] == 0 {
		s.write(nil)
	}
	for i := range lanes {
		lanes[i][lane] = binary.BigEndian.Uint32(s.state[words+4*i:])
	}
}

// store takes the hash back after n more bytes.
func (s *Stream) store(lanes *[8][Lanes]uint32, lane int, n int) {
	for i := range lanes {
		binary.BigEndian.PutUint32(s.state[words+4*i:], lanes[i][lane])
	}
	total := binary.BigEndian.Uint64(s.state[length:])
	binary.BigEndian.PutUint64(s.state[length:], total+uint64(n))
}
