package bench

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
)

func probeCold(direct bool) func(*Clock) error {
	return func(c *Clock) error {
		f, size, err := c.cold(bigFile)
		if err != nil {
			return err
		}
		defer f.Close()
		at := 1
		if direct {
			d, err := openDirect(f.Name(), os.O_RDONLY)
			if err != nil {
				return err
			}
			defer d.Close()
			f, at = d, 8
		}
		whole := (size + block - 1) / block * block
		to, free, err := faulted(whole)
		if err != nil {
			return err
		}
		defer free()
		c.Bytes = size
		return c.Time(func() error {
			return each(at, size, block, func(off, _ int64) error {
				_, err := f.ReadAt(to[off:off+block], off) // the last is short
				if err == io.EOF {
					return nil
				}
				return err
			})
		})
	}
}

// inMemory returns what the large file holds, in memory that has been touched.
func (c *Clock) inMemory() ([]byte, func(), error) {
	f, size, err := c.warm(bigFile)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, free, err := faulted(size)
	if err != nil {
		return nil, nil, err
	}
	return data, free, preadAll(f, data, threads())
}

const probeFile = "probe.tmp"

func probeWrite(durable bool) func(*Clock) error {
	return func(c *Clock) error {
		data, free, err := c.inMemory()
		if err != nil {
			return err
		}
		defer free()
		c.Bytes = int64(len(data))
		return c.writing(func(f *os.File) error {
			if err := preallocate(f, c.Bytes); err != nil {
				return err
			}
			err := each(1, c.Bytes, 8<<20, func(off, n int64) error {
				_, err := f.WriteAt(data[off:off+n], off)
				return err
			})
			if err == nil && durable {
				err = f.Sync()
			}
			return err
		})
	}
}

// writing times the making of a file, which is removed afterwards.
func (c *Clock) writing(write func(*os.File) error) error {
	name := c.path(probeFile)
	for range twice {
		settle(c.Dir)
		err := c.Time(func() error {
			f, err := os.Create(name)
			if err != nil {
				return err
			}
			return errors.Join(write(f), f.Close())
		})
		if err := errors.Join(err, os.Remove(name)); err != nil {
			return err
		}
	}
	return nil
}

func probeWriteDirect(c *Clock) error {
	data, free, err := c.inMemory()
	if err != nil {
		return err
	}
	defer free()
	c.Bytes = int64(len(data))
	return c.writing(func(f *os.File) error {
		if err := preallocate(f, c.Bytes); err != nil {
			return err
		}
		d, err := openDirect(f.Name(), os.O_WRONLY)
		if err != nil {
			return err
		}
		defer d.Close()
		whole := c.Bytes &^ 4095
		err = each(4, whole, 4<<20, func(off, n int64) error {
			_, err := d.WriteAt(data[off:off+n], off)
			return err
		})
		if err == nil {
			_, err = f.WriteAt(data[whole:], whole)
		}
		if err == nil {
			err = f.Sync()
		}
		return err
	})
}

// probeCopyFile replaces a file if it is durable, as an edit that writes a file
// anew does: the blocks of the old one have to be freed, too. Else it makes a
// new one, as a save does.
func probeCopyFile(durable bool) func(*Clock) error {
	return func(c *Clock) error {
		from, size, err := c.warm(bigFile)
		if err != nil {
			return err
		}
		defer from.Close()
		c.Bytes = size
		target, name := c.path("probe-copy.tmp"), c.path(probeFile)
		defer os.Remove(name)
		if _, err := os.Stat(target); durable && err != nil {
			if err := copyFile(from, size, target, durable); err != nil {
				return err
			}
		}
		for range twice {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			settle(c.Dir)
			if err := c.Time(func() error {
				err := copyFile(from, size, name, durable)
				if !durable || err != nil {
					return err
				}
				if err := os.Rename(name, target); err != nil {
					return err
				}
				if d, err := os.Open(c.Dir); err == nil {
					_ = d.Sync() // which not every system can
					d.Close()
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	}
}

func copyFile(from *os.File, size int64, name string, durable bool) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_ = preallocate(f, size)
	buffers := sync.Pool{New: func() any { return new([block]byte) }}
	err = each(threads(), size, block, func(off, n int64) error {
		buf := buffers.Get().(*[block]byte)
		defer buffers.Put(buf)
		if _, err := from.ReadAt(buf[:n], off); err != nil {
			return err
		}
		_, err := f.WriteAt(buf[:n], off)
		return err
	})
	if err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
