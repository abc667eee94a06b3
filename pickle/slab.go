package pickle

// slab hands out values of one type from arrays, for a checkpoint is made of
// millions of small nodes. It accounts for the arrays as it makes them.
type slab[T any] struct {
	free []T
	made int // size of the last array
}

// slabMax leaves room for the header the runtime puts before a large array
// that holds pointers: with it, 255 values of 16, 24, 32 or 56 bytes fill a
// size class, and 256 would take the next.
const slabMax = 255

// take returns n zero values of size bytes each, with room for no more.
func (s *slab[T]) take(n int, size int64, mem *budget) ([]T, error) {
	if n > len(s.free) {
		count := min(max(2*s.made, 4), slabMax)
		if n > slabMax/4 { // would waste what is left
			if err := mem.take(rounded(n * int(size))); err != nil {
				return nil, err
			}
			return make([]T, n), nil
		}
		count = max(count, n)
		cost := rounded(count * int(size))
		if count == slabMax {
			cost = (slabMax + 1) * size
		}
		if err := mem.take(cost); err != nil {
			return nil, err
		}
		s.free, s.made = make([]T, count), count
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out, nil
}

// one returns one zero value.
func (s *slab[T]) one(size int64, mem *budget) (*T, error) {
	out, err := s.take(1, size, mem)
	if err != nil {
		return nil, err
	}
	return &out[0], nil
}
