package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	nlpodyssey "github.com/nlpodyssey/safetensors"

	"github.com/tensmith/tensmith/safetensors"
)

const (
	parseHeavy  = "parse and index a header, many tensors"
	encodeHeavy = "encode a header, many tensors in random order"
	encodeOrder = "encode a header, many tensors in order"
	saveHeavy   = "save what a file of many tensors holds, not synced"
	openSmall   = "open a file of 300 tensors"
	loadBig     = "load all tensors into own memory, warm"
	saveBig     = "save all tensors, not synced"
	sliceBig    = "a [:, :512] slice of F32 [8192,1024], file closed before"
)

// repeats is how often a round repeats a short case, of every implementation,
// to take the minimum.
var repeats = map[string]int{parseHeavy: 5, encodeHeavy: 5, encodeOrder: 5, saveHeavy: 5, openSmall: 20, sliceBig: 5, loadBig: 1, saveBig: 1}

// files are what the cases read. All of them come from a seed.
type files struct {
	dir                string
	heavy              string // many tensors, few bytes
	empty              string // many tensors, no bytes
	small              string // 300 tensors
	big                string // many bytes
	heavyData          []byte
	heavyMemory        *safetensors.File // the same, as tensors
	headerEntries, all []safetensors.Entry
}

func bytesOf(n int64, seed byte) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func makeFiles(dir string, tensors, megabytes int) (files, error) {
	f := files{dir: dir}
	parts := []string{"self_attn.q_proj.weight", "self_attn.k_proj.weight", "mlp.experts.gate_proj.weight", "mlp.experts.down_proj.weight", "input_layernorm.weight"}
	var heavy []safetensors.Entry
	// In random order, as a map gives them: the crate's does, too.
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(tensors) {
		name := fmt.Sprintf("model.layers.%d.block.%d.%s", i/1000, i%1000, parts[i%len(parts)])
		heavy = append(heavy, safetensors.Entry{Info: safetensors.Info{Name: name, DType: safetensors.BF16, Shape: []uint64{4, 5}}, Data: bytes.NewReader(make([]byte, 40))})
		f.headerEntries = append(f.headerEntries, safetensors.Entry{Info: safetensors.Info{Name: name, DType: safetensors.BF16, Shape: []uint64{0, 5}}, Data: bytes.NewReader(nil)})
	}
	var small []safetensors.Entry
	for i := range 300 {
		name := fmt.Sprintf("model.layers.%d.%s", i/len(parts), parts[i%len(parts)])
		small = append(small, safetensors.Entry{Info: safetensors.Info{Name: name, DType: safetensors.F32, Shape: []uint64{64, 64}}, Data: bytes.NewReader(bytesOf(64*64*4, byte(i)))})
	}
	matrix := bytesOf(8192*1024*4, 1)
	f.all = append(f.all, safetensors.Entry{Info: safetensors.Info{Name: "big.matrix", DType: safetensors.F32, Shape: []uint64{8192, 1024}}, Data: bytes.NewReader(matrix)})
	for left, i := int64(megabytes)<<20-int64(len(matrix)), 0; left > 0; i++ {
		n := min(left, 4<<20)
		f.all = append(f.all, safetensors.Entry{Info: safetensors.Info{Name: fmt.Sprintf("layer.%d.weight", i), DType: safetensors.F32, Shape: []uint64{uint64(n / 4)}}, Data: bytes.NewReader(bytesOf(n, byte(i)))})
		left -= n
	}
	for _, file := range []struct {
		path    *string
		name    string
		entries []safetensors.Entry
	}{{&f.heavy, "heavy", heavy}, {&f.empty, "empty", f.headerEntries}, {&f.small, "small", small}, {&f.big, "big", f.all}} {
		*file.path = filepath.Join(dir, file.name+".safetensors")
		e := safetensors.Encoder{Metadata: map[string]string{"format": "np"}}
		if err := e.WriteFile(context.Background(), *file.path, file.entries); err != nil {
			return f, err
		}
	}
	var err error
	if f.heavyData, err = os.ReadFile(f.heavy); err != nil {
		return f, err
	}
	f.heavyMemory, err = safetensors.NewFile(bytes.NewReader(f.heavyData), int64(len(f.heavyData)))
	return f, err
}

// entriesOf returns what a file holds, to be written again.
func entriesOf(file *safetensors.File, empty bool) []safetensors.Entry {
	entries := make([]safetensors.Entry, 0, file.Len())
	for t := range file.All() {
		e := safetensors.Entry{Info: t.Info, Data: t}
		if empty {
			e.Shape, e.Data = []uint64{0, 5}, bytes.NewReader(nil)
		}
		entries = append(entries, e)
	}
	return entries
}

func ourCases(f files) []*benchCase {
	one := func(what string, run func() error, made ...string) *benchCase {
		return &benchCase{what: what, who: "tensmith", run: timed(repeats[what], run, made...)}
	}
	many, all := filepath.Join(f.dir, "many.safetensors"), filepath.Join(f.dir, "ours.safetensors")
	inOrder, heavy := entriesOf(f.heavyMemory, true), entriesOf(f.heavyMemory, false)
	return []*benchCase{
		one(encodeOrder, func() error { return (&safetensors.Encoder{}).Encode(io.Discard, inOrder) }),
		one(saveHeavy, func() error {
			return (&safetensors.Encoder{NoSync: true}).WriteFile(context.Background(), many, heavy)
		}, many),
		one(parseHeavy, func() error {
			_, err := safetensors.NewFile(bytes.NewReader(f.heavyData), int64(len(f.heavyData)))
			return err
		}),
		one(encodeHeavy, func() error { return (&safetensors.Encoder{}).Encode(io.Discard, f.headerEntries) }),
		one(openSmall, func() error {
			file, err := safetensors.Open(f.small)
			if err != nil {
				return err
			}
			return file.Close()
		}),
		one(loadBig, func() error { return load(f.big) }),
		one(saveBig, func() error {
			return (&safetensors.Encoder{NoSync: true}).WriteFile(context.Background(), all, f.all)
		}, all),
		one(sliceBig, func() error {
			file, err := safetensors.Open(f.big)
			if err != nil {
				return err
			}
			defer file.Close()
			t, err := file.Tensor("big.matrix")
			if err != nil {
				return err
			}
			s, err := t.Slice(safetensors.Range{}, safetensors.Span(0, 512))
			if err != nil {
				return err
			}
			_, err = s.Bytes()
			return err
		}),
	}
}

func load(name string) error {
	file, err := safetensors.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for t := range file.All() {
		if p, err := t.Bytes(); err != nil || int64(len(p)) != t.Size() {
			return errors.Join(err, errors.New("short"))
		}
	}
	return nil
}

func nlpodysseyCases(f files) []*benchCase {
	one := func(what string, run func() error) *benchCase {
		return &benchCase{what: what, who: "nlpodyssey/safetensors", run: timed(repeats[what], run)}
	}
	deserialize := func(name string) error {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		_, err = nlpodyssey.Deserialize(data)
		return err
	}
	return []*benchCase{
		one(parseHeavy, func() error {
			_, err := nlpodyssey.Deserialize(f.heavyData)
			return err
		}),
		one(openSmall, func() error { return deserialize(f.small) }),
		one(loadBig, func() error { return deserialize(f.big) }),
	}
}
