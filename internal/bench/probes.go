package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	huge  = 2 << 20
	block = 2 << 20
)

// sink keeps what is computed from being optimised away.
var sink atomic.Uint64

// probes measure the machine, with as little between it and the clock as Go
// allows.
func probes() []Case {
	probe := func(name, about string, run func(*Clock) error, files ...string) Case {
		writes := strings.HasPrefix(name, "write") || strings.HasPrefix(name, "copy-")
		return Case{Name: "probe/" + name, Who: Probe, About: about, Run: run, Files: files, Writes: writes}
	}
	return []Case{
		probe("memory-copy", "copy from memory to memory, all processors", probeCopy),
		probe("memory-sum", "add up what is in memory, all processors", probeSum),
		probe("pread", "read the file from the page cache into memory that has been touched, all processors", probePread, bigFile),
		probe("pread-one", "read one tensor's bytes from the page cache into new memory", probePreadOne, bigFile),
		probe("map-touch", "map the file and touch every page", probeMap(touchPages), bigFile),
		probe("map-populate", "the same, and let the kernel bring all pages in before", probeMap(populateAndTouch), bigFile),
		probe("strided", "copy the first half of each row out of a mapping", probeStrided, bigFile),
		probe("read-buffered", "read the file from the disk by way of the page cache", probeCold(false), bigFile),
		probe("read-direct", "read the file from the disk past the page cache, 8 at a time", probeCold(true), bigFile),
		probe("write", "write a preallocated file by 8 MiB into the page cache", probeWrite(false), bigFile),
		probe("write-sync", "the same, and make it durable", probeWrite(true), bigFile),
		probe("write-direct", "write a preallocated file past the page cache, 4 times 4 MiB at a time, and make it durable", probeWriteDirect, bigFile),
		probe("copy-file", "copy the file over another by 2 MiB, all processors, and make it durable", probeCopyFile(true), bigFile),
		probe("copy-plain", "copy the file to a new one by 2 MiB, all processors, without waiting for the disk", probeCopyFile(false), bigFile),
		probe("loopback", "send bytes to ourselves, 4 connections of TCP", probeLoopback),
	}
}

// each runs f for pieces of size bytes, on n threads.
func each(n int, size, piece int64, f func(off, n int64) error) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	failed := make([]error, n)
	for i := range n {
		wait.Go(func() {
			for failed[i] == nil {
				off := next.Add(piece) - piece
				if off >= size {
					return
				}
				failed[i] = f(off, min(piece, size-off))
			}
		})
	}
	wait.Wait()
	return errors.Join(failed...)
}

func threads() int { return runtime.GOMAXPROCS(0) }

func touch(p []byte) {
	for i := 0; i < len(p); i += 4096 {
		p[i] = 1
	}
}

func touchPages(p []byte) error {
	sum := uint64(0)
	for i := 0; i < len(p); i += 4096 {
		sum += uint64(p[i])
	}
	sink.Add(sum)
	return nil
}

func populateAndTouch(p []byte) error {
	if err := populate(p); err != nil {
		return err
	}
	return touchPages(p)
}

// some is how much memory is copied or summed: more than caches hold.
func (c *Clock) some() int64 { return min(c.Size, 256<<20) }

func probeCopy(c *Clock) error {
	c.Bytes = c.some()
	from, freeFrom, err := faulted(c.Bytes)
	if err != nil {
		return err
	}
	defer freeFrom()
	to, freeTo, err := faulted(c.Bytes)
	if err != nil {
		return err
	}
	defer freeTo()
	for range 3 {
		err = errors.Join(err, c.Time(func() error {
			return each(threads(), c.Bytes, block, func(off, n int64) error {
				copy(to[off:off+n], from[off:off+n])
				return nil
			})
		}))
	}
	return err
}

func probeSum(c *Clock) error {
	c.Bytes = c.some()
	from, free, err := faulted(c.Bytes)
	if err != nil {
		return err
	}
	defer free()
	for range 3 {
		err = errors.Join(err, c.Time(func() error {
			return each(threads(), c.Bytes, block, func(off, n int64) error {
				sink.Add(sumWords(from[off : off+n]))
				return nil
			})
		}))
	}
	return err
}

func sumWords(p []byte) uint64 {
	var a, b, c, d uint64
	for ; len(p) >= 32; p = p[32:] {
		a += binary.LittleEndian.Uint64(p)
		b += binary.LittleEndian.Uint64(p[8:])
		c += binary.LittleEndian.Uint64(p[16:])
		d += binary.LittleEndian.Uint64(p[24:])
	}
	return a + b + c + d
}

// warm opens a file and sees to it that the page cache has all of it, in
// pieces as large as a read by 2 MiB makes them.
func (c *Clock) warm(name string) (*os.File, int64, error) {
	f, err := os.Open(c.path(name))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if pages, total, err := resident(f); err == nil && pages == total {
		return f, info.Size(), nil
	}
	_ = evict(f) // where it cannot be, it is in memory
	buf := make([]byte, block)
	for off := int64(0); off < info.Size(); off += block {
		if _, err := f.ReadAt(buf, off); err != nil && err != io.EOF {
			return nil, 0, errors.Join(err, f.Close())
		}
	}
	return f, info.Size(), nil
}

// Warm and Cold bring the large file into the page cache, or out of it, for
// cases that other programs run; WarmShards does so with the model in several
// files.
func (s Setting) Warm() error { return (&Clock{Setting: s}).warmed(bigFile) }

// WarmShards is Warm for the model in several files.
func (s Setting) WarmShards() error { return (&Clock{Setting: s}).warmShards() }

// Settle frees the space of files that have been removed.
func (s Setting) Settle() { settle(s.Dir) }

// Cold fails with an error of [Absent] where that cannot be had.
func (s Setting) Cold() error {
	f, _, err := (&Clock{Setting: s}).cold(bigFile)
	if err != nil {
		return err
	}
	return f.Close()
}

// warmed is warm for a case that opens the file itself.
func (c *Clock) warmed(name string) error {
	f, _, err := c.warm(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// cold opens a file, no page of which is in memory.
func (c *Clock) cold(name string) (*os.File, int64, error) {
	f, err := os.OpenFile(c.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = evict(f)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func probePread(c *Clock) error {
	f, size, err := c.warm(bigFile)
	if err != nil {
		return err
	}
	defer f.Close()
	to, free, err := faulted(size)
	if err != nil {
		return err
	}
	defer free()
	c.Bytes = size
	for range 2 {
		err = errors.Join(err, c.Time(func() error { return preadAll(f, to, threads()) }))
	}
	return err
}

func preadAll(f *os.File, to []byte, threads int) error {
	return each(threads, int64(len(to)), block, func(off, n int64) error {
		_, err := f.ReadAt(to[off:off+n], off)
		return err
	})
}

func probePreadOne(c *Clock) error {
	t, err := c.oneTensor()
	if err != nil {
		return err
	}
	f, _, err := c.warm(bigFile)
	if err != nil {
		return err
	}
	defer f.Close()
	off, size := t.Offset(), t.Size()
	if err := t.File().Close(); err != nil {
		return err
	}
	c.Bytes = size
	for range 5 {
		err = errors.Join(err, c.Time(func() error {
			f, err := os.Open(f.Name())
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.ReadAt(make([]byte, size), off)
			return err
		}))
	}
	return err
}

func probeMap(reach func([]byte) error) func(*Clock) error {
	return func(c *Clock) error {
		f, size, err := c.warm(bigFile)
		if err != nil {
			return err
		}
		defer f.Close()
		c.Bytes = size
		// Once, as the cases do: a second time the page tables are there.
		var data []byte
		err = c.Time(func() (err error) {
			if data, err = mapFile(f); err != nil {
				return err
			}
			return reach(data)
		})
		unmap(data)
		return err
	}
}

func probeStrided(c *Clock) error {
	t, err := c.matrix()
	if err != nil {
		return err
	}
	off, size, rows := t.Offset(), t.Size(), int(t.Shape[0])
	if err := t.File().Close(); err != nil {
		return err
	}
	f, _, err := c.warm(bigFile)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := mapFile(f)
	if err != nil {
		return err
	}
	defer unmap(data)
	data = data[off : off+size]
	c.Bytes = size / 2
	for range 5 {
		err = errors.Join(err, c.Time(func() error {
			to := make([]byte, size/2)
			row := len(data) / rows
			for i := range rows {
				copy(to[i*row/2:(i+1)*row/2], data[i*row:])
			}
			sink.Add(uint64(to[len(to)-1]))
			return nil
		}))
	}
	return err
}

func probeLoopback(c *Clock) error {
	const connections = 4
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Absent("no loopback: %v", err)
	}
	defer listener.Close()
	share := c.some() / connections
	c.Bytes = share * connections
	return c.Time(func() error {
		return each(2*connections, 2*connections, 1, func(i, _ int64) error {
			if i%2 == 0 { // who sends dials, so that none waits for one that never comes
				conn, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					return err
				}
				defer conn.Close()
				return carry(share, conn.Write)
			}
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			defer conn.Close()
			return carry(share, conn.Read)
		})
	})
}

// carry reads or writes n bytes.
func carry(n int64, do func([]byte) (int, error)) error {
	buf := make([]byte, 1<<20)
	for n > 0 {
		m, err := do(buf[:min(int64(len(buf)), n)])
		if n -= int64(m); err != nil && n > 0 {
			return err
		}
	}
	return nil
}
