package scan_test

import (
	"context"
	"fmt"
	"testing/fstest"
	"time"

	"github.com/tensmith/tensmith/scan"
)

// upload is a place with a file that would run a program, and one that would
// not.
var upload = fstest.MapFS{
	"model.bin":  {Data: []byte("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.")},
	"labels.pkl": {Data: []byte("\x80\x02]X\x03\x00\x00\x00cata.")},
	"args.pkl":   {Data: []byte("\x80\x02cargparse\nNamespace\n)R.")},
}

func ExamplePath() {
	report, err := scan.Path(context.Background(), upload, ".", scan.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict)
	for _, file := range report.Files {
		fmt.Println(file.Path, file.Verdict)
		for _, f := range file.Findings {
			fmt.Println("  ", f.ID, f.Place(), f.Message)
		}
	}
	// Output:
	// dangerous
	// args.pkl suspicious
	//    ST303 args.pkl@2 imports argparse.Namespace: settings of a program
	// labels.pkl clean
	// model.bin dangerous
	//    ST301 model.bin@2 imports os.system: runs programs
}

func ExamplePolicy_Apply() {
	policy, err := scan.ParsePolicy("gate.toml", []byte(`
[[allow]]
path = "*.pkl"
names = ["argparse.Namespace"]
reason = "settings of our trainer"
expires = 2027-01-31
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := scan.Path(context.Background(), upload, "args.pkl", scan.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range policy.Apply(report, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) {
		fmt.Println(d.Finding.ID, d.Was, "is", d.Finding.Severity, "by", d.By)
	}
	fmt.Println(report.Verdict)
	// Output:
	// ST303 suspicious is note by gate.toml: allow 1 (settings of our trainer)
	// clean
}
