package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Append adds an entry to the log of a name, which it makes if there is none,
// and returns the new head. When it returns without an error the entry is on
// the disk. Processes that append at once wait for each other.
//
// It fails, and changes nothing, if the last line is not as it was written: a
// chain that goes on behind a broken line would hide it. A line that a crash has
// torn is told in the entry and does not keep it from being added.
func Append(name string, e *Entry) (head string, err error) {
	f, end, err := open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which unlocks it, too
	e.Schema, e.Previous, e.Line, e.Torn = Schema, end.head, end.line+1, end.torn
	begin := ""
	if end.torn != nil {
		e.Line += end.torn.Lines
	}
	if end.open {
		begin = "\n"
	}
	line, err := e.line()
	if err != nil {
		return "", err
	}
	// In one write, so that as little as possible can come between.
	if _, err := f.Write(append([]byte(begin), append(line, '\n')...)); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	if end.line == 0 && end.torn == nil {
		return e.Hash, syncDir(filepath.Dir(name))
	}
	return e.Hash, nil
}

// Check fails if Append would, but for a full disk, and makes the log if there
// is none: so that work whose log cannot be written does not begin.
func Check(name string) error {
	f, _, err := open(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// An end is what a log ends in.
type end struct {
	head string
	line uint64 // of the last entry
	torn *Torn  // behind it
	open bool   // the last line has no end
}

// open opens a log and locks it until it is closed.
func open(name string) (*os.File, end, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, end{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil {
		info, err = f.Stat() // as it is now that nobody else writes
	}
	var last end
	if err == nil {
		last, err = readEnd(f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, end{}, err
	}
	return f, last, nil
}

// ErrBroken is the cause of an error about a log that is not added to because
// its last line is not as it was written.
var ErrBroken = errors.New("the last line is not as it was written")

// readEnd looks for the last entry, from the end of the log.
func readEnd(r io.ReaderAt, size int64) (end, error) {
	if size == 0 {
		return end{head: first}, nil
	}
	tail, begin := []byte(nil), size
	for begin > 0 {
		n := min(begin, max(64<<10, int64(len(tail)))) // doubles
		if int64(len(tail))+n > 2*MaxLine {
			return end{}, fmt.Errorf("%w: it is longer than %d bytes", ErrBroken, MaxLine)
		}
		begin -= n
		grown := make([]byte, n, n+int64(len(tail)))
		if _, err := r.ReadAt(grown, begin); err != nil {
			return end{}, err
		}
		tail = append(grown, tail...)
		if last, done, err := lastEntry(tail, begin == 0); done || err != nil {
			return last, err
		}
	}
	return end{}, ErrBroken // the loop has ended at begin 0, where lastEntry is done
}

// lastEntry finds the last entry in the end of a log. It is not done if more of
// the log is needed.
func lastEntry(tail []byte, all bool) (last end, done bool, err error) {
	rest := tail
	crashed := rest[len(rest)-1] != '\n'
	if !crashed {
		rest = rest[:len(rest)-1]
	}
	lines, behind := uint64(0), rest // what is torn so far begins in behind
	for {
		i := bytes.LastIndexByte(rest, '\n')
		if i < 0 && !all {
			return end{}, false, nil
		}
		// A line that lacks nothing but its end is an entry.
		e, err := parse(rest[i+1:])
		if err == nil {
			last = end{head: e.Hash, line: e.Line, open: crashed}
			if lines > 0 {
				torn := behind[len(rest)+1:]
				last.torn = &Torn{lines, int64(len(torn)), sum(torn)}
			}
			return last, true, nil
		}
		if !crashed {
			return end{}, true, fmt.Errorf("%w: %v", ErrBroken, err)
		}
		lines++
		if i < 0 {
			return end{head: first, torn: &Torn{lines, int64(len(behind)), sum(behind)}, open: true}, true, nil
		}
		rest = rest[:i]
	}
}

// syncDir makes the name of a new file last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrPermission) {
		return err // Windows cannot sync a directory, and need not
	}
	return nil
}
