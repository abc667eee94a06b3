package sign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Known offers the digests of a manifest, which its caller has verified, for
// files that were last changed before a time: that at which the manifest was
// made. A file that was put there since, with an older time, is not noticed.
func (m *Manifest) Known(before time.Time) Known {
	digests := make(map[string]Resource, len(m.Resources))
	for _, r := range m.Resources {
		digests[r.Name] = r
	}
	return func(p Piece) (string, string) {
		r := digests[p.Name]
		if r.Algorithm != p.Algorithm || !p.ModTime.Before(before) {
			return "", ""
		}
		return r.Digest, "an earlier bundle"
	}
}

// HubBlobs offers the names of blobs in a Hugging Face cache: those of large
// files are their SHA-256, as the Hub has told it. Nothing says that the bytes
// are still the same.
func HubBlobs(p Piece) (digest, source string) {
	name := filepath.Base(p.Path)
	if p.Algorithm != SHA256 || p.Start != 0 || p.End != p.Size ||
		filepath.Base(filepath.Dir(p.Path)) != "blobs" || len(name) != 2*SHA256.size() || !lowerHex(name) {
		return "", ""
	}
	return name, "the name of the blob"
}

// A Cache keeps digests of files on this machine, for as long as their sizes
// and times of last change stay the same. It is safe for concurrent use.
type Cache struct {
	name string

	mu      sync.Mutex
	files   map[string]cached
	changed bool
}

// cached is what a Cache knows of a file.
type cached struct {
	Size    int64             `json:"size"`
	ModTime int64             `json:"mtime"`   // nanoseconds since 1970
	Digests map[string]string `json:"digests"` // by algorithm, and range
}

// cacheFile is the JSON of a cache.
type cacheFile struct {
	Schema string            `json:"schema"`
	Files  map[string]cached `json:"files"`
}

const cacheSchema = "tensmith.digests/1"

// settled is how old a change has to be for its time to tell it from a later
// one: clocks of file systems have steps, of up to two seconds.
const settled = 3 * time.Second

// OpenCache reads the cache that is in a file, or begins one that will be.
func OpenCache(name string) (*Cache, error) {
	c := &Cache{name: name, files: map[string]cached{}}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var f cacheFile
	if err := json.Unmarshal(data, &f); err != nil || f.Schema != cacheSchema {
		return nil, fmt.Errorf("%s: %w: it is no cache of digests (%s)", name, ErrMalformed, cacheSchema)
	}
	if f.Files != nil {
		c.files = f.Files
	}
	return c, nil
}

// Save writes the cache to its file, if something has been added.
func (c *Cache) Save() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return nil
	}
	data, err := json.Marshal(cacheFile{cacheSchema, c.files})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.name), "."+filepath.Base(c.name)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	c.changed = false
	return nil
}

func (p Piece) key() string {
	if p.Start == 0 && p.End == p.Size {
		return string(p.Algorithm)
	}
	return string(p.Algorithm) + ":" + strconv.FormatInt(p.Start, 10) + ":" + strconv.FormatInt(p.End, 10)
}

// known is a [Known].
func (c *Cache) known(p Piece) (string, string) {
	name, err := filepath.Abs(p.Path)
	if err != nil {
		return "", ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[name]
	if f.Size != p.Size || f.ModTime != p.ModTime.UnixNano() {
		return "", ""
	}
	return f.Digests[p.key()], "the cache of digests"
}

// add keeps a digest that was computed of a file that was listed after began: a
// change since then has to have another time than the one that was listed.
func (c *Cache) add(p Piece, digest string, began time.Time) {
	if c == nil || began.Sub(p.ModTime) < settled {
		return
	}
	name, err := filepath.Abs(p.Path)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[name]
	if f.Digests == nil || f.Size != p.Size || f.ModTime != p.ModTime.UnixNano() {
		f = cached{p.Size, p.ModTime.UnixNano(), map[string]string{}}
	}
	f.Digests[p.key()] = digest
	c.files[name], c.changed = f, true
}
