package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tensmith/tensmith/safetensors"
)

// Large counts of tensors are grouped wherever words have them.
func TestManyTensors(t *testing.T) {
	var entries []safetensors.Entry
	for i := range 1200 {
		entries = append(entries, safetensors.Entry{
			Info: safetensors.Info{Name: fmt.Sprint("t", i), DType: safetensors.F32, Shape: []uint64{1}},
			Data: bytes.NewReader(make([]byte, 4)),
		})
	}
	many := filepath.Join(t.TempDir(), "many.safetensors")
	if err := (&safetensors.Encoder{NoSync: true}).WriteFile(t.Context(), many, entries); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string]string{
		"1,200 only in ":                     "diff MANY " + realDir + "numpy.safetensors",
		", 1,200 only in ":                   "diff --values " + realDir + "numpy.safetensors MANY",
		"and 1,180 more: --top 0 prints all": "cast MANY --to bf16 --dry-run",
		"… and 1,176 more: --list":           "convert MANY --dry-run -o MANY.out",
	} {
		var out bytes.Buffer
		run(t.Context(), strings.Fields(strings.ReplaceAll(args, "MANY", many)), nil, &out, &out)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: no %q in\n%.2000s", args, want, out.String())
		}
	}
}
