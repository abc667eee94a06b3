package torch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/pickle"
)

// A tracer makes the trace of testdata/make_traces.py, by our disassembler.
type tracer struct {
	pickles, opcodes int
	text             bytes.Buffer
}

func (c *tracer) one(name string, data []byte, off int64) (end int64, err error) {
	fmt.Fprintf(&c.text, "%s@%d\n", name, off)
	for in, err := range pickle.Disassemble(bytes.NewReader(data), off, int64(len(data)), pickle.Limits{}) {
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(&c.text, "%d %v %s\n", in.Offset, in.Op, operandText(in.Arg, data))
		c.opcodes++
		end = in.Offset + in.Size
		if in.Op == '.' {
			break
		}
	}
	c.pickles++
	return end, nil
}

func operandText(arg pickle.Value, data []byte) string {
	hexed := func(p []byte) string { return "s" + hex.EncodeToString(p) }
	switch v := arg.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "1"
		}
		return "0"
	case int64:
		return big.NewInt(v).Text(16)
	case *big.Int:
		return v.Text(16)
	case float64:
		return fmt.Sprintf("f%016x", math.Float64bits(v))
	case string:
		return hexed([]byte(v))
	case pickle.ByteString:
		return hexed([]byte(v))
	case []byte:
		return hexed(v)
	case *pickle.ByteArray:
		return hexed(v.Data)
	case pickle.Range:
		return hexed(data[v.Offset : v.Offset+v.Size])
	}
	return fmt.Sprintf("%T", arg)
}

func (c *tracer) content(name string, data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		slices.SortStableFunc(z.File, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
		for _, f := range z.File {
			if !strings.HasSuffix(strings.ToLower(f.Name), ".pkl") {
				continue
			}
			r, err := f.Open()
			if err != nil {
				return err
			}
			record, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			if _, err := c.one(name+"!"+f.Name, record, 0); err != nil {
				return err
			}
		}
	case bytes.HasPrefix(data, []byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")):
		off := int64(0)
		for range 5 {
			var err error
			if off, err = c.one(name, data, off); err != nil {
				return err
			}
		}
	case len(data) > 262 && string(data[257:262]) == "ustar":
		members := make(map[string][]byte)
		for r := tar.NewReader(bytes.NewReader(data)); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if members[h.Name], err = io.ReadAll(r); err != nil {
				return err
			}
		}
		for _, member := range []string{"pickle", "sys_info"} {
			if _, err := c.one(name+"!"+member, members[member], 0); err != nil {
				return err
			}
		}
	case len(data) > 0 && data[0] == 0x80, path.Base(name) == ".metadata":
		_, err := c.one(name, data, 0)
		return err
	}
	return nil
}

// TestTraces compares all opcodes of all pickles of the suite, their offsets
// and operands, with those of CPython's pickletools.
func TestTraces(t *testing.T) {
	text, err := os.ReadFile("testdata/traces.json")
	if err != nil {
		t.Fatal(err)
	}
	var traces map[string][3]any
	if err := json.Unmarshal(text, &traces); err != nil {
		t.Fatal(err)
	}
	wraps := make(map[string]bool)
	for _, c := range readCases(t) {
		if c.Wrap != "" {
			wraps[c.File] = true
		}
	}
	pickles, opcodes := 0, 0
	for name, want := range traces {
		c := &tracer{}
		add := func(full, name string) error {
			data, err := os.ReadFile("testdata/" + full)
			if err != nil {
				return err
			}
			if wraps[full] {
				r := &reader{}
				defer r.close()
				s, err := r.inflate(memory(data), data[:8], place{file: full, offset: -1})
				if err != nil {
					return err
				}
				if data, err = s.bytes(); err != nil {
					return err
				}
			}
			return c.content(name, data)
		}
		info, err := os.Stat("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			var files []string
			err = fs.WalkDir(os.DirFS("testdata/"+name), ".", func(file string, e fs.DirEntry, err error) error {
				if !e.IsDir() && !strings.HasSuffix(file, ".expected.json") && !strings.HasSuffix(file, ".distcp") {
					files = append(files, file)
				}
				return err
			})
			// As os.walk has it: the files of a directory before those below.
			slices.SortFunc(files, func(a, b string) int {
				if n := strings.Count(a, "/") - strings.Count(b, "/"); n != 0 {
					return n
				}
				return strings.Compare(a, b)
			})
			for _, file := range files {
				if err == nil {
					err = add(name+"/"+file, file)
				}
			}
		} else {
			err = add(name, "")
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sum := sha256.Sum256(c.text.Bytes())
		if got := [3]any{float64(c.pickles), float64(c.opcodes), hex.EncodeToString(sum[:])}; got != want {
			t.Errorf("%s: %v, pickletools has %v", name, got, want)
		}
		pickles, opcodes = pickles+c.pickles, opcodes+c.opcodes
	}
	if t.Logf("%d files, %d pickles, %d opcodes", len(traces), pickles, opcodes); len(traces) < 300 {
		t.Errorf("%d files", len(traces))
	}
}
