package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"github.com/tensmith/tensmith/safetensors"
)

// stuff is a tensor's data, made of a seed when it is read: words of the
// generator SplitMix64 (Steele, Lea and Flood, 2014).
type stuff struct {
	seed uint64
	size int64
}

func (s stuff) Size() int64 { return s.size }

func (s stuff) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	fill(p[:n], s.seed, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s stuff) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.NewSectionReader(s, 0, s.size))
}

// fill makes the bytes from offset off on.
func fill(p []byte, seed uint64, off int64) {
	var word [8]byte
	at := seed + uint64(off/8)*gamma
	if skip := int(off % 8); skip > 0 {
		binary.LittleEndian.PutUint64(word[:], mixed(at))
		p, at = p[copy(p, word[skip:]):], at+gamma
	}
	for ; len(p) >= 8; p, at = p[8:], at+gamma {
		binary.LittleEndian.PutUint64(p, mixed(at))
	}
	binary.LittleEndian.PutUint64(word[:], mixed(at))
	copy(p, word[:])
}

const gamma = 0x9e3779b97f4a7c15

func mixed(z uint64) uint64 {
	z += gamma
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// What cases of other programs read: the name of the large file, of one tensor
// in it and of a matrix of 1024 columns.
const (
	Big    = bigFile
	Single = single
	Matrix = wide
	Shards = shards
)

// The files of a run. Of the growing ones there are several; see growing.
const (
	bigFile    = "big.safetensors"     // bytes
	editFile   = "edit.safetensors"    // a copy of the first, that is edited
	crammed    = "crammed.safetensors" // likewise, and its header has no room
	shards     = "shards"              // a directory of a model that has the tensors of the first
	sumsSuffix = ".sums"               // the CRC-32 of each tensor of a file
)

const (
	bigTensors = 300
	columns    = 1024
	wide       = "model.embed_tokens.weight" // a matrix of 1024 columns in the large file, of which parts are read
	single     = "model.layers.12.mlp.up_proj.weight"
)

// filesOf returns the names of the files that cases read.
func filesOf(cases []Case) []string {
	var names []string
	for _, c := range cases {
		names = append(names, c.Files...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Need returns how many bytes of a disk a run of these cases takes, about.
func Need(s Setting, cases []Case) int64 {
	need := int64(0)
	for _, name := range filesOf(cases) {
		need += s.sizeOf(name)
	}
	if slices.ContainsFunc(cases, func(c Case) bool { return c.Writes }) {
		need += 2 * s.Size // one that is there, and one that is to replace it
	}
	return need
}

func (s Setting) sizeOf(name string) int64 {
	for i, n := range s.sizes() {
		if name == sizedFile(i) {
			return n
		}
	}
	for _, n := range s.counts() {
		if name == countedFile(n) {
			return 100 * int64(n)
		}
	}
	return s.Size
}

// Make makes the files that the cases read, and says which it makes.
func Make(ctx context.Context, s Setting, cases []Case, making func(name string)) error {
	if err := os.MkdirAll(s.Dir, 0o777); err != nil {
		return err
	}
	for _, name := range filesOf(cases) {
		making(name)
		entries, encoder, err := s.content(name)
		if err != nil {
			return err
		}
		file := filepath.Join(s.Dir, name)
		if name == shards {
			if err := os.MkdirAll(file, 0o777); err != nil {
				return err
			}
			// Four of equal parts are a little more than a quarter each, for tensors
			// are not cut.
			if _, err := encoder.WriteShards(ctx, filepath.Join(file, "model.safetensors"), s.Size/4+s.Size/20, entries); err != nil {
				return err
			}
			continue
		}
		if err := encoder.WriteFile(ctx, file, entries); err != nil {
			return err
		}
		if name != bigFile {
			continue
		}
		sums, err := sumsOf(file)
		if err != nil {
			return err
		}
		text, err := json.Marshal(sums)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file+sumsSuffix, text, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// content returns what is in a file.
func (s Setting) content(name string) ([]safetensors.Entry, *safetensors.Encoder, error) {
	// Synced: what is still to be written would be written while cases run.
	encoder := &safetensors.Encoder{Metadata: map[string]string{"format": "pt"}}
	switch name {
	case bigFile, crammed, shards:
		return s.weights(s.Size), encoder, nil
	case editFile:
		encoder.Align = 4096
		return s.weights(s.Size), encoder, nil
	}
	for i, n := range s.sizes() {
		if name == sizedFile(i) {
			return s.weights(n), encoder, nil
		}
	}
	for _, n := range s.counts() {
		if name == countedFile(n) {
			return s.tiny(n), encoder, nil
		}
	}
	return nil, nil, fmt.Errorf("no file is called %s", name)
}

// weights returns the tensors of a model of about that many bytes: a matrix
// of a thirtieth of them, and layers of F32, BF16 and F16.
func (s Setting) weights(size int64) []safetensors.Entry {
	var all []safetensors.Entry
	add := func(name string, dtype safetensors.DType, shape ...uint64) int64 {
		info := safetensors.Info{Name: name, DType: dtype, Shape: shape}
		n, err := info.DataSize()
		if err != nil {
			panic(err) // the sizes are small
		}
		all = append(all, safetensors.Entry{Info: info, Data: stuff{bits.RotateLeft64(s.Seed, 32) + uint64(len(all))<<40, n}})
		return n
	}
	left := size - add(wide, safetensors.BF16, uint64(max(1, size/30/columns/2)), columns)
	parts := []string{"self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm"}
	dtypes := []safetensors.DType{safetensors.F32, safetensors.BF16, safetensors.F16}
	for i := range bigTensors - 1 {
		dtype := dtypes[i%len(dtypes)]
		elements := max(8, left/int64(bigTensors-1-i)*8/int64(dtype.Bits())/8*8)
		left -= add(fmt.Sprintf("model.layers.%d.%s.weight", i/len(parts), parts[i%len(parts)]), dtype, uint64(elements))
	}
	return all
}

// tiny returns n tensors of eight bytes, with names so short that a million of
// them fit a header.
func (s Setting) tiny(n int) []safetensors.Entry {
	data := make([]byte, 8*n)
	fill(data, s.Seed, 0)
	readers := make([]bytes.Reader, n)
	all := make([]safetensors.Entry, n)
	for i := range all {
		readers[i].Reset(data[8*i : 8*i+8])
		all[i] = safetensors.Entry{Info: safetensors.Info{Name: tinyName(i), DType: safetensors.U8, Shape: eight}, Data: &readers[i]}
	}
	return all
}

var eight = []uint64{8}

func tinyName(i int) string { return fmt.Sprintf("layers.%d.experts.%d", i/1000, i%1000) }

// Shards returns the names of the files of the model in several.
func (s Setting) Shards() ([]string, error) {
	names, err := filepath.Glob(filepath.Join(s.Dir, shards, "*.safetensors"))
	for i, name := range names {
		names[i] = filepath.Join(shards, filepath.Base(name))
	}
	return names, err
}

// sumsOf returns the CRC-32 of each tensor of a file.
func sumsOf(name string) (map[string]uint32, error) {
	f, err := safetensors.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sums := map[string]uint32{}
	buf := make([]byte, 1<<20)
	for t := range f.All() {
		sum := crc32.NewIEEE()
		if _, err := io.CopyBuffer(sum, io.NewSectionReader(t, 0, t.Size()), buf); err != nil {
			return nil, err
		}
		sums[t.Name] = sum.Sum32()
	}
	return sums, nil
}

// sums returns what Make has found of the large file.
func (c *Clock) sums() (map[string]uint32, error) {
	text, err := os.ReadFile(c.path(bigFile) + sumsSuffix)
	if err != nil {
		return nil, err
	}
	var sums map[string]uint32
	return sums, json.Unmarshal(text, &sums)
}

// checkTensor holds bytes that were loaded to those that were made.
func checkTensor(sums map[string]uint32, name string, data []byte) error {
	if want, ok := sums[name]; !ok || crc32.ChecksumIEEE(data) != want {
		return fmt.Errorf("tensor %s is not what was written", name)
	}
	return nil
}

// checkFile holds a file that was written to the one it was made from.
func (c *Clock) checkFile(name string) error {
	want, err := c.sums()
	if err != nil {
		return err
	}
	got, err := sumsOf(name)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("%s has %d tensors, not %d", name, len(got), len(want))
	}
	for tensor, sum := range want {
		if got[tensor] != sum {
			return fmt.Errorf("tensor %s of %s is not what was written", tensor, name)
		}
	}
	return nil
}
