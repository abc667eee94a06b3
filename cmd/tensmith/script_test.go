package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata/script")

// TestMain lets scripts run the test's own binary as the command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tensmith": main})
}

// TestScript runs the scripts of testdata/script. Beside the usual commands
// they have these:
//
//	status N COMMAND…     runs a command that must exit with status N
//	json PATH WANT        compares a value of the JSON on stdout, such as
//	                      .tensors.0.name, with JSON; -len PATH N a length
//	pack FILE HEADER N    makes a file of a header's text and N bytes 0, 1, 2…
//	many FILE N           makes a file of N tensors, model.layers.I.weight
//	deep FILE N           makes a file of the tensors a, a.a and one with N dots
//	dims FILE N           makes a file of one tensor x of N dimensions, all of 1
//	unhex FILE HEX        makes a file of bytes
//	zip FILE [NAME FROM]… makes an archive
//	cut FILE N            cuts N bytes off the end of a file
//
// $REAL is safetensors/testdata/real, files that other programs wrote, and
// $TORCH is convert/torch/testdata, $QUANT is quant/testdata, and $KEYLESS has
// the bundles of model_signing that Sigstore has signed.
func TestScript(t *testing.T) {
	real, err := filepath.Abs("../../safetensors/testdata/real")
	if err != nil {
		t.Fatal(err)
	}
	torch, err := filepath.Abs("../../convert/torch/testdata")
	if err != nil {
		t.Fatal(err)
	}
	quant, err := filepath.Abs("../../quant/testdata")
	if err != nil {
		t.Fatal(err)
	}
	keyless, err := filepath.Abs("../../sign/keyless/testdata/model-transparency")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if raceEnabled && testing.Short() {
		scripts = slices.DeleteFunc(scripts, func(name string) bool { return !slices.Contains(concurrent, filepath.Base(name)) })
	}
	testscript.Run(t, testscript.Params{
		Files:         scripts,
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("REAL", real)
			env.Setenv("TORCH", torch)
			env.Setenv("QUANT", quant)
			env.Setenv("KEYLESS", keyless)
			return nil
		},
		// What was built without the client of Sigstore has other answers.
		Condition: func(condition string) (bool, error) {
			if condition != "keyless" {
				return false, fmt.Errorf("condition %q is not known", condition)
			}
			return len(identityMethods) > 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"json":   jsonValueAt,
			"pack":   pack,
			"many":   many,
			"deep":   deep,
			"dims":   dims,
			"unhex":  unhex,
			"zip":    makeZip,
			"cut":    cut,
		},
	})
}

// concurrent are the scripts of verbs that work with several goroutines, but for
// bench, whose probes are two minutes of nothing else. Of the others the race
// detector sees nothing that it has not seen in these, and it takes a quarter
// of a second to begin.
var concurrent = []string{
	"cast.txtar", "convert.txtar", "dequantize.txtar", "diffvalues.txtar", "hash.txtar", "hist.txtar", "merge.txtar",
	"sbom.txtar", "scan.txtar", "sign.txtar", "stats.txtar",
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func jsonValueAt(ts *testscript.TestScript, neg bool, args []string) {
	length := len(args) > 0 && args[0] == "-len"
	if length {
		args = args[1:]
	}
	if len(args) != 2 || neg {
		ts.Fatalf("usage: json [-len] PATH WANT")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for _, key := range strings.Split(strings.TrimPrefix(args[0], "."), ".") {
		switch x := v.(type) {
		case map[string]any:
			value, ok := x[key]
			if !ok {
				ts.Fatalf("%s: there is no %q", args[0], key)
			}
			v = value
		case []any:
			i, err := strconv.Atoi(key)
			ts.Check(err)
			if i >= len(x) {
				ts.Fatalf("%s: there are %d elements", args[0], len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: %q is in no object", args[0], key)
		}
	}
	if length {
		switch x := v.(type) {
		case map[string]any:
			v = len(x)
		case []any:
			v = len(x)
		default:
			ts.Fatalf("%s has no length", args[0])
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	ts.Check(e.Encode(v))
	if diff := cmp.Diff(args[1], strings.TrimSpace(b.String())); diff != "" {
		ts.Fatalf("%s (-want +got):\n%s", args[0], diff)
	}
}

func pack(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: pack FILE HEADER N")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	text := strings.TrimSuffix(ts.ReadFile(args[1]), "\n")
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for i := range n {
		data = append(data, byte(i))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o666))
}

func many(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: many FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("model.layers.%d.weight", i)
	}
	writeNames(ts, args[0], names)
}

func deep(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: deep FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	long := strings.Repeat("a.", n)
	writeNames(ts, args[0], []string{"a", "a.a", long + "a"})
}

// writeNames makes a file of tensors of one byte.
func writeNames(ts *testscript.TestScript, file string, names []string) {
	text := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `%q:{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, name, i, i+1)
	}
	text = append(text, '}')
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	ts.Check(os.WriteFile(ts.MkAbs(file), append(data, make([]byte, len(names))...), 0o666))
}

func dims(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: dims FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := `{"x":{"dtype":"U8","shape":[1` + strings.Repeat(",1", n-1) + `],"data_offsets":[0,1]}}`
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(data, 0), 0o666))
}

func unhex(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: unhex FILE HEX")
	}
	data, err := hex.DecodeString(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o666))
}

func makeZip(ts *testscript.TestScript, _ bool, args []string) {
	if len(args)%2 != 1 {
		ts.Fatalf("usage: zip FILE [NAME FROM]…")
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 1; i < len(args); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: args[i]}) // stored, as torch does
		ts.Check(err)
		_, err = io.WriteString(w, ts.ReadFile(args[i+1]))
		ts.Check(err)
	}
	ts.Check(z.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o666))
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: cut FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()-int64(n)))
}

// TestInterrupted holds every verb that writes to its promise when the user
// ends it: status 130, and no file, not even a temporary one.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const real = "../../safetensors/testdata/real/"
	for _, args := range [][]string{
		{"select", real + "sharded", "*"},
		{"drop", real + "sharded", "*norm*"},
		{"rename", real + "sharded", "s/a/b/"},
		{"merge", real + "sharded", real + "numpy.safetensors", "--prefer", "last"},
		{"merge", real + "sharded", real + "sharded"},
		{"split", real + "sharded", "--max-shard", "1kB"},
		{"join", real + "sharded"},
		{"repack", real + "sharded"},
		{"meta", real + "numpy.safetensors", "--set", "a=b"},
		{"meta", real + "sharded", "--set", "a=b"},
		{"cast", real + "sharded", "--to", "f8_e4m3", "--scale", "block128", "--only", "*"},
		{"dequantize", "../../quant/testdata/nf4.safetensors"},
	} {
		t.Run(strings.Join(args[:1], " "), func(t *testing.T) {
			dir := t.TempDir()
			var stdout, stderr bytes.Buffer
			code := run(ctx, append(args, "-o", filepath.Join(dir, "out.safetensors")), nil, &stdout, &stderr)
			if code != exitInterrupted {
				t.Errorf("exit status %d, want %d; stderr: %s", code, exitInterrupted, &stderr)
			}
			list, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				t.Errorf("left behind: %s", e.Name())
			}
		})
	}
}
