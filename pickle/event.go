package pickle

// Kind is the kind of an [Event].
type Kind uint8

// What a pickle may do, and then what is irregular about it: the rest, from
// KindNumber on, a standard pickler writes never or hardly ever.
const (
	KindGlobal     Kind = iota // imports a name: Value is the *Symbol
	KindCall                   // calls: Value is the *Object
	KindBuild                  // sets the state Arg of Value
	KindPersistent             // asks for the persistent id: Value is the *Persistent
	KindExtension              // uses an extension code: Value is the *Extension
	KindRaw                    // bytes skipped for the *Object in Value, on demand of the caller

	KindNumber   // a number or memo key in a form no pickler writes; Detail is the text
	KindText     // needless escapes in text, which can hide a name; Detail is the text
	KindFrame    // an opcode crosses the end of its frame, or a frame begins or stops within one
	KindProtocol // a second PROTO, a late one, or an opcode of a later protocol than declared
	KindMemo     // a memo entry is overwritten
	KindComputed // a name is the result of a call: Value is the *Symbol
	KindChange   // state or items are put where no type of Python's data has them: Value, Arg
	KindDiscard  // the result of a call, or an imported name, is popped: Value
	KindLeftover // STOP leaves values on the stack, or marks
	kinds
)

var kindNames = [kinds]string{
	"global", "call", "build", "persistent-id", "extension", "raw-bytes",
	"number", "text", "frame", "protocol", "memo-overwrite", "computed-name",
	"foreign-change", "discarded-call", "leftover",
}

// String returns a short name that will not change.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Irregular tells whether the kind is one that picklers do not write.
func (k Kind) Irregular() bool { return k >= KindNumber }

// Event is something a pickle does, or something odd about it.
type Event struct {
	Kind   Kind
	Op     Op
	Offset int64 // of the opcode in the input
	Value  Value // see the kinds; nil for those that name none
	Arg    Value
	Detail string
}

// Log keeps events, a bounded number of them: Add fits [Decoder.OnEvent].
// A name is kept where it first appears, and of the calls and states those
// with the same name, so a checkpoint of a million tensors needs a few lines.
// The zero value is ready.
type Log struct {
	Events []Event // in the order of the file
	Max    int     // events kept of one kind; 0 is 4096
	kept   [kinds]int
	count  [kinds]int64
	lost   [kinds]int64
	seen   map[logKey]struct{}
}

type logKey struct {
	kind         Kind
	op           Op
	module, name string
}

// Add keeps e if it is new and there is room.
func (l *Log) Add(e Event) {
	l.count[e.Kind]++
	var key logKey
	if sym := namedBy(e); sym != nil && !sym.Computed {
		key = logKey{e.Kind, e.Op, sym.WrittenModule, sym.WrittenName}
		if _, ok := l.seen[key]; ok {
			return
		}
	}
	limit := l.Max
	if limit <= 0 {
		limit = 4096
	}
	if l.kept[e.Kind] >= limit {
		l.lost[e.Kind]++
		return
	}
	if key.op != 0 {
		if l.seen == nil {
			l.seen = make(map[logKey]struct{})
		}
		l.seen[key] = struct{}{}
	}
	l.kept[e.Kind]++
	l.Events = append(l.Events, e)
}

func namedBy(e Event) *Symbol {
	if e.Kind > KindBuild {
		return nil
	}
	switch v := e.Value.(type) {
	case *Symbol:
		return v
	case *Object:
		return v.Symbol()
	}
	return nil
}

// Count returns how many events of that kind there were, kept or not.
func (l *Log) Count(k Kind) int64 { return l.count[k] }

// Lost returns how many events of that kind there was no room for.
func (l *Log) Lost(k Kind) int64 { return l.lost[k] }
