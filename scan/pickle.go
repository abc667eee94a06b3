package scan

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// maxText is the length from which text and bytes of a pickle stay in the
// file, and are looked into there.
const maxText = 8 << 10

// pickleCost is what it takes to begin with a pickle, or with what may be a file
// within a string, in opcodes.
const pickleCost = 512

// A reading is what came of the pickles of a blob.
type reading struct {
	count   int    // pickles read to their STOP
	imports int    // names
	calls   int    // that are not constructors of plain data
	end     int64  // behind the last that was read
	legacy  bool   // the magic number of torch.save before 1.6
	joblib  bool   // arrays between the opcodes
	torch   bool   // storages by persistent id
	keys    keySet // of storages
	whole   bool   // all of the value is needed
	err     error
}

// format is the name of what was read.
func (r *reading) format() string {
	switch {
	case r.legacy:
		return "torch-legacy"
	case r.joblib:
		return "joblib"
	}
	return "pickle"
}

// pickles reads the pickles that stand back to back from the beginning of b,
// and tells what is odd about them. Of what follows them it says nothing.
func (t *trace) pickles(b blob, at place) reading {
	var r reading
	for off := int64(0); off < b.size && t.ctx.Err() == nil; off = r.end {
		if t.spent.opcodes <= 0 {
			t.note("ST404", at, off, "", "more pickles, or longer ones, than a scan reads")
			t.skim(b, off, at, nil)
			r.err = errBudget
			break
		}
		into := t
		if r.count > 0 {
			into = t.apart() // what follows a pickle need be none
		}
		v, next, err := into.pickle(b, off, at, &r)
		if into != t && (err == nil || into.has(Dangerous)) {
			t.join(into)
		}
		if err != nil {
			r.err = err
			break
		}
		r.count++
		r.end = next
		if r.count == 1 && isMagic(v) {
			r.legacy = true
			t.legacy(b, next, at, &r)
			break
		}
		if r.count == 2 {
			t.note("ST331", at, off, "", "more than one pickle in the file, of which one call of load reads the first")
		}
	}
	return r
}

// pickle reads the pickle at off and tells where it ends.
func (t *trace) pickle(b blob, off int64, at place, r *reading) (pickle.Value, int64, error) {
	if b.size-off > smallPickle {
		t.large()
	}
	d := pickle.NewDecoder(b, off, b.size)
	d.Limits = pickle.Limits{Memory: t.valueRoom(), Opcodes: max(t.spent.opcodes, 1), Memo: 1 << 23, Stack: 1 << 20, Marks: 1 << 19, String: maxText}
	// What a string holds is read while the values around it are there.
	t.spent.memory /= 2
	defer func() { t.spent.memory *= 2 }()
	w := &watcher{t: t, b: b, at: at, r: r, d: d}
	d.OnEvent = w.event
	d.OnString = w.text
	d.Drop = w.drop
	d.RawAfterBuild = func(o *pickle.Object, off int64) (int64, error) {
		n, err := t.rawArray(o, b, off, at, r)
		if n > 0 && len(w.raw) < maxRaw {
			w.raw = append(w.raw, pickle.Range{Offset: off, Size: n})
		}
		return n, err
	}
	v, err := d.Decode()
	w.finish(v)
	cost := d.Opcodes() + pickleCost
	if at.junk {
		cost *= 4 // for each place where one may begin reads the rest of the file
	}
	t.spent.opcodes -= cost
	if err == nil {
		t.memo(b, off, d.Offset(), at)
		return v, d.Offset(), nil
	}
	e, ok := errors.AsType[*pickle.Error](err)
	if !ok {
		return nil, off, err // nothing is there
	}
	var raw *rawError
	switch {
	case errors.As(err, &raw):
		t.note("ST402", at, e.Offset, "", "an array between the opcodes: "+raw.Error())
		t.sweep(b, d.Offset(), at) // its reader may know where it ends
	case tooLong(err):
		t.add(Finding{ID: "ST402", File: at.file, Offset: e.Offset, Op: opName(e.Op), Message: "a name or number longer than any pickler writes: " + e.Err.Error()})
		t.skim(b, off, at, w.raw) // older Pythons read them
	case errors.Is(err, pickle.ErrLimit):
		t.note("ST404", at, e.Offset, "", "the pickle is over a bound of this scan: "+e.Err.Error())
		t.skim(b, off, at, w.raw)
	case errors.Is(err, pickle.ErrMalformed), errors.Is(err, io.ErrUnexpectedEOF):
		t.add(Finding{ID: "ST402", File: at.file, Offset: e.Offset, Op: opName(e.Op), Message: "the pickle breaks off: " + clip(e.Err.Error(), 200)})
		switch head, _ := b.at(off, 512); {
		case e.Op.String() == "FRAME":
			t.sweep(b, e.Offset+9, at) // what is in it is there for another reader
		case !at.loose && !at.junk && (r.imports > 0 || len(head) > 0 && head[0] == 0x80 || claimsModel(at.name) && kindOf(head) == kindUnknown):
			// Python has two readers of pickles, and one goes on where the other
			// ends: that of pickle.py takes a list for arguments, and F1_0.
			t.sweep(b, e.Offset, at)
		}
	case errors.Is(err, errBudget):
		t.note("ST404", at, e.Offset, "", errBudget.Error())
	default:
		t.note("ST401", at, e.Offset, "", e.Err.Error())
	}
	return nil, off, err
}

// tooLong tells whether a bound was met that no sound pickle comes near.
func tooLong(err error) bool {
	e, ok := errors.AsType[*pickle.LimitError](err)
	return ok && (e.Limit == "String" || e.Limit == "Digits")
}

func opName(op pickle.Op) string {
	if op == 0 {
		return ""
	}
	return op.String()
}

// memo looks for keys of the memo that make Python take memory for all keys
// below them, too.
func (t *trace) memo(b blob, off, end int64, at place) {
	const searched, most = 1 << 20, 1 << 20
	if end-off > searched {
		return
	}
	for in, err := range pickle.Disassemble(b, off, end, pickle.Limits{String: maxText}) {
		if err != nil {
			return
		}
		if op := in.Op.String(); op != "LONG_BINPUT" && op != "PUT" {
			continue
		}
		if key, ok := in.Arg.(int64); ok && key > most {
			t.add(Finding{ID: "ST332", File: at.file, Offset: in.Offset, Op: in.Op.String(), Message: fmt.Sprintf("the memo's key %d, for which Python takes memory for as many", key)})
		}
	}
}

// maxRaw is how many arrays between the opcodes are known to skim.
const maxRaw = 1 << 16

// skim looks for dangerous names in a pickle that was not read to its end for a
// bound: whoever puts ten million numbers before a call hides nothing.
func (t *trace) skim(b blob, off int64, at place, raw []pickle.Range) {
	if next, err := t.skimNames(b, off, at, raw); err != nil {
		t.sweep(b, next, at) // the end of a row of arrays, or what another reader reads
	}
}

// skimNames is skim up to what is no pickle.
func (t *trace) skimNames(b blob, off int64, at place, raw []pickle.Range) (next int64, err error) {
	if t.spent.skims <= 0 {
		return b.size, nil
	}
	loads := false
	var inner []pickle.Range
	next, n, err := pickle.Skim(b, off, b.size, t.spent.skims, raw, func(sym *pickle.Symbol) {
		loads = loads || sym.String() == loadFromBytes
		t.skimmed(sym, at)
	}, func(r pickle.Range) {
		if len(inner) < maxRaw {
			inner = append(inner, r)
		}
	})
	t.spent.skims -= n + pickleCost
	if loads {
		t.skimLoads(b, inner, at)
	}
	return next, err
}

// skimLoads looks into what torch.storage._load_from_bytes may be handed.
func (t *trace) skimLoads(b blob, inner []pickle.Range, at place) {
	for _, r := range inner {
		data, ok := b.sub(r.Offset, r.Size)
		at := at.in(fmt.Sprintf("bytes@%d", r.Offset))
		if !ok || at.depth > maxDepth || r.Size > t.spent.nested || t.ctx.Err() != nil {
			return // after a bound, which was told
		}
		t.spent.nested -= r.Size
		if head, _ := data.at(0, 512); plausible(head) {
			t.content(data, at)
		} else {
			_, _ = t.skimNames(data, 0, at, nil) // it may be a pickle all the same
		}
	}
}

func (t *trace) skimmed(sym *pickle.Symbol, at place) {
	v, why := pickle.Judge(sym)
	if v != pickle.Dangerous {
		return
	}
	f := Finding{ID: "ST301", File: at.file, Offset: sym.Offset, Op: opName(sym.Op), Name: sym.String()}
	switch {
	case !sym.Computed:
		f.Message = "imports " + f.Name + ": " + why
	case strings.HasPrefix(f.Op, "EXT"):
		f.ID, f.Name, f.Message = "ST306", "", "an extension code, which stands for any name"
	default:
		f.ID, f.Name, f.Message = "ST305", "", "imports a name that is the result of a call"
	}
	t.add(f)
}

// maxSwept is how many opcodes are looked at behind a place where a pickle
// breaks off, and maxResumed how often the next is looked for.
const (
	maxSwept   = 1 << 20
	maxResumed = 64
)

// sweep lists the names behind the place where a bound was met, or where the
// pickle is broken for some readers. Without the stack it takes the two strings
// before STACK_GLOBAL for its operands.
func (t *trace) sweep(b blob, off int64, at place) {
	var texts [2]string
	left := min(maxSwept, t.spent.skims)
	before := left
	defer func() { t.spent.skims -= before - left + pickleCost }()
	for range maxResumed {
		next := off + 1
		for in, err := range pickle.Disassemble(b, off, b.size, pickle.Limits{String: maxText}) {
			if left--; left < 0 || t.ctx.Err() != nil {
				return
			}
			if err != nil {
				if e, ok := errors.AsType[*pickle.Error](err); ok {
					next = e.Offset + 1
				}
				break
			}
			next = in.Offset + 1
			t.swept(in, &texts, at)
		}
		if off = next; off >= b.size {
			return
		}
	}
}

func (t *trace) swept(in pickle.Instruction, texts *[2]string, at place) {
	sym := &pickle.Symbol{Offset: in.Offset, Op: in.Op}
	text, isText := pickle.Text(in.Arg)
	switch in.Op.String() {
	case "GLOBAL", "INST":
		sym.Module, sym.Name, _ = strings.Cut(text, " ")
	case "STACK_GLOBAL":
		sym.Module, sym.Name = texts[0], texts[1]
	default:
		if isText {
			texts[0], texts[1] = texts[1], text
		}
		return
	}
	sym.WrittenModule, sym.WrittenName = sym.Module, sym.Name
	t.skimmed(sym, at)
}
