package xzwindow_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"testing"

	"github.com/tensmith/tensmith/internal/xzwindow"
)

// Files of 16 bytes, as Python's lzma writes them with the filter's dict_size.
const (
	window64K = "/Td6WFoAAATm1rRGAgAhAQgAAADYDyMTAQAPc2l4dGVlbiBieXRlcyAuLgBzjV+7fxefegABKBDlC2xgH7bzfQEAAAAABFla"
	window64M = "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jMAQAPc2l4dGVlbiBieXRlcyAuLgBzjV+7fxefegABKBDlC2xgH7bzfQEAAAAABFla"
)

func TestCheck(t *testing.T) {
	small, large := decode(t, window64K), decode(t, window64M)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"small":                {small, nil},
		"large":                {large, xzwindow.ErrWindow},
		"large behind small":   {append(bytes.Clone(small), large...), xzwindow.ErrWindow},
		"two with padding":     {append(append(bytes.Clone(small), 0, 0, 0, 0), small...), nil},
		"truncated":            {small[:len(small)-30], io.ErrUnexpectedEOF},
		"something behind":     {append(bytes.Clone(small), "no stream at all"...), xzwindow.ErrFormat},
		"a header cut in half": {large[:14], io.ErrUnexpectedEOF},
	} {
		if err := xzwindow.Check(bytes.NewReader(c.data), int64(len(c.data)), 16<<20); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzCheck holds that the walk ends, and with no other answer.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{window64K, window64M} {
		data, _ := base64.StdEncoding.DecodeString(text)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := xzwindow.Check(bytes.NewReader(data), int64(len(data)), 16<<20)
		switch err {
		case nil, io.ErrUnexpectedEOF, xzwindow.ErrFormat, xzwindow.ErrWindow:
		default:
			t.Errorf("%v", err)
		}
	})
}
