package torch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tensmith/tensmith/pickle"
)

// A blob is bytes.
type blob struct{ span }

// encoded is _codecs.encode(text, 'latin1'): how protocols 0 to 2 write bytes.
func encoded(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 1)
	if err != nil {
		return nil, err
	}
	if len(args) > 1 && args[1] != "latin1" {
		return o, nil // some other encoding: nothing we need
	}
	if r, ok := args[0].(pickle.Range); ok {
		out, err := b.unwritten(r, b.place(o))
		if err != nil {
			return nil, err
		}
		return blob{out}, nil
	}
	text, ok := pickle.Text(args[0])
	if !ok {
		return nil, b.place(o).malformed("latin1", "what is encoded is no text")
	}
	if err := b.spend(int64(len(text)), b.place(o)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(&latin1Reader{r: bytes.NewReader([]byte(text))})
	if err != nil {
		return nil, b.place(o).malformed("latin1", "%v", err)
	}
	return blob{memory(data)}, nil
}

// unwritten takes long text of Latin-1, or a long string with escapes, to the
// bytes that it stands for.
func (b *builder) unwritten(r pickle.Range, at place) (span, error) {
	s, ok := b.src.sub(r.Offset, r.Size)
	if !ok {
		return span{}, at.malformed("bounds", "text beyond the pickle")
	}
	if err := b.spend(s.size, at); err != nil {
		return span{}, err
	}
	var in io.Reader = &latin1Reader{r: io.NewSectionReader(s, 0, s.size)}
	switch r.Op.String() {
	case "UNICODE":
		in = &escapedReader{r: bufio.NewReader(io.NewSectionReader(s, 0, s.size)), next: rawUnicode}
	case "STRING":
		var quotes [2]byte
		for i, off := range []int64{0, s.size - 1} {
			if _, err := s.ReadAt(quotes[i:i+1], off); err != nil {
				return span{}, at.wrap(err)
			}
		}
		if quotes[0] != quotes[1] || quotes[0] != '\'' && quotes[0] != '"' {
			return span{}, at.malformed("string", "a string that is not quoted")
		}
		in = &escapedReader{r: bufio.NewReader(io.NewSectionReader(s, 1, s.size-2)), next: escaped}
	}
	out, err := b.r.keep(in, s.size)
	switch {
	case errors.Is(err, errLatin1), errors.Is(err, errEscape):
		return span{}, at.malformed("latin1", "%v", err)
	case err != nil: // the disk may be full
		return span{}, at.wrap(err)
	}
	return out, nil
}

// What text can have wrong.
var (
	errLatin1 = errors.New("a character beyond Latin-1")
	errEscape = errors.New("an escape without its digits")
)

// spend bounds what is made of text, for one text may be made bytes many times.
func (b *builder) spend(n int64, at place) error {
	if b.spent += n; b.spent > 4*b.src.size+1<<20 {
		return at.fail(ErrLimit, "text", "more bytes made of text than the pickle has")
	}
	return nil
}

// A latin1Reader turns UTF-8 of characters up to U+00FF into bytes.
type latin1Reader struct {
	r    io.Reader
	lead byte
	buf  [8192]byte
}

func (l *latin1Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := l.r.Read(l.buf[:min(len(l.buf), len(p))])
		out := 0
		for _, c := range l.buf[:n] {
			switch {
			case l.lead != 0 && c&0xc0 == 0x80:
				p[out] = l.lead<<6 | c&0x3f
				out, l.lead = out+1, 0
			case l.lead == 0 && c < 0x80:
				p[out] = c
				out++
			case l.lead == 0 && (c == 0xc2 || c == 0xc3):
				l.lead = c
			default:
				return out, errLatin1
			}
		}
		if err == io.EOF && l.lead != 0 {
			err = io.ErrUnexpectedEOF
		}
		if out > 0 || err != nil {
			return out, err
		}
	}
}

// bytesOf returns bytes in all their forms.
func (b *builder) bytesOf(v pickle.Value, depth int) (span, bool, error) {
	switch v := v.(type) {
	case []byte:
		return memory(v), true, nil
	case *pickle.ByteArray:
		return memory(v.Data), true, nil
	case pickle.ByteString:
		return memory([]byte(v)), true, nil
	case pickle.Range:
		s, ok := b.src.sub(v.Offset, v.Size)
		switch v.Op.String() {
		case "BINBYTES", "BINBYTES8", "BYTEARRAY8", "SHORT_BINBYTES", "BINSTRING":
			return s, ok, nil
		case "STRING": // Python 2, protocol 0
			s, err := b.unwritten(v, b.at.at(v.Offset))
			return s, err == nil, err
		}
	case *pickle.Object:
		// What protocols 0 to 2 write for no bytes at all.
		if sym := v.Symbol(); (sym.Is("builtins", "bytes") || sym.Is("builtins", "bytearray")) && len(v.ArgList()) == 0 {
			return memory(nil), true, nil
		}
		got, err := b.value(v, depth)
		if data, ok := got.(blob); ok {
			return data.span, true, err
		}
		return span{}, false, err
	}
	return span{}, false, nil
}

// loadFromBytes is torch.storage._load_from_bytes(bytes): a storage saved as a
// whole file of its own.
func loadFromBytes(b *builder, o *pickle.Object, depth int) (any, error) {
	args, err := b.args(o, 1)
	if err != nil {
		return nil, err
	}
	at := b.place(o)
	src, ok, err := b.bytesOf(args[0], depth)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, at.malformed("nested", "a checkpoint that is no bytes")
	}
	// The same bytes can be loaded many times.
	if b.r.nested += src.size; b.r.nested > 4*(b.r.size+b.r.inflated)+1<<20 {
		return nil, at.fail(ErrLimit, "nested", "more checkpoints within the pickle than it has bytes for")
	}
	c, err := b.r.content(src, at.in(fmt.Sprintf("bytes@%d", o.Offset)), b.nest+1)
	if err != nil {
		return nil, err
	}
	if c.b == nil {
		return o, nil
	}
	got, err := c.b.value(c.value, 0)
	if err != nil {
		return nil, err
	}
	switch got := got.(type) {
	case *storageRef, *tensor:
		return got, nil
	}
	return nil, at.fail(ErrUnsupported, "nested", "a checkpoint within the pickle that is no storage")
}
