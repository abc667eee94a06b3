package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tensmith/tensmith/attest"
	"github.com/tensmith/tensmith/safetensors"
	"github.com/tensmith/tensmith/sign"
)

func attestCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest tensors|verify [flags] MODEL",
		Short: "state what the weights of a model are, and verify such statements",
		Long: `Statements are documents of in-toto, signed like a model or bare: of every
tensor's digest (attest tensors), and of what a model was converted from
(tensmith convert --provenance). Both say what the weights are, whatever files
they lie in.

Exit status: 0 for this text; that of its verbs otherwise.`,
		Example: "  tensmith attest tensors model/ -o t.json --sign key --private-key key.pem\n" +
			"  tensmith attest verify key --public-key pub.pem --attestation t.json model/",
		Args: subverb,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	for _, sub := range []*cobra.Command{attestTensorsCommand(a), attestVerifyCommand(a)} {
		sub.Flags().SortFlags = false
		sub.DisableFlagsInUseLine = true
		cmd.AddCommand(sub)
	}
	return cmd
}

// A stating is the flags of what writes a statement.
type stating struct {
	name   string
	force  bool
	method string
	with   signing
}

// check finds what is wrong with the flags, and returns what signs, nil for an
// identity, which is asked for when there is something to sign.
func (s *stating) check(ctx context.Context, a *app, cmd *cobra.Command) (signer, error) {
	if s.method == "" {
		var err error
		for _, flag := range slices.Sorted(keysOf(signingMethods)) {
			if f := cmd.Flags().Lookup(flag); f != nil && f.Changed && err == nil {
				err = hinted{usagef("--%s goes with --sign METHOD", flag), "METHOD is one of " + strings.Join(signMethods, ", ")}
			}
		}
		return nil, err
	}
	if err := lacksKeyless(s.method); err != nil {
		return nil, err
	}
	if !slices.Contains(signMethods, s.method) {
		return nil, usagef("--sign is %q, not one of %s", s.method, strings.Join(signMethods, ", "))
	}
	if err := goesWith(cmd, s.method, signingMethods); err != nil {
		return nil, err
	}
	if err := s.with.check(s.method); err != nil {
		return nil, err
	}
	if s.method == "sigstore" {
		_, err := a.keylessSigner(ctx, &s.with, true)
		return nil, err
	}
	return a.signer(ctx, s.method, &s.with)
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (s *stating) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.method, "sign", "", "sign the statement by this `METHOD`: "+strings.Join(signMethods, ", "))
	s.with.flags(cmd)
	bothSpellings(cmd)
	if err := cmd.RegisterFlagCompletionFunc("sign", cobra.FixedCompletions(signMethods, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// document is the statement as it is to be written: signed, or bare.
func (s *stating) document(ctx context.Context, a *app, by signer, statement *sign.Statement) ([]byte, error) {
	payload, err := statement.Encode()
	if err != nil {
		return nil, withoutPackage(err)
	}
	if s.method == "" {
		return append(payload, '\n'), nil
	}
	if by == nil {
		if by, err = a.signer(ctx, s.method, &s.with); err != nil {
			return nil, err
		}
	}
	bundle, err := by.Sign(ctx, sign.PayloadType, payload)
	return bundle, withoutPackage(err)
}

func attestTensorsCommand(a *app) *cobra.Command {
	var s stating
	cmd := &cobra.Command{
		Use:   "tensors [flags] MODEL",
		Short: "state the digest of every tensor",
		Long: `Write a statement of the dtype, shape and SHA-256 of every tensor of a model,
and of the files they lie in: bare, or signed with --sign METHOD and the flags
that tensmith sign has for it. Digests are those of tensmith hash --tensors. A
model that is re-sharded, or whose metadata is edited, has the same weights.

Exit status: 0 written, 2 the model could not be read, or nobody would sign.`,
		Example: `  tensmith attest tensors model/ -o tensors.json
  tensmith attest tensors model/ -o signed.json --sign key --private-key key.pem`,
		Args: args(1, 1, "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := s.check(cmd.Context(), a, cmd)
			if err != nil {
				return err
			}
			return a.attestTensors(cmd.Context(), args[0], &s, by)
		},
	}
	cmd.Flags().StringVarP(&s.name, "output", "o", "", "the `FILE` to write (default: standard output)")
	cmd.Flags().BoolVar(&s.force, "force", false, "replace what exists under that name")
	s.flags(cmd)
	return cmd
}

// inventory is the tensors and files of a model.
func (a *app) inventory(ctx context.Context, in *input, tensors, files bool) (t []attest.Tensor, f []attest.File, err error) {
	var jobs []*hashJob
	var list []*safetensors.Tensor
	if tensors {
		for x := range in.All() {
			list = append(list, x)
			jobs = append(jobs, &hashJob{name: x.Name, size: x.Size(), data: x})
		}
	}
	if files {
		for _, x := range in.Files() {
			jobs = append(jobs, &hashJob{name: x.Name(), size: x.Size(), data: x})
		}
	}
	n := 0
	err = a.hash(ctx, jobs, func(j *hashJob) error {
		if j.err != nil {
			return fmt.Errorf("%s: %w", safe(j.name), j.err)
		}
		if n < len(list) {
			x := list[n]
			shape := slices.Clone(x.Shape)
			if shape == nil {
				shape = []uint64{}
			}
			t = append(t, attest.Tensor{Name: x.Name, DType: x.DType.String(), Shape: shape, SHA256: j.sum})
		} else {
			f = append(f, attest.File{Name: j.name, SHA256: j.sum})
		}
		n++
		return nil
	})
	return t, f, err
}

func (a *app) attestTensors(ctx context.Context, address string, s *stating, by signer) error {
	if s.name != "" {
		if err := refuse(s.name, s.force); err != nil {
			return err
		}
	}
	in, err := a.openInput(ctx, address)
	if err != nil {
		return err
	}
	defer in.Close()
	tensors, files, err := a.inventory(ctx, in, true, true)
	if err != nil {
		return err
	}
	statement, err := attest.NewTensors(files, tensors)
	if err != nil {
		return err
	}
	text, err := s.document(ctx, a, by, statement)
	if err != nil {
		return err
	}
	if s.name != "" {
		if err := writeWhole(s.name, text, s.force); err != nil {
			return err
		}
		a.ledger.wrote(s.name)
		a.words("wrote %s: digests of %s", s.name, plural(len(tensors), "tensor"))
	}
	switch {
	case a.isJSON():
		return a.printJSON(struct {
			Schema   string  `json:"schema"`
			Model    string  `json:"model"`
			Output   string  `json:"output,omitempty"`
			Method   string  `json:"method,omitempty"`
			Document rawJSON `json:"document"`
		}{"tensmith.attest/1", address, filepath.ToSlash(s.name), s.method, rawJSON(text)})
	case a.format == "tsv":
		t := a.sheet("name", "dtype", "shape", "sha256")
		for _, x := range tensors {
			t.row(x.Name, x.DType, x.Shape, x.SHA256)
		}
		return t.flush()
	case s.name != "":
		return nil
	}
	_, err = a.stdout.Write(text)
	return err
}

func attestVerifyCommand(a *app) *cobra.Command {
	var whom verifying
	var name string
	var unsigned, exact bool
	cmd := &cobra.Command{
		Use:   "verify [METHOD] [flags] --attestation FILE MODEL",
		Short: "say whether the weights of a model are those of a statement",
		Long: `Verify who has signed a statement of attest tensors or convert --provenance, and
compare the model with it: its files, and if they are others, its tensors one by
one. METHOD is how it was signed: sigstore (the default), key or certificate;
with --unsigned a bare statement is believed as it is.

The answer tells the same files, the same weights in other files (re-sharded, or
their metadata edited), and other weights, with the names of what differs.

Exit status: 0 the statement is good and the weights are the same (with --exact:
the files), 1 they are not, or it is not, 2 something could not be read.`,
		Example: `  tensmith attest verify key --public-key pub.pem --attestation t.json model/
  tensmith attest verify --unsigned --attestation tensors.json model.safetensors`,
		ValidArgsFunction: completeMethod,
		RunE: func(cmd *cobra.Command, args []string) error {
			method, model, err := methodAndModel(cmd, args, verifyingMethods)
			switch {
			case err != nil && !unsigned:
				return err
			case name == "":
				return usagef("--attestation is missing")
			case unsigned:
				if len(args) != 1 {
					return usagef("--unsigned goes with MODEL alone")
				}
				method, model = "", args[0]
			default:
				if err := whom.check(method); err != nil {
					return err
				}
			}
			return a.attestVerify(cmd.Context(), model, name, method, &whom, exact)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "attestation", "", "the `FILE` of the statement")
	f.BoolVar(&unsigned, "unsigned", false, "believe a statement that nobody has signed")
	f.BoolVar(&exact, "exact", false, "other files are a negative answer, too")
	whom.flags(cmd)
	bothSpellings(cmd)
	return cmd
}

// An attestation is the JSON of attest verify.
type attestation struct {
	Schema        string        `json:"schema"`
	Model         string        `json:"model"`
	Attestation   string        `json:"attestation"`
	Verified      bool          `json:"verified"`
	Weights       string        `json:"weights"` // same files, same weights, changed; empty if it was not looked at
	Message       string        `json:"message,omitempty"`
	PredicateType string        `json:"predicate_type,omitempty"`
	Signer        *signerJSON   `json:"signer,omitempty"`
	evidenceJSON                // of an identity
	Source        *originJSON   `json:"source,omitempty"`
	Changed       []string      `json:"changed"`
	Retyped       []string      `json:"retyped"`
	Missing       []string      `json:"missing"`
	Extra         []string      `json:"extra"`
	Renamed       []renamedJSON `json:"renamed"`
	Warnings      []string      `json:"warnings"`
}

type renamedJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// An originJSON is what a model was converted from.
type originJSON struct {
	Source   string     `json:"source"`
	URI      string     `json:"uri,omitempty"`
	Format   string     `json:"format"`
	Inputs   []fileJSON `json:"inputs"`
	Version  string     `json:"version"`
	Verdict  string     `json:"verdict"`
	Lossless bool       `json:"lossless"`
}

type fileJSON struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

func (a *app) attestVerify(ctx context.Context, model, name, method string, whom *verifying, exact bool) error {
	d := &attestation{Schema: "tensmith.attest/1", Model: model, Attestation: name,
		Changed: []string{}, Retyped: []string{}, Missing: []string{}, Extra: []string{}, Renamed: []renamedJSON{}, Warnings: []string{}}
	statement, err := a.readStatement(ctx, d, name, method, whom)
	var claimed *attest.Tensors
	if err == nil {
		claimed, err = d.claims(statement)
	}
	switch {
	case err == nil:
		err = a.compareWeights(ctx, d, model, statement, claimed, exact)
	case isNegative(err) || errors.Is(err, attest.ErrMalformed):
		err = withoutPackage(err)
		d.Message = err.Error()
		err = answered{err}
	}
	no, negative := errors.AsType[answered](err)
	if err != nil && !negative {
		return err
	}
	for _, w := range d.Warnings {
		a.words("warning: %s", w)
	}
	if e := a.printAttestation(d); e != nil {
		return e
	}
	if negative {
		a.fail("attest verify", no.error)
		return errNo
	}
	return nil
}

// An answered is a negative answer that is still to be printed.
type answered struct{ error }

func (e answered) Unwrap() error { return e.error }

// readStatement reads a statement and verifies who has signed it.
func (a *app) readStatement(ctx context.Context, d *attestation, name, method string, whom *verifying) (*sign.Statement, error) {
	text, err := readAtMost(name, maxStatement)
	if err != nil {
		return nil, err
	}
	var bare struct {
		Type string `json:"_type"`
	}
	isBare := json.Unmarshal(text, &bare) == nil && bare.Type != ""
	if method == "" {
		if !isBare {
			return nil, hinted{fmt.Errorf("%s: is no bare statement", name), "if it is signed, say by what METHOD instead of --unsigned"}
		}
		d.Warnings = append(d.Warnings, "nobody has signed the statement")
		return sign.ParseStatement(text)
	}
	if isBare {
		return nil, answered{hinted{fmt.Errorf("%s: nobody has signed it", name), "--unsigned believes it as it is"}}
	}
	verifier, err := a.verifier(ctx, method, whom)
	if err != nil {
		return nil, err
	}
	b, err := sign.ParseBundle(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, withoutPackage(err))
	}
	if whom.prints {
		a.printPrints(b)
	}
	who, err := verifier.Verify(ctx, b)
	d.evidenceJSON = jsonEvidence(verifier)
	if err != nil {
		return nil, err
	}
	d.Signer, d.Warnings = jsonSigner(who), append(d.Warnings, who.Warnings...)
	return b.Statement()
}

// maxStatement is the size of the largest statement that is read: of some
// million tensors.
const maxStatement = 512 << 20

// claims reads what the statement says.
func (d *attestation) claims(s *sign.Statement) (*attest.Tensors, error) {
	d.PredicateType = s.PredicateType
	switch s.PredicateType {
	case attest.TensorsType:
		return attest.ParseTensors(s)
	case attest.ProvenanceType:
		o, err := attest.ParseConversion(s)
		if err != nil {
			return nil, err
		}
		d.Source = &originJSON{o.Source, o.URI, o.Format, []fileJSON{}, o.Version, o.Verdict, o.Lossless}
		for _, f := range o.Inputs {
			d.Source.Inputs = append(d.Source.Inputs, fileJSON(f))
		}
		return o.Tensors, nil
	case sign.PredicateType:
		return nil, hinted{fmt.Errorf("%w: it is the signature of a model, and says nothing of tensors", attest.ErrMalformed), "tensmith verify verifies it"}
	}
	return nil, fmt.Errorf("%w: predicate type %.200q is not known here", attest.ErrMalformed, s.PredicateType)
}

// compareWeights compares a model with a statement that is believed.
func (a *app) compareWeights(ctx context.Context, d *attestation, model string, s *sign.Statement, claimed *attest.Tensors, exact bool) error {
	in, err := a.openInput(ctx, model)
	if err != nil {
		return err
	}
	defer in.Close()
	_, files, err := a.inventory(ctx, in, false, true)
	if err != nil {
		return err
	}
	if attest.SameFiles(s, files) {
		d.Verified, d.Weights = true, "same files"
		return nil
	}
	found, _, err := a.inventory(ctx, in, true, false)
	if err != nil {
		return err
	}
	diff := claimed.Compare(found)
	if diff.Empty() {
		d.Weights, d.Verified = "same weights", !exact
		if exact {
			d.Message = "the weights are the same, and the files are others"
			return answered{hinted{fmt.Errorf("%s: %s", model, d.Message), "without --exact that is enough"}}
		}
		return nil
	}
	d.Weights = "changed"
	d.Changed, d.Retyped, d.Missing, d.Extra = orNone(diff.Changed), orNone(diff.Retyped), orNone(diff.Missing), orNone(diff.Extra)
	for _, r := range diff.Renamed {
		d.Renamed = append(d.Renamed, renamedJSON{r[0], r[1]})
	}
	d.Message = fmt.Sprintf("the weights are others: %d changed, %d retyped, %d missing, %d not stated, %d renamed",
		len(d.Changed), len(d.Retyped), len(d.Missing), len(d.Extra), len(d.Renamed))
	return answered{fmt.Errorf("%s: %s", model, d.Message)}
}

func (a *app) printAttestation(d *attestation) error {
	lists := []struct {
		what  string
		names []string
	}{{"changed", d.Changed}, {"retyped", d.Retyped}, {"missing", d.Missing}, {"not stated", d.Extra}}
	switch {
	case a.isJSON():
		return a.printJSON(d)
	case a.format == "tsv":
		s := a.sheet("problem", "name", "now")
		for _, l := range lists {
			for _, name := range l.names {
				s.row(l.what, name, "")
			}
		}
		for _, r := range d.Renamed {
			s.row("renamed", r.From, r.To)
		}
		return s.flush()
	}
	for _, l := range lists {
		for _, name := range l.names {
			fmt.Fprintln(a.stdout, a.paint(red, l.what+": "+safe(name)))
		}
	}
	for _, r := range d.Renamed {
		fmt.Fprintln(a.stdout, a.paint(red, "renamed: "+safe(r.From)+" → "+safe(r.To)))
	}
	if d.Signer != nil {
		a.words("signed by %s", d.Signer.words())
		a.tellLog(d.evidenceJSON)
	}
	if o := d.Source; o != nil {
		from := o.Source
		if o.URI != "" {
			from = o.URI
		}
		a.words("converted from %s (%s, scan %s) by tensmith %s", from, o.Format, o.Verdict, o.Version)
	}
	if d.Verified && !a.quiet {
		text := "the files are those of the statement"
		if d.Weights == "same weights" {
			text = "the weights are unchanged; the files are others: re-sharded, or other metadata"
		}
		_, err := fmt.Fprintln(a.stdout, a.paint(green, text))
		return err
	}
	return nil
}
