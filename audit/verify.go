package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A BrokenError says which line of a log is the first that is not as it was
// written, and why.
type BrokenError struct {
	Line   uint64 // from 1
	Reason string
}

func (e *BrokenError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// A Summary is what a log holds.
type Summary struct {
	Entries uint64
	Torn    []uint64 // first lines of what crashes left, as later entries say; 1000 at most
	Head    string   // hash of the last entry; 64 zeros if there is none
	Time    string   // of the last entry

	// Since is how many entries there are behind the one whose hash is expected,
	// or -1 if there is no such entry.
	Since int64
}

// Verify reads a log to its end. It fails with a [*BrokenError] at the first
// line that is not as it was written; the summary is then of the lines before.
// expect is the head that the log had once, or "": Since tells whether it is
// still the same log, or was made anew or cut off.
func Verify(r io.Reader, expect string) (Summary, error) {
	v := verifier{Summary: Summary{Head: first, Since: -1}}
	if expect == first {
		v.Since = 0 // the log before its first entry
	}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, whole, err := readLine(in)
		if err != nil {
			return v.Summary, err
		}
		if len(line) == 0 && !whole {
			break
		}
		v.line++
		if !whole {
			v.pend(line, "it is torn: the log ends within it")
			break
		}
		if err := v.next(line, expect); err != nil {
			return v.Summary, err
		}
	}
	if v.pending != nil {
		return v.Summary, &BrokenError{v.pending.line, v.pending.reason}
	}
	return v.Summary, nil
}

// A verifier is between two lines of a log.
type verifier struct {
	Summary
	line    uint64
	pending *fragment
}

// A fragment is lines that are no entries, which the next entry may explain.
type fragment struct {
	line   uint64
	reason string
	lines  uint64
	bytes  int64
	hash   hash.Hash
}

func (v *verifier) pend(line []byte, reason string) {
	if v.pending == nil {
		v.pending = &fragment{line: v.line, reason: reason, hash: sha256.New()}
	} else {
		v.pending.hash.Write([]byte{'\n'})
		v.pending.bytes++
	}
	v.pending.lines++
	v.pending.bytes += int64(len(line))
	v.pending.hash.Write(line)
}

func (v *verifier) next(line []byte, expect string) error {
	e, err := parse(line)
	if err != nil {
		v.pend(line, err.Error())
		return nil
	}
	if p := v.pending; p != nil {
		if e.Torn == nil || *e.Torn != (Torn{p.lines, p.bytes, hex.EncodeToString(p.hash.Sum(nil))}) {
			return &BrokenError{p.line, p.reason}
		}
		if len(v.Torn) < 1000 {
			v.Torn = append(v.Torn, p.line)
		}
		v.pending = nil
	} else if e.Torn != nil {
		return &BrokenError{v.line, "it tells of torn lines before it, and there are none"}
	}
	switch {
	case e.Previous != v.Head:
		return &BrokenError{v.line, "it does not follow the entry before it: one was changed, removed or added"}
	case e.Line != v.line:
		return &BrokenError{v.line, fmt.Sprintf("it was line %d when it was written", e.Line)}
	}
	v.Entries++
	v.Head, v.Time = e.Hash, e.Time
	if v.Since >= 0 {
		v.Since++
	}
	if expect == e.Hash {
		v.Since = 0
	}
	return nil
}

// readLine reads a line and whether it had an end. Memory grows with what is
// read, to MaxLine.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line) == 0 && err == nil {
			return bytes.TrimSuffix(part, []byte{'\n'}), true, nil
		}
		if len(line)+len(part) > MaxLine {
			return nil, false, fmt.Errorf("a line of more than %d bytes", MaxLine)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}
