package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// encoded is the file of a model.
func (v *values) encoded(t *testing.T) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	if err := (&safetensors.Encoder{}).Encode(&b, v.entries); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

// cutOff is a file system with a file whose tensors cannot be read.
type cutOff struct {
	fstest.MapFS
	name string
}

type cutOffFile struct {
	fs.File
	end int64
}

func (f cutOffFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.end {
		return 0, errors.New("input/output error")
	}
	return f.File.(interface {
		ReadAt([]byte, int64) (int, error)
	}).ReadAt(p, off)
}

func (c cutOff) Open(name string) (fs.File, error) {
	f, err := c.MapFS.Open(name)
	if name == c.name && err == nil {
		return cutOffFile{f, 4000}, nil
	}
	return f, err
}

// TestShards states that the layers of a model are compared with each other
// wherever its shards lie, and that a finding names the shard. No shard has
// enough layers to tell by itself.
func TestShards(t *testing.T) {
	normal := func(seed uint64, std float64) []float32 {
		r := rand.New(rand.NewPCG(seed, 1))
		numbers := make([]float32, 1024)
		for i := range numbers {
			numbers[i] = float32(r.NormFloat64() * std)
		}
		return numbers
	}
	// Layer 4 of 9 has another spread, three layers a shard.
	shard := func(n int, std float64) *fstest.MapFile {
		v := &values{}
		for i := 3 * n; i < 3*n+3; i++ {
			s := 0.02
			if i == 4 {
				s = std
			}
			v.floats(fmt.Sprintf("model.layers.%d.w.weight", i), 32, normal(uint64(i), s))
		}
		return v.encoded(t)
	}
	lora := func(n int) *fstest.MapFile {
		v := &values{}
		for i := 4 * n; i < 4*n+4; i++ {
			s := 0.02
			if i == 6 {
				s = 1
			}
			v.floats(fmt.Sprintf("layers.%d.q.lora_A.weight", i), 64, normal(uint64(i), 0.1))
			v.floats(fmt.Sprintf("layers.%d.q.lora_B.weight", i), 4, normal(uint64(i)+100, s))
		}
		return v.encoded(t)
	}
	index := func(names ...string) *fstest.MapFile {
		var list []string
		for _, name := range names {
			n := strings.IndexByte("abcd", name[0])
			if name[0] >= 'x' {
				n = int(name[0] - 'x')
			}
			for i := 3 * n; i < 3*n+3; i++ {
				list = append(list, fmt.Sprintf(`"model.layers.%d.w.weight":%q`, i, name))
			}
		}
		return &fstest.MapFile{Data: []byte(`{"metadata":{},"weight_map":{` + strings.Join(list, ",") + "}}")}
	}
	link := func(to string) *fstest.MapFile {
		return &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(to)}
	}
	tests := []struct {
		name string
		fsys fs.FS
		want []string
	}{
		{"by the index", fstest.MapFS{"a.safetensors": shard(0, 0.3), "b.safetensors": shard(1, 0.3), "c.safetensors": shard(2, 0.3),
			"m.safetensors.index.json": index("a.safetensors", "b.safetensors", "c.safetensors")},
			[]string{"a.safetensors clean", "b.safetensors clean ST205", "c.safetensors clean", "m.safetensors.index.json clean"}},
		{"all alike", fstest.MapFS{"a.safetensors": shard(0, 0.02), "b.safetensors": shard(1, 0.02), "c.safetensors": shard(2, 0.02),
			"m.safetensors.index.json": index("a.safetensors", "b.safetensors", "c.safetensors")},
			[]string{"a.safetensors clean", "b.safetensors clean", "c.safetensors clean", "m.safetensors.index.json clean"}},
		{"by an index that is wrong", fstest.MapFS{"a.safetensors": shard(0, 0.3), "b.safetensors": shard(1, 0.3), "c.safetensors": shard(2, 0.3),
			"m.safetensors.index.json": index("a.safetensors", "b.safetensors", "c.safetensors", "d.safetensors")},
			[]string{"a.safetensors clean", "b.safetensors clean ST205", "c.safetensors clean", "m.safetensors.index.json suspicious ST506"}},
		{"by two indexes", fstest.MapFS{"a.safetensors": shard(0, 0.3), "b.safetensors": shard(1, 0.3), "c.safetensors": shard(2, 0.3),
			"k.safetensors.index.json": index("a.safetensors", "b.safetensors"), "m.safetensors.index.json": index("b.safetensors", "c.safetensors")},
			[]string{"a.safetensors clean", "b.safetensors clean ST205", "c.safetensors clean", "k.safetensors.index.json clean", "m.safetensors.index.json clean"}},
		{"by the names", fstest.MapFS{"d/m-00001-of-00003.safetensors": shard(0, 0.3), "d/m-00002-of-00003.safetensors": shard(1, 0.3), "d/m-00003-of-00003.safetensors": shard(2, 0.3)},
			[]string{"d/m-00001-of-00003.safetensors clean", "d/m-00002-of-00003.safetensors clean ST205", "d/m-00003-of-00003.safetensors clean"}},
		{"three models", fstest.MapFS{"a.safetensors": shard(0, 0.3), "b.safetensors": shard(1, 0.3), "c.safetensors": shard(2, 0.3)},
			[]string{"a.safetensors clean", "b.safetensors clean", "c.safetensors clean"}},
		{"exploded, of few", fstest.MapFS{"m-00001-of-00002.safetensors": shard(0, 5), "m-00002-of-00002.safetensors": shard(1, 5)},
			[]string{"m-00001-of-00002.safetensors clean", "m-00002-of-00002.safetensors clean ST204"}},
		{"a LoRA", fstest.MapFS{"m-00001-of-00002.safetensors": lora(0), "m-00002-of-00002.safetensors": lora(1)},
			[]string{"m-00001-of-00002.safetensors clean", "m-00002-of-00002.safetensors clean ST206"}},
		{"links to blobs", fstest.MapFS{"blobs/1": shard(0, 0.3), "blobs/2": shard(1, 0.3), "blobs/3": shard(2, 0.3), "blobs/4": index("x.safetensors", "y.safetensors", "z.safetensors"),
			"s/x.safetensors": link("../blobs/1"), "s/y.safetensors": link("../blobs/2"), "s/z.safetensors": link("../blobs/3"), "s/m.safetensors.index.json": link("../blobs/4")},
			[]string{"blobs/1 clean", "blobs/2 clean ST205", "blobs/3 clean", "blobs/4 clean", "s/m.safetensors.index.json clean", "s/x.safetensors clean", "s/y.safetensors clean", "s/z.safetensors clean"}},
		{"one that cannot be read", cutOff{fstest.MapFS{"m-00001-of-00003.safetensors": shard(0, 0.3), "m-00002-of-00003.safetensors": (&values{}).floats("x", 32, make([]float32, 1024)).encoded(t),
			"m-00003-of-00003.safetensors": shard(2, 0.3)}, "m-00003-of-00003.safetensors"},
			[]string{"m-00001-of-00003.safetensors clean", "m-00002-of-00003.safetensors clean ST202", "m-00003-of-00003.safetensors error ST401"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := Path(context.Background(), test.fsys, ".", Options{Deep: true, Jobs: 2})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, summary(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, f := range r.Files {
				for _, finding := range f.Findings {
					if finding.ID < "ST3" && (finding.File != f.Path || finding.Tensor == "" || finding.Offset < 8) {
						t.Errorf("no place: %+v", finding)
					}
				}
			}
		})
	}
}

// TestMarks states that a header of safetensors may be of any length, those
// that are the marks of other files too, and that what is both is told.
func TestMarks(t *testing.T) {
	file := func(n int) []byte {
		header := []byte(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`)
		header = append(header, bytes.Repeat([]byte(" "), n-len(header)-1)...)
		return append(append(append(make([]byte, 0, n+9), byte(n), byte(n>>8), byte(n>>16), 0, 0, 0, 0, 0), append(header, '}')...), 0)
	}
	for _, n := range []int{
		0x2123,     // a script
		0x5d,       // LZMA
		0x0178,     // zlib
		0x8b1f,     // gzip
		0x088b1f,   // gzip, its method too
		256, 65536, // a font, an icon
		0xfbff, 0x334449, // MP3
		0x2a4949, // TIFF
		0x0280,   // a pickle
		0x5a4d,   // a program
	} {
		f := reader(t, "m.safetensors", file(n), Options{})
		if f.Format != "safetensors" || f.Verdict != Clean {
			t.Errorf("a header of %d bytes: %s, %s %+v", n, f.Format, f.Verdict, f.Findings)
		}
	}
	both := zipped1(t)
	both[8], both[9] = '{', '"' // the level and the system, which no reader looks at
	if f := reader(t, "m.safetensors", both, Options{}); f.Verdict != VerdictSuspicious || f.Format != "text in gzip" || f.Findings[0].ID != "ST420" {
		t.Errorf("gzip that begins as a header: %s %+v", f.Verdict, f.Findings)
	}
}
