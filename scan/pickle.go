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

// Why something was not read.
const (
	moreWork  = "more pickles, or longer ones, than a scan reads"
	moreNames = "more behind a bound, or behind what is broken, than a scan reads for names alone"
)

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
	named   bool   // what is dangerous stands behind a bound
	skimmed bool   // and a STOP
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
	if isLegacy(b) {
		r.count, r.end, r.legacy = legacySystem, int64(len(legacyBegin)), true
		t.legacy(b, r.end, at, &r)
		return r
	}
	for off := int64(0); off < b.size && t.ctx.Err() == nil; off = r.end {
		if t.spent.pickles <= 0 {
			t.note("ST404", at, off, "", moreWork)
			t.skim(b, off, at, nil, &r)
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
			if into != t && t.spent.pickles <= 0 {
				t.note("ST404", at, off, "", moreWork)
			}
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
	d.Limits = pickle.Limits{Memory: t.valueRoom(), Memo: 1 << 23, Stack: 1 << 20, Marks: 1 << 19, String: maxText}
	if at.loose {
		// Numbers that are all the same push as many values. What stands behind a bound is
		// read for names here as elsewhere, in a tenth of the time.
		d.Limits.Stack, d.Limits.Marks = 1<<16, 1<<16
	}
	d.Work = &t.spent.pickles
	if !t.spent.sharing {
		t.spent.sharing = true
		defer t.sharePickles(t.spent.pickles)
	}
	t.spent.pickles -= pickleWork
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
	if err == nil {
		t.memo(d, off, at)
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
		t.skim(b, off, at, w.raw, r) // older Pythons read them
	case errors.Is(err, pickle.ErrLimit):
		bound := e.Err.Error()
		if t.spent.pickles <= 0 {
			bound = moreWork
		}
		t.note("ST404", at, e.Offset, "", "the pickle is over a bound of this scan: "+bound)
		t.skim(b, off, at, w.raw, r)
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

// sharePickles takes from what may be done for the whole file as much as pickles have
// taken, but never all that is left: whatever is behind them is looked at, too.
func (t *trace) sharePickles(before int64) {
	t.spent.sharing = false
	t.work(min((before-t.spent.pickles)/pickleUnits, t.spent.work/2))
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

// memo looks for a key of the memo that makes Python take memory for all keys
// below it, too. Pickles of many bytes may have as many keys.
func (t *trace) memo(d *pickle.Decoder, off int64, at place) {
	const searched, most = 1 << 20, 1 << 20
	if key, op, offset := d.LargestKey(); key > most && d.Offset()-off <= searched {
		t.add(Finding{ID: "ST332", File: at.file, Offset: offset, Op: opName(op), Message: fmt.Sprintf("the memo's key %d, for which Python takes memory for as many", key)})
	}
}

// maxRaw is how many arrays between the opcodes are known to skim.
const maxRaw = 1 << 16

// skim looks for dangerous names in a pickle that was not read to its end for a
// bound: whoever puts ten million numbers before a call hides nothing.
func (t *trace) skim(b blob, off int64, at place, raw []pickle.Range, r *reading) {
	next, named, err := t.skimNames(b, off, at, raw)
	r.named, r.skimmed = r.named || named, err == nil
	if err != nil {
		t.sweep(b, next, at) // the end of a row of arrays, or what another reader reads
	}
}

// skimming gives read a part of what is left for reading names alone. It is never all
// of it, so that what comes behind is read as well, if it is short.
func (t *trace) skimming(read func(left *int64)) {
	most := t.spent.skims - t.spent.skims/8
	left := most
	if read(&left); t.spent.skims > 0 {
		t.spent.skims -= most - left + skimWork
		t.work(min((most-left+skimWork)/pickleUnits, t.spent.work/2))
	}
}

// skimNames is skim up to what is no pickle. It tells whether a dangerous name was met.
func (t *trace) skimNames(b blob, off int64, at place, raw []pickle.Range) (next int64, named bool, err error) {
	loads := false
	var inner []pickle.Range
	t.skimming(func(left *int64) {
		next, err = pickle.Skim(b, off, b.size, left, raw, func(sym *pickle.Symbol) {
			loads = loads || sym.String() == loadFromBytes
			named = t.skimmed(sym, at) && !sym.Computed || named
		}, func(r pickle.Range) {
			if len(inner) < maxRaw {
				inner = append(inner, r)
			}
		})
	})
	if loads {
		t.skimLoads(b, inner, at)
	}
	if errors.Is(err, pickle.ErrLimit) {
		t.note("ST404", at, next, "", moreNames)
		return next, named, nil
	}
	return next, named, err
}

// skimLoads looks into what torch.storage._load_from_bytes may be handed.
func (t *trace) skimLoads(b blob, inner []pickle.Range, at place) {
	for _, r := range inner {
		data, ok := b.sub(r.Offset, r.Size)
		at := at.in(fmt.Sprintf("bytes@%d", r.Offset))
		if t.spent.skims -= pickleWork; !ok || at.depth > maxDepth || r.Size > t.spent.nested || t.spent.skims < 0 || t.ctx.Err() != nil {
			return // after a bound, which was told
		}
		t.spent.nested -= r.Size
		if head, _ := data.at(0, 512); plausible(head) {
			t.content(data, at)
		} else {
			_, _, _ = t.skimNames(data, 0, at, nil) // it may be a pickle all the same
		}
	}
}

// skimmed tells of a name that is dangerous, and whether it is.
func (t *trace) skimmed(sym *pickle.Symbol, at place) bool {
	v, why := pickle.Judge(sym)
	if v != pickle.Dangerous {
		return false
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
	return true
}

// sweep looks for names behind the place where the pickle is broken for some
// readers, or where another reader may begin.
func (t *trace) sweep(b blob, off int64, at place) {
	t.skimming(func(left *int64) {
		if pickle.Sweep(b, off, b.size, left, func(sym *pickle.Symbol) { t.skimmed(sym, at) }) != nil {
			t.note("ST404", at, off, "", moreNames)
		}
	})
}
