package load

import (
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/tensmith/tensmith/safetensors"
)

// A Request is a tensor to be loaded.
type Request struct {
	safetensors.Info

	// Data is what to read: a [safetensors.Tensor], a [safetensors.Slice], or
	// anything else that can be read at offsets, such as a cast, by several
	// workers at once. Data that has a method Size() int64 is checked before
	// anything is read.
	Data io.ReaderAt

	// Into is where to put it, of the tensor's size. Nil leaves that to the
	// Loader.
	Into []byte
}

// Tensors returns requests of whole tensors, as the All methods of a
// [safetensors.File] and of a [safetensors.Checkpoint] give them.
func Tensors(all iter.Seq[*safetensors.Tensor]) (requests []Request) {
	for t := range all {
		requests = append(requests, Request{Info: t.Info, Data: t})
	}
	return requests
}

// size returns the number of bytes that are asked for.
func (r *Request) size() (int64, error) {
	size, err := r.DataSize()
	if err != nil {
		return 0, fmt.Errorf("tensor %.200q: %w", r.Name, err)
	}
	fail := func(format string, args ...any) (int64, error) {
		return 0, fmt.Errorf("tensor %.200q: %w: %s %d takes %d bytes, %s",
			r.Name, safetensors.ErrSize, r.DType, r.Shape, size, fmt.Sprintf(format, args...))
	}
	if size > math.MaxInt-2*page {
		return fail("more than fit an address space")
	}
	if r.Data == nil && size > 0 {
		return fail("and there is no Data")
	}
	if s, ok := r.Data.(interface{ Size() int64 }); ok && s.Size() != size {
		return fail("Data has %d", s.Size())
	}
	if r.Into != nil && int64(len(r.Into)) != size {
		return fail("Into has room for %d", len(r.Into))
	}
	return size, nil
}

// place returns the file that holds the bytes, if one does, where they begin,
// and whether they are in one piece. If not, Data must be asked.
func (r *Request) place() (f *safetensors.File, off int64, whole bool) {
	switch d := r.Data.(type) {
	case *safetensors.Tensor:
		return d.File(), d.Offset(), true
	case *safetensors.Slice:
		off, whole = d.Contiguous()
		return d.File(), off, whole
	}
	return nil, 0, false
}
