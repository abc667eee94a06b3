package torch

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tensmith/tensmith/safetensors"
)

// TestAllowed holds that what torch and DeepSpeed write of themselves in a
// directory is not called suspicious, but for the classes of DeepSpeed.
func TestAllowed(t *testing.T) {
	for _, c := range readCases(t) {
		if c.Container != "dcp" && c.Container != "dcp-safetensors" && c.Container != "deepspeed" || c.Error != "" {
			continue
		}
		f, err := Open(os.DirFS("testdata"), c.File, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range f.Findings() {
			if !strings.HasPrefix(x.Name, "deepspeed.") {
				t.Errorf("%s: %v", c.File, x)
			}
		}
		f.Close()
	}
}

// slice makes a file of one tensor of zeros.
func sliceFile(t *testing.T, info string, dtype safetensors.DType, shape ...uint64) *fstest.MapFile {
	t.Helper()
	i := safetensors.Info{Name: "w", DType: dtype, Shape: shape}
	size, err := i.DataSize()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := safetensors.Encoder{Metadata: map[string]string{slicesKey: info}}
	if info == "" {
		enc.Metadata = nil
	}
	if err := enc.Encode(&b, []safetensors.Entry{{Info: i, Data: bytes.NewReader(make([]byte, size))}}); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

// TestSlices refuses, by name, slices that make no tensor.
func TestSlices(t *testing.T) {
	at := func(offsets string) string { return `{"w": {"saved_offsets": [` + offsets + `]}}` }
	first := sliceFile(t, at("0, 0"), safetensors.F32, 2, 4)
	for name, tt := range map[string]struct {
		second *fstest.MapFile
		reason string // "" if it opens
	}{
		"good":          {sliceFile(t, at("2, 0"), safetensors.F32, 3, 4), ""},
		"empty":         {sliceFile(t, at("1, 0"), safetensors.F32, 0, 4), ""},
		"gap":           {sliceFile(t, at("3, 0"), safetensors.F32, 2, 4), "missing"},
		"corner":        {sliceFile(t, at("2, 4"), safetensors.F32, 2, 4), "missing"},
		"overlap":       {sliceFile(t, at("1, 0"), safetensors.F32, 2, 4), "overlap"},
		"twice":         {first, "overlap"},
		"dtype":         {sliceFile(t, at("2, 0"), safetensors.F16, 2, 4), "dtype"},
		"rank":          {sliceFile(t, at("2"), safetensors.F32, 8), "shape"},
		"offsets":       {sliceFile(t, at("2"), safetensors.F32, 2, 4), "shape"},
		"negative":      {sliceFile(t, at("-2, 0"), safetensors.F32, 2, 4), "bounds"},
		"huge":          {sliceFile(t, at("9223372036854775807, 0"), safetensors.F32, 2, 4), "bounds"},
		"far":           {sliceFile(t, at("288230376151711743, 0"), safetensors.F32, 2, 4), "too-large"},
		"other tensor":  {sliceFile(t, `{"v": {"saved_offsets": [2, 0]}}`, safetensors.F32, 2, 4), "missing"},
		"no JSON":       {sliceFile(t, `{`, safetensors.F32, 2, 4), "json"},
		"no metadata":   {sliceFile(t, "", safetensors.F32, 2, 4), "missing"},
		"no safetensor": {&fstest.MapFile{Data: []byte("x")}, "safetensors"},
	} {
		f, err := Open(fstest.MapFS{"d/shard-1.safetensors": first, "d/shard-2.safetensors": tt.second}, "d", nil)
		if tt.reason == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			f.Close()
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Reason != tt.reason {
			t.Errorf("%s: %v, want %s", name, err, tt.reason)
		}
	}
	// Of less than a byte: whole, or not at all.
	four := sliceFile(t, at("0, 0"), safetensors.F4, 2, 4)
	f, err := Open(fstest.MapFS{"d/shard-1.safetensors": four}, "d", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Entries()[0]; got.DType != safetensors.F4 || got.Shape[1] != 4 {
		t.Errorf("%v %v", got.DType, got.Shape)
	}
	f.Close()
	_, err = Open(fstest.MapFS{"d/shard-1.safetensors": four, "d/shard-2.safetensors": sliceFile(t, at("2, 0"), safetensors.F4, 2, 4)}, "d", nil)
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("slices of F4: %v", err)
	}
}

// copied returns a directory of the test data.
func copied(t *testing.T, dir string) fstest.MapFS {
	t.Helper()
	out := make(fstest.MapFS)
	err := fs.WalkDir(os.DirFS("testdata"), dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path.Join("testdata", name))
		out[strings.TrimPrefix(name, dir+"/")] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestZero refuses checkpoints of DeepSpeed whose files do not make a whole.
func TestZero(t *testing.T) {
	const step, optim = "global_step1/", "_mp_rank_00_optim_states.pt"
	for name, tt := range map[string]struct {
		dir    string
		change func(fstest.MapFS)
		reason string
	}{
		"one process lost": {"deepspeed019/zero2", func(m fstest.MapFS) { delete(m, step+"bf16_zero_pp_rank_2"+optim) }, "missing"},
		"the first lost":   {"deepspeed019/zero2", func(m fstest.MapFS) { delete(m, step+"bf16_zero_pp_rank_0"+optim) }, "missing"},
		"optimizers lost": {"deepspeed019/zero3", func(m fstest.MapFS) {
			for i := range 3 {
				delete(m, step+"bf16_zero_pp_rank_"+string(rune('0'+i))+optim)
				delete(m, step+"zero_pp_rank_"+string(rune('0'+i))+optim)
			}
		}, "missing"},
		"model lost":  {"deepspeed019/zero1", func(m fstest.MapFS) { delete(m, step+"mp_rank_00_model_states.pt") }, "missing"},
		"no step":     {"deepspeed019/zero1", func(m fstest.MapFS) { m["latest"].Data = []byte("global_step2") }, "missing"},
		"traversal":   {"deepspeed019/zero1", func(m fstest.MapFS) { m["latest"].Data = []byte("../x") }, "name"},
		"tensors cut": {"deepspeed019/zero1", func(m fstest.MapFS) { m[step+"mp_rank_01_model_states.pt"] = m[step+"mp_rank_00_model_states.pt"] }, "zero"},
		"experts":     {"deepspeed019/zero1", func(m fstest.MapFS) { m[step+"expp_rank_0"+optim] = m[step+"mp_rank_00_model_states.pt"] }, "zero"},
		"pipeline":    {"deepspeed019/zero1", func(m fstest.MapFS) { m[step+"layer_00-model_states.pt"] = m[step+"mp_rank_00_model_states.pt"] }, "zero"},
		"other files": {"deepspeed019/zero1", func(m fstest.MapFS) {
			m[step+"bf16_zero_pp_rank_1"+optim] = m[step+"mp_rank_00_model_states.pt"]
		}, "missing"},
		"other run": {"deepspeed019/zero1", func(m fstest.MapFS) {
			other := copied(t, "deepspeed019/zero2")
			for i := range 2 {
				name := step + "bf16_zero_pp_rank_" + string(rune('0'+i)) + optim
				m[name] = other[name]
			}
		}, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := copied(t, tt.dir)
			tt.change(fsys)
			f, err := Open(fsys, ".", nil)
			if err == nil {
				f.Close()
			}
			var e *Error
			if !errors.As(err, &e) || e.Reason != tt.reason {
				t.Errorf("%v, want %s", err, tt.reason)
			}
		})
	}
	// The directory of the step does as well as the one above it.
	f, err := Open(os.DirFS("testdata"), "deepspeed019/zero3/global_step1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := byName(expected(t, "deepspeed019/zero3").Tensors)
	if got := len(f.Entries()); got == 0 || len(want) < got {
		t.Errorf("%d tensors, want the %d of zero_to_fp32 without aliases", got, len(want))
	}
}

// TestBackToBack does not take the last of several archives for all.
func TestBackToBack(t *testing.T) {
	data, err := os.ReadFile("testdata/torch215/tied.pt")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"twice":  append(bytes.Clone(data), data...),
		"plain":  append(zipOf(t, "a/data.pkl", "\x80\x02}."), zipOf(t, "b/data.pkl", "\x80\x02}.")...),
		"folder": append(zipOf(t, "a/data.pkl", "\x80\x02}."), data...),
	} {
		f, err := Open(fstest.MapFS{"x": {Data: data}}, "x", nil)
		if err == nil {
			f.Close()
			t.Errorf("%s: opened", name)
		}
	}
	for _, name := range []string{"dcp25/two_ranks/__0_0.distcp", "dcp25/two_ranks/__1_0.distcp", "torch215/dcp_single/__0_0.distcp"} {
		if _, err := Open(os.DirFS("testdata"), name, nil); !errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
	}
}

// TestObject reports what a program has among its constants besides tensors.
func TestObject(t *testing.T) {
	f, err := Open(os.DirFS("testdata"), "torch215/exported_object.pt2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got *LeftOut
	for _, l := range f.LeftOut() {
		if l.Path == "constants/packed" {
			got = &l
		}
	}
	if got == nil || got.Kind != "object in data/constants/custom_obj_0" || got.Tensors == 0 {
		t.Errorf("%+v of %+v", got, f.LeftOut())
	}
}
