package torch

import (
	"path"
	"strings"

	"github.com/tensmith/tensmith/pickle"
)

// script opens TorchScript: data.pkl holds the module as objects of classes
// that the code in the archive defines. The code is not read.
func (a *archive) script() (*content, error) {
	src, at, ok, err := a.read("data.pkl")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, a.at.malformed("missing", "TorchScript without data.pkl")
	}
	v, next, shared, err := a.r.decodePacked(src, 0, at)
	rec, _ := a.find("data.pkl")
	if judged := a.pickles(rec); judged != nil {
		return nil, judged
	}
	if err != nil {
		return nil, err
	}
	if err := a.doubt(); err != nil {
		return nil, err
	}
	a.r.trailing(src, next, at)
	for i := range a.records {
		rec := &a.records[i]
		if strings.HasPrefix(strings.ToLower(a.name(rec)), "code/") || strings.EqualFold(a.name(rec), "bytecode.pkl") {
			a.r.trace.add(a.at.in(rec.path), "TorchScript", pickle.Suspicious, "code that torch.jit.load compiles and that can open files")
			a.r.note("container", "", "", "TorchScript: its code is left out")
			break
		}
	}
	if err := a.constants(); err != nil {
		return nil, err
	}
	b, err := a.builder(src, at, "data/", "")
	if err != nil {
		return nil, err
	}
	b.script, b.shared = true, shared
	return &content{container: "torchscript", framework: "pt", value: v, b: b, fixed: true}, nil
}

// constants lists the tensors of constants.pkl, which belong to the code.
func (a *archive) constants() error {
	src, at, ok, err := a.read("constants.pkl")
	if !ok || err != nil {
		return err
	}
	v, _, err := a.r.decode(src, 0, at)
	if err != nil {
		return err
	}
	b, err := a.builder(src, at, "constants/", "")
	if err != nil {
		return err
	}
	if t := b.grow(v); t.holds(v) {
		return t.drop("constants", v)
	}
	return nil
}

// pkg opens torch.package: pickles and Python sources of any name, and
// storages in .data.
func (a *archive) pkg() (*content, error) {
	var pickles []*record
	code := false
	for i := range a.records {
		rec := &a.records[i]
		name := strings.ToLower(a.name(rec))
		if strings.HasSuffix(name, ".pkl") && !strings.HasPrefix(name, ".data/") {
			pickles = append(pickles, rec)
		}
		code = code || strings.HasSuffix(name, ".py")
	}
	if err := a.doubt(); err != nil {
		if judged := a.pickles(nil); judged != nil {
			return nil, judged
		}
		return nil, err
	}
	if code {
		a.r.trace.add(a.at, "torch.package", pickle.Suspicious, "Python sources that torch.package runs")
		a.r.note("container", "", "", "torch.package: its code is left out")
	}
	c := &content{container: "torch-package", framework: "pt"}
	for _, rec := range pickles {
		src, err := a.open(rec)
		if err != nil {
			return nil, err
		}
		at := a.at.in(rec.path)
		v, next, err := a.r.decode(src, 0, at)
		if err != nil {
			return nil, err
		}
		a.r.trailing(src, next, at)
		b, err := a.builder(src, at, ".data/", ".storage")
		if err != nil {
			return nil, err
		}
		if len(pickles) == 1 {
			c.value, c.b = v, b
			return c, nil
		}
		list, err := b.grow(v).flatten(v)
		if err != nil {
			return nil, err
		}
		prefix := strings.TrimSuffix(a.name(rec), path.Ext(a.name(rec)))
		for _, n := range list {
			c.tensors = append(c.tensors, named{name: strings.ReplaceAll(prefix, "/", ".") + "." + n.name, t: n.t})
		}
	}
	return c, nil
}
