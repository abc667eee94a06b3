package digest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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
			p.waitIdle(t)
		}
	}
}

// waitIdle waits until the runners have ended, which they do after the last
// piece is done.
func (p *Pool) waitIdle(t *testing.T) {
	t.Helper()
	for range 5000 {
		p.mu.Lock()
		wide, pairs := p.wide, p.pairs
		p.mu.Unlock()
		if wide.runners+pairs.runners == 0 {
			if n := wide.busy + len(wide.queue) + pairs.busy + len(pairs.queue); n != 0 {
				t.Errorf("%d pieces are left without a runner", n)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("a runner does not end")
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
		{slices.Repeat([]int64{100}, few), few * 100 / Lanes},
		{slices.Repeat([]int64{100}, few+1), (few + 1) * 100},
		{slices.Repeat([]int64{5}, 200), 1000 / Lanes},
	} {
		if got := Longest(slices.Values(test.sizes)); got != test.want {
			t.Errorf("%d: %d, not %d", test.sizes, got, test.want)
		}
	}
}

// TestVectors hashes the examples of FIPS 180-4's authors and of NIST's
// validation program, beside one another, in every kernel.
func TestVectors(t *testing.T) {
	vectors := []struct{ text, want string }{
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
		{strings.Repeat("a", 1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	}
	for _, k := range kernels() {
		for i := range vectors {
			var texts [][]byte
			for lane := range k.lanes {
				texts = append(texts, []byte(vectors[(i+lane)%len(vectors)].text))
			}
			for lane, s := range k.hash(texts, nil) {
				if got, want := fmt.Sprintf("%x", s.Sum()), vectors[(i+lane)%len(vectors)].want; got != want {
					t.Errorf("%s, lane %d: %s, not %s", k.name, lane, got, want)
				}
			}
		}
	}
}

// TestLengths hashes all lengths up to a few blocks in every lane.
func TestLengths(t *testing.T) {
	data := random(1000, 6)
	for _, k := range kernels() {
		for n := range 301 {
			var texts [][]byte
			for lane := range k.lanes {
				texts = append(texts, data[lane:][:(n+37*lane)%301])
			}
			for lane, s := range k.hash(texts, nil) {
				if got, want := s.Sum(), sha256.Sum256(texts[lane]); got != want {
					t.Errorf("%s, lane %d, %d bytes: %x, not %x", k.name, lane, len(texts[lane]), got, want)
				}
			}
		}
	}
}

// A side is a kernel, what hashes streams side by side.
type side struct {
	name  string
	lanes int
	run   func(words *[8][Lanes]uint32, data *[Lanes]*byte, n int)
}

func kernels() (all []side) {
	if hasPair {
		all = append(all, side{"pair", 2, pair})
	}
	if hasWide {
		all = append(all, side{"wide", Lanes, wide})
	}
	return all
}

// hash returns the streams of texts, one a lane. What is before the cuts, if
// there are any, is crypto/sha256's work, and what is beyond the shortest is
// that of fewer lanes.
func (k side) hash(texts [][]byte, cuts []int) []Stream {
	streams := make([]Stream, len(texts))
	var t table
	for i, text := range texts {
		if cuts != nil {
			streams[i].write(text[:cuts[i]])
			text = text[cuts[i]:]
		}
		t.add(piece{&streams[i], text, func() {}})
	}
	for t.n > 0 {
		if k.lanes == 2 && t.n == 1 {
			t.single()
			continue
		}
		t.step(k.run, t.n)
	}
	return streams
}

// FuzzKernels holds the kernels to crypto/sha256 on bytes of the fuzzer's,
// which are cut into lanes at places of its choice.
func FuzzKernels(f *testing.F) {
	f.Add([]byte("abc"), uint64(1))
	f.Add(random(5000, 5), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		for _, k := range kernels() {
			texts, cuts := make([][]byte, k.lanes), make([]int, k.lanes)
			for i := range texts {
				a, b := r.IntN(len(data)+1), r.IntN(len(data)+1)
				texts[i] = data[min(a, b):max(a, b)]
				cuts[i] = r.IntN(len(texts[i]) + 1)
			}
			for i, s := range k.hash(texts, cuts) {
				if got, want := s.Sum(), sha256.Sum256(texts[i]); got != want {
					t.Errorf("%s, lane %d: %x, not %x", k.name, i, got, want)
				}
				var plain Stream
				if plain.write(texts[i]); s.state != plain.state {
					t.Errorf("%s, lane %d has another state than crypto/sha256", k.name, i)
				}
			}
		}
	})
}

func BenchmarkKernel(b *testing.B) {
	var words [8][Lanes]uint32
	var data [Lanes]*byte
	for i := range data {
		data[i] = &random(turn, byte(i))[0]
	}
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			b.SetBytes(int64(k.lanes * turn))
			for b.Loop() {
				k.run(&words, &data, turn/sha256.BlockSize)
			}
		})
	}
}

// BenchmarkPool hashes streams of 1 MiB in pieces of 1 MiB, and for each number
// of them what cannot wait for others.
func BenchmarkPool(b *testing.B) {
	const size = 1 << 20
	data := random(size, 1)
	for _, alone := range []bool{false, true} {
		for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, Lanes, 2 * Lanes} {
			b.Run(fmt.Sprintf("%d/alone=%t", n, alone), func(b *testing.B) {
				streams := make([]Stream, n)
				for i := range streams {
					streams[i].Alone = alone
				}
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
}

func BenchmarkStandard(b *testing.B) {
	data := random(turn, 1)
	h := sha256.New()
	b.SetBytes(turn)
	for b.Loop() {
		h.Write(data)
	}
}
