// Package describe says what a model is: a language model, a LoRA adapter, a
// VAE, …; how many parameters it has, and how its weights are packed.
//
// [Describe] looks at a checkpoint, and a [Summary] is what it found:
//
//	s := describe.Describe(c, config) // config.json, or nil
//	fmt.Println(s.Kind, s.Parameters, s.Packing)
//	for _, t := range s.Tensors {
//		fmt.Println(t.Name, t.Role)
//	}
//
// It goes by names, dtypes, shapes, metadata and config.json. Of data it reads
// two kinds of tensors of a few bytes, because nothing else tells a shape:
// weight_shape of compressed-tensors and quant_state of bitsandbytes.
//
// # What counts as a parameter
//
// Parameters are weights as the model has them in memory. A tensor in which
// weights are packed, such as eight 4-bit integers in an I32, counts as the
// weights it stands for; the scales, zero points and tables that belong to it
// count as nothing. Neither do buffers: position ids, masks, running
// statistics, the noise schedule of a diffusion model, the alpha of a LoRA.
// Everything else counts, so that for a model without packed weights or buffers
// the figure is the one the Hub shows.
//
// # Security
//
// Any checkpoint and any bytes as config may be given. Time is that of sorting
// the names, memory below 400 bytes a tensor beyond the header's; a config over 16 MiB is not
// read. The strings of a Summary, but for the names in its Tensors, hold no
// control characters. All of it is what the file says of itself: a file that
// calls its tensors like a language model's is one to this package.
package describe

import (
	"cmp"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/tensmith/tensmith/safetensors"
)

// A Summary is what a model says of itself. It depends on the tensors, the
// metadata and the config alone, not on how they are split into files.
type Summary struct {
	// Kind are a few words for people, such as "language model (decoder)" or
	// "LoRA adapter for SDXL"; "unknown" if nothing told.
	Kind string
	// Evidence is what told the Kind: a tensor, a metadata key or a field of
	// the config. It is empty if Kind is "unknown".
	Evidence string
	// Architecture is what config or metadata call the architecture.
	Architecture string
	// Base is the model that this one is a part, a version or an adapter of.
	Base string

	Parameters uint64 // weights, unpacked; math.MaxUint64 if there are more
	Stored     uint64 // elements as the files store them, of all tensors; likewise

	// Layers is the length of the longest stack of layers that is present, or
	// 0 if there is none, or more than one model.
	Layers int

	// Packing says how weights are packed, such as "GPTQ 4-bit", the way of
	// most weights first. It is empty if all are plain.
	Packing string

	// Components are the sub-models of a pipeline, by name.
	Components []Component

	// Tensors are all tensors, by name.
	Tensors []Tensor
}

// A Component is a sub-model of a pipeline.
type Component struct {
	Name       string // of the folder, such as "unet"
	Kind       string
	Evidence   string
	Parameters uint64
	Tensors    int
}

// Describe describes a checkpoint. The config is the text of its config.json,
// adapter_config.json or model_index.json, or nil; a config that makes no
// sense is as good as none.
func Describe(c *safetensors.Checkpoint, config []byte) Summary {
	list := gathering{tensors: make([]Tensor, 0, c.Len())}
	for t := range c.All() {
		list.add(t.Info)
	}
	read := func(name string) []byte {
		t, err := c.Tensor(name)
		if err != nil {
			return nil
		}
		return tiny(t, t.Size())
	}
	return summarize(list.tensors, c.Metadata(), config, read)
}

// Entries describes tensors that are not stored yet. Their Data is looked into
// only if it is an io.ReaderAt, which reading does not use up; it may be nil.
func Entries(entries []safetensors.Entry, metadata map[string]string, config []byte) Summary {
	list := gathering{tensors: make([]Tensor, 0, len(entries))}
	var told []source
	for _, e := range entries {
		list.add(e.Info)
		r, ok := e.Data.(io.ReaderAt)
		if !ok || !strings.HasSuffix(e.Name, "_shape") && !strings.Contains(e.Name, ".quant_state.") {
			continue
		}
		if size, err := e.DataSize(); err == nil && size <= tinySize {
			told = append(told, source{e.Name, size, r})
		}
	}
	slices.SortStableFunc(told, func(a, b source) int { return strings.Compare(a.name, b.name) })
	read := func(name string) []byte {
		i := sort.Search(len(told), func(i int) bool { return told[i].name > name }) - 1
		if i < 0 || told[i].name != name {
			return nil
		}
		return tiny(told[i].data, told[i].size)
	}
	return summarize(list.tensors, metadata, config, read)
}

// A gathering is tensors in the order they come.
type gathering struct {
	tensors []Tensor
	shapes  [8][]uint64 // that were met last: of many tensors, few differ
	turn    int
}

func (g *gathering) add(i safetensors.Info) {
	i.Shape = g.shared(i.Shape)
	g.tensors = append(g.tensors, Tensor{Info: i, place: int32(len(g.tensors))})
}

// shared returns a shape, or one that was met before and is the same.
func (g *gathering) shared(shape []uint64) []uint64 {
	for _, s := range g.shapes {
		if alike(s, shape) {
			return s
		}
	}
	g.shapes[g.turn], g.turn = shape, (g.turn+1)%len(g.shapes)
	return shape
}

// A source is a tensor that tells something about another.
type source struct {
	name string
	size int64
	data io.ReaderAt
}

// tinySize is the most that is read of a tensor. A quant_state has about 200
// bytes.
const tinySize = 4096

// tiny returns the data of a tensor of size bytes, or nil if that is much.
func tiny(r io.ReaderAt, size int64) []byte {
	if size < 0 || size > tinySize {
		return nil
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, 0); n < len(b) && err != nil {
		return nil
	}
	return b
}

func byName(a, b Tensor) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.place, b.place))
}

// summarize is Describe without a file. It sorts the tensors, and what it does
// from then on goes by that order, so that the order of files shows nowhere.
func summarize(tensors []Tensor, metadata map[string]string, config []byte, read func(string) []byte) Summary {
	if !slices.IsSortedFunc(tensors, byName) {
		slices.SortFunc(tensors, byName)
	}
	cfg := parseConfig(config)
	classify(tensors, cfg, read)
	s := Summary{Tensors: tensors}

	groups := grouped(s.Tensors)
	for _, g := range groups {
		g.names.limit = max(maxPatterns/len(groups), 512)
		for i := range g.tensors {
			t := &g.tensors[i]
			g.parameters = add(g.parameters, t.Elements())
			s.Stored = add(s.Stored, product(t.Shape))
			g.names.add(t.Name[len(g.prefix):], i)
		}
		s.Parameters = add(s.Parameters, g.parameters)
		s.Layers = max(s.Layers, g.names.layers())
	}
	if n := cfg.layers; n > 0 && n < s.Layers {
		s.Layers = n // the rest predicts further tokens, as in DeepSeek V3
	}
	s.Packing = packing(s.Tensors)
	s.judge(groups, metadata, cfg)
	return s
}

// A group is the tensors of one component, or all.
type group struct {
	prefix     string
	tensors    []Tensor
	parameters uint64
	names      patterns
}

// components are the folders of diffusers pipelines. A checkpoint whose names
// all begin with some of them and a slash is a pipeline.
var components = []string{
	"adapter", "audio_encoder", "connectors", "controlnet", "decoder", "feature_extractor",
	"image_encoder", "image_projection", "language_encoder", "mllm", "movq", "music_vae", "prior",
	"projection_model", "prompt_encoder", "refiner", "safety_checker", "text_encoder", "text_encoder_2",
	"text_encoder_3", "text_encoder_4", "text_projection", "transformer", "transformer_2", "transformer_3", "unet",
	"unet_2", "vae", "vae_decoder", "vae_encoder", "vocoder", "vqgan", "vqvae",
}

// grouped splits sorted tensors by component. There is one group without a
// prefix if this is no pipeline.
func grouped(tensors []Tensor) []*group {
	var groups []*group
	for i := 0; i < len(tensors); {
		folder, _, ok := strings.Cut(tensors[i].Name, "/")
		if !ok || !slices.Contains(components, folder) {
			return []*group{{tensors: tensors}}
		}
		prefix, first := folder+"/", i
		for i < len(tensors) && strings.HasPrefix(tensors[i].Name, prefix) {
			i++
		}
		groups = append(groups, &group{prefix: prefix, tensors: tensors[first:i]})
	}
	if len(groups) == 0 {
		return []*group{{}}
	}
	return groups
}
