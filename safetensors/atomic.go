package safetensors

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// An atomicFile is a file that takes its place when it is complete.
type atomicFile struct {
	*os.File
	target string
	noSync bool
	direct bool
	done   bool
}

// createAtomic begins a file that is written as e says.
func createAtomic(name string, e *Encoder) (*atomicFile, error) {
	target := name
	for range 40 { // as many links as Linux follows
		link, err := os.Readlink(target)
		if err != nil {
			break
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(target), link)
		}
		target = link
	}
	dir, base := filepath.Split(target)
	var random [6]byte
	rand.Read(random[:])
	temp := filepath.Join(dir, "."+base[:min(len(base), 200)]+"."+hex.EncodeToString(random[:])+".tmp")
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		// The name that the caller knows, not the temporary one.
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	if info, err := os.Stat(target); err == nil {
		f.Chmod(info.Mode().Perm()) // a mode that cannot be kept is no reason to fail
	}
	return &atomicFile{File: f, target: target, noSync: e.NoSync, direct: e.Direct}, nil
}

// commit makes the file durable and gives it its name.
func (f *atomicFile) commit() error {
	if err := f.finish(); err != nil {
		return err
	}
	return f.publish()
}

// finish completes the content and, unless it was told not to, makes it
// durable.
func (f *atomicFile) finish() error {
	var err error
	if !f.noSync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// publish gives the file its name.
func (f *atomicFile) publish() error {
	if err := os.Rename(f.File.Name(), f.target); err != nil {
		return err
	}
	f.done = true
	if !f.noSync {
		syncDir(filepath.Dir(f.target))
	}
	return nil
}

// abort removes the file unless it has been published.
func (f *atomicFile) abort() {
	if !f.done {
		f.Close()
		os.Remove(f.File.Name())
	}
}

// syncDir makes a rename durable where directories can be synced.
func syncDir(name string) {
	d, err := os.Open(name)
	if err != nil {
		return // a directory may be writable and not readable
	}
	defer d.Close()
	// Not every system and file system can sync a directory, and the rename
	// is done: there is nothing to undo and nobody to blame.
	_ = d.Sync()
}
