package load

import (
	"errors"
	"sync/atomic"

	"github.com/tensmith/tensmith/safetensors"
)

// ErrFreed is the error of bytes that are used after their memory was given
// back.
var ErrFreed = errors.New("memory has been given back")

// A Tensor is a tensor in memory. Its methods are safe for concurrent use.
type Tensor struct {
	safetensors.Info
	Request int // index of the request
	Way     Way // the way its bytes came

	data     []byte
	arena    *Arena // nil if the bytes are not in it
	epoch    uint64 // of the arena
	run      *run   // nil if a Budget does not count the bytes
	extent   *extent
	kept     atomic.Bool
	released atomic.Bool
}

// Bytes returns the data, little-endian as it is stored. The error is an
// [ErrFreed] once the memory has been given back; a slice that was taken
// before must not be used then. See [Loader] for how long that is.
func (t *Tensor) Bytes() ([]byte, error) {
	if t.arena != nil && (t.released.Load() || t.arena.epoch.Load() != t.epoch) {
		return nil, ErrFreed
	}
	return t.data, nil
}

// Keep makes the tensor outlive its step of the loop of a Loader with a
// Budget, until Release. Without a Budget it does nothing.
func (t *Tensor) Keep() { t.kept.Store(true) }

// Release gives the memory back to a Loader that has a Budget and an Arena.
// The bytes must not be used any more. Without a Budget it does nothing:
// the memory is the Arena's, the collector's or the caller's.
func (t *Tensor) Release() {
	if t.run != nil && !t.released.Swap(true) {
		t.run.release(t.extent)
	}
}
