package describe

import "strings"

// Names of tensors repeat: a model of a million has some hundred that differ in
// more than their numbers. The rules look at those.

const (
	maxName     = 256  // longer names follow no convention
	maxPatterns = 4096 // nor do so many different ones
)

// A pattern is what is left of names when every number that stands alone
// between dots, underlines or slashes is a #.
type pattern struct {
	text  string
	count int
	first int // tensor, in its group, whose name comes first
}

// patterns are the patterns of a group, in the order of the names that first
// had them, and the lengths of its stacks of layers.
type patterns struct {
	all    []pattern
	index  map[string]int
	stacks map[string]int // what precedes the number of a layer → layers
	layer  string         // name of the last layer met, number and all
	limit  int            // of patterns
	key    []byte
}

// add takes the name of tensor i. Names must come sorted: then the tensors of
// one layer, which share all up to the dot behind its number, stand together,
// and a layer is counted when it begins.
func (p *patterns) add(name string, i int) {
	if len(name) > maxName {
		return
	}
	if p.index == nil {
		p.index, p.stacks = map[string]int{}, map[string]int{}
	}
	key, number := p.key[:0], false
	for at := 0; at < len(name); {
		end := at
		for end < len(name) && name[end] >= '0' && name[end] <= '9' {
			end++
		}
		alone := end > at && (at == 0 || separator(name[at-1])) && (end == len(name) || separator(name[end]))
		switch {
		case alone:
			// Only the first number can be a layer's. In a UNet it is a block's,
			// and layers of a block are not what one would count.
			if !number && at > 0 && name[at-1] == '.' && end < len(name) && name[end] == '.' && isStack(name[:at-1]) {
				p.countLayer(name[:at], name[:end])
			}
			number = true
			key = append(key, '#')
			at = end
		case end > at:
			key = append(key, name[at:end]...)
			at = end
		default:
			key = append(key, name[at])
			at++
		}
	}
	p.key = key
	if n, ok := p.index[string(key)]; ok {
		p.all[n].count++
		return
	}
	if len(p.all) >= p.limit {
		return
	}
	text := string(key)
	p.index[text] = len(p.all)
	p.all = append(p.all, pattern{text, 1, i})
}

func separator(c byte) bool { return c == '.' || c == '_' || c == '/' }

// stackNames are what models call the lists their layers are in.
var stackNames = []string{
	"layers", "layer", "h", "blocks", "block", "resblocks", "transformer_blocks", "single_transformer_blocks",
	"double_blocks", "single_blocks", "joint_blocks",
}

func isStack(prefix string) bool {
	last := prefix[strings.LastIndexByte(prefix, '.')+1:]
	for _, name := range stackNames {
		if last == name {
			return true
		}
	}
	return false
}

func (p *patterns) countLayer(stack, layer string) {
	if p.layer == layer {
		return
	}
	p.layer = layer
	if _, ok := p.stacks[stack]; ok || len(p.stacks) < maxPatterns {
		p.stacks[stack]++
	}
}

func (p *patterns) layers() (longest int) {
	for _, n := range p.stacks {
		longest = max(longest, n)
	}
	return longest
}

// find returns the first pattern that a need of a rule fits, or nil. A need is
// a part of a name that begins at a separator or where the name does; ^ before
// it holds it to the beginning of the name, $ after it to the end, and | stands
// between alternatives.
func (p *patterns) find(need string) *pattern {
	for i := range p.all {
		for alternative := range strings.SplitSeq(need, "|") {
			if fits(p.all[i].text, alternative) {
				return &p.all[i]
			}
		}
	}
	return nil
}

func fits(text, need string) bool {
	need, start := strings.CutPrefix(need, "^")
	need, end := strings.CutSuffix(need, "$")
	switch {
	case start && end:
		return text == need
	case start:
		return strings.HasPrefix(text, need)
	case end:
		return strings.HasSuffix(text, need) && begins(text, len(text)-len(need))
	}
	for at := 0; ; at++ {
		i := strings.Index(text[at:], need)
		if i < 0 {
			return false
		}
		if at += i; begins(text, at) {
			return true
		}
	}
}

// begins tells whether a part of a name begins at i.
func begins(text string, i int) bool {
	return i == 0 || separator(text[i-1]) || i < len(text) && separator(text[i])
}
