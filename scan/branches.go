package scan

import "io"

// branches undoes the filter of 7z and xz for code of x86, which turns the
// targets of CALL and JMP from distances to addresses, so that equal targets
// are equal bytes. Bytes that only look like such an instruction are left
// alone by rules that both sides follow: a target is turned if its highest
// byte is 00 or FF, unless one of the three bytes before it was taken for an
// opcode too and the bytes that they share would make that ambiguous.
type branches struct {
	src  io.Reader
	buf  []byte // read, of which the first done bytes are final
	done int
	at   uint32 // the address of buf[0]
	mask uint32 // which of the three bytes before buf[done] looked like an opcode
	err  error
}

func (r *branches) Read(p []byte) (int, error) {
	for r.done == 0 {
		if r.err != nil && len(r.buf) == 0 {
			return 0, r.err
		}
		if r.err != nil {
			r.done = len(r.buf) // too short for an instruction
			break
		}
		var n int
		have := len(r.buf)
		r.buf = append(r.buf, make([]byte, 4096)...)
		n, r.err = r.src.Read(r.buf[have:])
		r.buf = r.buf[:have+n]
		r.undo()
	}
	n := copy(p, r.buf[:r.done])
	r.buf = append(r.buf[:0], r.buf[n:]...)
	r.at += uint32(n)
	r.done -= n
	return n, nil
}

// undo turns the targets in all of buf that can be told.
func (r *branches) undo() {
	isEdge := func(b byte) bool { return b == 0 || b == 0xff }
	i := r.done
	for ; i+5 <= len(r.buf); i++ {
		opcode := r.buf[i]&0xfe == 0xe8
		mask := r.mask & 7
		r.mask = r.mask << 1
		if !opcode {
			continue
		}
		// Of opcodes in the bytes before it, the nearest shares most with this
		// target: shared is the highest byte of the target that is not its.
		shared := 0
		switch {
		case mask == 0:
		case mask == 1:
			shared = 1
		case mask == 2:
			shared = 2
		case mask == 4:
			shared = 3
		default: // two of them: the first was no instruction
			r.mask |= 1
			continue
		}
		if shared > 0 && isEdge(r.buf[i+4-shared]) || !isEdge(r.buf[i+4]) {
			r.mask |= 1
			continue
		}
		target := le.Uint32(r.buf[i+1:])
		from := r.at + uint32(i) + 5
		value := target - from
		if shared > 0 {
			for shift, tries := 8*shared, 0; isEdge(byte(value>>(24-shift))) && tries < 8; tries++ {
				value = (value ^ (1<<(32-shift) - 1)) - from
			}
		}
		value &= 0x01ffffff
		value |= -(value & 0x01000000)
		le.PutUint32(r.buf[i+1:], value)
		r.mask = 0
		i += 4
	}
	r.done = min(i, len(r.buf))
}
