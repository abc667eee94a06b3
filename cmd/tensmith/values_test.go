package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/safetensors"
)

// TestInterruptedReading holds the verbs that read values to status 130, with
// no answer and no file, when the user ends them.
func TestInterruptedReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const real = "../../safetensors/testdata/real/"
	out := filepath.Join(t.TempDir(), "out.npy")
	for _, args := range [][]string{
		{"stats", real + "sharded"},
		{"stats", real + "sharded", "--by", "layer", "--quantiles"},
		{"hist", real + "sharded", "*"},
		{"diff", "--values", real + "sharded", real + "sharded"},
		{"export", real + "numpy.safetensors", "layer.1.float32", "-o", out},
		{"export", real + "numpy.safetensors", "layer.1.float32", "--csv"},
		{"show", real + "numpy.safetensors", "layer.1.float32", "--heat"},
		{"check", "--values", real + "sharded"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(ctx, args, nil, &stdout, &stderr); code != exitInterrupted {
				t.Errorf("exit status %d, want %d; stderr: %s", code, exitInterrupted, &stderr)
			}
			if stdout.Len() > 0 {
				t.Errorf("an answer all the same: %s", &stdout)
			}
		})
	}
	if list, err := os.ReadDir(filepath.Dir(out)); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// sparse makes a model of F32 tensors of zeros that take no room on the disk.
func sparse(t *testing.T, name string, tensors int, size int64) {
	t.Helper()
	header := []byte{'{'}
	for i := range tensors {
		if i > 0 {
			header = append(header, ',')
		}
		header = fmt.Appendf(header, `"layers.%d.w":{"dtype":"F32","shape":[1024,%d],"data_offsets":[%d,%d]}`, i, size/4096, int64(i)*size, int64(i+1)*size)
	}
	header = append(header, '}')
	header = append(header, bytes.Repeat([]byte{' '}, -len(header)&7)...)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(8+len(header)) + int64(tensors)*size); err != nil {
		t.Fatal(err)
	}
}

// TestBounded holds the verbs that read values to memory that does not depend
// on the size of the model: 100 MiB of heap at most, far below one tensor.
func TestBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads two gigabytes")
	}
	name := filepath.Join(t.TempDir(), "big.safetensors")
	sparse(t, name, 2, 160<<20)
	for _, args := range [][]string{
		{"stats", name},
		{"stats", name, "--by", "model", "--quantiles"},
		{"hist", name, "*"},
		{"diff", "--values", name, name},
		{"show", name, "layers.0.w", "--heat"},
		{"export", name, "layers.0.w", "--npy"},
		{"check", "--values", name},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			done, peak := make(chan struct{}), make(chan uint64)
			runtime.GC()
			go func() {
				most := uint64(0)
				for {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapInuse+m.StackInuse)
					select {
					case <-done:
						peak <- most
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			}()
			if code := run(t.Context(), args, nil, io.Discard, io.Discard); code != exitYes {
				t.Errorf("exit status %d", code)
			}
			close(done)
			if most := <-peak; most > 100<<20 {
				t.Errorf("%d MiB of memory", most>>20)
			}
		})
	}
}

// TestThereAndBack compares a model with itself cast to a wider dtype and back,
// and to a narrower one, whose loss is what numeric says of the cast.
func TestThereAndBack(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, entries ...safetensors.Entry) string {
		name = filepath.Join(dir, name)
		if err := (&safetensors.Encoder{}).WriteFile(t.Context(), name, entries); err != nil {
			t.Fatal(err)
		}
		return name
	}
	raw := make([]byte, 2*40_000)
	for i := range 40_000 {
		v := math.Float32bits(float32(math.Sin(float64(i)) * math.Exp2(float64(i%20)-15)))
		binary.LittleEndian.PutUint16(raw[2*i:], uint16(v>>16)) // BF16
	}
	cast := func(from numeric.Data, to safetensors.DType) numeric.Data {
		c, err := numeric.NewCast(from, to, numeric.ToSpecial)
		if err != nil {
			t.Fatal(err)
		}
		return c.Data()
	}
	entry := func(d numeric.Data) safetensors.Entry {
		data, ok := d.Source.(io.WriterTo) // a cast is one
		if !ok {
			data = bytes.NewReader(raw)
		}
		return safetensors.Entry{Info: safetensors.Info{Name: "w", DType: d.DType, Shape: []uint64{200, 200}}, Data: data}
	}
	bf16 := numeric.Data{DType: safetensors.BF16, Source: numeric.Memory(raw), Size: int64(len(raw))}
	f32 := cast(bf16, safetensors.F32)
	f8 := cast(bf16, safetensors.F8E4M3)
	a := write("bf16.safetensors", entry(bf16))
	for _, test := range []struct {
		data numeric.Data
		same bool
	}{{f32, true}, {cast(f32, safetensors.BF16), true}, {cast(cast(bf16, safetensors.F64), safetensors.BF16), true}, {f8, false}, {cast(f8, safetensors.BF16), false}} {
		b := write("cast.safetensors", entry(test.data))
		var stdout, stderr bytes.Buffer
		want := map[bool]int{true: exitYes, false: exitNo}[test.same]
		if code := run(t.Context(), []string{"diff", "--values", a, b, "--format", "tsv"}, nil, &stdout, &stderr); code != want {
			t.Errorf("%s: exit status %d, want %d: %s", test.data.DType, code, want, &stderr)
		}
		d, err := numeric.Scan{}.Compare(t.Context(), bf16, test.data, numeric.Tolerance{})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		heads, cells := strings.Split(lines[0], "\t"), strings.Split(lines[1], "\t")
		got := map[string]string{}
		for i, h := range heads {
			got[h] = cells[i]
		}
		for column, want := range map[string]string{"changed": fmt.Sprint(d.Changed), "max_abs": scalar(d.MaxAbs).String(), "sqnr_db": scalar(d.SQNR()).String()} {
			if diff := cmp.Diff(want, got[column]); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", test.data.DType, column, diff)
			}
		}
	}
}

func TestLayerOf(t *testing.T) {
	for name, want := range map[string]string{
		"model.layers.0.self_attn.q_proj.weight":   "model.layers.0",
		"model.layers.11.mlp.experts.3.w1.weight":  "model.layers.11",
		"model.embed_tokens.weight":                "model.embed_tokens",
		"lm_head.weight":                           "lm_head",
		"h.5.attn.bias":                            "h.5",
		"unet/down_blocks.0.resnets.1.conv.weight": "unet/down_blocks.0",
		"weight":  "weight",
		"":        "",
		"layer.3": "layer",
		"a..b":    "a.",
		"...":     "..",
		".x":      ".x",
	} {
		if got := layerOf(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestChain reads tensors that lie behind one another in pieces that end
// anywhere.
func TestChain(t *testing.T) {
	f, err := safetensors.Open("../../safetensors/testdata/real/numpy.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &chain{}
	var want []byte
	for _, name := range []string{"layer.1.float32", "empty", "scalar", "layer.1.float32"} {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		c.add(x)
		raw, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, raw...)
	}
	for off := range want {
		for _, n := range []int{1, 5, 30, len(want)} {
			p := make([]byte, n)
			got, err := c.ReadAt(p, int64(off))
			rest := want[off:min(off+n, len(want))]
			if !slices.Equal(p[:got], rest) || (err == io.EOF) != (len(rest) < n) {
				t.Fatalf("%d bytes at %d: %d, %v", n, off, got, err)
			}
		}
	}
}

func TestShare(t *testing.T) {
	for _, test := range []struct {
		n, of uint64
		want  string
	}{{0, 0, "0"}, {0, 5, "0"}, {1, 1 << 40, "<0.01 %"}, {1, 3, "33.3 %"}, {1, 1, "100 %"}, {1<<40 - 1, 1 << 40, ">99.99 %"}, {9995, 10000, "99.95 %"}} {
		if got := share(test.n, test.of); got != test.want {
			t.Errorf("%d of %d: %q, want %q", test.n, test.of, got, test.want)
		}
	}
}

// TestSparkline states that no bin with something in it is invisible, and none
// without is seen.
func TestSparkline(t *testing.T) {
	for _, blocks := range []bool{true, false} {
		line := []rune(sparkline([]uint64{0, 1, 1000, 500, 0}, blocks))
		if line[0] != ' ' || line[4] != ' ' || line[1] == ' ' || line[2] == line[3] || len(line) != 5 {
			t.Errorf("%q", string(line))
		}
		if got := bar(1, 1<<40, 10, blocks); len([]rune(got)) != 1 {
			t.Errorf("a bar of one: %q", got)
		}
		if got := bar(7, 7, 10, blocks); len([]rune(got)) != 10 {
			t.Errorf("the longest bar: %q", got)
		}
	}
}
