package bench

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tensmith/tensmith/load"
	"github.com/tensmith/tensmith/safetensors"
)

// loading are the cases of package load. Each opens the file itself.
func loading() []Case {
	files := []string{bigFile}
	disk := []string{"probe/read-buffered", "probe/read-direct"}
	return []Case{
		{Name: "load/fresh", Who: Ours, About: "load all tensors into memory of their own, new to the process",
			Limits: []string{"probe/pread"}, Goal: 0.6, Peers: 2.5, Files: files, Run: loadAll(loadOptions{})},
		{Name: "load/reused", Who: Ours, About: "the same, into an arena that was used before",
			Limits: []string{"probe/pread"}, Goal: 0.95, Files: files, Run: loadAll(loadOptions{reused: true})},
		{Name: "load/heap", Who: Ours, About: "the same, into memory of the garbage collector",
			Limits: []string{"probe/pread"}, Files: files, Run: loadAll(loadOptions{heap: true})},
		{Name: "load/sharded", Who: Ours, About: "the same of a model in four files and an index, into one new arena",
			Limits: []string{"probe/pread"}, Goal: 0.6, Peers: 2.5, Files: []string{bigFile, shards}, Run: loadAll(loadOptions{sharded: true})},
		{Name: "load/budget", Who: Ours, About: "the same, tensor by tensor in 64 MiB of memory",
			Limits: []string{"probe/pread"}, Files: files, Run: loadAll(loadOptions{budget: 64 << 20})},
		{Name: "load/mapped", Who: Ours, About: "map all tensors and touch every page",
			Limits: []string{"probe/map-touch"}, Goal: 0.95, Peers: 1, Files: files, Run: loadAll(loadOptions{way: load.Map})},
		{Name: "load/populated", Who: Ours, About: "the same, with pages brought in ahead",
			Limits: []string{"probe/map-populate"}, Goal: 0.95, Peers: 2, Files: files, Run: loadAll(loadOptions{way: load.Populate})},
		{Name: "load/cold", Who: Ours, About: "load all tensors into memory of their own, from the disk",
			Limits: disk, Goal: 0.95, Peers: 1.8, Files: files, Run: loadAll(loadOptions{cold: true})},
		{Name: "load/cold-direct", Who: Ours, About: "the same, past the page cache",
			Limits: disk, Goal: 0.95, Files: files, Run: loadAll(loadOptions{cold: true, way: load.Direct})},
		{Name: "load/cold-mapped", Who: Ours, About: "map all tensors and touch every page, from the disk",
			Limits: disk, Goal: 0.95, Peers: 1, Files: files, Run: loadAll(loadOptions{cold: true, way: load.Populate})},
	}
}

type loadOptions struct {
	way     load.Way
	cold    bool
	reused  bool // the arena
	heap    bool // in place of an arena
	sharded bool
	budget  int64
}

func (o loadOptions) mapped() bool { return o.way == load.Map || o.way == load.Populate }

// loadAll times the opening of the large file and the loading of all of it.
func loadAll(o loadOptions) func(*Clock) error {
	return func(c *Clock) error {
		sums, err := c.sums()
		if err != nil {
			return err
		}
		open, warm := c.openBig, func() error { return c.warmed(bigFile) }
		if o.sharded {
			open, warm = c.openShards, c.warmShards
		}
		if err := warm(); err != nil {
			return err
		}
		var arena load.Arena
		defer arena.Free()
		loader := &load.Loader{Arena: &arena, Way: o.way, Budget: o.budget}
		if o.heap {
			loader.Arena = nil
		}
		if o.reused {
			if _, err := c.load(open, loader, nil); err != nil {
				return err
			}
			if err := arena.Reset(); err != nil {
				return err
			}
		}
		if o.cold {
			f, _, err := c.cold(bigFile)
			if err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
		var each func(*load.Tensor, []byte) error
		if o.mapped() {
			each = func(_ *load.Tensor, data []byte) error { return touchPages(data) }
		}
		var all []*load.Tensor
		if err := c.Time(func() error {
			all, err = c.load(open, loader, each)
			return err
		}); err != nil {
			return err
		}
		if o.budget > 0 {
			// Their bytes are gone; it is done once more to look at them.
			all, err = c.load(open, loader, func(t *load.Tensor, data []byte) error { return checkTensor(sums, t.Name, data) })
			if err == nil && len(all) != len(sums) {
				err = fmt.Errorf("%d tensors, not %d", len(all), len(sums))
			}
			return err
		}
		if len(all) != len(sums) {
			return fmt.Errorf("%d tensors, not %d", len(all), len(sums))
		}
		for _, t := range all {
			if o.way != load.Auto && t.Way != o.way {
				return Absent("%v became %v", o.way, t.Way)
			}
			data, err := t.Bytes()
			if err != nil {
				return err
			}
			if err := checkTensor(sums, t.Name, data); err != nil {
				return err
			}
		}
		return nil
	}
}

// A model is in one file or in several.
type model interface {
	All() iter.Seq[*safetensors.Tensor]
	Len() int
	Close() error
}

func (c *Clock) openBig() (model, error) { return safetensors.Open(c.path(bigFile)) }

func (c *Clock) openShards() (model, error) { return safetensors.OpenCheckpoint(c.path(shards)) }

// warmShards is warmed for the model in several files.
func (c *Clock) warmShards() error {
	names, err := c.Shards()
	for _, name := range names {
		err = errors.Join(err, c.warmed(name))
	}
	return err
}

// load opens a model, loads all of it, and returns the tensors.
func (c *Clock) load(open func() (model, error), loader *load.Loader, each func(*load.Tensor, []byte) error) ([]*load.Tensor, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := make([]*load.Tensor, 0, f.Len())
	c.Bytes = 0
	for t, err := range loader.Load(c.Context, load.Tensors(f.All())) {
		if err != nil {
			return nil, err
		}
		data, err := t.Bytes()
		if err != nil {
			return nil, err
		}
		if each != nil {
			if err := each(t, data); err != nil {
				return nil, err
			}
		}
		c.Bytes += int64(len(data))
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return all, nil
}
