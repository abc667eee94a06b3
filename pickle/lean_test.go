package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// leanDict is what torch.save writes of n tensors, in protocol 2.
func leanDict(n int) []byte {
	u32 := binary.LittleEndian.AppendUint32
	var b []byte
	memo := uint32(0)
	put := func() { b, memo = u32(append(b, 'r'), memo), memo+1 }
	text := func(s string) { b = append(u32(append(b, 'X'), uint32(len(s))), s...) }
	b = append(b, "\x80\x02}"...)
	put()
	b = append(b, '(')
	rebuild, storage, class, cpu, hooks := uint32(0), uint32(0), uint32(0), uint32(0), uint32(0)
	first := func(at *uint32, write func()) {
		if *at == 0 {
			write()
			*at = memo
			put()
			return
		}
		b = u32(append(b, 'j'), *at)
	}
	for i := range n {
		if i > 0 && i%1000 == 0 { // as picklers write them
			b = append(b, "u("...)
		}
		text(fmt.Sprintf("model.layers.%d.weight", i))
		put()
		first(&rebuild, func() { b = append(b, "ctorch._utils\n_rebuild_tensor_v2\n"...) })
		b = append(b, "(("...)
		first(&storage, func() { text("storage") })
		first(&class, func() { b = append(b, "ctorch\nFloatStorage\n"...) })
		text(fmt.Sprint(i))
		put()
		first(&cpu, func() { text("cpu") })
		b = append(b, "M\x00\x04t"...)
		put()
		b = append(b, "QK\x00M\x00\x04\x85"...)
		put()
		b = append(b, "K\x01\x85"...)
		put()
		b = append(b, '\x89')
		first(&hooks, func() { b = append(b, "ccollections\nOrderedDict\n"...) })
		b = append(b, ")R"...)
		put()
		b = append(b, 't')
		put()
		b = append(b, 'R')
		put()
	}
	return append(b, "u."...)
}

// TestDrop states that a checkpoint whose tensors are dropped needs no memory
// for them, that everything is reported all the same, and that without Drop it
// needs far more.
func TestDrop(t *testing.T) {
	const n = 50_000
	data := leanDict(n)
	decode := func(drop func(key, value Value) bool) (v Value, names, calls, refs int, err error) {
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		d.Limits.Memory = 2 << 20
		d.Drop = drop
		d.OnString = func(v Value, op Op, offset int64) {
			if s, ok := v.(string); ok && strings.HasPrefix(s, "model.") {
				names++
			}
			if Op(data[offset]) != op {
				t.Errorf("%v at %d is %#x", op, offset, data[offset])
			}
		}
		d.OnEvent = func(e Event) {
			switch e.Kind {
			case KindCall:
				calls++
			case KindPersistent:
				refs++
			default:
				if e.Kind.Irregular() {
					t.Errorf("%v at %d", e.Kind, e.Offset)
				}
			}
		}
		v, err = d.Decode()
		return v, names, calls, refs, err
	}
	if _, _, _, _, err := decode(nil); !errors.Is(err, ErrLimit) {
		t.Errorf("2 MiB are enough for all: %v", err)
	}
	v, names, calls, refs, err := decode(func(key, value Value) bool {
		o, ok := value.(*Object)
		return ok && (key != nil || o.Symbol().Is("torch._utils", "_rebuild_tensor_v2"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if names != n || calls != 2*n || refs != n {
		t.Errorf("%d names, %d calls, %d storages", names, calls, refs)
	}
	if dict, ok := v.(*Dict); !ok || len(dict.Pairs) != 0 {
		t.Errorf("%T is kept", v)
	}
}

// TestDropHolds states that what is held is not forgotten by the census: by the
// memo, the stack, a list, or the caller.
func TestDropHolds(t *testing.T) {
	tuple := "(" + strings.Repeat("N", 4000) + "t"
	for name, text := range map[string]string{
		"stack": strings.Repeat(tuple, 100) + ".",
		"memo": func() (s string) { // every entry is read
			for i := range 100 {
				s += tuple + "q" + string(rune(i)) + "0"
			}
			for i := range 100 {
				s += "h" + string(rune(i))
			}
			return s + "."
		}(),
		"list": "](" + strings.Repeat(tuple, 100) + "e.",
		"held": strings.Repeat("ca\nb\n"+tuple+"R0", 100) + "N.",
	} {
		data := []byte("\x80\x02" + text)
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		d.Limits.Memory = 1 << 20
		d.Drop = func(_, _ Value) bool { return true }
		if name == "held" {
			d.Drop = func(_, _ Value) bool { return false }
			d.OnEvent = func(e Event) {
				if e.Kind == KindCall {
					d.Hold(e.Value)
				}
			}
		}
		if _, err := d.Decode(); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: 6 MB are held in 1 MiB: %v", name, err)
		}
	}
	// The same without anything that holds them.
	data := []byte("\x80\x02" + strings.Repeat("ca\nb\n"+tuple+"R0", 100) + "N.")
	d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
	d.Limits.Memory = 1 << 20
	d.Drop = func(_, _ Value) bool { return true }
	if _, err := d.Decode(); err != nil {
		t.Errorf("nothing is held: %v", err)
	}
}

// TestDropped states what opcodes may do to a result that was dropped.
func TestDropped(t *testing.T) {
	for text, kind := range map[string]Kind{
		"ca\nb\nK\x01\x85R}b.":                  KindChange,
		"ca\nb\nK\x01\x85RNa.":                  KindChange,
		"ca\nb\nK\x01\x85RNNs.":                 KindChange,
		"](ca\nb\nK\x01\x85ReK\x00K\x05s.":      KindChange,
		"ca\nb\nK\x01\x85R0N.":                  KindDiscard,
		"ca\nb\nK\x01\x85R)R.":                  KindCall,
		"](ca\nb\nK\x01\x85ca\nb\nK\x01\x85Re.": KindCall,
	} {
		met := false
		d := NewDecoder(strings.NewReader(text), 0, int64(len(text)))
		d.Drop = func(_, value Value) bool {
			o, ok := value.(*Object)
			return ok && len(o.ArgList()) > 0
		}
		d.OnEvent = func(e Event) { met = met || e.Kind == kind }
		if _, err := d.Decode(); err != nil || !met {
			t.Errorf("%q: %v, %v: %v", text, kind, met, err)
		}
	}
}

// TestShared states that Decoder.Walk visits what is shared once, cycles too.
func TestShared(t *testing.T) {
	text := "\x80\x02]q\x00(h\x00]q\x01h\x01K\x07]K\x082e."
	d := NewDecoder(strings.NewReader(text), 0, int64(len(text)))
	d.Drop = func(_, _ Value) bool { return false }
	v, err := d.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		lists, numbers := 0, 0
		d.Walk(v, func(v Value) bool {
			switch v.(type) {
			case *List:
				lists++
			case int64:
				numbers++
			}
			return true
		})
		if lists != 3 || numbers != 3 {
			t.Errorf("%d lists, %d numbers", lists, numbers)
		}
	}
}

// FuzzDrop states that a decoder which is asked to drop and drops nothing gives
// what any decoder gives, and comes to an end in a walk.
func FuzzDrop(f *testing.F) {
	for _, c := range cpythonCases(f) {
		if len(c.Pickle) < 3000 {
			f.Add(c.Pickle)
		}
	}
	for _, s := range attacks {
		f.Add([]byte(s.in))
	}
	f.Add(leanDict(3))
	f.Fuzz(func(t *testing.T, data []byte) {
		decode := func(drop func(_, _ Value) bool) (*Decoder, Value, int, error) {
			d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
			d.Limits.String = 4096
			d.Drop, d.surveys = drop, true
			events := 0
			d.OnEvent = func(Event) { events++ }
			v, err := d.Decode()
			return d, v, events, err
		}
		_, want, events, err := decode(nil)
		d, got, eventsGot, errGot := decode(func(_, _ Value) bool { return false })
		if err != nil && strings.Contains(err.Error(), "no element to set") {
			return // which a list that dropped elements cannot know
		}
		if fmt.Sprint(err) != fmt.Sprint(errGot) || events != eventsGot {
			t.Fatalf("%v after %d events, want %v after %d", errGot, eventsGot, err, events)
		}
		if a, b := outline(want), outline(got); a != b {
			t.Errorf("%v, want %v", b, a)
		}
		n, m := 0, 0
		Walk(got, nil, func(v Value) bool { n += countOnce(v); return true })
		d.Walk(got, func(v Value) bool { m += countOnce(v); return true })
		if n != m {
			t.Errorf("a walk of %d values, want %d", m, n)
		}
	})
}

// countOnce leaves out what Decoder.Walk may visit more often than Walk.
func countOnce(v Value) int {
	switch v := v.(type) {
	case *Symbol, *Extension:
		return 0
	case *Tuple:
		if len(v.Items) == 0 {
			return 0
		}
	}
	return 1
}

// TestPack states that what is put in the place of arguments changes nothing
// else, and that arguments are not held for it.
func TestPack(t *testing.T) {
	type packed string
	var data []byte
	data = append(data, "\x80\x02cm\nf\nq\x010X\x05\x00\x00\x00firstq\x020]q\x00("...)
	data = append(data, "h\x01h\x02K\x07\x86q\x03Rq\x04"...)
	for range 20_000 {
		data = append(data, "h\x01X\x08\x00\x00\x00argumentr\xff\xff\x00\x00K\x07\x86r\xff\xff\x00\x00R"...)
	}
	data = append(data, "h\x04h\x03e."...)
	decode := func(pack func(*Object) int64, limit int64) (*List, []Event) {
		t.Helper()
		var log Log
		d := NewDecoder(bytes.NewReader(data), 0, int64(len(data)))
		d.Limits.Memory, d.OnEvent, d.Pack = limit, log.Add, pack
		v, err := d.Decode()
		if err != nil {
			t.Fatal(err)
		}
		return v.(*List), log.Events
	}
	plain, events := decode(nil, 0)
	calls := 0
	got, gotEvents := decode(func(o *Object) int64 {
		calls++
		o.Args = packed(o.ArgList()[0].(string))
		return 16
	}, 5<<20)
	if calls != 20_001 || len(got.Items) != len(plain.Items) || len(gotEvents) != len(events) {
		t.Fatalf("%d calls, %d items, %d events; without: %d items, %d events", calls, len(got.Items), len(gotEvents), len(plain.Items), len(events))
	}
	for i, v := range got.Items[:len(got.Items)-1] {
		o, was := v.(*Object), plain.Items[i].(*Object)
		if o.Args != Value(packed(was.ArgList()[0].(string))) || o.Offset != was.Offset || !o.Symbol().Is("m", "f") {
			t.Fatalf("item %d: %v at %d", i, o.Args, o.Offset)
		}
	}
	if got.Items[0] != got.Items[len(got.Items)-2] {
		t.Error("what is shared is not")
	}
	// The memo keeps what is read of it.
	if last, ok := got.Items[len(got.Items)-1].(*Tuple); !ok || last.Items[0] != Value("first") {
		t.Errorf("the arguments that the memo has: %v", got.Items[len(got.Items)-1])
	}
}
