package digest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func random(n int, seed byte) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// TestPool hashes streams of all sizes around a block and of several turns, in
// pieces that begin and end anywhere, and holds them to crypto/sha256.
func TestPool(t *testing.T) {
	data := random(1<<20, 1)
	var sizes []int
	for n := range 260 {
		sizes = append(sizes, n)
	}
	for _, n := range []int{small - 1, small, small + 1, turn, turn + 1, 3*turn - 1, 5 * turn, 300_001} {
		for range Lanes + 3 {
			sizes = append(sizes, n)
		}
	}
	for _, at := range []int{1, Lanes, 3 * Lanes} { // streams at a time
		for _, most := range []int{100, small + 77, 2*turn + 13, 1 << 20} { // bytes of a piece
			var p Pool
			var next struct {
				sync.Mutex
				n int
			}
			var wg sync.WaitGroup
			for w := range at {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), uint64(most)))
					for {
						next.Lock()
						n := next.n
						next.n++
						next.Unlock()
						if n >= len(sizes) {
							return
						}
						off := r.IntN(len(data) - sizes[n] + 1)
						want := sha256.Sum256(data[off : off+sizes[n]])
						s := Stream{Alone: n%7 == 0}
						for left := data[off : off+sizes[n]]; len(left) > 0; {
							part := left[:min(len(left), 1+r.IntN(most))]
							done := make(chan struct{})
							p.Write(&s, part, func() { close(done) })
							<-done
							left = left[len(part):]
						}
						if got := s.Sum(); got != want {
							t.Errorf("%d streams, pieces up to %d, %d bytes: %x, not %x", at, most, sizes[n], got, want)
						}
					}
				})
			}
			wg.Wait()
			for range 1000 {
				if p.mu.Lock(); p.runners == 0 {
					p.mu.Unlock()
					break
				}
				p.mu.Unlock()
				runtime.Gosched()
			}
			if p.runners != 0 || len(p.queue) != 0 {
				t.Errorf("%d runners and %d pieces are left", p.runners, len(p.queue))
			}
		}
	}
}

// TestMany has many streams in a pool at once, whose pieces are of many sizes.
func TestMany(t *testing.T) {
	data := random(1<<16, 2)
	r := rand.New(rand.NewPCG(3, 4))
	var p Pool
	var wg sync.WaitGroup
	streams := make([]Stream, 2000)
	want := make([][sha256.Size]byte, len(streams))
	for i := range streams {
		n := r.IntN(len(data))
		want[i] = sha256.Sum256(data[:n])
		wg.Add(1)
		p.Write(&streams[i], data[:n], wg.Done)
	}
	wg.Wait()
	for i := range streams {
		if got := streams[i].Sum(); got != want[i] {
			t.Errorf("stream %d: %x, not %x", i, got, want[i])
		}
		if got := streams[i].Sum(); got != want[i] {
			t.Errorf("stream %d, asked again: %x, not %x", i, got, want[i])
		}
	}
}

func TestLongest(t *testing.T) {
	for _, test := range []struct {
		sizes []int64
		want  int64
	}{
		{nil, 0},
		{[]int64{1000}, 1000 / Lanes},
		{[]int64{700, 10, 10, 10, 10}, 740 / Lanes},
		{[]int64{100, 100, 100, 100, 100}, 500 / Lanes},
		{[]int64{100, 100, 100, 100, 100, 100}, 600},
		{slices.Repeat([]int64{5}, 200), 1000 / Lanes},
	} {
		if got := Longest(slices.Values(test.sizes)); got != test.want {
			t.Errorf("%d: %d, not %d", test.sizes, got, test.want)
		}
	}
}

// FuzzTable holds the kernel to crypto/sha256 on bytes of the fuzzer's, which
// are cut into lanes at places of its choice.
func FuzzTable(f *testing.F) {
	f.Add([]byte("abc"), uint64(1))
	f.Add(random(5000, 5), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if !hasKernel {
			t.Skip("there is no kernel")
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var list table
		var streams, hurried [Lanes]Stream
		var want [Lanes][]byte
		for i := range Lanes {
			a, b := r.IntN(len(data)+1), r.IntN(len(data)+1)
			want[i] = data[min(a, b):max(a, b)]
			// Some of it comes before.
			cut := r.IntN(len(want[i]) + 1)
			streams[i].write(want[i][:cut])
			hurried[i].write(want[i])
			list.add(piece{&streams[i], want[i][cut:], func() {}})
		}
		for list.n > 0 {
			list.step()
		}
		for i := range Lanes {
			if got, want := streams[i].Sum(), sha256.Sum256(want[i]); got != want {
				t.Errorf("lane %d: %x, not %x", i, got, want)
			}
			if streams[i].state != hurried[i].state {
				t.Errorf("lane %d has another state than crypto/sha256", i)
			}
		}
	})
}

func BenchmarkKernel(b *testing.B) {
	if !hasKernel {
		b.Skip("there is no kernel")
	}
	var words [8][Lanes]uint32
	var data [Lanes]*byte
	for i := range data {
		data[i] = &random(turn, byte(i))[0]
	}
	b.SetBytes(Lanes * turn)
	for b.Loop() {
		kernel(&words, &data, turn/sha256.BlockSize)
	}
}

func BenchmarkPool(b *testing.B) {
	const size = 1 << 20
	data := random(size, 1)
	for _, n := range []int{1, 2, few, 8, Lanes, 2 * Lanes} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			streams := make([]Stream, n)
			var p Pool
			b.SetBytes(int64(n * size))
			for b.Loop() {
				var wg sync.WaitGroup
				for i := range streams {
					wg.Add(1)
					p.Write(&streams[i], data, wg.Done)
				}
				wg.Wait()
			}
		})
	}
}

func BenchmarkStandard(b *testing.B) {
	data := random(turn, 1)
	h := sha256.New()
	b.SetBytes(turn)
	for b.Loop() {
		h.Write(data)
	}
}
