package scan

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxSource is how much of a text is searched.
const maxSource = 4 << 20

// script tells of a program that is there as text.
func (t *trace) script(b blob, at place, format, what string) {
	t.note("ST351", at, 0, format, what)
}

// pythonLine is what a line of a Python program looks like, and hardly one of
// prose.
var pythonLine = regular(`(?m)^(?:import [\w.]+(?: as \w+)?(?:, ?[\w.]+)*(?:; ?.*)?|(?:exec|eval|__import__)\(.*\)|from [\w.]+ import [\w*(][^.!?]*|def \w+\(.*|class \w+(?:\(.*\))?:|async def \w+\(.*|@\w[\w.]*(?:\(.*\))?|if __name__ ?== ?["']__main__["']:)\s*$`)

// text looks whether a text is a program.
func (t *trace) text(b blob, at place, head []byte, format string) {
	if claimsModel(at.name) {
		t.note("ST405", at, 0, format, "called a model, and is "+map[string]string{"html": "an HTML page", "xml": "an XML document"}[format]+strings.Repeat("a text", btoi(format == "text")))
	}
	if b.size > smallText {
		t.large()
	}
	if !t.work(workText+6*min(b.size, maxSource)) && at.depth > 0 {
		return // which is told when all is done
	}
	t.secretText(b, at)
	lower := strings.ToLower(at.name)
	if claimsArchive(lower) {
		t.note("ST405", at, 0, format, "called an archive, and is none")
	}
	t.readText(b, at, format, lower)
	switch {
	case strings.HasSuffix(lower, ".md"), strings.HasSuffix(lower, ".txt"), strings.HasSuffix(lower, ".rst"):
		// Prose quotes programs; nothing runs it, whatever its name is.
		if !fenced(head) {
			return
		}
		if !bytes.HasPrefix(bytes.TrimSpace(head), []byte("import ")) && !bytes.HasPrefix(bytes.TrimSpace(head), []byte("from ")) {
			return
		}
	case format != "text":
		return
	}
	if strings.HasSuffix(lower, ".py") && len(head) > 0 {
		t.script(b, at, "python", "a Python program")
		return
	}
	if t.mayBePython(head) {
		if lines := pythonLine().FindAll(head, 2); len(lines) == 2 || len(lines) == 1 && bytes.HasPrefix(bytes.TrimSpace(head), lines[0]) {
			t.script(b, at, "python", "a Python program")
			return
		}
	}
	for _, ext := range scriptNames {
		if strings.HasSuffix(lower, ext) {
			t.script(b, at, ext[1:], "a program, by its name")
			return
		}
	}
}

// pythonWords begin what pythonLine matches.
var pythonWords = []string{"import ", "exec(", "eval(", "__import__(", "from ", "def ", "class ", "async def ", "@", "if __name__"}

// mayBePython tells whether pythonLine has to be asked, which takes a hundred times
// as long, and takes the work for that.
func (t *trace) mayBePython(head []byte) bool {
	for line := range bytes.Lines(head) {
		if strings.IndexByte("iefdca@_", line[0]) < 0 {
			continue
		}
		for _, w := range pythonWords {
			if bytes.HasPrefix(line, []byte(w)) {
				return t.work(workExpression * int64(len(head)))
			}
		}
	}
	return false
}

// scriptNames are the endings of names of programs in text, besides Python's.
var scriptNames = []string{".sh", ".bash", ".bat", ".cmd", ".ps1", ".js", ".pl", ".rb", ".lua", ".vbs"}

// claimsArchive tells whether a name in lower case is that of an archive.
func claimsArchive(lower string) bool {
	for _, ext := range []string{".tar", ".tgz", ".zip", ".7z", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".rar"} {
		if strings.HasSuffix(lower, ext) {
			return true
		}
	}
	return false
}

// isScriptName tells whether a name is that of a program in text.
func isScriptName(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".py" || slices.Contains(scriptNames, ext)
}

// fenced tells whether a text has no marks of prose at its beginning.
func fenced(head []byte) bool {
	head = bytes.TrimSpace(head)
	return len(head) > 0 && head[0] != '#' && head[0] != '-'
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fileOps are what TorchScript code calls to reach files or the process, as
// its serialized form has them (torch/csrc/jit/serialization/python_print).
var fileOps = regular(`\b(?:torch\.(?:from_file|save|load|save_file)|ops\.(?:aten\.)?from_file|aten::from_file|torch\.jit\.(?:save|load)|ops\.aten\.save|ops\.image\.(?:read_file|write_file)|ops\.torchvision\.\w*file\w*|ops\.(?:inductor|aoti|torch_c_dlpack|load_library)\.\w+)\b`)

// fileWords are texts of which one stands in whatever fileOps matches, and in few
// other sources.
var fileWords = []string{"from_file", ".load", ".save", "::save", "::load", "file", "ops.inductor", "ops.aoti", "ops.torch_c_dlpack", "ops.load_library"}

// customOps returns the first calls of operators of any library, "ops.space.name":
// where one begins and ends, and its space. The expression for it takes ten times
// as long.
func (t *trace) customOps(text []byte, most int) (found [][4]int) {
	const mark = "ops."
	if !t.work(int64(len(text))) {
		return nil
	}
	for from := 0; len(found) < most; {
		i := bytes.Index(text[from:], []byte(mark))
		if i < 0 {
			return found
		}
		i += from
		from = i + len(mark)
		space := wordEnd(text, from)
		if i > 0 && isWord(text[i-1]) || space == from || space == len(text) || text[space] != '.' {
			continue
		}
		if end := wordEnd(text, space+1); end > space+1 {
			found = append(found, [4]int{i, end, from, space})
			from = end
		}
	}
	return found
}

// wordEnd is where the word at i ends.
func wordEnd(text []byte, i int) int {
	for i < len(text) && isWord(text[i]) {
		i++
	}
	return i
}

// code looks at what else an archive is: TorchScript, a package of torch, an
// export with compiled code, a model of Keras.
func (z *zipFile) code() {
	t := z.t
	scripts, sources := 0, 0
	var first *member
	for i := range z.d.members {
		m := &z.d.members[i]
		if !m.opens() || m.flags&0x2061 != 0 {
			continue
		}
		name := strings.TrimPrefix(z.d.name(m), z.top)
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, "code/") && strings.HasSuffix(lower, ".py"):
			scripts++
			if first == nil {
				first = m
			}
			z.torchScript(m)
		case strings.HasSuffix(lower, ".py"):
			sources++
		case strings.HasSuffix(lower, ".so"), strings.Contains(lower, "aotinductor/") && (strings.HasSuffix(lower, ".cpp") || strings.HasSuffix(lower, ".o") || strings.HasSuffix(lower, ".cubin") || strings.HasSuffix(lower, "_flags.json")):
			t.note("ST352", z.at.in(z.d.name(m)), m.entry, "", "compiled into the model, and loaded or built with it")
		case lower == "bytecode.pkl", lower == "constants.pkl":
			z.script = true
		}
	}
	if scripts > 0 || z.script {
		offset := int64(-1)
		if first != nil {
			offset = first.entry
		}
		t.note("ST340", z.at, offset, "", fmt.Sprintf("TorchScript: %d sources that loading compiles and calling runs", scripts))
	}
	if z.has(func(name string) bool { return name == ".data/extern_modules" || name == "extern_modules" }) {
		t.note("ST342", z.at, -1, "", fmt.Sprintf("a package of torch: %d Python sources that loading imports", sources))
	}
}

// torchScript searches a source for calls that reach beyond tensors.
func (z *zipFile) torchScript(m *member) {
	data, ok := z.open(m)
	if !ok {
		return
	}
	text, err := data.at(0, maxSource)
	in := z.at.in(z.d.name(m))
	if err != nil {
		z.t.unreadable(in, 0, err)
		return
	}
	if int64(len(text)) < data.size {
		z.t.note("ST404", in, int64(len(text)), "", "more source than a scan reads")
	}
	if hasAnyOf(text, fileWords) && z.t.work(workExpression*int64(len(text))) {
		for _, loc := range fileOps().FindAllIndex(text, 16) {
			call := string(text[loc[0]:loc[1]])
			z.t.note("ST341", in, int64(loc[0]), call, "calls "+call)
		}
	}
	for _, loc := range z.t.customOps(text, 64) {
		space := string(text[loc[2]:loc[3]])
		switch space {
		case "prim", "aten", "prims", "quantized", "torchvision", "profiler", "_quantized", "sparse", "mkldnn", "xnnpack", "prepacked", "cuda":
			continue
		}
		call := string(text[loc[0]:loc[1]])
		z.t.note("ST343", in, int64(loc[0]), call, "calls "+call+", an operator that some library registers")
	}
}

// templateNames are the endings of names of templates of Jinja, which chats
// have in a file of their own.
var templateNames = []string{".jinja", ".jinja2", ".j2", ".tmpl", ".template"}

// lambdaMark is what the description of a Lambda layer has.
var lambdaMark = regular(`"class_name": ?"(?:Lambda|__lambda__)"`)

// functions run programs, and are named in no text that is a model.
var functions = regular(`\b(?:(?:os|posix|nt)\.(?:system|popen)|subprocess\.(?:run|call|Popen|check_output|check_call|getoutput|getstatusoutput)|commands\.get\w*output)\b`)

func isTemplateName(name string) bool {
	return slices.Contains(templateNames, strings.ToLower(path.Ext(name)))
}

// readText reads a text that is a template, a document, or called a model.
func (t *trace) readText(b blob, at place, format, lower string) {
	text, err := b.at(0, maxSource)
	if err != nil {
		t.unreadable(at, 0, err)
		return
	}
	hasEnding := func(end string) bool { return strings.HasSuffix(lower, end) }
	switch {
	case isTemplateName(lower):
		t.template(at, -1, string(text))
	case format == "xml", hasEnding(".pmml"), bytes.HasPrefix(bytes.TrimSpace(text[:min(64, len(text))]), []byte("<net ")):
		t.xml(b, text, at)
	case claimsModel(at.name):
		if lambda := lambdaMark().FindIndex(text); lambda != nil {
			t.note("ST360", at, int64(lambda[0]), "Lambda", "called a model, and is a text with a Lambda layer of Keras")
		}
		match := t.command(string(text))
		if match == "" {
			match = string(functions().Find(text))
		}
		if match != "" {
			t.note("ST353", at, -1, excerpt(match, 60), fmt.Sprintf("called a model, and is a text that holds %+q", excerpt(match, 60)))
		}
	}
	t.pickleInText(b, at, text)
	if !isSettings(lower) {
		return
	}
	// All of it, in pieces that share what a name and its key take.
	const shared = 64 << 10
	for off := int64(0); ; {
		if hasEnding(".yaml") || hasEnding(".yml") {
			t.yamlTemplates(at, text, off)
		}
		t.settings(text, at, off)
		if off += int64(len(text)) - shared; off+shared >= b.size || len(text) <= shared || !t.work(workText+6*maxSource) {
			return // which is told when all is done
		}
		if text, err = b.at(off, maxSource); err != nil {
			t.unreadable(at, off, err)
			return
		}
	}
}

// yamlTemplates looks at lines that have an expression or a statement of Jinja, from
// the first to the end of the last: as one pattern, it took seconds to find none.
func (t *trace) yamlTemplates(at place, text []byte, base int64) {
	const longest = 64 << 10
	begin := 0
	for line := range bytes.Lines(text) {
		first := bytes.Index(line, []byte("{{"))
		if statement := bytes.Index(line, []byte("{%")); first < 0 || statement >= 0 && statement < first {
			first = statement
		}
		if last := max(bytes.LastIndex(line, []byte("}}")), bytes.LastIndex(line, []byte("%}"))) + 2; first >= 0 && last > first+3 {
			if !t.work(workFinding) {
				return // which is told when all is done
			}
			t.template(at, base+int64(begin+first), string(line[first:min(last, first+longest)]))
		}
		begin += len(line)
	}
}

// handlers judges the sources of a model archive of TorchServe, which the
// server imports and calls.
func (z *zipFile) handlers() {
	if !slices.ContainsFunc(z.d.members, func(m member) bool { return z.d.name(&m) == "MAR-INF/MANIFEST.json" }) {
		return
	}
	for i := range z.d.members {
		m := &z.d.members[i]
		if !m.readable || !strings.HasSuffix(strings.ToLower(z.d.name(m)), ".py") {
			continue
		}
		data, ok := z.open(m)
		if !ok {
			continue
		}
		text, err := data.at(0, maxSource)
		if err != nil {
			z.t.unreadable(z.at.in(z.d.name(m)), 0, err)
			continue
		}
		if name := sourceCall(string(text)); name != "" {
			z.t.note("ST355", z.at.in(z.d.name(m)), m.entry, name, "a program that the server runs, and that calls "+name)
		}
	}
}
