package pickle

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzDecode states: nothing panics, accounting stays within the budget,
// errors are of a known kind, decoding is deterministic and independent of
// how the reader gives its bytes, the opcodes the machine executes are those
// the disassembler lists, and every value can be walked.
func FuzzDecode(f *testing.F) {
	for _, c := range cpythonCases(f) {
		if len(c.Pickle) < 3000 {
			f.Add(c.Pickle)
		}
	}
	for _, s := range attacks {
		f.Add([]byte(s.in))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		size := int64(len(data))
		run := func(r io.ReaderAt, strict bool) (v Value, events []Event, d *Decoder, err error) {
			d = NewDecoder(r, 0, size)
			d.Limits.String = 4096
			d.StrictFrames = strict
			d.OnEvent = func(e Event) { events = append(events, e) }
			v, err = d.Decode()
			return v, events, d, err
		}
		v, events, d, err := run(bytes.NewReader(data), false)
		if d.mem.used > size+64<<20 {
			t.Errorf("%d bytes accounted for %d of input", d.mem.used, size)
		}
		var place *Error
		if err != nil && err != io.EOF {
			if !errors.As(err, &place) || place.Offset < 0 || place.Offset > size {
				t.Errorf("no place: %v", err)
			}
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Errorf("unknown kind: %v", err)
			}
		}
		last := int64(-1)
		for _, e := range events {
			if e.Offset < last || e.Offset >= size {
				t.Errorf("event %v at %d after %d", e.Kind, e.Offset, last)
			}
			last = e.Offset
			if Op(data[e.Offset]) != e.Op {
				t.Errorf("event %v: %v at %d is %#x", e.Kind, e.Op, e.Offset, data[e.Offset])
			}
		}

		again, eventsAgain, _, errAgain := run(byteReader{data}, false)
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Errorf("got %v, then %v", err, errAgain)
		}
		if len(events) != len(eventsAgain) {
			t.Errorf("%d events, then %d", len(events), len(eventsAgain))
		}
		if a, b := outline(v), outline(again); a != b {
			t.Errorf("two values: %v, %v", a, b)
		}
		if _, _, _, strictErr := run(bytes.NewReader(data), true); err != nil && strictErr == nil {
			t.Errorf("strict takes what is refused otherwise: %v", err)
		}

		// The machine's opcodes are the first ones of the disassembler.
		executed := d.opcodes
		var listed int64
		end := int64(0)
		for in, err := range Disassemble(bytes.NewReader(data), 0, size, d.Limits) {
			if err != nil {
				break
			}
			if in.Offset != end || in.Size <= 0 {
				t.Fatalf("%v at %d of %d bytes, expected at %d", in.Op, in.Offset, in.Size, end)
			}
			end += in.Size
			if listed++; listed == executed {
				break
			}
		}
		if listed != executed {
			t.Errorf("disassembler lists %d opcodes, machine executed %d", listed, executed)
		}
		if err == nil && end != d.Offset() {
			t.Errorf("disassembler ends at %d, machine at %d", end, d.Offset())
		}
		Dump(io.Discard, bytes.NewReader(data), 0, size, d.Limits)
	})
}

// outline sums up a value of any depth.
func outline(v Value) [3]int {
	var sum [3]int
	Walk(v, nil, func(v Value) bool {
		sum[0]++
		switch v := v.(type) {
		case string:
			sum[1] += len(v)
		case []byte:
			sum[1] += len(v)
		case int64:
			sum[2] = sum[2]*31 + int(v)
		case *Object:
			sum[2] = sum[2]*31 + int(v.Offset)
		}
		return true
	})
	return sum
}

// FuzzNumbers states that no line is both accepted and printed as canonical
// unless printing the value gives the line back.
func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"0", "00", "01", "-5", "0x1F", "0o17", "0b1", "1_0", " 7 ", "010", "9223372036854775808", "7\x00x", "5L"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		data := append(append([]byte("I"), line...), "\n."...)
		odd := false
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		d.OnEvent = func(e Event) { odd = odd || e.Kind == KindNumber }
		v, err := d.Decode()
		if err != nil || odd {
			return
		}
		got := string(appendRepr(nil, v))
		if got == "True" {
			got = "01"
		} else if got == "False" {
			got = "00"
		}
		if got != string(line) {
			t.Errorf("%q is canonical and reads as %s", line, got)
		}
	})
}
