package scan

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// Commands and calls that stand as text where nothing should: in strings of a
// pickle, in weights of formats without code, in files of no known format.

// commands are calls and command lines that no settings and no names of
// tensors look like. They are long, so that random bytes do not hold them.
var commands = regular(`\b(?:os|posix|nt|base)\d?(?:\.|::)(?:system|popen|execute|exec[lv]\w*|spawn\w+)\s*\(|\bio\.popen\s*\(|\btorch\.ops\.\w+\.(?:system|popen|exec\w*)\s*\(|\bcommands\.get\w*output\s*\(|\bsubprocess\.(?:run|call|Popen|check_\w+|getoutput)\s*\(|__import__\s*\(\s*\\?["']|` + evaluation + `|` +
	`\b(?:curl|wget)\s[^\n|]{1,400}\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b|\b(?:ba|z|da)?sh -c\s+["'\w]|\bpython[23]? -c\s+["']|(?i:\bpowershell(?:\.exe)?\s+-\w+|\bcmd(?:\.exe)?\s+/c\s)`)

// evaluation is a call of eval or exec that is no method, of which commands
// knows those of a name.
const evaluation = `(?:^|[^.\w])(?:eval|exec)\(\s*[A-Za-z_]\w*\s*[(,)]`

var isEvaluation = regular(evaluation)

var commandHints = []string{"system(", "system (", "popen", "execute(", "execute (", "execv", "execl", "spawn", "subprocess.", "__import__", "eval(", "exec(", "output(", "| sh", "|sh", "| bash", "|bash", "| sudo", "sh -c", "python -c", "python2 -c", "python3 -c", "powershell", "cmd /c", "cmd.exe"}

// maxCommands is how many places of a text are held against commands.
const maxCommands = 256

// command returns a call or a command line in a text, or "". What is held
// against the expression is taken from the work of the file, which may have texts
// by the thousand in which hints stand close to each other.
func (t *trace) command(text string) string {
	left := maxCommands
	return commandWithin(text, &left, t)
}

// commandWithin is command for one of many texts, which share what is left of
// the places that are looked at, and take from the work of a file if it is given.
func commandWithin(text string, left *int, t *trace) string {
	if len(text) < 8 || !strings.ContainsAny(text, "(|") && !strings.Contains(text, " -") && !strings.Contains(text, " /") {
		return ""
	}
	lower := lowerASCII(text)
	for _, hint := range commandHints {
		for from := 0; *left > 0; *left-- {
			i := strings.Index(lower[from:], hint)
			if i < 0 {
				break
			}
			i += from
			begin, end := max(0, i-420), min(len(text), i+512)
			if !mayBeCommand(hint, lower[begin:end], i-begin) {
				from = i + len(hint)
				continue
			}
			if t != nil && !t.work(workCommand*int64(end-begin)) {
				return "" // which is told when all is done
			}
			if match := commands().FindString(text[begin:end]); match != "" {
				return match
			}
			from = i + len(hint)
		}
	}
	return ""
}

// mayBeCommand tells whether commands has to be asked about the hint at i: of those
// that stand in much source, what is before and behind tells as much, and takes a
// thousandth of the time.
func mayBeCommand(hint, lower string, i int) bool {
	before := byte(' ')
	if i > 0 {
		before = lower[i-1]
	}
	switch hint {
	case "popen", "execv", "execl", "spawn", "system(", "system (", "execute(", "execute (":
		return before == '.' || before == ':'
	case "eval(":
		return before != '.' && !isWord(before)
	case "exec(":
		return before == '.' && strings.Contains(lower[:i], "torch.ops.") || before != '.' && !isWord(before)
	case "__import__":
		return strings.HasPrefix(strings.TrimLeft(lower[i+len(hint):], " \t\n\r\f\v"), "(")
	}
	return true
}

// commandsIn searches the beginning of a file that nothing here reads.
func (t *trace) commandsIn(b blob, at place) {
	if !t.work(2*workSearch*min(b.size, maxSource)) && at.depth > 0 {
		return // which is told when all is done
	}
	text, err := b.at(0, maxSource)
	if err != nil {
		return // told by whoever reads the whole
	}
	if len(text) > smallText {
		t.large()
	}
	if match := t.command(string(text)); match != "" {
		t.note("ST353", at, -1, excerpt(match, 60), fmt.Sprintf("holds %+q", excerpt(match, 60)))
	}
}

// importStatements are those with which Python makes modules known, each on a
// line or behind a semicolon.
var importStatements = regular(`(?m)(?:^|;)[ \t]*(?:import[ \t]+([\w.]+)(?:[ \t]+as[ \t]+(\w+))?|from[ \t]+([\w.]+)[ \t]+import[ \t]+(\w+)(?:[ \t]+as[ \t]+(\w+))?)`)

// maxImports is how many statements of a source are followed.
const maxImports = 64

// sourceCall returns the dangerous function that Python source imports and
// calls, or "". Comments and strings are not told from the rest, so what is
// returned is what a reader should look at, no proof.
func sourceCall(text string) string {
	for _, m := range importStatements().FindAllStringSubmatch(text, maxImports) {
		module, alias := m[1], m[2]
		if module == "" {
			full, called := m[3]+"."+m[4], m[5]
			if called == "" {
				called = m[4]
			}
			if runs(full) && calls(text, called) {
				return full
			}
			continue
		}
		if alias == "" {
			alias = module
		}
		for rest := text; ; {
			i := strings.Index(rest, alias+".")
			if i < 0 {
				break
			}
			whole := i == 0 || !isWord(rest[i-1]) && rest[i-1] != '.'
			rest = rest[i+len(alias)+1:]
			n := 0
			for n < len(rest) && isWord(rest[n]) {
				n++
			}
			if name := module + "." + rest[:n]; whole && n > 0 && n < 64 && strings.HasPrefix(strings.TrimLeft(rest[n:min(n+8, len(rest))], " "), "(") && runs(name) {
				return name
			}
		}
	}
	return ""
}

// calls tells whether a name is followed by an opening bracket somewhere.
func calls(text, name string) bool {
	for {
		i := strings.Index(text, name)
		if i < 0 {
			return false
		}
		before := i == 0 || !isWord(text[i-1]) && text[i-1] != '.'
		text = text[i+len(name):]
		if before && strings.HasPrefix(strings.TrimLeft(text[:min(8, len(text))], " "), "(") {
			return true
		}
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// maxSourceText is how much of a string is read as a program, and maxTexts how
// many places of a pickle's strings are.
const (
	maxSourceText = 64 << 10
	maxTexts      = 4096
)

// source looks for programs in plain data: source that imports and calls what
// is dangerous, and pairs that name a module and a function of it.
func (w *watcher) source(v pickle.Value, hints hinted) {
	text, offset := "", int64(-1)
	if dict, ok := v.(*pickle.Dict); ok {
		w.namedCall(dict)
		return
	} else if long, ok := v.(pickle.Range); ok {
		if raw, ok := w.b.sub(long.Offset, long.Size); ok && w.sources < maxTexts {
			w.sources += 16
			head, _ := raw.at(0, maxSourceText)
			w.spend(len(head) * textWork)
			text, offset = string(head), long.Offset
			hints, _ = find(hintsOf(), head)
		}
	} else if hints&(hintImport|hintCommand) != 0 {
		switch v := v.(type) {
		case string:
			text = v
		case pickle.ByteString:
			text = string(v)
		case []byte:
			text = string(v)
		}
	}
	isSource := hints&hintImport != 0
	if len(text) < 10 || !isSource && (hints&hintCommand == 0 || !strings.ContainsAny(text, "(|") && !strings.Contains(text, " -c ") && !strings.Contains(text, " /c ")) {
		return
	}
	w.spend(len(text) * textWork)
	left := min(maxCommands, maxTexts-w.sources)
	before := left
	match := commandWithin(text, &left, nil)
	w.sources += before - left
	if match != "" && !isEvaluation().MatchString(match) {
		w.t.note("ST358", w.at, offset, excerpt(match, 60), fmt.Sprintf("a string holds %+q", excerpt(match, 60)))
		return
	}
	if w.sources += 1 + len(text)>>8; !isSource || w.sources > maxTexts {
		return
	}
	if name := sourceCall(text); name != "" {
		id := "ST339"
		if functions().MatchString(name) {
			id = "ST358"
		}
		w.t.note(id, w.at, offset, name, "a string is a program that calls "+name)
	} else if m := importLine().FindStringSubmatch(text); m != nil && runs(m[1]+".x") {
		w.t.note("ST339", w.at, offset, m[1], "a string is a program that imports "+m[1])
	}
}

// importLine is a program of one statement.
var importLine = regular(`^\s*import ([\w.]{2,64})\s*$`)

// namedCall knows {"module": "webbrowser", "method": "open"}, of which a
// program that reads such pairs makes a call.
func (w *watcher) namedCall(d *pickle.Dict) {
	if len(d.Pairs) > 64 {
		return
	}
	w.spend(len(d.Pairs) * pairWork)
	module, function := "", ""
	for _, p := range d.Pairs {
		key, _ := pickle.Text(p.Key)
		text, ok := pickle.Text(p.Value)
		if !ok || len(text) > 100 {
			continue
		}
		switch key {
		case "module", "_module", "__module__", "module_name":
			module = text
		case "method", "function", "func", "func_name", "callable", "__class__", "attr":
			function = text
		}
	}
	if module != "" && function != "" && isDotted(module) && isDotted(function) && runs(module+"."+function) {
		w.t.note("ST339", w.at, -1, module+"."+function, fmt.Sprintf("names the module %s and the function %s", module, function))
	}
}

// hiddenPickle looks for a pickle of text opcodes within a text, where readers
// that skip what they do not know find it.
var hiddenPickle = regular(`(?:^|[^\w.])c([A-Za-z_][\w.]{0,80})\n([A-Za-z_][\w.]{0,80})\n[(qp)X\x8cSVUIN0-9]`)

// hasNameLine tells whether a line behind the first is nothing but a name.
func hasNameLine(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return false
		}
		text = text[i+1:]
		n := 0
		for n < len(text) && (isWord(text[n]) || text[n] == '.') {
			n++
		}
		if n > 0 && n < len(text) && text[n] == '\n' {
			return true
		}
		text = text[n:]
	}
}

func (t *trace) pickleInText(b blob, at place, text []byte) {
	if text = text[:min(len(text), 1<<20)]; !hasNameLine(text) {
		return // the expression takes ten times as long
	}
	if !t.work(workExpression * int64(len(text))) {
		return
	}
	for _, m := range hiddenPickle().FindAllSubmatchIndex(text, 4096) {
		name := string(text[m[2]:m[3]]) + "." + string(text[m[4]:m[5]])
		if !runs(name) {
			continue
		}
		begin := int64(m[2]) - 1
		in := at.in(fmt.Sprintf("bytes@%d", begin))
		in.loose, in.junk = true, true
		apart := t.apart()
		if apart.content(b.rest(begin), in) == "" || !apart.has(Dangerous) {
			continue
		}
		if begin <= 4 {
			t.join(apart) // no text: a byte or two are there to hide it
		}
		t.note("ST330", at, begin, "text", fmt.Sprintf("a pickle within a text, which imports %s", name))
		return
	}
}

// hidden tells of a file within a string. If that is a pickle that has a
// function of Python's own called, it is there for the call: what programs keep
// as pickles within pickles is objects.
func (w *watcher) hidden(inner *trace, offset int64, how, message string) {
	f := Finding{ID: "ST330", File: w.at.file, Offset: offset, Name: how, Message: message}
	for _, g := range inner.findings {
		if g.ID == "ST302" && strings.HasPrefix(g.Name, "builtins.") {
			f.Severity = Dangerous
			f.Message += ", and it imports " + g.Name
			break
		}
	}
	w.t.add(f)
}
