package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Outcome is how a program's answer on one vector compares with the vector's.
type Outcome string

const (
	Agree       Outcome = "agree"        // the same verdict
	Lenient     Outcome = "lenient"      // accepts what the reference accepts too; see [Vector.Disputed]
	AcceptsBad  Outcome = "accepts-bad"  // exit 0 where the file is to be refused
	RejectsGood Outcome = "rejects-good" // exit 1 where the file is to be accepted
	Crash       Outcome = "crash"        // any other exit, a signal, or the timeout
)

// Grader runs a program once for each vector. The program gets the path of a
// file and answers by its exit status: 0, the file is accepted; 1, it is refused;
// anything else is a crash, and so is no answer within the timeout.
type Grader struct {
	// Args is the program and its arguments. Every {} in it is replaced by the
	// path of the file; there must be one. No shell has a part in it.
	Args []string

	// Timeout is for one vector; zero means 10 seconds. What a program has
	// started ends with it; but on systems without process groups, such as
	// Windows, the others may live on.
	Timeout time.Duration

	// Large adds [LargeVectors], which need time, disk and memory.
	Large bool

	// Each, unless nil, is called after every vector, in order.
	Each func(Result)
}

// Result is the answer to one vector.
type Result struct {
	Vector  Vector
	Outcome Outcome

	// Exit says how the program ended: "exit status 1", "signal: killed", or
	// "no answer in 10s".
	Exit string

	// Output begins what the program wrote to stdout and stderr, 4 KiB at most.
	Output string

	Elapsed time.Duration
}

// Report is the answers to all vectors, in their order.
type Report struct {
	Results []Result
}

// Count tells how many vectors had the outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, result := range r.Results {
		if result.Outcome == o {
			n++
		}
	}
	return n
}

// Conforms reports whether every answer was right, or that of the reference.
func (r Report) Conforms() bool {
	return r.Count(Agree)+r.Count(Lenient) == len(r.Results)
}

// Grade runs the program over the vectors. The error is about the grading, never
// about the program's answers: a program that cannot be started, a disk that
// cannot be written, or ctx. The report then has what was done until then.
func (g Grader) Grade(ctx context.Context) (Report, error) {
	var report Report
	if len(g.Args) == 0 || !strings.Contains(strings.Join(g.Args, "\x00"), "{}") {
		return report, errors.New("conformance: no {} in the command to stand for the file")
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return report, err
	}
	defer os.RemoveAll(dir)
	grade := func(v Vector) bool {
		var result Result
		if result, err = g.one(ctx, dir, v); err != nil {
			err = fmt.Errorf("conformance: %s: %w", v.Name, err)
			return false
		}
		if g.Each != nil {
			g.Each(result)
		}
		report.Results = append(report.Results, result)
		return true
	}
	Vectors()(grade)
	if err == nil && g.Large {
		LargeVectors()(grade)
	}
	return report, err
}

// one runs the program on one vector, whose file is there no longer than that.
func (g Grader) one(ctx context.Context, dir string, v Vector) (Result, error) {
	name := filepath.Join(dir, v.Name+".safetensors")
	if err := os.WriteFile(name, v.Bytes(), 0o600); err != nil {
		return Result{}, err
	}
	defer os.Remove(name)
	timeout := g.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := make([]string, len(g.Args))
	for i, arg := range g.Args {
		args[i] = strings.ReplaceAll(arg, "{}", name)
	}
	var output head
	cmd := exec.CommandContext(limited, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &output, &output
	// A child of the program may hold its output open; it is not waited for.
	cmd.WaitDelay = time.Second
	kill := group(cmd)
	start := time.Now()
	err := cmd.Run()
	kill() // what a program that has answered has left behind
	result := Result{Vector: v, Elapsed: time.Since(start), Output: string(output.kept)}
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	if cmd.ProcessState == nil {
		return Result{}, err
	}
	result.Exit = cmd.ProcessState.String()
	exit := cmd.ProcessState.ExitCode()
	if limited.Err() != nil && exit != 0 {
		result.Exit, exit = fmt.Sprintf("no answer in %v", timeout), -1
	}
	result.Outcome = v.judge(exit)
	return result, nil
}

func (v Vector) judge(exit int) Outcome {
	switch {
	case exit != 0 && exit != 1:
		return Crash
	case v.Accept == (exit == 0):
		return Agree
	case v.Accept:
		return RejectsGood
	case v.Disputed():
		return Lenient
	}
	return AcceptsBad
}

// head keeps the first 4 KiB of what is written to it.
type head struct{ kept []byte }

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), 4096-len(h.kept))]...)
	return len(p), nil
}
