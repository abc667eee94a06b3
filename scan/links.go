package scan

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"path"
	"strings"
)

const (
	maxLinks = 10_000   // of an archive that are kept, to follow them by name
	maxWays  = 64 << 20 // bytes of the names that are looked for among them
	maxPath  = 4096     // bytes of a name that a system takes (PATH_MAX of Linux)
)

// An archiveLink is what a link says, relative to the folder that it lies in if
// it is symbolic, and to the top of the archive if it is a hard one.
type archiveLink struct {
	target string
	hard   bool
	in     place
	offset int64
	told   bool // that it leads out
}

// archiveLinks are the links of one archive by where they lie when it is
// unpacked: whoever does that writes through those that came before.
type archiveLinks struct {
	t     *trace
	at    place
	links map[string]*archiveLink
	order []string
	left  int // of maxWays
}

func (t *trace) linksOf(at place) *archiveLinks {
	return &archiveLinks{t: t, at: at, links: map[string]*archiveLink{}, left: maxWays}
}

// link judges a link by its own words, and remembers it.
func (l *archiveLinks) link(in place, offset int64, name, target string, hard bool) {
	t := l.t
	shown := clip(target, 80)
	t.note("ST419", in, offset, shown, fmt.Sprintf("a link to %+q; torch and others extract it", shown))
	l.file(in, offset, name)
	from := path.Dir(path.Clean("/" + name))[1:]
	if hard {
		from = ""
	}
	kept := &archiveLink{target: target, hard: hard, in: in, offset: offset}
	// Joined and cleaned by hand of path, a target that climbs too far begins
	// with two dots, as one that is absolute stays so.
	if to := path.Join(from, target); leaves(target) && (path.IsAbs(target) || leaves(to)) {
		t.note("ST426", in, offset, shown, fmt.Sprintf("a link to %+q, which is outside of the archive", shown))
		kept.told = true
	}
	if len(name) > maxPath || len(target) > maxPath {
		return // no system makes it
	}
	// It lies where the links before it lead to.
	_, folder, out := l.follow("", path.Dir(path.Clean("/"+name)))
	if out || leaves(name) {
		return // which was told
	}
	key := path.Join(folder, path.Base(name))
	if _, again := l.links[key]; again {
		t.note("ST410", in, offset, "", "a second member of that name")
		return // the first is the one that a link is written through
	}
	if len(l.links) == maxLinks {
		t.note("ST404", l.at, offset, "links", "more links than a scan keeps")
		return
	}
	l.links[key] = kept
	l.order = append(l.order, key)
}

// file judges a member that is written through a link that came before it.
func (l *archiveLinks) file(in place, offset int64, name string) {
	if len(l.links) == 0 || len(name) > maxPath {
		return
	}
	through, _, out := l.follow("", name)
	shown := clip(through, 80)
	switch {
	case through == "":
	case out:
		l.t.note("ST412", in, offset, shown, fmt.Sprintf("written through the link %+q, it leaves the archive", shown))
	default:
		l.t.note("ST419", in, offset, shown, fmt.Sprintf("written through the link %+q, it lands elsewhere than its name says", shown))
	}
}

// finish judges where links lead through each other, once all of them are
// known.
func (l *archiveLinks) finish() {
	for _, name := range l.order {
		link := l.links[name]
		if link.told {
			continue
		}
		from := ""
		if !link.hard {
			from = path.Dir(name)
		}
		if through, _, out := l.follow(from, link.target); out {
			shown := clip(link.target, 80)
			l.t.note("ST426", link.in, link.offset, shown, fmt.Sprintf("a link to %+q, which is outside of the archive by way of the link %+q", shown, clip(through, 80)))
		}
	}
}

// follow goes the way of a name from a folder as the system would, through the
// links of the archive. It returns the first link that it came through, where
// it ends, and whether it leaves the archive.
func (l *archiveLinks) follow(from, name string) (through, end string, out bool) {
	var at []byte // where the way is, without links
	if l.left -= len(name); l.left < 0 {
		l.t.note("ST404", l.at, -1, "links", "longer ways through links than a scan goes")
		return "", "", false
	}
	// What is still to go, the next last.
	todo := parts(nil, name)
	todo = parts(todo, from)
	hops := 0
	for len(todo) > 0 {
		part := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if part == ".." {
			if len(at) == 0 {
				return through, "", true
			}
			at = above(at)
			continue
		}
		if len(at) > 0 {
			at = append(at, '/')
		}
		at = append(at, part...)
		if l.left -= len(at); l.left < 0 {
			l.t.note("ST404", l.at, -1, "links", "longer ways through links than a scan goes")
			return "", "", false
		}
		link := l.links[string(at)]
		if link == nil {
			continue
		}
		if through == "" {
			through = string(at)
		}
		if hops++; hops > maxHops || len(todo) > maxPath {
			return through, "", false // a circle, which no system follows
		}
		if path.IsAbs(link.target) || strings.Contains(link.target, `\`) || len(link.target) > 1 && link.target[1] == ':' {
			return through, "", true
		}
		if at = above(at); link.hard {
			at = at[:0]
		}
		todo = parts(todo, link.target)
	}
	return through, string(at), false
}

// above is the folder that a path without links is in.
func above(at []byte) []byte { return at[:max(bytes.LastIndexByte(at, '/'), 0)] }

// parts puts the parts of a path behind todo, the first of them last.
func parts(todo []string, name string) []string {
	all := strings.Split(name, "/")
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] != "" && all[i] != "." {
			todo = append(todo, all[i])
		}
	}
	return todo
}

// zipLink reads where a symbolic link leads, which is the content of the
// member.
func (l *archiveLinks) zipLink(b blob, at place, d *directory, m *member) {
	in := at.in(d.name(m))
	raw, ok := b.sub(d.data(m), int64(m.packed))
	var text []byte
	var err error
	switch {
	case !ok || !m.readable || raw.size == 0 || raw.size > 1<<12:
	case m.method == 0:
		text, err = raw.at(0, raw.size)
	case m.method == 8:
		text, err = io.ReadAll(io.LimitReader(flate.NewReader(io.NewSectionReader(raw, 0, raw.size)), 1<<12))
	}
	if err != nil || len(text) == 0 {
		l.t.note("ST419", in, m.entry, "", "the member is a symbolic link")
		return
	}
	l.link(in, m.entry, d.name(m), string(text), false)
}

// node tells of a member that is a device, a pipe or a socket, by the type in
// its mode as Unix has it.
func (t *trace) node(in place, offset int64, mode uint32) {
	switch mode & 0xf000 {
	case 0x1000:
		t.note("ST419", in, offset, "pipe", "a named pipe: whoever opens it waits for somebody to write")
	case 0x2000, 0x6000:
		t.note("ST419", in, offset, "device", "a device: unpacked by root, it reads and writes hardware of the machine")
	case 0xc000:
		t.note("ST419", in, offset, "socket", "a socket")
	}
}
