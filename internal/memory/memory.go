// Package memory tells how much memory there is, and gives some of it.
package memory

import (
	"bytes"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Available returns how many bytes of memory can be used without anything
// being swapped out or ended for it, the page cache's included, or -1 if that is
// not known. root holds proc and sys as Linux has them: proc(5), and cgroups(7) in
// both versions. Nil is a system without them.
func Available(root fs.FS) int64 {
	if root == nil {
		return -1
	}
	n := int64(-1)
	if kib, ok := field(root, "proc/meminfo", "MemAvailable:"); ok {
		n = kib << 10
	}
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range bytes.Lines(groups) {
		// hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		switch {
		case parts[1] == "":
			n = least(n, group{root, "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}.room(parts[2]))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			n = least(n, group{root, "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}.room(parts[2]))
		}
	}
	return n
}

// least is the least of two numbers that may be unknown.
func least(a, b int64) int64 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// A group is a hierarchy of cgroups and the names of its files.
type group struct {
	root                         fs.FS
	dir, limit, usage, fileCache string
}

// room returns how much the group called name, and those above it, may still
// take: what page cache it could give up counts as free.
func (g group) room(name string) int64 {
	n := int64(-1)
	for range 64 { // deeper than any hierarchy
		dir := path.Join(g.dir, name)
		limit, bounded := number(g.root, path.Join(dir, g.limit))
		usage, used := number(g.root, path.Join(dir, g.usage))
		if bounded && used {
			cache, _ := field(g.root, path.Join(dir, "memory.stat"), g.fileCache)
			n = least(n, max(0, limit-usage+min(cache, usage)))
		}
		if name == "/" {
			break
		}
		name = path.Dir(name)
	}
	return n
}

// number reads a file that holds one number.
func number(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil && n >= 0
}

// field reads the number behind a key at the beginning of a line.
func field(root fs.FS, name, key string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) >= 2 && f[0] == key {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil && n >= 0 && n < 1<<52
		}
	}
	return 0, false
}
