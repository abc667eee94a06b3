package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Schema is the first member of every line.
const Schema = "tensmith.audit/1"

// MaxLine is the length of the longest line in bytes. A checkpoint of a
// hundred thousand files fits.
const MaxLine = 64 << 20

// Outcomes of an action.
const (
	Done        = "done"        // and the answer was yes
	No          = "no"          // a negative answer, such as a refused file
	Trouble     = "trouble"     // something could not be read or written
	Interrupted = "interrupted" // by a signal
)

// An Entry is one action. Append fills in Schema, Line, Previous, Torn and Hash.
type Entry struct {
	Schema    string     `json:"schema"`
	Line      uint64     `json:"line"` // from 1
	Previous  string     `json:"previous"`
	Torn      *Torn      `json:"torn,omitempty"`
	Time      string     `json:"time"` // RFC 3339, UTC: when it ended
	User      string     `json:"user,omitempty"`
	Host      string     `json:"host,omitempty"`
	Directory string     `json:"directory,omitempty"` // that relative paths start from
	Tool      string     `json:"tool,omitempty"`      // with its version
	Verb      string     `json:"verb"`
	Arguments []string   `json:"arguments"`
	Inputs    []Artifact `json:"inputs"`
	Outputs   []Artifact `json:"outputs"`
	Outcome   string     `json:"outcome"`
	Error     string     `json:"error,omitempty"`
	Hash      string     `json:"hash"`
}

// An Artifact is a file that was read or written.
type Artifact struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256,omitempty"` // of the whole file; empty if it could not be read
	Bytes  int64  `json:"bytes"`
}

// Torn says what a crash has left between an entry and the one before it.
type Torn struct {
	Lines  uint64 `json:"lines"`
	Bytes  int64  `json:"bytes"`  // without the last line end
	SHA256 string `json:"sha256"` // of those
}

// first is what the first entry has as its previous one's hash.
var first = strings.Repeat("0", 2*sha256.Size)

const hashMember = `,"hash":"`

// line returns the entry as a line, without its end, and sets its hash.
func (e *Entry) line() ([]byte, error) {
	e.Hash = ""
	if e.Arguments == nil {
		e.Arguments = []string{}
	}
	if e.Inputs == nil {
		e.Inputs = []Artifact{}
	}
	if e.Outputs == nil {
		e.Outputs = []Artifact{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	body, ok := bytes.CutSuffix(b.Bytes(), []byte(hashMember+"\"}\n"))
	if !ok {
		return nil, errors.New("the hash is not the last member") // of the struct above
	}
	e.Hash = sum(body)
	if len(body)+len(hashMember)+len(e.Hash)+3 > MaxLine {
		return nil, fmt.Errorf("an entry of %d bytes", len(body))
	}
	return append(body, hashMember+e.Hash+`"}`...), nil
}

// parse reads a line without its end. It must be as its hash says.
func parse(line []byte) (*Entry, error) {
	const tail = len(hashMember) + 2*sha256.Size + len(`"}`)
	if len(line) < tail {
		return nil, errors.New("it is no entry")
	}
	body, rest := line[:len(line)-tail], string(line[len(line)-tail:])
	hash, ok := strings.CutPrefix(rest, hashMember)
	if ok {
		hash, ok = strings.CutSuffix(hash, `"}`)
	}
	if !ok {
		return nil, errors.New("it does not end in a hash")
	}
	if hash != sum(body) {
		return nil, errors.New("its hash is not that of its bytes")
	}
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, fmt.Errorf("it is no entry: %w", err)
	}
	switch {
	case e.Schema != Schema:
		return nil, fmt.Errorf("its schema is %q, not %q", e.Schema, Schema)
	case e.Hash != hash:
		return nil, errors.New("it has two hashes") // JSON takes the last, in any case
	}
	return &e, nil
}

func sum(p []byte) string {
	s := sha256.Sum256(p)
	return hex.EncodeToString(s[:])
}
