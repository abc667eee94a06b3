// Command numeric measures package numeric beside torch and numpy with ml_dtypes,
// and beside what bounds all of them: a copy of the bytes that a cast moves, what
// reads as many and writes as many as it does and nothing else, and the sum of the
// words that statistics read. All of them work on the same numbers with as many
// threads, in one run. A machine whose memory is shared has times that are half as
// fast again as others, which last for seconds or minutes. So what is compared is
// run in turns, one right after the other: every round takes the operations in
// random order, and runs all implementations of one in random order, those of
// less than 50 ms seven times, of which the fastest counts. Ratios are of times of
// one round, and the median over the rounds is printed.
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
	"maps"
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
	best      time.Duration   // of the turns of a round
	times     []time.Duration // the best of each round
	peak      int64           // MiB of memory, where a case is a process
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
		for _, operation := range shuffled(operations(cases)) {
			if err := operation.round(); err != nil {
				return err
			}
			if round > 0 {
				for _, c := range operation {
					c.times = append(c.times, c.best)
				}
			}
		}
	}
	print(cases, rounds, megabytes)
	return nil
}

// An operation has all implementations of one thing.
type operation []*benchCase

func operations(cases []*benchCase) []operation {
	byName := map[string]operation{}
	for _, c := range cases {
		byName[c.what] = append(byName[c.what], c)
	}
	return slices.Collect(maps.Values(byName))
}

func shuffled[T any](s []T) []T {
	rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

// round runs all implementations in turns, and keeps the best time of each.
func (o operation) round() error {
	const (
		turns = 7
		short = 50 * time.Millisecond // what takes longer has one turn
	)
	for turn := range turns {
		for _, c := range shuffled(o) {
			if c.absent != nil || turn > 0 && c.best > short {
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
			case turn == 0:
				c.best = d
			default:
				c.best = min(c.best, d)
			}
		}
	}
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
	fmt.Println("| operation | implementation | min ms | GB/s | ours has | from | to | peak MiB |")
	fmt.Println("|---|---|---:|---:|---:|---:|---:|---:|")
	own := map[string][]time.Duration{}
	for _, c := range cases {
		if c.who == ours && c.absent == nil {
			own[c.what] = c.times
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
			fmt.Printf("| %s | %s | not present: %s | | | | | |\n", c.what, c.who, strings.ReplaceAll(c.absent.Error(), "\n", " "))
			continue
		}
		ratio, peak := "| |", ""
		if times := own[c.what]; times != nil && c.who != ours {
			ratio = ratios(c.times, times)
		}
		if c.peak > 0 {
			peak = fmt.Sprint(c.peak)
		}
		least := slices.Min(c.times)
		fmt.Printf("| %s | %s | %.2f | %.1f | %s | %s |\n", c.what, c.who, float64(least)/1e6,
			float64(c.bytes)/float64(least), ratio, peak)
	}
	fmt.Println("\nGB/s are the bytes that have to be read and written, in 10^9, at the fastest of all rounds. \"Ours has\" so many times")
	fmt.Println("its speed, the median over the rounds, of which the ratios go from one to the other.")
}

// ratios compares the times of each round.
func ratios(theirs, times []time.Duration) string {
	all := make([]float64, len(times))
	for i := range all {
		all[i] = float64(theirs[i]) / float64(times[i])
	}
	slices.Sort(all)
	return fmt.Sprintf("%.2f | %.2f | %.2f", all[len(all)/2], all[0], all[len(all)-1])
}
