package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/safetensors"
)

func treeCommand(a *app) *cobra.Command {
	var depth int
	cmd := &cobra.Command{
		Use:   "tree [flags] MODEL",
		Short: "show the tensors' names as a tree",
		Long: `Show the names of a model as a tree; dots and slashes part the levels.
Parts that repeat, with the same names, dtypes and shapes below them, are shown
once, as layers.[0..31]; the figures are those of all of them together.

Exit status: 0 shown, 2 the model could not be read.`,
		Example: `  tensmith tree model/
  tensmith tree model.safetensors --depth 2`,
		Args: args(1, 1, "MODEL"),
		RunE: func(_ *cobra.Command, args []string) error { return a.tree(args[0], depth) },
	}
	cmd.Flags().IntVarP(&depth, "depth", "d", 0, "show `N` levels; 0 shows all")
	return cmd
}

// A node is a part of the tree. Its path is name[:end] and its label the end
// of that. A path with nothing but one path below it is no node of its own, so
// that there are at most two nodes a tensor, however many dots its name has.
type node struct {
	name       string // of some tensor at or below it
	begin, end int
	tensor     *safetensors.Tensor // nil if there is none of that very name
	children   []*node
	tensors    int
	elements   uint64
	bytes      int64
	alike      uint64   // equal for nodes with equal parts below them
	numbers    []string // of its likes, if it stands for several
}

func (n *node) label() string { return n.name[n.begin:n.end] }

// separator returns what stands before the label of a node that is below
// another.
func (n *node) separator() string {
	if n.begin == 0 {
		return ""
	}
	return n.name[n.begin-1 : n.begin]
}

// A grower makes a tree of names.
type grower struct {
	seed  maphash.Seed
	stack []*node // from the root to the last tensor
}

// grow returns the root of the tree of the tensors.
func grow(tensors []*safetensors.Tensor) *node {
	// Separators sort before all else, so that what has a prefix in common
	// stands together: "a", "a.b", "a-b".
	slices.SortFunc(tensors, func(x, y *safetensors.Tensor) int { return byParts(x.Name, y.Name) })
	g := &grower{seed: maphash.MakeSeed(), stack: []*node{{end: -1}}}
	for i, t := range tensors {
		if i > 0 {
			g.closeTo(common(tensors[i-1].Name, t.Name))
		}
		leaf := &node{name: t.Name, end: len(t.Name), tensor: t, tensors: 1, bytes: t.Size(), elements: 1}
		for _, n := range t.Shape {
			leaf.elements *= n // checked when the file was opened
		}
		g.stack = append(g.stack, leaf)
	}
	g.closeTo(-1)
	g.finish(g.stack[0])
	return g.stack[0]
}

// isSeparator tells what parts names: a dot, and the slash that stands behind
// the name of a sub-model, and in names of other frameworks.
func isSeparator(c byte) bool { return c == '.' || c == '/' }

func byParts(x, y string) int {
	for i := 0; ; i++ {
		if i == len(x) || i == len(y) {
			return cmp.Compare(len(x), len(y))
		}
		p, q := x[i], y[i]
		switch {
		case p == q:
		case isSeparator(p) != isSeparator(q):
			if isSeparator(p) {
				return -1
			}
			return 1
		default:
			return cmp.Compare(p, q)
		}
	}
}

// common returns where the parts end that two names begin with, or -1.
func common(x, y string) int {
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	if (i == len(x) || isSeparator(x[i])) && (i == len(y) || isSeparator(y[i])) {
		return i
	}
	return strings.LastIndexAny(x[:i], "./")
}

// closeTo completes the nodes that reach beyond end, and leaves a node there
// that the next can become a child of.
func (g *grower) closeTo(end int) {
	for {
		top := g.stack[len(g.stack)-1]
		if top.end <= end {
			return
		}
		g.stack = g.stack[:len(g.stack)-1]
		parent := g.stack[len(g.stack)-1]
		if parent.end < end {
			parent = &node{name: top.name, end: end}
			g.stack = append(g.stack, parent)
		}
		g.finish(top)
		top.begin = parent.end + 1
		parent.children = append(parent.children, top)
	}
}

// minNamed is from how many on things are repeats whose names are more than a
// number: fc1 and fc2 are two things, expert0 to expert7 are one.
const minNamed = 4

// finish adds up a node and folds what repeats among its children.
func (g *grower) finish(n *node) {
	var h maphash.Hash
	h.SetSeed(g.seed)
	var b [8]byte
	put := func(v uint64) {
		binary.LittleEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	if n.tensor != nil {
		put(uint64(n.tensor.DType))
		put(uint64(len(n.tensor.Shape)))
		for _, d := range n.tensor.Shape {
			put(d)
		}
	}
	slices.SortFunc(n.children, func(x, y *node) int { return natural(x.label(), y.label()) })
	type kind struct {
		before, behind string
		alike          uint64
	}
	likes := map[kind][]*node{}
	kinds := make([]kind, len(n.children))
	for i, c := range n.children {
		n.tensors += c.tensors
		n.elements += c.elements
		n.bytes += c.bytes
		put(uint64(len(c.label())))
		h.WriteString(c.separator() + c.label())
		put(c.alike)
		if from, to := number(c.label()); from < to {
			kinds[i] = kind{c.separator() + c.label()[:from], c.label()[to:], c.alike}
			likes[kinds[i]] = append(likes[kinds[i]], c)
		}
	}
	n.alike = h.Sum64()
	kept := n.children[:0]
	for i, c := range n.children {
		same := likes[kinds[i]]
		bare := kinds[i].before == c.separator() && (kinds[i].behind == "" || isSeparator(kinds[i].behind[0]))
		switch {
		case len(same) < 2 || !bare && len(same) < minNamed:
			kept = append(kept, c)
		case same[0] == c:
			for _, s := range same {
				from, to := number(s.label())
				c.numbers = append(c.numbers, s.label()[from:to])
			}
			kept = append(kept, c)
		}
	}
	clear(n.children[len(kept):])
	n.children = kept
}

// number finds the first digits of a label.
func number(label string) (from, to int) {
	from = strings.IndexAny(label, "0123456789")
	if from < 0 {
		return 0, 0
	}
	return from, digitsAt(label, from)
}

// title returns what to print for a node, and of how many it tells.
func (n *node) title() (string, int) {
	if n.numbers == nil {
		return n.label(), 1
	}
	from, to := number(n.label())
	return n.label()[:from] + "[" + ranges(n.numbers) + "]" + n.label()[to:], len(n.numbers)
}

// ranges returns numbers in order as 0..31,40, and only some if there are many.
func ranges(numbers []string) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i + 1
		for j < len(numbers) && follows(numbers[j-1], numbers[j]) {
			j++
		}
		if len(parts) == 4 {
			parts = append(parts, "…", numbers[len(numbers)-1])
			break
		}
		part := numbers[i]
		if j-i > 1 {
			part += ".." + numbers[j-1]
		}
		parts = append(parts, part)
		i = j
	}
	return strings.Join(parts, ",")
}

func follows(x, y string) bool {
	a, errA := strconv.ParseUint(x, 10, 63)
	b, errB := strconv.ParseUint(y, 10, 63)
	return errA == nil && errB == nil && b == a+1
}

// A treeLine is a node as it is printed.
type treeLine struct {
	Label    string   `json:"label"`
	Depth    int      `json:"depth"`
	Repeat   int      `json:"repeat"`
	Tensors  int      `json:"tensors"`
	Elements uint64   `json:"parameters"`
	Bytes    int64    `json:"bytes"`
	DType    string   `json:"dtype,omitempty"`
	Shape    []uint64 `json:"shape,omitempty"`
	stem     string
}

// lines walks the tree, without recursion, for names may be as deep as a
// header is long.
func (n *node) lines(depth int, visit func(treeLine)) {
	type frame struct {
		children []*node
		times    int // how many the parent stands for
	}
	stack := []frame{{n.children, 1}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.children) == 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		c := top.children[0]
		top.children = top.children[1:]
		label, repeat := c.title()
		parts := []string{label}
		for c.tensor == nil && len(c.children) == 1 {
			// Folding left one child: layers and [0..31] become one line.
			c = c.children[0]
			label, n := c.title()
			parts = append(parts, c.separator(), label)
			repeat *= n
		}
		times := top.times * repeat
		line := treeLine{Label: strings.Join(parts, ""), Depth: len(stack), Repeat: repeat, Tensors: c.tensors * times,
			Elements: c.elements * uint64(times), Bytes: c.bytes * int64(times)}
		if c.tensor != nil {
			line.DType, line.Shape = c.tensor.DType.String(), c.tensor.Shape
		}
		// Beyond some depth a drawing is wider than any page, and all of its
		// lines together are longer than the file.
		var stem strings.Builder
		const drawn = 24
		if len(stack) > drawn {
			fmt.Fprintf(&stem, "…%d ", len(stack))
		}
		for _, f := range stack[max(0, len(stack)-drawn) : len(stack)-1] {
			stem.WriteString(map[bool]string{true: "│  ", false: "   "}[len(f.children) > 0])
		}
		stem.WriteString(map[bool]string{true: "├─ ", false: "└─ "}[len(top.children) > 0])
		line.stem = stem.String()
		visit(line)
		if len(c.children) > 0 && (depth == 0 || len(stack) < depth) {
			stack = append(stack, frame{c.children, times})
		}
	}
}

func (a *app) tree(address string, depth int) error {
	if depth < 0 {
		return usagef("--depth is %d, and must not be negative", depth)
	}
	c, err := a.open(address)
	if err != nil {
		return err
	}
	defer c.Close()
	root := grow(slices.Collect(c.All()))
	if a.isJSON() {
		lines := []treeLine{}
		root.lines(depth, func(l treeLine) { lines = append(lines, l) })
		return a.printJSON(struct {
			Schema   string     `json:"schema"`
			Path     string     `json:"path"`
			Tensors  int        `json:"tensors"`
			Elements uint64     `json:"parameters"`
			Bytes    int64      `json:"bytes"`
			Nodes    []treeLine `json:"nodes"`
		}{"tensmith.tree/1", address, root.tensors, root.elements, root.bytes, lines})
	}
	if a.format == "tsv" {
		return a.treeTSV(root, depth)
	}
	return a.printTree(address, root, depth)
}

// printTree draws the tree. Where it is too wide for the terminal two columns
// go first, and then the middle of labels, but never the branches.
func (a *app) printTree(address string, root *node, depth int) error {
	var lines []treeLine
	root.lines(depth, func(l treeLine) { lines = append(lines, l) })
	dims := make([]string, len(lines))
	widest, shapes := 0, 0
	for i := range lines {
		l := &lines[i]
		l.Label = shorten(safe(l.Label), 120)
		if l.Repeat > 1 {
			l.Label += " ×" + strconv.Itoa(l.Repeat)
		}
		if l.DType != "" {
			dims[i] = shorten(shape(l.Shape), 60)
		}
		widest = max(widest, columns(l.stem+l.Label))
		shapes = max(shapes, len(l.DType)+2+len(dims[i]))
	}
	const figures = 44 // columns that the three figures take, at most
	width, ok := terminal(a.stdout)
	narrow := ok && widest+2+shapes+figures > width
	tab := table{a: a, right: []bool{false, false, false, true, true, true}, give: -1}
	row := func(label, dtype any, dims, tensors, values, bytes string) {
		if narrow {
			tab.right = []bool{false, false, false, true}
			tab.row(label, dtype, dims, bytes)
			return
		}
		tab.row(label, dtype, dims, tensors, values, bytes)
	}
	room := 200
	if narrow {
		room = max(24, width-shapes-12)
	}
	row(cell{shorten(safe(address), room), bold}, "", "", plural(root.tensors, "tensor"), count(root.elements)+" values", size(root.bytes))
	for i, l := range lines {
		tensors := ""
		if l.Tensors > 1 {
			tensors = group(int64(l.Tensors))
		}
		label := shorten(l.Label, max(8, room-columns(l.stem)))
		row(l.stem+label, cell{l.DType, cyan}, dims[i], tensors, count(l.Elements), size(l.Bytes))
	}
	return tab.flush()
}

func (a *app) treeTSV(root *node, depth int) error {
	s := a.sheet("depth", "label", "repeat", "tensors", "parameters", "bytes", "dtype", "shape")
	root.lines(depth, func(l treeLine) {
		dims := ""
		if l.DType != "" {
			dims = shape(l.Shape)
		}
		s.row(l.Depth, l.Label, l.Repeat, l.Tensors, l.Elements, l.Bytes, l.DType, dims)
	})
	return s.flush()
}
