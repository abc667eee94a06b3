package scan

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/tensmith/tensmith/safetensors"
)

// placesOf returns what a model takes of what is to be spent on places that
// begin like a file.
func placesOf(t *testing.T, v *values) int64 {
	t.Helper()
	c, err := safetensors.OpenCheckpointFS(fstest.MapFS{"m.safetensors": v.encoded(t)}, "m.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const all = 1 << 40
	s := newValueScan([]*safetensors.Checkpoint{c}, ValueOptions{Jobs: 2})
	s.places.Store(all)
	if err := s.read(context.Background()); err != nil {
		t.Fatal(err)
	}
	return all - s.places.Load()
}

// TestPlacesSpent states that what is looked into of random and of trained-like
// numbers is less than half of what may be.
func TestPlacesSpent(t *testing.T) {
	unhurried(t)
	n := 1 << 23
	if testing.Short() {
		n = 1 << 20
	}
	for _, d := range []safetensors.DType{safetensors.F64, safetensors.F32, safetensors.F16, safetensors.BF16, safetensors.F8E4M3, safetensors.I64, safetensors.I32, safetensors.I16, safetensors.I8, safetensors.U8} {
		width := d.Bits() / 8
		t.Run(d.String()+" at random", func(t *testing.T) {
			if got := placesOf(t, matrixOf(d, random(uint64(width), n))); got <= 0 || got > int64(n)/32 {
				t.Errorf("%d bytes of %d, want at most one of 32", got, n)
			}
		})
		for _, kind := range []string{"trained", "normal", "cast", "quantised", "tiny"} {
			t.Run(d.String()+" "+kind, func(t *testing.T) {
				m := min(n, 1<<21)
				if got := placesOf(t, matrixOf(d, numbers(d, kind, 3, m/width))); got > int64(m) {
					t.Errorf("%d bytes of %d, want at most all", got, m)
				}
			})
		}
	}
}

// TestTooManyPlaces states that a tensor of beginnings is not clean, and that no
// more of them is looked into than may be.
func TestTooManyPlaces(t *testing.T) {
	unhurried(t)
	n := 1 << 21
	for name, begin := range map[string]string{
		"pickles":         "\x80\x02ccccc\nccc\n0",
		"pickles' marks":  "\x80\x02",
		"open pickles":    "\x80\x02(((((((((((((((((((((((((((((((((((((((((((((((((((((",
		"all kinds":       "\x80\x02cPK\x03\x04\x1f\x8b\x08",
		"zip":             "PK\x03\x04",
		"gzip":            "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
		"Windows program": "PE\x00\x00\x64\x86\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b\x02",
	} {
		for _, d := range []safetensors.DType{safetensors.U8, safetensors.F32, safetensors.F64} {
			t.Run(name+" "+d.String(), func(t *testing.T) {
				width := d.Bits() / 8
				raw := bytes.Repeat([]byte(begin), n/len(begin)+1)[:n/width]
				report := matrixOf(d, hideIn(make([]byte, n), width, raw, 0, 8, false)).scan(t)
				if !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.ID == "ST218" }) {
					t.Error("no ST218")
				}
			})
		}
	}
}
