package torch

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tensmith/tensmith/numeric"
	"github.com/tensmith/tensmith/pickle"
	"github.com/tensmith/tensmith/safetensors"
)

// zeroTool is what else consolidates such a checkpoint.
const zeroTool = "convert the directory of all its files, or run DeepSpeed's own zero_to_fp32.py"

// The names DeepSpeed gives the files of a checkpoint. Of those of the optimizer
// each process writes one; "bf16_" stands before those of BF16_Optimizer.
var (
	zeroOptim = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:bf16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)_optim_states\.pt$`)
	})
	zeroModel = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:zero_pp_rank_(\d+)_)?mp_rank_(\d+)_model_states\.pt$`)
	})
)

// isZero tells whether a directory is one of DeepSpeed.
func isZero(list []fs.DirEntry) bool {
	return slices.ContainsFunc(list, func(e fs.DirEntry) bool {
		return e.Name() == "latest" || strings.HasSuffix(e.Name(), "_optim_states.pt") || strings.HasSuffix(e.Name(), "_model_states.pt")
	})
}

// A zeroFile is one file of such a directory.
type zeroFile struct {
	name string
	rank int64
	at   place
	b    *builder
	top  []child
}

// get returns a value of the dict at the top, or of one within it.
func get(list []child, key string) (pickle.Value, bool) {
	i := slices.IndexFunc(list, func(c child) bool { return c.key == key })
	if i < 0 {
		return nil, false
	}
	return list[i].value, true
}

// A zero is a checkpoint of DeepSpeed's ZeRO, whose weights in fp32 are cut in
// pieces, one a process, in the files of the optimizer. It is read as
// deepspeed/utils/zero_to_fp32.py does (DeepSpeed 0.19).
type zero struct {
	r      *reader
	models []*zeroFile
	optims []*zeroFile
	shapes [][]child // names and sizes of the parameters, by group
	out    []named
	index  map[string]int
}

// zero opens a directory of DeepSpeed: that of one step, or the one above it,
// in which the file "latest" names the step.
func (r *reader) zero(dir string, list []fs.DirEntry) (*content, error) {
	at := place{file: dir, offset: -1}
	if slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == "latest" }) {
		src, err := r.open(path.Join(dir, "latest"))
		if err != nil {
			return nil, err
		}
		text, err := src.head(1 << 10)
		if err != nil {
			return nil, at.wrap(err)
		}
		tag := strings.TrimSpace(string(text))
		if !fs.ValidPath(tag) || tag == "." {
			return nil, place{file: path.Join(dir, "latest"), offset: -1}.malformed("name", "%q is no directory below this one", tag)
		}
		dir = path.Join(dir, tag)
		at = place{file: dir, offset: -1}
		if list, err = fs.ReadDir(r.fsys, dir); err != nil {
			return nil, at.wrap(err)
		}
	}
	z := &zero{r: r, index: make(map[string]int)}
	if err := z.files(dir, list, at); err != nil {
		return nil, err
	}
	if len(z.optims) == 0 { // ZeRO was off, or its files were left behind
		return r.file(z.models[0].name)
	}
	for _, f := range append(slices.Clone(z.models), z.optims...) {
		if err := z.open(f); err != nil {
			return nil, err
		}
	}
	if err := z.read(at); err != nil {
		return nil, err
	}
	return &content{container: "deepspeed", framework: "pt", tensors: z.out}, nil
}

// files sorts out the names of the directory.
func (z *zero) files(dir string, list []fs.DirEntry, at place) error {
	unsupported := func(what, name string) error {
		e := at.fail(ErrUnsupported, "zero", "%s (%s), which ZeRO's partitions are not read with", what, name)
		e.Hint = "DeepSpeed's own ds_to_universal.py, or zero_to_fp32.py, may read it"
		return e
	}
	for _, e := range list {
		name := e.Name()
		f := &zeroFile{name: path.Join(dir, name), at: place{file: path.Join(dir, name), offset: -1}}
		var rank, parallel string
		if m := zeroOptim().FindStringSubmatch(name); m != nil {
			rank, parallel = m[1], m[2]
			z.optims = append(z.optims, f)
		} else if m := zeroModel().FindStringSubmatch(name); m != nil {
			rank, parallel = m[1], m[2]
			z.models = append(z.models, f)
		} else if strings.Contains(name, "expert_") || strings.HasPrefix(name, "expp_rank_") {
			return unsupported("a mixture of experts", name)
		} else if strings.HasPrefix(name, "layer_") && strings.HasSuffix(name, "model_states.pt") {
			return unsupported("pipeline parallelism", name)
		} else if strings.HasSuffix(name, "_optim_states.pt") || strings.HasSuffix(name, "_model_states.pt") {
			return unsupported("a file of another kind", name)
		}
		if strings.Trim(parallel, "0") != "" {
			return unsupported("tensor parallelism", name)
		}
		f.rank, _ = strconv.ParseInt(rank, 10, 32) // "" is 0, and one too long is out of order
	}
	if len(z.models) == 0 {
		return at.malformed("missing", "there is no file *_model_states.pt")
	}
	for _, files := range [][]*zeroFile{z.models, z.optims} {
		slices.SortFunc(files, func(a, b *zeroFile) int { return int(a.rank - b.rank) })
		for i, f := range files {
			if f.rank != int64(i) {
				return at.malformed("missing", "the file of process %d, or two of it: %s is of process %d", i, path.Base(f.name), f.rank)
			}
		}
	}
	if len(z.optims) == 0 && len(z.models) > 1 {
		return at.malformed("missing", "there is no file *_optim_states.pt, and the weights are in pieces")
	}
	return nil
}

func (z *zero) open(f *zeroFile) error {
	c, err := z.r.file(f.name)
	if err != nil {
		return err
	}
	if c.b == nil {
		return f.at.malformed("zero", "no checkpoint of DeepSpeed")
	}
	kind, list := c.b.expand(c.value)
	if kind != dictNode {
		return f.at.malformed("zero", "no checkpoint of DeepSpeed: a %s", kindOf(c.value))
	}
	f.b, f.top, f.at = c.b, list, c.b.at
	return nil
}

// read consolidates.
func (z *zero) read(at place) error {
	first := z.models[0]
	shapes, _ := get(first.top, "param_shapes")
	for _, group := range itemsOf(shapes) {
		z.shapes = append(z.shapes, mapping(group))
	}
	module, hasModule := get(first.top, "module")
	names, hasNames := get(first.top, "buffer_names")
	if !hasModule || !hasNames || len(z.shapes) == 0 {
		return first.at.malformed("zero", "without module, buffer_names and a list param_shapes it is no file of the model")
	}
	for _, key := range []string{"ds_autoep_layers", "autoep_layers"} {
		if layers, ok := get(first.top, key); ok && layers != nil {
			return first.at.fail(ErrUnsupported, "zero", "experts in partitions (%s), which DeepSpeed's ds_to_universal.py reads", key)
		}
	}
	if err := z.buffers(module, names); err != nil {
		return err
	}
	stage, err := z.stage()
	if err != nil {
		return err
	}
	if err := z.frozen(stage); err != nil {
		return err
	}
	if stage == 3 {
		err = z.stage3()
	} else {
		err = z.stage12(at)
	}
	if err != nil {
		return err
	}
	shared, _ := get(first.top, "shared_params")
	for _, pair := range mapping(shared) {
		if source, ok := pickle.Text(pair.value); ok {
			if i, ok := z.index[source]; ok {
				z.add(pair.key, z.out[i].t)
			}
		}
	}
	return z.rest(module)
}

// add takes a tensor; of two of a name the place of the first and the value of
// the last count, as in Python.
func (z *zero) add(name string, t *tensor) {
	if i, ok := z.index[name]; ok {
		z.out[i].t = t
		return
	}
	z.index[name] = len(z.out)
	z.out = append(z.out, named{name: name, t: t})
}

// buffers takes what is no parameter, floats of 16 bits as fp32.
func (z *zero) buffers(module, names pickle.Value) error {
	f := z.models[0]
	wanted := make(map[string]bool)
	for _, item := range append(itemsOf(names), setItems(names)...) {
		if name, ok := pickle.Text(item); ok {
			wanted[name] = true
		}
	}
	for _, c := range mapping(module) {
		if !wanted[c.key] {
			continue
		}
		t, err := z.tensor(f, c.value)
		if err != nil {
			return named1(err, c.key)
		}
		if t.elem != nil && (t.elem.home == safetensors.F16 || t.elem.home == safetensors.BF16) {
			z.r.note("copy", c.key, "", "a buffer of "+t.elem.name+"; widened to float32, as zero_to_fp32 does")
			if t, err = widened(t); err != nil {
				return named1(err, c.key)
			}
		}
		z.add(c.key, t)
	}
	return nil
}

// widened returns a tensor of 16-bit floats as float32, which loses nothing.
func widened(t *tensor) (*tensor, error) {
	data, err := t.data()
	if err != nil {
		return nil, err
	}
	b, err := whole(data, t.at)
	if err != nil {
		return nil, err
	}
	cast, err := numeric.NewCast(numeric.Data{DType: t.elem.home, Source: b, Size: b.size}, safetensors.F32, numeric.ToSpecial)
	if err != nil {
		return nil, t.at.fail(ErrUnsupported, "cast", "%v", err)
	}
	own := *t
	own.elem, own.made, own.s = elems["float32"], cast, nil
	own.stride = rowMajor(t.shape)
	return &own, nil
}

// maxBuffer is the size up to which a view that is not contiguous is gathered
// in memory to be widened.
const maxBuffer = 1 << 20

// whole returns data that can be read at offsets.
func whole(data sized, at place) (span, error) {
	if s, ok := data.(span); ok {
		return s, nil
	}
	if at2, ok := data.(io.ReaderAt); ok {
		return span{at2, 0, data.Size()}, nil
	}
	if data.Size() > maxBuffer {
		return span{}, at.fail(ErrUnsupported, "zero", "a buffer of %d bytes that is not contiguous", data.Size())
	}
	b := &writer{}
	_, err := data.WriteTo(b)
	return memory(b.p), at.wrap(err)
}

type writer struct{ p []byte }

func (w *writer) Write(p []byte) (int, error) {
	w.p = append(w.p, p...)
	return len(p), nil
}

func (z *zero) tensor(f *zeroFile, v pickle.Value) (*tensor, error) {
	got, err := f.b.value(v, 0)
	if err != nil {
		return nil, err
	}
	t, ok := got.(*tensor)
	if !ok {
		return nil, f.at.malformed("zero", "a %s in the place of a tensor", kindOf(v))
	}
	return t, nil
}

// state returns the part of an optimizer's file that ZeRO writes.
func (f *zeroFile) state() ([]child, bool) {
	v, ok := get(f.top, "optimizer_state_dict")
	if !ok {
		return nil, false
	}
	kind, list := f.b.expand(v)
	return list, kind == dictNode
}

// stage returns the stage of ZeRO, and checks that all processes are there.
func (z *zero) stage() (int64, error) {
	f := z.optims[0]
	state, ok := f.state()
	if !ok {
		return 0, f.at.malformed("zero", "no state of ZeRO")
	}
	stage, ok := z.number(state, "zero_stage")
	if !ok || stage < 1 || stage > 3 {
		return 0, f.at.fail(ErrUnsupported, "zero", "no known zero_stage")
	}
	count, ok := z.number(state, "partition_count")
	if list, _ := get(state, "partition_count"); !ok {
		for _, item := range itemsOf(list) { // of the groups of parameters
			if n, isInt := item.(int64); isInt {
				count = max(count, n)
			}
		}
	}
	if count != int64(len(z.optims)) {
		return 0, f.at.malformed("missing", "the checkpoint is of %d processes, there are files of %d", count, len(z.optims))
	}
	return stage, nil
}

// number reads an integer, or a member of an enumeration by its value.
func (z *zero) number(list []child, key string) (int64, bool) {
	v, _ := get(list, key)
	if o, ok := v.(*pickle.Object); ok {
		if args := o.ArgList(); len(args) == 1 {
			v = args[0]
		}
	}
	n, ok := v.(int64)
	return n, ok
}

// rest lists what is not taken.
func (z *zero) rest(module pickle.Value) error {
	t := z.models[0].b.grow(module)
	replaced := LeftOut{Path: "module", Kind: "weights of the model, which those of the optimizer in fp32 replace"}
	for _, c := range mapping(module) {
		if _, ok := z.index[c.key]; !ok {
			if err := t.drop("module."+c.key, c.value); err != nil {
				return err
			}
		} else if got, err := t.b.value(c.value, 0); err == nil {
			if got, ok := got.(*tensor); ok && z.out[z.index[c.key]].t.made != nil {
				replaced.Tensors++
				replaced.Bytes += got.bytes()
			}
		}
	}
	z.r.leave(replaced)
	for _, f := range z.optims {
		state, _ := f.state()
		for _, c := range state {
			if c.key == "single_partition_of_fp32_groups" || c.key == "fp32_flat_groups" {
				continue
			}
			t := f.b.grow(c.value)
			if !t.holds(c.value) {
				continue
			}
			if err := t.drop(path.Base(f.name)+":"+c.key, c.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// partOfZero refuses a file of a checkpoint of ZeRO that, alone, has only a
// part of the weights.
func (r *reader) partOfZero(c *content) error {
	if c.b == nil || r.opts.Root != "" {
		return nil
	}
	kind, top := c.b.expand(c.value)
	if kind != dictNode {
		return nil
	}
	fail := func(format string, args ...any) error {
		e := c.b.at.fail(ErrUnsupported, "zero", format, args...)
		e.Hint = zeroTool
		return e
	}
	if v, ok := get(top, "optimizer_state_dict"); ok {
		if _, state := c.b.expand(v); len(state) > 0 {
			stage, isStage := (&zero{}).number(state, "zero_stage")
			if _, ok := get(state, "partition_count"); ok && isStage {
				return fail("the optimizer of one process, ZeRO stage %d: it has that process's partition of the weights alone", stage)
			}
		}
	}
	shapes, hasShapes := get(top, "param_shapes")
	module, hasModule := get(top, "module")
	if !hasShapes || !hasModule {
		return nil
	}
	state := mapping(module)
	values := make(map[string]pickle.Value, len(state))
	for _, c := range state {
		values[c.key] = c.value
	}
	for _, group := range itemsOf(shapes) {
		for _, p := range mapping(group) {
			want, ok := ints(p.value)
			got, err := c.b.value(values[p.key], 0)
			t, isTensor := got.(*tensor)
			if !ok || err != nil || !isTensor {
				continue
			}
			if t.elem != nil && !slices.Equal(t.shape, want) {
				return fail("ZeRO stage 3: parameter %q of shape %d is in partitions, and has shape %d here", p.key, want, t.shape)
			}
		}
	}
	if optimizer, ok := get(top, "optimizer"); ok && optimizer == nil {
		r.note("container", "", "", fmt.Sprintf("weights as the model computes with them; those in fp32 are in ZeRO's *_optim_states.pt: %s", zeroTool))
	}
	return nil
}
