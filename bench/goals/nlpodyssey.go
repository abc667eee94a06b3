package main

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"

	nlpodyssey "github.com/nlpodyssey/safetensors"

	"github.com/tensmith/tensmith/internal/bench"
)

const nlpodysseyName = "nlpodyssey"

// nlpodysseyCases run in processes of this program, as ours do.
func nlpodysseyCases() []bench.Case {
	one := func(name string, run func(*bench.Clock) error) bench.Case {
		return bench.Case{Name: name, Who: nlpodysseyName, Files: []string{bench.Big}, Run: run, Writes: strings.HasPrefix(name, "save/") || strings.HasPrefix(name, "edit/")}
	}
	return []bench.Case{
		one("load/fresh", loadGo(false)),
		one("load/cold", loadGo(true)),
		{Name: "load/sharded", Who: nlpodysseyName, Files: []string{bench.Shards}, Run: loadShardsGo},
		one("tensor/one", func(c *bench.Clock) error {
			if err := c.Warm(); err != nil {
				return err
			}
			return c.Time(func() error {
				all, err := readGo(c)
				if err != nil {
					return err
				}
				t, ok := all.Tensor(bench.Single)
				if !ok {
					return errors.New("the tensor is not there")
				}
				c.Bytes = int64(len(t.Data()))
				return nil
			})
		}),
		one("save/plain", saveGo(false)),
		one("save/durable", saveGo(true)),
		one("edit/moved", func(c *bench.Clock) error {
			name := filepath.Join(c.Dir, "peer-edit.tmp")
			if _, err := os.Stat(name); err != nil { // the first time
				all, err := readGo(c)
				if err != nil {
					return err
				}
				if err := writeGo(name, all, true); err != nil {
					return err
				}
			}
			return twice(c, func() error {
				data, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				c.Bytes = int64(len(data))
				all, err := nlpodyssey.Deserialize(data)
				if err != nil {
					return err
				}
				if err := writeGo(name+".new", all, true); err != nil {
					return err
				}
				return os.Rename(name+".new", name)
			})
		}),
	}
}

func readGo(c *bench.Clock) (nlpodyssey.SafeTensors, error) { return readFileGo(c, bench.Big) }

func readFileGo(c *bench.Clock, name string) (nlpodyssey.SafeTensors, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		return nlpodyssey.SafeTensors{}, err
	}
	c.Bytes += int64(len(data))
	return nlpodyssey.Deserialize(data)
}

func loadShardsGo(c *bench.Clock) error {
	if err := c.WarmShards(); err != nil {
		return err
	}
	names, err := c.Shards()
	if err != nil {
		return err
	}
	return c.Time(func() error {
		all := make([]nlpodyssey.SafeTensors, len(names))
		for i, name := range names {
			if all[i], err = readFileGo(c, name); err != nil {
				return err
			}
		}
		if len(all) == 0 {
			return errors.New("no files")
		}
		return nil
	})
}

func loadGo(cold bool) func(*bench.Clock) error {
	return func(c *bench.Clock) error {
		state := c.Warm
		if cold {
			state = c.Cold
		}
		if err := state(); err != nil {
			return err
		}
		return c.Time(func() error {
			all, err := readGo(c)
			if err == nil && all.Len() == 0 {
				err = errors.New("no tensors")
			}
			return err
		})
	}
}

// writeGo writes tensors with the buffer that a Go program would use.
func writeGo(name string, all nlpodyssey.SafeTensors, durable bool) error {
	views := map[string]nlpodyssey.TensorView{}
	for _, t := range all.Tensors() {
		views[t.Name] = t.TensorView
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(nlpodyssey.SerializeToWriter(views, map[string]string{"format": "pt"}, w), w.Flush())
	if err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func saveGo(durable bool) func(*bench.Clock) error {
	return func(c *bench.Clock) error {
		if err := c.Warm(); err != nil {
			return err
		}
		all, err := readGo(c)
		if err != nil {
			return err
		}
		name := filepath.Join(c.Dir, "peer.tmp")
		defer os.Remove(name)
		return twice(c, func() error { return writeGo(name, all, durable) }, name)
	}
}

// twice times f two times, as often as bench lets ours and the probes write. It
// removes what is made in between.
func twice(c *bench.Clock, f func() error, made ...string) error {
	c.Settle()
	if err := c.Time(f); err != nil {
		return err
	}
	for _, name := range made {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	c.Settle()
	return c.Time(f)
}
