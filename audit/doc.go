// Package audit keeps a log of what was done to model files: one line of JSON
// an action, each bound to the line before it.
//
// Append adds an [Entry], and Verify says whether a log is whole:
//
//	head, err := audit.Append("audit.jsonl", &audit.Entry{Verb: "convert", Outcome: audit.Done})
//	…
//	summary, err := audit.Verify(f, "")
//
// # The chain
//
// The last member of every line is "hash", the SHA-256 of the line's bytes
// before `,"hash":`; "previous" is the hash of the entry before, and 64 zeros in
// the first; "line" is the number of the line. So whoever changes, removes or
// adds a line has to make all later ones anew. The hash of the last entry, the
// head, stands for the whole log: who keeps it elsewhere can tell a log that was
// made anew, or whose end was cut off, which no chain shows by itself.
//
// # Crashes
//
// A process that dies while it appends leaves a line without an end. The next
// entry stands on a line of its own, and its "torn" has the number of lines and
// bytes and the SHA-256 of what lies between it and the last whole entry, so
// that this can be told from lines that someone broke later. Until there is such
// an entry Verify calls the log broken, and names the line.
//
// # Security
//
// A log may hold anything: Verify reads it as a stream, a line at a time, and no
// line of more than MaxLine bytes. It proves that lines belong together, not who
// wrote them: whoever can write to the file can replace it, and only a head that
// is kept elsewhere tells.
package audit
