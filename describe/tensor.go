package describe

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// A Role is what a tensor is there for.
type Role uint8

const (
	Plain     Role = iota // weights, one an element
	Packed                // weights that need a Companion or unpacking to be read
	Companion             // scales and the like of a Packed tensor
	Buffer                // no weights: position ids, masks, statistics, settings
)

// String returns the role in lower case.
func (r Role) String() string {
	if int(r) < len(roles) {
		return roles[r]
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

var roles = [...]string{"plain", "packed", "companion", "buffer"}

// A Tensor is a tensor and its part in the model. There may be hundreds of
// thousands of them: what can be worked out is a method, and what is the same
// for several is there once. So its Shape is not to be written to.
type Tensor struct {
	safetensors.Info
	Packing *Packing // of a Packed tensor, else nil
	Role    Role

	which uint8   // of a Companion: its place in the layout's list
	place int32   // in the order they came, which decides between equal names
	next  *Tensor // of a Packed tensor its first Companion, of those the next one, of the last the Packed one
}

// Elements returns how many parameters the tensor stands for; math.MaxUint64
// if there are more.
func (t *Tensor) Elements() uint64 {
	switch t.Role {
	case Plain:
		return product(t.Shape)
	case Packed:
		return t.Packing.elements
	}
	return 0
}

// Weight returns the name that the weight of a Packed tensor has where it is
// not packed.
func (t *Tensor) Weight() string {
	if t.Packing == nil {
		return ""
	}
	base, end := strings.TrimSuffix(t.Name, t.Packing.lay.suffix), t.Packing.lay.weight
	if strings.HasPrefix(t.Name[len(base):], end) { // as of most: no memory is needed
		return t.Name[:len(base)+len(end)]
	}
	return base + end
}

// Companions returns the tensors that a Packed one cannot be read without.
func (t *Tensor) Companions() iter.Seq[*Tensor] {
	return func(yield func(*Tensor) bool) {
		if t.Role != Packed {
			return
		}
		for c := t.next; c.Role == Companion && yield(c); {
			c = c.next
		}
	}
}

// Of returns the Packed tensor that a Companion belongs to, else nil.
func (t *Tensor) Of() *Tensor {
	if t.Role != Companion {
		return nil
	}
	for t.Role == Companion {
		t = t.next
	}
	return t
}

// Purpose returns what a Companion is there for: "scale", "global scale",
// "activation scale", "zero point", "bias" (added after scaling), "group
// index", "absmax", "code book", "quant state", "shape", "nested absmax",
// "nested code book" or "transform".
func (t *Tensor) Purpose() string {
	of := t.Of()
	if of == nil {
		return ""
	}
	return of.Packing.lay.companions[t.which].purpose
}

// A Scheme is a way to pack weights.
type Scheme string

const (
	GPTQ         Scheme = "GPTQ"               // I32, packed along the input
	AWQ          Scheme = "AWQ"                // I32, packed along the output in the order 0 2 4 6 1 3 5 7
	EXL2         Scheme = "EXL2"               // I32, a width for each group of rows
	EXL3         Scheme = "EXL3"               // I16 trellis in tiles of 16 by 16
	AQLM         Scheme = "AQLM"               // codes into code books
	NF4          Scheme = "bitsandbytes nf4"   // U8, two a byte, high half first; or such bytes in a float
	FP4          Scheme = "bitsandbytes fp4"   // likewise
	BnB8         Scheme = "bitsandbytes int8"  // I8, rows scaled by SCB/127
	MXFP4        Scheme = "MXFP4"              // U8, two E2M1 a byte; a power-of-two scale for each 32
	NVFP4        Scheme = "NVFP4"              // U8, two E2M1 a byte; an F8_E4M3 scale for each 16, and a global one
	FP8          Scheme = "FP8"                // an F8 type, and scales for the tensor, its rows or its blocks
	INT8         Scheme = "INT8"               // I8, likewise
	PackedInt    Scheme = "compressed-tensors" // I32 of pack-quantized, packed along the input, offset binary
	MLX          Scheme = "MLX"                // U32, packed along the input; scales and biases
	TorchAO4     Scheme = "torchao"            // U8, two a byte
	Quanto       Scheme = "Quanto"             // I8 or an F8 type
	SVDQuant     Scheme = "SVDQuant"           // I8, two a byte, beside a plain low-rank part
	BitNet       Scheme = "BitNet"             // U8, four ternary weights a byte along the output
	PackedOpaque Scheme = "packed integers"    // I32 named as in GPTQ and AWQ, laid out in another way
)

// A Packing is how a tensor stands for weights. Tensors that are packed alike
// share it, so it is not to be written to.
type Packing struct {
	Scheme Scheme
	Bits   int // width of one weight; 0 if it varies

	// Shape is the shape of the weight, as the unpacked model has it: output,
	// input for a linear layer, whichever way the packed tensor lies. It is
	// nil if it cannot be told.
	Shape []uint64

	// Block is how many weights share a scale along each dimension of Shape:
	// {1, 128} for groups of 128, Shape for one scale in all. The last block
	// may be short. It is nil if scales do not lie in such blocks, or if it
	// cannot be told.
	Block []uint64

	lay      *layout
	elements uint64 // weights; math.MaxUint64 if there are more
}

func (p *Packing) equal(q *Packing) bool {
	return p.lay == q.lay && p.Scheme == q.Scheme && p.Bits == q.Bits && p.elements == q.elements &&
		alike(p.Shape, q.Shape) && alike(p.Block, q.Block)
}

// alike tells whether two shapes are the same, nil being no shape.
func alike(a, b []uint64) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) }

// label is the packing in words for people.
func (p *Packing) label() string {
	switch {
	case p.Scheme == PackedInt:
		return fmt.Sprintf("compressed-tensors pack-quantized %d-bit", p.Bits)
	case p.Scheme == FP8 || p.Scheme == INT8:
		return string(p.Scheme) + p.scales()
	case p.Bits == 0 || slices.Contains([]Scheme{NF4, FP4, BnB8, MXFP4, NVFP4, BitNet}, p.Scheme):
		return string(p.Scheme)
	}
	return fmt.Sprintf("%s %d-bit", p.Scheme, p.Bits)
}

// scales says what the scales are for.
func (p *Packing) scales() string {
	n := len(p.Shape)
	switch {
	case p.Block == nil || n == 0:
		return " with scales"
	case slices.Equal(p.Block, p.Shape):
		return " with per-tensor scales"
	case n >= 2 && p.Block[n-1] == p.Shape[n-1] && p.Block[n-2] == p.Shape[n-2]:
		return " with per-expert scales" // a stack of matrices
	case p.Block[n-1] == p.Shape[n-1] && (n < 2 || p.Block[n-2] == 1):
		return " with per-row scales"
	case n == 1:
		return fmt.Sprintf(" with block scales of %d", p.Block[0])
	}
	return fmt.Sprintf(" with %d×%d block scales", p.Block[n-2], p.Block[n-1])
}

// packing puts the packings of all tensors into words, three at most.
func packing(tensors []Tensor) string {
	weights := map[string]uint64{}
	var last *Packing
	label := ""
	for i := range tensors {
		p := tensors[i].Packing
		if p == nil {
			continue
		}
		// The label of one tensor is mostly that of the next.
		if p != last {
			last, label = p, p.label()
		}
		if _, ok := weights[label]; ok || len(weights) < 1000 {
			weights[label] = add(weights[label], p.elements)
		}
	}
	labels := make([]string, 0, len(weights))
	for l := range weights {
		labels = append(labels, l)
	}
	slices.SortFunc(labels, func(a, b string) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), strings.Compare(a, b))
	})
	if len(labels) > 3 {
		labels = append(labels[:3], "others")
	}
	return strings.Join(labels, ", ")
}

// classify gives every tensor its role. The tensors are sorted by name.
func classify(tensors []Tensor, cfg config, read func(string) []byte) {
	m := matcher{tensors: tensors, cfg: cfg, read: read}
	for i := range tensors {
		if tensors[i].Role == Plain { // not yet a companion
			m.pack(i)
		}
	}
	for i := range tensors {
		t := &tensors[i]
		if t.Role == Plain && isBuffer(&t.Info) {
			t.Role = Buffer
		}
	}
}

// A matcher holds a tensor against the table of layouts.
type matcher struct {
	tensors []Tensor // by name
	cfg     config
	read    func(name string) []byte
	key     []byte // scratch

	// The packings that were met last: most tensors are packed as one of them.
	shared [8]*Packing
	turn   int

	// What follows is about the tensor and the layout at hand.
	t       *Tensor
	at      int // its place among the tensors
	base    string
	lay     *layout
	found   []int // tensor of each companion of the layout, -1 if there is none
	packing Packing
}

// pack tries the layouts on a tensor, and marks it and its companions if one
// fits.
func (m *matcher) pack(i int) {
	m.t, m.at = &m.tensors[i], i
	for l := range layouts {
		m.lay = &layouts[l]
		if !m.lay.takes(&m.t.Info) {
			continue
		}
		base, ok := strings.CutSuffix(m.t.Name, m.lay.suffix)
		if !ok {
			continue
		}
		m.base = base
		if !m.companions() {
			continue
		}
		m.packing = Packing{Scheme: m.lay.scheme, lay: m.lay}
		if m.packing.elements, ok = m.lay.read(m, &m.packing); !ok {
			continue
		}
		m.t.Role, m.t.Packing = Packed, m.share()
		next := &m.t.next
		for c, j := range m.found {
			if j < 0 {
				continue
			}
			t := &m.tensors[j]
			t.Role, t.which = Companion, uint8(c)
			*next, next = t, &t.next
		}
		*next = m.t
		return
	}
}

// share returns the packing at hand, or one that was met before and is the same.
func (m *matcher) share() *Packing {
	for _, p := range m.shared {
		if p != nil && p.equal(&m.packing) {
			return p
		}
	}
	p := new(Packing)
	*p = m.packing
	m.shared[m.turn], m.turn = p, (m.turn+1)%len(m.shared)
	return p
}

// companions finds the companions of a layout, and tells whether one that it
// cannot do without is among them.
func (m *matcher) companions() bool {
	m.found = m.found[:0]
	any := false
	for _, c := range m.lay.companions {
		if !c.needed && !any {
			return false
		}
		m.key = append(append(m.key[:0], m.base...), c.suffix...)
		j, ok := m.find(m.key)
		if ok = ok && m.tensors[j].Role == Plain && &m.tensors[j] != m.t; !ok {
			j = -1
		}
		any = any || ok && c.needed
		m.found = append(m.found, j)
	}
	return any
}

// find returns the last tensor that has a name. A search through what is sorted
// needs none of the memory of a map of all names. It begins at the tensor at
// hand, for companions are near.
func (m *matcher) find(name []byte) (int, bool) {
	above := func(i int) bool { return m.tensors[i].Name > string(name) }
	low, high := m.at, m.at // the first that is above lies between
	for step := 1; low > 0 && above(low-1); step *= 2 {
		low, high = max(0, low-step), low-1
	}
	for step := 1; high < len(m.tensors) && !above(high); step *= 2 {
		low, high = high+1, min(len(m.tensors), high+step)
	}
	end := low + sort.Search(high-low, func(i int) bool { return above(low + i) })
	return end - 1, end > 0 && m.tensors[end-1].Name == string(name)
}

// part returns the first companion present of a purpose, or nil.
func (m *matcher) part(purpose string) *safetensors.Info {
	for c, j := range m.found {
		if j >= 0 && m.lay.companions[c].purpose == purpose {
			return &m.tensors[j].Info
		}
	}
	return nil
}

// buffers are the names of tensors that hold no weights, by their last parts.
// What else must hold is in the second column; zero asks for nothing.
var buffers = []struct {
	suffix string
	is     func(*safetensors.Info) bool
	why    string
}{
	{"position_ids", integers, "0, 1, 2, …"},
	{"num_batches_tracked", integers, "of batch normalisation"},
	{"running_mean", nil, "of batch normalisation"},
	{"running_var", nil, "of batch normalisation"},
	{"inv_freq", nil, "of rotary embeddings"},
	{"masked_bias", single, "minus infinity, of GPT-2 and GPT-NeoX"},
	{"attn.bias", causal, "the causal mask of GPT-2"},
	{"attention.bias", causal, "the causal mask of GPT-NeoX and GPT-Neo"},
	{"relative_position_index", integers, "of Swin"},
	{"attn_mask", nil, "of Swin"},
	{"alpha", single, "what a LoRA's product is scaled by, times its rank"},
	{"scaled_fp8", nil, "an empty mark that scale_weight is in use"},
	{"comfy_quant", nil, "a layer's settings"},
	{"k_scale", single, "of the cache of keys"},
	{"v_scale", single, "of the cache of values"},
	{"q_scale", single, "of attention"},
	{"prob_scale", single, "of attention"},
	{"output_scale", single, "of activations"},
	{"betas", nil, "of the noise schedule"},
	{"alphas_cumprod", nil, "of the noise schedule"},
	{"alphas_cumprod_prev", nil, "of the noise schedule"},
	{"log_one_minus_alphas_cumprod", nil, "of the noise schedule"},
	{"sqrt_alphas_cumprod", nil, "of the noise schedule"},
	{"sqrt_one_minus_alphas_cumprod", nil, "of the noise schedule"},
	{"sqrt_recip_alphas_cumprod", nil, "of the noise schedule"},
	{"sqrt_recipm1_alphas_cumprod", nil, "of the noise schedule"},
	{"posterior_mean_coef1", nil, "of the noise schedule"},
	{"posterior_mean_coef2", nil, "of the noise schedule"},
	{"posterior_variance", nil, "of the noise schedule"},
	{"posterior_log_variance_clipped", nil, "of the noise schedule"},
	{"model_ema.decay", single, "of a moving average"},
	{"model_ema.num_updates", single, "of a moving average"},
}

func integers(t *safetensors.Info) bool {
	return t.DType == safetensors.I64 || t.DType == safetensors.I32 || t.DType == safetensors.I16
}

func single(t *safetensors.Info) bool { return product(t.Shape) <= 1 }

func causal(t *safetensors.Info) bool {
	return len(t.Shape) == 4 && t.Shape[0] == 1 && t.Shape[1] == 1 && t.Shape[2] == t.Shape[3]
}

// isBuffer tells whether a tensor is no weight by its name. The name must end
// in a row of the table, with a dot before it unless it is all of the name.
func isBuffer(t *safetensors.Info) bool {
	for i := range buffers {
		b := &buffers[i]
		rest, ok := strings.CutSuffix(t.Name, b.suffix)
		if ok && (rest == "" || rest[len(rest)-1] == '.' || rest[len(rest)-1] == '/') && (b.is == nil || b.is(t)) {
			return true
		}
	}
	return false
}

// add is a sum that stays at the largest number.
func add(a, b uint64) uint64 {
	if s, carry := bits.Add64(a, b, 0); carry == 0 {
		return s
	}
	return math.MaxUint64
}

// mul is a product that stays at the largest number.
func mul(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return math.MaxUint64
}

// product is the number of elements of a shape. A dimension of 0 makes it 0
// wherever it stands.
func product(shape []uint64) uint64 {
	if slices.Contains(shape, 0) {
		return 0
	}
	n := uint64(1)
	for _, d := range shape {
		n = mul(n, d)
	}
	return n
}
