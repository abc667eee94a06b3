package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The test binary is also the programs that are graded: its first argument says
// which one it plays.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], "play-") {
		play(strings.TrimPrefix(os.Args[1], "play-"), os.Args[2])
	}
	os.Exit(m.Run())
}

func play(part, file string) {
	switch part {
	case "accept":
		os.Exit(0)
	case "refuse":
		os.Exit(1)
	case "crash":
		fmt.Print(strings.Repeat("x", 10_000))
		os.Exit(2)
	case "panic":
		panic("as a reader does")
	case "hang":
		time.Sleep(time.Minute)
	case "spam":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "brood", "orphan": // starts another that holds the output open
		child := exec.Command(os.Args[0], "play-hang", file)
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			os.Exit(3)
		}
		fmt.Println(child.Process.Pid)
		if part == "orphan" {
			os.Exit(1)
		}
		time.Sleep(time.Minute)
	case "know": // answers by the vector's name, as no program could
		got, err := os.ReadFile(file)
		name := strings.TrimSuffix(filepath.Base(file), ".safetensors")
		for v := range Vectors() {
			if v.Name == name && err == nil && bytes.Equal(got, v.Bytes()) {
				if v.Reference == "ok" {
					os.Exit(0)
				}
				os.Exit(1)
			}
		}
		os.Exit(3)
	}
}

func grader(t *testing.T, part string) Grader {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Grader{Args: []string{self, "play-" + part, "{}"}}
}

func counts(r Report) map[Outcome]int {
	m := map[Outcome]int{}
	for _, result := range r.Results {
		m[result.Outcome]++
	}
	return m
}

func TestGrade(t *testing.T) {
	var good, bad, disputed int
	for v := range Vectors() {
		switch {
		case v.Accept:
			good++
		case v.Disputed():
			disputed++
		default:
			bad++
		}
	}
	for _, tt := range []struct {
		part     string
		want     map[Outcome]int
		conforms bool
	}{
		{"accept", map[Outcome]int{Agree: good, AcceptsBad: bad, Lenient: disputed}, false},
		{"refuse", map[Outcome]int{Agree: bad + disputed, RejectsGood: good}, false},
		{"know", map[Outcome]int{Agree: good + bad, Lenient: disputed}, true},
	} {
		t.Run(tt.part, func(t *testing.T) {
			each := 0
			g := grader(t, tt.part)
			g.Each = func(Result) { each++ }
			report, err := g.Grade(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, counts(report)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if report.Conforms() != tt.conforms || each != len(report.Results) {
				t.Errorf("conforms %v, called back %d times for %d results", report.Conforms(), each, len(report.Results))
			}
		})
	}
}

// A program that crashes is graded on its first vectors only: the rest would be
// the same and take long.
func TestGradeCrash(t *testing.T) {
	for _, tt := range []struct{ part, exit string }{
		{"crash", "exit status 2"},
		{"panic", "exit status 2"},
		{"hang", "no answer in 500ms"},
		{"spam", "no answer in 500ms"},
	} {
		t.Run(tt.part, func(t *testing.T) {
			g := grader(t, tt.part)
			if strings.HasPrefix(tt.exit, "no answer") {
				g.Timeout = 500 * time.Millisecond
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := 0
			g.Each = func(Result) {
				if done++; done == 2 {
					cancel()
				}
			}
			report, err := g.Grade(ctx)
			if !errors.Is(err, context.Canceled) || len(report.Results) != 2 {
				t.Fatalf("error %v after %d results, want a cancelled run of 2", err, len(report.Results))
			}
			for _, r := range report.Results {
				if r.Outcome != Crash || r.Exit != tt.exit || len(r.Output) > 4096 {
					t.Errorf("%s: %s, %q, %d bytes of output; want a crash, %q", r.Vector.Name, r.Outcome, r.Exit, len(r.Output), tt.exit)
				}
			}
			if report.Conforms() {
				t.Error("a program that crashes conforms")
			}
		})
	}
}

func TestGradeCommand(t *testing.T) {
	if _, err := (Grader{Args: []string{"reader"}}).Grade(t.Context()); err == nil {
		t.Error("a command without {} is graded")
	}
	if _, err := (Grader{}).Grade(t.Context()); err == nil {
		t.Error("no command is graded")
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := (Grader{Args: []string{missing, "{}"}}).Grade(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program gives %v, want that it does not exist", err)
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    []string
	}{
		{"", nil},
		{"  \t ", nil},
		{"reader {}", []string{"reader", "{}"}},
		{" reader \t--strict  {} ", []string{"reader", "--strict", "{}"}},
		{`C:\tools\reader.exe {}`, []string{`C:\tools\reader.exe`, "{}"}},
		{`"C:\Program Files\reader.exe" {}`, []string{`C:\Program Files\reader.exe`, "{}"}},
		{`sh -c 'reader "$0" || exit 1' {}`, []string{"sh", "-c", `reader "$0" || exit 1`, "{}"}},
		{`a "say \"hi\" \\ \n" ''`, []string{"a", `say "hi" \ \n`, ""}},
		{`--file="{}".x'y z'`, []string{"--file={}.xy z"}},
	} {
		got, err := Words(tt.command)
		if err != nil {
			t.Errorf("%s: %v", tt.command, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.command, diff)
		}
	}
	for _, command := range []string{`a "b`, `a 'b`, `a "b\"`} {
		if got, err := Words(command); err == nil {
			t.Errorf("%s gives %q, want an error", command, got)
		}
	}
}
