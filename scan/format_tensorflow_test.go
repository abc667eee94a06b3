package scan

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// levelTable writes a table of LevelDB of one block, as TensorFlow's are.
func levelTable(entries [][2]string, packed bool) []byte {
	block := func(entries [][2]string) (b []byte) {
		last := ""
		for _, e := range entries {
			shared := 0
			for shared < min(len(last), len(e[0])) && last[shared] == e[0][shared] {
				shared++
			}
			for _, n := range []int{shared, len(e[0]) - shared, len(e[1])} {
				b = binary.AppendUvarint(b, uint64(n))
			}
			b = append(append(b, e[0][shared:]...), e[1]...)
			last = e[0]
		}
		return append(b, 0, 0, 0, 0, 1, 0, 0, 0) // one restart, at 0
	}
	var file []byte
	write := func(b []byte, method byte) (handle []byte) {
		if method == 1 {
			// Snappy, of literals alone.
			plain := b
			b = binary.AppendUvarint(nil, uint64(len(plain)))
			for len(plain) > 0 {
				n := min(len(plain), 60)
				b = append(append(b, byte(n-1)<<2), plain[:n]...)
				plain = plain[n:]
			}
		}
		handle = binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(file))), uint64(len(b)))
		b = append(b, method)
		sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		file = binary.LittleEndian.AppendUint32(append(file, b...), (sum>>15|sum<<17)+0xa282ead8)
		return handle
	}
	method := byte(0)
	if packed {
		method = 1
	}
	data := write(block(entries), method)
	meta := write(block(nil), 0)
	index := write(block([][2]string{{"z", string(data)}}), 0)
	foot := append(meta, index...)
	file = append(append(file, foot...), make([]byte, 40-len(foot))...)
	return append(file, tableMagic...)
}

// TestBundle has checkpoints of TensorFlow: an index, and the numbers beside it,
// which nothing but the index tells from other bytes. Of the indexes of six
// SavedModels of TensorFlow's own examples the reader was held to the four that
// are not packed; Snappy came later, and is held to the tables written here.
func TestBundle(t *testing.T) {
	header := "\x08\x01\x1a\x02\x08\x01"
	entry := func(off, size byte) string { return string([]byte{8, 1, 0x18, 0, 0x20, off, 0x28, size}) }
	sound := [][2]string{{"", header}, {"a", entry(0, 40)}, {"ab", entry(40, 24)}}
	odd := random(3, 64)
	odd[0] = 0xff
	name := "v/variables.data-00000-of-00001"
	for _, packed := range []bool{false, true} {
		index := levelTable(sound, packed)
		broken := append([]byte(nil), index...)
		broken[20] ^= 1
		for _, test := range []struct {
			name  string
			index []byte
			data  []byte
			want  []string
		}{
			{"whole", index, odd, []string{name + " clean ST409", "v/variables.index clean ST409"}},
			{"more than the index says", index, append(odd, 1), []string{name + " suspicious ST405", "v/variables.index clean ST409"}},
			{"less", index, odd[:60], []string{name + " suspicious ST405", "v/variables.index suspicious ST506 ST409"}},
			{"missing", index, nil, []string{"v/variables.index suspicious ST506 ST409"}},
			{"a wrong checksum", broken, odd, []string{name + " suspicious ST405", "v/variables.index suspicious ST408"}},
			{"a hole", levelTable([][2]string{{"", header}, {"a", entry(0, 40)}, {"ab", entry(44, 20)}}, packed), odd, []string{name + " suspicious ST405", "v/variables.index clean ST409"}},
			{"a pickle", index, append(imports("os", "system").Data, odd...)[:64], []string{name + " dangerous ST301 ST320", "v/variables.index clean ST409"}},
		} {
			fsys := fstest.MapFS{"v/variables.index": {Data: test.index}}
			if test.data != nil {
				fsys[name] = &fstest.MapFile{Data: test.data}
			}
			r, err := Path(context.Background(), fsys, ".", Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summary(r)); diff != "" {
				t.Errorf("%s, packed %v (-want +got):\n%s", test.name, packed, diff)
			}
		}
	}
}

// TestGraphFormats has files that a compiler or TensorFlow reads.
func TestGraphFormats(t *testing.T) {
	for _, test := range []struct {
		name, data, want string
	}{
		{"a.mlirbc", "ML\xefR\x01MLIR16.0.6\x00\x01\x13\x05\x01\x03", "mlir suspicious ST387"},
		{"a.irpa", "IRPA" + string(make([]byte, 100)), "irpa clean ST409"},
		{"fingerprint.pb", "\x08\xff\xff\xff\x01\x10\x02\x18\x03\x20\x04\x28\x05\x32\x02\x08\x01", "tf-fingerprint clean ST409"},
		{"fingerprint.pb", "\x08\xff\xff\xff\x01\x10\x02\x18\x03\x20\x04\x20\x05\x32\x02\x08\x01", "unknown suspicious ST405"},
	} {
		f := reader(t, test.name, []byte(test.data), Options{})
		if got := fmt.Sprintf("%s %s %s", f.Format, f.Verdict, f.Findings[0].ID); got != test.want {
			t.Errorf("%s: %s, want %s: %+v", test.name, got, test.want, f.Findings)
		}
	}
}

// FuzzBundle states that no bytes make the reader of indexes panic.
func FuzzBundle(f *testing.F) {
	f.Add(levelTable([][2]string{{"", "\x08\x01\x1a\x02\x08\x01"}, {"a", "\x28\x04"}}, false))
	f.Add(levelTable([][2]string{{"", "\x08\x01\x1a\x02\x08\x01"}, {"a", "\x28\x04"}}, true))
	f.Fuzz(func(t *testing.T, data []byte) {
		sound(t, "a.index", data)
		b := inMemory(data)
		newTrace(t.Context(), &Options{}, b.size).bundle(b)
		// Fuzzing does not get past the sums.
		_ = tableEntries(data, func(key, value []byte) error {
			return newTrace(t.Context(), &Options{}, b.size).bundleEntry(&tensorBundle{}, key, value)
		})
	})
}
