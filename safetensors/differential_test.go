package safetensors

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// reference is a running copy of the reference implementation, which gives
// its verdict on files: the program of bench/reference, built by hand and
// named by TENSMITH_REFERENCE.
type reference struct {
	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

func startReference(t testing.TB) *reference {
	path := os.Getenv("TENSMITH_REFERENCE")
	if path == "" {
		return nil
	}
	cmd := exec.Command(path, "verdicts")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return &reference{in: in, out: bufio.NewReader(out)}
}

// verdict returns "ok" or "refuse " and the reference's name of the cause.
func (r *reference) verdict(t testing.TB, file []byte) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(file))))
	r.in.Write(file)
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatal("the reference is gone: ", err)
	}
	return strings.TrimSpace(line)
}

// causes has the reference's name for each of our causes. Ours that have none
// are the exceptions of the package's documentation.
var causes = map[error]string{
	ErrTooShort:        "HeaderTooSmall",
	ErrHeaderTooLarge:  "HeaderTooLarge",
	ErrHeaderTruncated: "InvalidHeaderLength",
	ErrUTF8:            "InvalidHeader",
	ErrSyntax:          "InvalidHeaderDeserialization",
	ErrType:            "InvalidHeaderDeserialization",
	ErrDType:           "InvalidHeaderDeserialization",
	ErrOffset:          "InvalidOffset",
	ErrOverflow:        "ValidationOverflow",
	ErrMisaligned:      "MisalignedSlice",
	ErrSize:            "TensorInvalidInfo",
	ErrTruncated:       "MetadataIncompleteBuffer",
	ErrTrailing:        "MetadataIncompleteBuffer",
}

// layout has the reference's names for errors in the places of the data.
var layout = map[string]bool{"InvalidOffset": true, "ValidationOverflow": true, "MisalignedSlice": true, "TensorInvalidInfo": true}

// agree fails unless our verdict on a file, and the cause we give, are the
// reference's.
func agree(t testing.TB, ref *reference, file []byte) {
	t.Helper()
	_, err := NewFile(bytes.NewReader(file), int64(len(file)))
	theirs := ref.verdict(t, file)
	e, _ := errors.AsType[*FormatError](err)
	if err != nil && e == nil {
		t.Fatalf("%q: %v is no FormatError", file, err)
	}
	switch {
	case e != nil && (e.Err == ErrDuplicate || e.Err == ErrForm):
		// An exception, whatever the reference says.
	case e == nil && theirs != "ok":
		t.Errorf("accepted, the reference says %q: %q", theirs, file)
	case e != nil && theirs == "ok":
		t.Errorf("refused, the reference says ok: %q: %v", file, e)
	case e != nil && layout[causes[e.Err]] && layout[strings.TrimPrefix(theirs, "refuse ")]:
		// Of tensors at the same offsets the reference looks at any first.
	case e != nil && theirs != "refuse "+causes[e.Err]:
		t.Errorf("%v, the reference says %q: %q", e, theirs, file)
	}
}
