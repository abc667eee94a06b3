package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
)

// TestCheck states all that is reported of a header, errors and notes, and
// where: the offsets count from the beginning of the file.
func TestCheck(t *testing.T) {
	const good = `"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`
	for _, c := range []struct {
		name, header string
		data         int
		want         []string
	}{
		{"good", `{` + good + `}`, 1, nil},
		{"null for metadata", `{"__metadata__":null}`, 0, []string{"24 " + NoteNull.Error()}},
		{"one unknown field", `{"a":{"x":1,"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, []string{`14 a ` + NoteField.Error() + `: "x"`}},
		{"three unknown fields", `{"a":{"x":1,"y":2,"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"z":1,"dtype":"U8","shape":[0],"data_offsets":[1,1]}}`, 1,
			[]string{`14 a ` + NoteField.Error() + `: "x", the first of 3`}},
		{"three dtypes", `{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":null,"shape":[1],"data_offsets":[1,2]},"c":{"dtype":{"U8":null},"shape":[1],"data_offsets":[2,3]}}`, 3,
			[]string{`22 a unknown dtype: "u8"`, `74 b ` + ErrType.Error() + `: the dtype is null, not a string`, `126 c ` + ErrForm.Error() + `: the dtype is an object, not a string`}},
		{"a name twice", `{` + good + `,"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2, []string{`61 a duplicate key: tensor name`}},
		{"metadata keys twice", `{"__metadata__":{"k":"1","k":"2","l":"3","l":"4"}}`, 0,
			[]string{`33 duplicate key: metadata key "k"`, `49 duplicate key: metadata key "l"`}},
		{"metadata values", `{"__metadata__":{"k":1,"l":"x","m":{}}}`, 0,
			[]string{`29 ` + ErrType.Error() + `: value of key "k" is a number, not a string`, `43 ` + ErrType.Error() + `: value of key "m" is an object, not a string`}},
		{"a gap", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2,
			[]string{`54 a ` + ErrOffset.Error() + `: data_offsets [1,2] begin 1 past the end of the data before`}},
		{"an overlap, and the wrong size", `{` + good + `,"b":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}`, 2,
			[]string{`106 b ` + ErrOffset.Error() + `: data_offsets [0,2] overlap the data before, which ends at 1`,
				`106 b ` + ErrSize.Error() + `: data_offsets [0,2] are 2 bytes, U8 [3] takes 3`}},
		{"backwards", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, 0,
			[]string{`54 a ` + ErrOffset.Error() + `: data_offsets [1,0] run backwards`}},
		{"short of data", `{` + good + `}`, 0, []string{`61 ` + ErrTruncated.Error() + `: 0 bytes of data, 1 missing`}},
		{"data to spare", `{` + good + `}`, 4, []string{`62 ` + ErrTrailing.Error() + `: 3 of them`}},
		{"no UTF-8 before a syntax error", "{\"\xff\":}", 0, []string{`10 ` + ErrUTF8.Error() + `: byte 0xff`}},
		{"no UTF-8 behind a syntax error", "{]\xff", 0, []string{`10 ` + ErrUTF8.Error() + `: byte 0xff`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := withLength(c.header, c.data)
			var got []string
			f, err := Check(bytes.NewReader(file), int64(len(file)), func(e *FormatError) bool {
				line := fmt.Sprint(e.Offset, " ")
				if e.Tensor != "" {
					line += e.Tensor + " "
				}
				line += e.Err.Error()
				if e.Detail != "" {
					line += ": " + e.Detail
				}
				got = append(got, line)
				return true
			})
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got\n%q (%v), want\n%q", got, err, c.want)
			}
			strict, err := NewFile(bytes.NewReader(file), int64(len(file)))
			if (strict == nil) != (f == nil) || (err == nil) != (f != nil) {
				t.Errorf("Check gives %v, NewFile %v, %v", f, strict, err)
			}
		})
	}
}

// TestShortReads states that a reader which fails, or has less than its size,
// gives its error and no FormatError.
func TestShortReads(t *testing.T) {
	file := []byte(shard("a", "b"))
	for n := range 20 {
		_, err := NewFile(bytes.NewReader(file[:n]), int64(len(file)))
		if _, format := errors.AsType[*FormatError](err); format || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d: %v", n, len(file), err)
		}
	}
	broken := errors.New("broken")
	if _, err := NewFile(brokenReader{broken}, 100); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	for size := int64(-1); size < 8; size++ {
		if _, err := NewFile(bytes.NewReader(file), size); !errors.Is(err, ErrTooShort) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

// TestOpenWhatIsNoFile states that directories and files that are not there
// give errors of their own.
func TestOpenWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	for way, open := range map[string]func(string) (*File, error){"Open": Open, "Map": Map} {
		if _, err := open(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", way, err)
		}
		_, err := open(dir)
		if _, format := errors.AsType[*FormatError](err); err == nil || format {
			t.Errorf("%s of a directory: %v", way, err)
		}
		if _, err := open(os.DevNull); err == nil {
			t.Errorf("%s reads a device", way)
		}
		empty := filepath.Join(t.TempDir(), "empty")
		if err := os.WriteFile(empty, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := open(empty); !errors.Is(err, ErrTooShort) {
			t.Errorf("%s of an empty file: %v", way, err)
		}
	}
	if _, err := OpenFS(fstest.MapFS{"d/f": {}}, "d"); err == nil {
		t.Error("OpenFS opens a directory")
	}
}

// TestFileFacts compares what a File says of itself with the file.
func TestFileFacts(t *testing.T) {
	header := ` {"__metadata__":{}} `
	name := filepath.Join(t.TempDir(), "a.safetensors")
	if err := os.WriteFile(name, withLength(header, 0), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Map(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Name() != name || f.Size() != int64(8+len(header)) || f.DataOffset() != f.Size() || string(f.Header()) != header || f.Len() != 0 {
		t.Errorf("%s, %d bytes, data at %d, header %q, %d tensors", f.Name(), f.Size(), f.DataOffset(), f.Header(), f.Len())
	}
	f.Header()[1] = '!' // a copy
	if string(f.Header()) != header {
		t.Error("the header can be written to")
	}
	if m := f.Metadata(); m == nil || len(m) != 0 {
		t.Errorf("metadata %v, want an empty map", m)
	}
}
