package main

import (
	"cmp"
	"errors"

	"github.com/tensmith/tensmith/convert"
	"github.com/tensmith/tensmith/convert/torch"
	"github.com/tensmith/tensmith/safetensors"
)

// refusal gives an error of a conversion the name that the user knows the
// file by, its exit code and its hint.
func (a *app) refusal(address string, p place, err error) error {
	hint := ""
	if e, ok := errors.AsType[*torch.Error](err); ok {
		e.File = cmp.Or(p.path(e.File), address)
		// Where no option helps there is none to advise.
		if hint = cmp.Or(hints[e.Hint], hints[e.Reason], e.Hint); e.Err == torch.ErrUnsupported && e.Hint == "" {
			hint = ""
		}
	} else if e, ok := errors.AsType[*safetensors.FormatError](err); ok {
		e.File = cmp.Or(p.path(e.File), address)
		err, hint = plainly(e), "`tensmith check "+quoted(address)+"` lists every problem"
	} else {
		err = plainly(p.simplify(address, err))
	}
	if errors.Is(err, convert.ErrUnknown) {
		if hint = advice(p.detect(""), address); hint == "" {
			hint = p.inside("")
		}
	}
	if hint != "" {
		err = hinted{err, hint}
	}
	if errors.Is(err, safetensors.ErrDType) {
		return usageError{err}
	}
	_, broken := errors.AsType[*safetensors.FormatError](err)
	if broken || errors.Is(err, torch.ErrMalformed) || errors.Is(err, torch.ErrDangerous) {
		a.fail("convert", err)
		return cmp.Or(a.printRefusal(address, err, hint), errNo)
	}
	return err
}

// printRefusal prints the answer to a conversion that is a no, for programs.
func (a *app) printRefusal(address string, err error, hint string) error {
	if a.format == "tsv" {
		return a.conversionSheet().flush()
	}
	if !a.isJSON() {
		return nil
	}
	type refusal struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}
	r := refusal{"malformed", err.Error(), hint}
	if errors.Is(err, torch.ErrDangerous) {
		r.Reason = "dangerous"
	}
	return a.printJSON(struct {
		Schema string  `json:"schema"`
		Input  string  `json:"input"`
		Error  refusal `json:"error"`
	}{"tensmith.convert/1", address, r})
}

// hints has advice for the reasons of package torch.
var hints = map[string]string{
	"dangerous":  "do not load the file; --extract-only takes its tensors and runs nothing",
	"quantized":  "--quantized parts writes integers, scales and zero points as tensors of their own",
	"sparse":     "--sparse dense writes all elements, --sparse parts indices and values",
	"complex128": "--complex split writes real and imaginary part as tensors of their own",
	"too-large":  "a file of a few bytes can claim to be many: check where it came from; --max-output raises the limit",
	"bcomplex32": "--complex split writes real and imaginary part as tensors of their own",
	"complex32":  "--complex split writes real and imaginary part as tensors of their own",
	"name":       "--root KEY takes one of them",

	`Sparse: "parts"`: "--sparse parts writes the indices and values",
}
