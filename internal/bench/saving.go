package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// saving are the cases of writing.
func saving() []Case {
	return []Case{
		{Name: "save/plain", Who: Ours, About: "write the tensors of a model from memory, without waiting for the disk",
			Limits: []string{"probe/write"}, Goal: 0.9, Peers: 1.3, Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{NoSync: true}, false)},
		{Name: "save/durable", Who: Ours, About: "the same, and make file, name and directory durable",
			Limits: []string{"probe/write-direct"}, Goal: 0.9, Peers: 1.8, Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{}, false)},
		{Name: "save/direct", Who: Ours, About: "the same, past the page cache",
			Limits: []string{"probe/write-direct"}, Goal: 0.9, Peers: 1.8, Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{Direct: true}, false)},
		{Name: "save/durable-then-read", Who: Ours, About: "save durably, and read the file into memory that has been touched",
			Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{}, true)},
		{Name: "save/direct-then-read", Who: Ours, About: "the same, saved past the page cache",
			Files: []string{bigFile}, Writes: true, Run: save(safetensors.Encoder{Direct: true}, true)},
		{Name: "save/merged", Who: Ours, About: "write what four files hold into one, as merge, select and repack do, without waiting for the disk",
			Limits: []string{"probe/copy-plain"}, Goal: 0.9, Files: []string{bigFile, shards}, Writes: true, Run: merge},
		{Name: "edit/in-place", Who: Ours, About: "change metadata where the header has room, durably",
			Files: []string{editFile}, Run: editInPlace, Note: func(r *Result) string {
				return fmt.Sprintf("%s takes %.2f ms, however large the file is; the goal is less than 5 ms", r.Name, float64(r.Min)/1e6)
			}},
		{Name: "edit/moved", Who: Ours, About: "change metadata where it has none: the file is written anew, durably",
			Limits: []string{"probe/copy-file"}, Goal: 0.9, Peers: 2, Files: []string{bigFile, crammed}, Writes: true, Run: editMoved},
	}
}

const outFile = "out.safetensors"

// model returns the tensors of the large file, each in memory of its own, as a
// program has them that computed them.
func (c *Clock) model() ([]safetensors.Entry, error) {
	if err := c.warmed(bigFile); err != nil {
		return nil, err
	}
	f, err := safetensors.Open(c.path(bigFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []safetensors.Entry
	for t := range f.All() {
		data, err := t.Bytes()
		if err != nil {
			return nil, err
		}
		entries = append(entries, safetensors.Entry{Info: t.Info, Data: bytes.NewReader(data)})
		c.Bytes += t.Size()
	}
	return entries, nil
}

// save times the writing of the model, and of reading it again if that is to
// follow.
func save(e safetensors.Encoder, thenRead bool) func(*Clock) error {
	e.Metadata = map[string]string{"format": "pt"}
	return func(c *Clock) error {
		entries, err := c.model()
		if err != nil {
			return err
		}
		to := []byte{}
		if thenRead {
			var free func()
			if to, free, err = faulted(c.Bytes); err != nil {
				return err
			}
			defer free()
		}
		return c.saving(&e, entries, func(name string) error {
			if !thenRead {
				return nil
			}
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return preadAll(f, to, threads())
		})
	}
}

// merge times the writing of a model of several files into one.
func merge(c *Clock) error {
	if err := c.warmShards(); err != nil {
		return err
	}
	from, err := c.openShards()
	if err != nil {
		return err
	}
	defer from.Close()
	var entries []safetensors.Entry
	for t := range from.All() {
		entries = append(entries, safetensors.Entry{Info: t.Info, Data: t})
		c.Bytes += t.Size()
	}
	e := &safetensors.Encoder{Metadata: map[string]string{"format": "pt"}, NoSync: true}
	return c.saving(e, entries, func(string) error { return nil })
}

// saving times the writing of a file and what follows, and holds the file to
// what it is made from.
func (c *Clock) saving(e *safetensors.Encoder, entries []safetensors.Entry, then func(name string) error) error {
	name := c.path(outFile)
	defer os.Remove(name)
	for range twice {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		settle(c.Dir)
		if err := c.Time(func() error {
			if err := e.WriteFile(c.Context, name, entries); err != nil {
				return err
			}
			return then(name)
		}); err != nil {
			return err
		}
	}
	return c.checkFile(name)
}

// twice is how often a file is written by one process. The first time memory
// for the page cache may have to come from the host of a virtual machine, which
// takes longer than everything else; the second time it is that which the
// first has given back.
const twice = 2

// edit times one edit of a file's metadata.
func (c *Clock) edit(file, value string, wantInPlace bool) error {
	name := c.path(file)
	if err := c.warmed(file); err != nil {
		return err
	}
	f, err := safetensors.Open(name)
	if err != nil {
		return err
	}
	c.Bytes = f.Size()
	if wantInPlace {
		c.Bytes = f.DataOffset()
	}
	if err := f.Close(); err != nil {
		return err
	}
	metadata := map[string]string{"format": "pt", "note": value}
	settle(c.Dir)
	return c.Time(func() error {
		inPlace, err := safetensors.EditMetadata(c.Context, name, metadata)
		if err == nil && inPlace != wantInPlace {
			err = fmt.Errorf("%s: in place %v, not %v", name, inPlace, wantInPlace)
		}
		return err
	})
}

func editInPlace(c *Clock) error {
	// Another value each time; the first one may find no room yet.
	note := strconv.Itoa(os.Getpid())
	metadata := map[string]string{"format": "pt", "note": strings.Repeat("x", 100)}
	if _, err := safetensors.EditMetadata(c.Context, c.path(editFile), metadata); err != nil {
		return err
	}
	for i := range 5 {
		if err := c.edit(editFile, note+strconv.Itoa(i), true); err != nil {
			return err
		}
	}
	return c.checkMetadata(editFile, note+"4")
}

func editMoved(c *Clock) error {
	f, err := safetensors.Open(c.path(crammed))
	if err != nil {
		return err
	}
	// An edit leaves room for up to 5119 bytes; each of these needs more.
	value := f.Metadata()["note"]
	if err := f.Close(); err != nil {
		return err
	}
	for range twice {
		if value += strings.Repeat("y", 8192); len(value) > 1_000_000 {
			return errors.New("too many edits of one file")
		}
		if err := c.edit(crammed, value, false); err != nil {
			return err
		}
	}
	if err := c.checkMetadata(crammed, value); err != nil {
		return err
	}
	return c.checkFile(c.path(crammed))
}

func (c *Clock) checkMetadata(file, want string) error {
	f, err := safetensors.Open(c.path(file))
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Metadata()["note"] != want {
		return fmt.Errorf("%s: the metadata is not what was written", f.Name())
	}
	return nil
}
