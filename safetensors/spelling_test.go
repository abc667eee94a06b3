package safetensors

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
)

// spellPlainly is the plain twin of headerText: one entry behind the other.
func spellPlainly(p *plan, metadata map[string]string, align int) []byte {
	b := append(make([]byte, prefixLen), '{')
	if metadata != nil {
		b = append(appendMetadata(b, metadata), ',')
	}
	begin := int64(0)
	for i := range p.all {
		e := p.entry(i)
		size, _ := e.DataSize()
		b = appendEntry(b, &e.Info, begin, begin+size)
		begin += size
	}
	b = append(bytes.TrimSuffix(b, []byte(",")), '}')
	for len(b)%align != 0 {
		b = append(b, ' ')
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-prefixLen))
	return b
}

func sameText(t *testing.T, rng *rand.Rand, entries []Entry, metadata map[string]string, align int) {
	t.Helper()
	p, err := (&Encoder{Metadata: metadata, Align: align}).plan(entries)
	if err != nil {
		t.Fatal(err)
	}
	want := spellPlainly(p, metadata, align)
	var got bytes.Buffer
	if n, err := p.prefix.WriteTo(&got); err != nil || n != int64(got.Len()) {
		t.Fatalf("%d bytes of %d, %v", n, got.Len(), err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%d entries:\n%.300q\nwant\n%.300q", len(entries), got.Bytes(), want)
	}
	for range 20 {
		from := rng.IntN(len(want) + 1)
		part := make([]byte, rng.IntN(len(want)+1))
		n, _ := p.prefix.ReadAt(part, int64(from))
		if wantPart := want[from:min(len(want), from+len(part))]; !bytes.Equal(part[:n], wantPart) {
			t.Fatalf("%d entries, %d bytes from %d on:\n%.300q\nwant\n%.300q", len(entries), len(part), from, part[:n], wantPart)
		}
	}
}

func TestSpelling(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pieces := []string{"a", "model.layers.", "weight", "\"", "\\", "\n", "é", "\u2028", "\x00", strings.Repeat("long", 40)}
	types := []DType{F32, BF16, U8, F8E4M3FNUZ, C64}
	for round := range 200 {
		n := rng.IntN(300)
		if round%50 == 0 {
			n = 9000 // for several workers
		}
		used := map[string]bool{}
		var entries []Entry
		for range n {
			var name strings.Builder
			for range rng.IntN(6) + 1 {
				name.WriteString(pieces[rng.IntN(len(pieces))])
			}
			name.WriteString(string(rune('0' + rng.IntN(1000))))
			if used[name.String()] {
				continue
			}
			used[name.String()] = true
			info := Info{Name: name.String(), DType: types[rng.IntN(1+round%len(types))]}
			for range rng.IntN(12) * (round % 2) {
				info.Shape = append(info.Shape, 1)
			}
			if len(info.Shape) > 0 && round%3 > 0 {
				info.Shape[0] = rng.Uint64N(1<<10) << rng.IntN(45)
			}
			entries = append(entries, Entry{info, streamed(nil)})
		}
		var metadata map[string]string
		if len(entries) > 0 && round%4 == 0 {
			metadata = map[string]string{"format": "pt", "é": strings.Repeat("x", rng.IntN(200))}
		}
		sameText(t, rng, entries, metadata, []int{8, 64, 4096}[round%3])
	}
	long := strings.Repeat("x", 3<<20)
	sameText(t, rng, []Entry{{Info{Name: long, DType: U8}, streamed(nil)}, {Info{Name: long + "y", DType: U8}, streamed(nil)}}, nil, 8)
}

func FuzzSpelling(f *testing.F) {
	f.Add("a|b|c\"|d", uint64(1<<40), uint64(7), uint8(3))
	f.Add("layers.0.weight|layers.1.weight|layers.10.weight", uint64(1), uint64(99999999), uint8(0))
	f.Fuzz(func(t *testing.T, names string, dim, seed uint64, dtype uint8) {
		var entries []Entry
		for i, name := range strings.Split(names, "|") {
			shape := []uint64{dim >> (i % 64), 2}
			entries = append(entries, Entry{Info{Name: name, DType: []DType{F32, I8, BF16}[dtype%3], Shape: shape}, streamed(nil)})
		}
		if _, err := new(Encoder).plan(entries); err != nil {
			return
		}
		sameText(t, rand.New(rand.NewPCG(seed, 1)), entries, nil, 8)
	})
}
