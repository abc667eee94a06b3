package main

import (
	"io/fs"
	"strings"
	"testing"
)

// A file is named once, and for a tensor both it and what could not be read.
func TestHashTrouble(t *testing.T) {
	denied := &fs.PathError{Op: "read", Path: "model.safetensors", Err: fs.ErrPermission}
	for want, job := range map[string]hashJob{
		"":                                     {name: "model.safetensors"},
		"model.safetensors: permission denied": {name: "model.safetensors", err: denied},
		"w: read model.safetensors: permission denied": {name: "w", data: strings.NewReader(""), err: denied},
	} {
		got := ""
		if err := job.trouble(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("trouble() = %q, want %q", got, want)
		}
	}
}
