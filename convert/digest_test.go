package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// TestDigests writes tensors of many sizes, one of them most of the file, some
// that only stream, some cast, none of them at a round offset; and takes every
// digest again with crypto/sha256.
func TestDigests(t *testing.T) {
	for _, huge := range []int{0, 3 << 20} {
		f := &File{close: func() error { return nil }}
		source := rand.NewChaCha8([32]byte{1})
		want := map[string][]byte{}
		add := func(kind string, numbers int) {
			name := fmt.Sprintf("%s.%d.%d", kind, numbers, len(f.Entries))
			data := make([]byte, 4*numbers)
			source.Read(data)
			e := safetensors.Entry{Info: safetensors.Info{Name: name, DType: safetensors.F32, Shape: []uint64{uint64(numbers)}}, Data: section{bytes.NewReader(data)}}
			switch kind {
			case "stream":
				e.Data = stream{data, int64(len(data))}
			case "bytes":
				e.DType, e.Shape = safetensors.U8, []uint64{uint64(len(data))}
			case "odd":
				data = data[:len(data)-1]
				e.DType, e.Shape, e.Data = safetensors.U8, []uint64{uint64(len(data))}, section{bytes.NewReader(data)}
			}
			f.Entries = append(f.Entries, e)
			want[name] = data
		}
		if huge > 0 {
			add("at", huge)
		}
		for _, n := range []int{1, 5, 16, 1000, 1025, 9999, 70_000, 300_001} {
			for _, kind := range []string{"at", "stream", "bytes", "odd"} {
				add(kind, n)
				add(kind, n)
			}
		}
		add("at", 0)
		add("stream", 0)
		for _, to := range []safetensors.DType{0, safetensors.BF16, safetensors.F64, safetensors.F8E5M2} {
			plan := Plan{Output: filepath.Join(t.TempDir(), "x.safetensors"), DType: to, Verify: true, NoSync: true}
			if to == safetensors.F64 {
				plan.MaxShard = 4 << 20
			}
			r, err := f.Write(context.Background(), plan)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Tensors) != len(want) {
				t.Errorf("%d tensors of %d", len(r.Tensors), len(want))
			}
			for _, x := range r.Tensors {
				before, after := want[x.Name], want[x.Name]
				if x.From != "" {
					values := make([]float32, len(before)/4)
					after = make([]byte, len(values)*to.Bits()/8)
					if err := numeric.Decode(values, safetensors.F32, before); err != nil {
						t.Fatal(err)
					}
					if err := numeric.Encode(after, to, values, numeric.ToSpecial); err != nil {
						t.Fatal(err)
					}
				}
				if sum := sha256.Sum256(before); x.Before != hex.EncodeToString(sum[:]) {
					t.Errorf("%s to %s: %s before", x.Name, x.DType, x.Before)
				}
				if sum := sha256.Sum256(after); x.After != hex.EncodeToString(sum[:]) {
					t.Errorf("%s to %s: %s after", x.Name, x.DType, x.After)
				}
			}
		}
	}
}

// A fickle is a source that is another one when it is read again.
type fickle struct {
	section
	mu   sync.Mutex
	seen map[int64]bool
	fail error
}

func (f *fickle) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.section.ReadAt(p, off)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[off] {
		if f.fail != nil {
			return 0, f.fail
		}
		p[n-1] ^= 1
	}
	f.seen[off] = true
	return n, err
}

// TestReadAgain: who has the output verified is told when the input was not
// the same twice, and who has it cast when it could not be read again.
func TestReadAgain(t *testing.T) {
	fault := errors.New("the disk is gone")
	data := make([]byte, 3<<20)
	for _, test := range []struct {
		name string
		fail error
		plan Plan
		want error
	}{
		{"not verified", nil, Plan{Digests: true}, nil},
		{"verified", nil, Plan{Verify: true}, ErrVerify},
		{"verified, unreadable", fault, Plan{Verify: true}, fault},
		{"cast and verified", nil, Plan{Verify: true, DType: safetensors.BF16}, ErrVerify},
		{"cast, unreadable", fault, Plan{Digests: true, DType: safetensors.BF16}, fault},
	} {
		source := &fickle{section: section{bytes.NewReader(data)}, seen: make(map[int64]bool), fail: test.fail}
		f := &File{close: func() error { return nil }, Entries: []safetensors.Entry{
			{Info: safetensors.Info{Name: "w", DType: safetensors.F32, Shape: []uint64{uint64(len(data) / 4)}}, Data: source},
		}}
		test.plan.Output, test.plan.NoSync = filepath.Join(t.TempDir(), "x.safetensors"), true
		if _, err := f.Write(context.Background(), test.plan); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
