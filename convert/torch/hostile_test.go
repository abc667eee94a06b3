package torch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// zipOf makes an archive; a name that ends in "=" is deflated.
func zipOf(t *testing.T, records ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(records); i += 2 {
		name, deflate := strings.CutSuffix(records[i], "=")
		h := &zip.FileHeader{Name: name, Method: zip.Store}
		if deflate {
			h.Method = zip.Deflate
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, records[i+1])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zstdBomb is zeros in blocks of 128 KiB, of which each takes four bytes
// (RFC 8878, 3.1.1: a frame without checksum, a window of 8 MiB, RLE blocks).
func zstdBomb(blocks int) []byte {
	b := []byte("\x28\xb5\x2f\xfd\x00\x68")
	for i := range blocks {
		header := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			header |= 1
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16), 0)
	}
	return b
}

func fileOf(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// xzOf returns a file of the suite whose window is as large as the format has
// it: 4 GiB.
func xzOf(t *testing.T) (good, huge []byte) {
	t.Helper()
	good = fileOf(t, "torch215/wrapped_zip.pt.xz")
	huge = bytes.Clone(good)
	header := huge[12 : 12+4*(int(huge[12])+1)]
	if header[2] != 0x21 {
		t.Fatalf("block header %x", header)
	}
	header[4] = 40
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return good, huge
}

// central changes the 16 bits at offset at of the n-th entry of the directory.
func central(data []byte, n, at int, value uint16) []byte {
	i := 0
	for ; ; n-- {
		i += bytes.Index(data[i:], []byte("PK\x01\x02"))
		if n == 0 {
			break
		}
		i += 4
	}
	binary.LittleEndian.PutUint16(data[i+at:], value)
	return data
}

func TestHostile(t *testing.T) {
	empty := "\x80\x02}q\x00."
	laughs := "\x80\x02]q\x00"
	for i := range 60 { // each list holds the one before twice
		laughs += "]q" + string(rune(i+1)) + "(h" + string(rune(i)) + "h" + string(rune(i)) + "e"
	}
	deep := "\x80\x02" + strings.Repeat("]", 200_000) + strings.Repeat("a", 199_999) + "."
	tensor := "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
	cycle := "\x80\x02}q\x00X\x01\x00\x00\x00ah\x00sX\x01\x00\x00\x00w" + tensor + "s."
	shared := "\x80\x02]q\x00" + tensor + "a"
	for i := range 60 {
		shared += "0]q" + string(rune(i+1)) + "(h" + string(rune(i)) + "h" + string(rune(i)) + "e"
	}
	// One text, made bytes for each of many arrays.
	array := "cnumpy._core.numeric\n_frombuffer\n(c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86Rcnumpy\ndtype\nX\x02\x00\x00\x00u1\x89\x88\x87RJ\x60\xea\x00\x00\x85X\x01\x00\x00\x00CtR"
	texts := "\x80\x02X\x60\xea\x00\x00" + strings.Repeat("a", 60_000) + "q\x000]q\x01("
	var link bytes.Buffer
	w := tar.NewWriter(&link)
	w.WriteHeader(&tar.Header{Name: "storages", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	w.WriteHeader(&tar.Header{Name: "pickle", Size: int64(len(empty)), Mode: 0o600, Typeflag: tar.TypeReg})
	io.WriteString(w, empty)
	w.Close()
	nested := []byte(empty)
	for range 8 {
		nested = gzipOf(t, nested)
	}
	good, huge := xzOf(t)
	for name, tt := range map[string]struct {
		data   []byte
		cause  error
		reason string
	}{
		"traversal":   {zipOf(t, "a/data.pkl", empty, "a/../../x", "x"), ErrMalformed, "name"},
		"backslash":   {zipOf(t, "a/data.pkl", empty, "a\\x", "x"), ErrMalformed, "name"},
		"encrypted":   {central(zipOf(t, "a/data.pkl", empty), 0, 8, 1), ErrUnsupported, "encrypted"},
		"method":      {central(zipOf(t, "a/data.pkl", empty), 0, 10, 99), ErrUnsupported, "method"},
		"bomb":        {zipOf(t, "a/data.pkl=", strings.Repeat("\x80\x02", 100<<20)), ErrLimit, "inflate"},
		"gzip bomb":   {gzipOf(t, make([]byte, 100<<20)), ErrLimit, "inflate"},
		"xz window":   {huge, ErrLimit, "window"},
		"xz windows":  {append(bytes.Clone(good), huge...), ErrLimit, "window"},
		"xz cut":      {good[:len(good)-9], ErrMalformed, "truncated"},
		"zstd bomb":   {zstdBomb(800), ErrLimit, "inflate"},
		"zstd window": {[]byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), ErrMalformed, "compressed"}, // of 2 GiB
		"zstd cut":    {fileOf(t, "torch215/wrapped_zip.pt.zst")[:200], ErrMalformed, "truncated"},
		"lz4 cut":     {fileOf(t, "torch215/wrapped_zip.pt.lz4")[:200], ErrMalformed, "truncated"},
		"nested gzip": {nested, ErrLimit, "nested"},
		"no pickle":   {zipOf(t, "a/readme", "x"), ErrUnknown, "unknown"},
		"laughs":      {[]byte(laughs + "."), ErrUnknown, "empty"},
		"deep":        {[]byte(deep), ErrUnknown, "empty"},
		"shared":      {zipOf(t, "a/data.pkl", shared+".", "a/data/0", "1234"), ErrLimit, "shared"},
		"texts":       {[]byte(texts + strings.Repeat(array, 2000) + "e."), ErrLimit, "text"},
		"escapes":     {[]byte("\x80\x00}X\x01\x00\x00\x00wcnumpy._core.numeric\n_frombuffer\n(S'" + strings.Repeat("a", 70_000) + "\\xgg'\ncnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I70000\ntS'C'\ntRs."), ErrMalformed, "latin1"},
		"link":        {link.Bytes(), ErrDangerous, "dangerous"},
		"no bytes":    {nil, ErrUnknown, "unknown"},
		"zeros":       {make([]byte, 4096), ErrUnknown, "unknown"},
		"extension":   {[]byte("\x80\x02\x82\x01."), ErrDangerous, "dangerous"},
		"getattr":     {[]byte("\x80\x04cbuiltins\ngetattr\ncmycode\nMode\n\x8c\x08__dict__\x86R."), ErrDangerous, "dangerous"},
		"as argument": {[]byte("\x80\x04cmycode\ncall\ncbuiltins\ngetattr\n\x85R."), ErrDangerous, "dangerous"},
		"computed":    {[]byte("\x80\x04\x8c\x06mycode\x94cmycode\nname\n)R\x93."), ErrDangerous, "dangerous"},
		"second":      {[]byte(empty + "cos\nsystem\n(S'true'\ntR."), ErrDangerous, "dangerous"},
		"cut":         {[]byte("\x80\x02cos\nsystem\n(X"), ErrDangerous, "dangerous"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			f, err := Open(fstest.MapFS{"x": {Data: tt.data}}, "x", nil)
			if err == nil {
				f.Close()
			}
			var e *Error
			if !errors.Is(err, tt.cause) || !errors.As(err, &e) || e.Reason != tt.reason {
				t.Errorf("%v, want %v (%s)", err, tt.cause, tt.reason)
			}
			if took := time.Since(begin); took > time.Minute { // a hang, not a busy machine
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("cycle", func(t *testing.T) {
		f, err := Open(fstest.MapFS{"x": {Data: zipOf(t, "a/data.pkl", cycle, "a/data/0", "1234")}}, "x", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if list := f.Entries(); len(list) != 1 || list[0].Name != "w" {
			t.Errorf("entries %v", list)
		}
	})
	t.Run("overlap", func(t *testing.T) {
		data := zipOf(t, "a/data.pkl", empty, "a/data/0", "12345678")
		second := bytes.LastIndex(data, []byte("PK\x01\x02"))
		first := bytes.Index(data, []byte("PK\x01\x02"))
		copy(data[second+42:second+46], data[first+42:first+46]) // where its local header is
		_, err := Open(fstest.MapFS{"x": {Data: data}}, "x", nil)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("two records of the same bytes: %v", err)
		}
	})
}

// A reads is a file that counts how often it is read.
type reads struct {
	fs.FS
	n int
}

type readsFile struct {
	fs.File
	io.ReaderAt
	n *int
}

func (r *reads) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return readsFile{f, f.(io.ReaderAt), &r.n}, nil
}

func (f readsFile) ReadAt(p []byte, off int64) (int, error) {
	*f.n++
	return f.ReaderAt.ReadAt(p, off)
}

// TestManyOfOneName states that records of one name are compared once, not
// again for each of them, or for each tensor that is looked for.
func TestManyOfOneName(t *testing.T) {
	const n = 300
	records := []string{"a/data.pkl", "\x80\x02}."}
	for range n {
		records = append(records, "a/extra/f", "12345678")
	}
	r := &reads{FS: fstest.MapFS{"x": {Data: zipOf(t, records...)}}}
	f, err := Open(r, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r.n > 10*n {
		t.Errorf("%d reads for %d records", r.n, n)
	}
	records[len(records)-1] = "12345679"
	if f, err := Open(fstest.MapFS{"x": {Data: zipOf(t, records...)}}, "x", nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, though the last differs", err)
		if err == nil {
			f.Close()
		}
	}
}

// TestManyPlaces has a list of thousands of values, beside a tensor, stand in
// thousands of places.
func TestManyPlaces(t *testing.T) {
	const n = 20_000
	tensor := "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
	keys := ""
	for i := range n {
		keys += fmt.Sprintf("\x8c\x05%05dN", i)
	}
	for what, data := range map[string]string{
		"left out": "\x80\x02](ctorch.optim.adam\nAdam\n)\x81}(X\x01\x00\x00\x00l](" + strings.Repeat("]", n) + "eX\x01\x00\x00\x00t" + tensor + "ubq\x05" + strings.Repeat("h\x05", n) + "e.",
		"named":    "\x80\x04](}(" + keys + "X\x01\x00\x00\x00t" + tensor + "uq\x05" + strings.Repeat("h\x05", n) + "e.",
		"beside the root": "\x80\x04}(X\x05\x00\x00\x00model}X\x01\x00\x00\x00w" + tensor + "sX\x01\x00\x00\x00l](" + strings.Repeat("]", n) + tensor + "eq\x05" +
			strings.Replace(keys, "N", "h\x05", n) + "u.",
	} {
		root := "."
		if what == "beside the root" {
			root = ""
		}
		_, err := Open(fstest.MapFS{"x": {Data: zipOf(t, "a/data.pkl", data, "a/data/0", "1234")}}, "x", &Options{Root: root, ExtractOnly: true})
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "shared" || !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestEnumMember takes the member of an enumeration as Python 3.11.2 pickles
// it.
func TestEnumMember(t *testing.T) {
	data := []byte("\x80\x04}\x8c\x01mcbuiltins\ngetattr\ncmycode\nMode\n\x8c\x04FAST\x86Rs.")
	f, err := Open(fstest.MapFS{"x": {Data: data}}, "x", &Options{ExtractOnly: true}) // it holds no tensors
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Verdict().String() != "suspicious" {
		t.Errorf("verdict %v", f.Verdict())
	}
}

// A streamFS has files that cannot be read at offsets.
type streamFS struct{ fs.FS }

type streamFile struct{ fs.File }

func (s streamFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	return streamFile{f}, err
}

func TestStream(t *testing.T) {
	for _, file := range []string{"torch113/zip_path.pt", "published/published_lpips_alex_v0.1.pth"} {
		f, err := Open(streamFS{os.DirFS("testdata")}, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(digests(t, f)) == 0 {
			t.Errorf("%s: no tensors", file)
		}
		f.Close()
	}
}

func TestBundle(t *testing.T) {
	model, err := os.ReadFile("testdata/torch113/flat.pt")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range map[string][]byte{"./model_config.yaml": []byte("a: 1\n"), "./model_weights.ckpt": model} {
		w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600})
		w.Write(data)
	}
	w.Close()
	f, err := Open(fstest.MapFS{"x.nemo": {Data: b.Bytes()}}, "x.nemo", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := digests(t, f); len(got) != 2 {
		t.Errorf("tensors %v", got)
	}
}

// TestTemporary leaves nothing behind.
func TestTemporary(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"torch215/wrapped_zip.pt.xz", "hand/zip_deflated_storage.pt", "hand/bad_pickle_cut.pt"} {
		f, err := Open(os.DirFS("testdata"), file, &Options{TempDir: dir})
		if err == nil {
			f.Close()
		}
	}
	f, err := Open(fstest.MapFS{"x": {Data: gzipOf(t, append([]byte("\x80\x02}."), make([]byte, 1<<20)...))}}, "x", &Options{TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if f.r.spill.f == nil {
		t.Error("no temporary file while open")
	}
	// A process that is killed leaves nothing where a file needs no name.
	if list, _ := os.ReadDir(dir); len(list) != 0 && runtime.GOOS != "windows" {
		t.Errorf("%d temporary files while open", len(list))
	}
	f.Close()
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

// TestNoRoom states that the file is not called malformed when the disk for
// what is unpacked is at fault.
func TestNoRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nothing")
	for _, data := range [][]byte{gzipOf(t, append([]byte("\x80\x02}."), make([]byte, 1<<20)...)), zipOf(t, "a/data.pkl=", strings.Repeat("N0", 1<<19))} {
		_, err := Open(fstest.MapFS{"x": {Data: data}}, "x", &Options{TempDir: dir})
		if errors.Is(err, ErrMalformed) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without a directory for temporary files: %v", err)
		}
	}
}
