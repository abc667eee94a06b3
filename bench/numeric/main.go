// Command numeric measures package numeric beside torch and numpy with ml_dtypes,
// and beside what bounds all of them: a copy of the bytes that a cast moves, what
// reads as many and writes as many as it does and nothing else, and the sum of the
// words that statistics read. All of them work on the same numbers with as many
// threads, in one run: every round runs every case once, in random order, so that a
// busy moment of the machine falls on all alike. What it prints are minima over the
// rounds.
//
//	cd bench && go run ./numeric -python PATH [-tensmith PATH] [-mb N] [-rounds N] [-only TEXT]
//
// PATH is a Python with torch, numpy, ml_dtypes and safetensors, and the command
// tensmith, for the cases of whole files. A peer that is not given, or that
// cannot do a thing, is reported as not present.
package main

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A benchCase is one implementation doing one thing.
type benchCase struct {
	what, who string
	bytes     int64 // that it has to read and write
	run       func() (time.Duration, error)
	times     []time.Duration
	peak      int64 // MiB of memory, where a case is a process
	absent    error
}

const (
	ours  = "tensmith"
	limit = "limit: "
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("numeric: ")
	megabytes := flag.Int("mb", 1024, "MiB of the numbers as F32")
	rounds := flag.Int("rounds", 7, "rounds, after one that does not count")
	python := flag.String("python", "", "a Python with torch, numpy, ml_dtypes and safetensors")
	tensmith := flag.String("tensmith", "", "the command, for whole files")
	only := flag.String("only", "", "run only the cases whose name holds this")
	scratch := flag.String("dir", "", "where files are written; default: a temporary directory")
	child := flag.Bool("child", false, "cast the first file to the second, and nothing else")
	flag.Parse()
	if *child {
		if err := castFile(flag.Arg(0), flag.Arg(1)); err != nil {
			log.Fatal(err)
		}
		return
	}
	dir, err := os.MkdirTemp(*scratch, "tensmith-numeric-*")
	if err != nil {
		log.Fatal(err)
	}
	err = measure(dir, *megabytes, *rounds, *python, *tensmith, *only)
	os.RemoveAll(dir)
	if err != nil {
		log.Fatal(err)
	}
}

func measure(dir string, megabytes, rounds int, python, tensmith, only string) error {
	numbers := weights(megabytes << 18)
	raw := filepath.Join(dir, "numbers.f32")
	if err := os.WriteFile(raw, numbers, 0o666); err != nil {
		return err
	}
	cases, err := memoryCases(numbers)
	if err != nil {
		return err
	}
	if python != "" {
		for _, who := range []string{"torch", "numpy"} {
			peer, err := startPeer(python, who, raw, runtime.GOMAXPROCS(0))
			if err != nil {
				return err
			}
			defer peer.stop()
			cases = append(cases, peer.cases(cases)...)
		}
	}
	files, err := fileCases(dir, numbers, python, tensmith)
	if err != nil {
		return err
	}
	cases = append(cases, files...)
	cases = slices.DeleteFunc(cases, func(c *benchCase) bool { return !strings.Contains(c.what, only) })
	for round := range rounds + 1 {
		rand.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		for _, c := range cases {
			if c.absent != nil {
				continue
			}
			// Threads of the case before may wait for more work without sleeping.
			time.Sleep(20 * time.Millisecond)
			d, err := c.run()
			switch {
			case err != nil && (c.who == ours || strings.HasPrefix(c.who, limit)):
				return fmt.Errorf("%s, %s: %w", c.what, c.who, err)
			case err != nil:
				c.absent = err
			case round > 0:
				c.times = append(c.times, d)
			}
		}
	}
	print(cases, rounds, megabytes)
	return nil
}

// weights returns n float32 near zero, as weights are, in bytes.
func weights(n int) []byte {
	raw := make([]byte, 4*n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		v := float32(int64(random.Uint64()>>40)-1<<23) / (1 << 26)
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	return raw
}

// changed returns a copy in which the last bit of the numbers at every so manieth
// byte differs, of none if that is 0.
func changed(numbers []byte, every int) []byte {
	other := slices.Clone(numbers)
	for i := 0; i < len(other) && every > 0; i += every {
		other[i] ^= 1
	}
	return other
}

func print(cases []*benchCase, rounds, megabytes int) {
	fmt.Printf("%s, %s/%s, %d threads, %s, %d MiB of F32, %d rounds\n\n", time.Now().Format("2006-01-02"),
		runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version(), megabytes, rounds)
	fmt.Println("| operation | implementation | min ms | GB/s | of ours | peak MiB |")
	fmt.Println("|---|---|---:|---:|---:|---:|")
	own := map[string]time.Duration{}
	for _, c := range cases {
		if slices.Sort(c.times); c.who == ours && c.absent == nil {
			own[c.what] = c.times[0]
		}
	}
	rank := func(c *benchCase) int {
		return slices.Index([]bool{c.who == ours, strings.HasPrefix(c.who, limit), true}, true)
	}
	slices.SortStableFunc(cases, func(a, b *benchCase) int {
		return cmp.Or(strings.Compare(a.what, b.what), cmp.Compare(rank(a), rank(b)), strings.Compare(a.who, b.who))
	})
	for _, c := range cases {
		if c.absent != nil {
			fmt.Printf("| %s | %s | not present: %s |  |  |  |\n", c.what, c.who, strings.ReplaceAll(c.absent.Error(), "\n", " "))
			continue
		}
		share, peak := "", ""
		if least, ok := own[c.what]; ok && c.who != ours {
			share = fmt.Sprintf("%.2f", float64(least)/float64(c.times[0]))
		}
		if c.peak > 0 {
			peak = fmt.Sprint(c.peak)
		}
		fmt.Printf("| %s | %s | %.2f | %.1f | %s | %s |\n", c.what, c.who, float64(c.times[0])/1e6,
			float64(c.bytes)/float64(c.times[0]), share, peak)
	}
	fmt.Println("\nGB/s are the bytes that have to be read and written, in 10^9. \"Of ours\" is the share of that time that ours takes:")
	fmt.Println("below 1 ours is faster. A limit's is the reciprocal of the part of it that ours reaches.")
}
