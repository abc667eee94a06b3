package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// replaceable refuses to write a report over what is none: where --sarif or
// --junit is by mistake given the name of a model, that would be gone.
func replaceable(flags scanFlags) error {
	if flags.sarif != "" && flags.junit != "" && flags.sarif != "-" && sameFile(flags.sarif, flags.junit) {
		return hinted{usagef("--sarif and --junit are the same file %s", flags.sarif), "give each the name of a file of its own"}
	}
	for _, r := range []struct{ flag, name, mark string }{{"sarif", flags.sarif, "sarif"}, {"junit", flags.junit, "<testsuite"}} {
		info, err := os.Stat(r.name)
		if r.name == "-" || err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue // what cannot be written is told when it is
		}
		head, err := begin(r.name, 4096)
		if err == nil && !bytes.Contains(head, []byte(r.mark)) {
			err = fmt.Errorf("exists, and --%s replaces nothing but a report of an earlier run", r.flag)
		}
		if err != nil {
			return hinted{simplify(r.name, err), "give the report another name, or remove the file"}
		}
	}
	return nil
}

// sameFile tells whether two names are, or will be, of one file.
func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	second, errB := os.Stat(b)
	if err == nil && errB == nil {
		return os.SameFile(first, second) && first.Mode().IsRegular()
	}
	return filepath.Clean(a) == filepath.Clean(b)
}

// begin returns at most the first n bytes of a file.
func begin(name string, n int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// writeReport writes a report that other programs read; it replaces one of an
// earlier run, as such programs expect, when it is complete.
func (a *app) writeReport(name string, write func(io.Writer) error) error {
	switch name {
	case "":
		return nil
	case "-":
		return write(a.stdout)
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	info, err := os.Stat(name)
	there := err == nil
	if there && !info.Mode().IsRegular() {
		if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil { // a pipe or a device
			return simplify(name, err)
		}
		return nil
	}
	target := name
	if real, err := filepath.EvalSymlinks(name); err == nil {
		target = real
	}
	err = writeWhole(target, b.Bytes(), true)
	if there && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EBUSY)) {
		// The folder takes no new file, or the file is mounted into it.
		if err = os.WriteFile(name, b.Bytes(), 0o666); err != nil {
			return simplify(name, err)
		}
	}
	return err
}
