package scan

import (
	"compress/flate"
	"fmt"
	"io"
	"path"
)

// link judges a link in an archive. A symbolic one is relative to the folder
// that it lies in, a hard one to the top of the archive.
func (t *trace) link(in place, offset int64, name, target string, hard bool) {
	shown := clip(target, 80)
	t.note("ST419", in, offset, shown, fmt.Sprintf("a link to %+q; torch and others extract it", shown))
	from := path.Dir(path.Clean("/" + name))[1:]
	if hard {
		from = ""
	}
	// Joined and cleaned by hand of path, a target that climbs too far begins
	// with two dots, as one that is absolute stays so.
	if to := path.Join(from, target); leaves(target) && (path.IsAbs(target) || leaves(to)) {
		t.note("ST426", in, offset, shown, fmt.Sprintf("a link to %+q, which is outside of the archive", shown))
	}
}

// zipLink reads where a symbolic link leads, which is the content of the
// member.
func (t *trace) zipLink(b blob, in place, m *member) {
	raw, ok := b.sub(m.data, int64(m.packed))
	if !ok || !m.readable || raw.size == 0 || raw.size > 1<<12 {
		t.note("ST419", in, m.entry, "", "the member is a symbolic link")
		return
	}
	var text []byte
	var err error
	switch m.method {
	case 0:
		text, err = raw.at(0, raw.size)
	case 8:
		text, err = io.ReadAll(io.LimitReader(flate.NewReader(io.NewSectionReader(raw, 0, raw.size)), 1<<12))
	}
	if err != nil || len(text) == 0 {
		t.note("ST419", in, m.entry, "", "the member is a symbolic link")
		return
	}
	t.link(in, m.entry, m.name, string(text), false)
}
