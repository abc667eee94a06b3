package scan

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// peakEnv names a place that this test binary is to scan, and nothing else.
const peakEnv = "TENSMITH_SCAN_PEAK"

func TestMain(m *testing.M) {
	if place := os.Getenv(peakEnv); place != "" {
		os.Exit(scanForPeak(place))
	}
	os.Exit(m.Run())
}

// scanForPeak scans a place and prints the most memory that the process had.
func scanForPeak(place string) int {
	jobs, _ := strconv.Atoi(os.Getenv(peakEnv + "_JOBS"))
	report, err := Path(context.Background(), os.DirFS(filepath.Dir(place)), filepath.Base(place), Options{Jobs: jobs})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for line := range bytes.Lines(status) {
		if kib, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			fmt.Println(strings.Fields(string(kib))[0], report.Verdict)
		}
	}
	return 0
}

// peakOf returns the peak in KiB of a process of its own that scans place, with
// the collector at that percentage.
func peakOf(t *testing.T, place string, jobs int, collector string) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peakEnv+"="+place, fmt.Sprintf("%s_JOBS=%d", peakEnv, jobs), "GOGC="+collector, "GOMEMLIMIT=")
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", place, err, failed.String())
	}
	kib, _, _ := strings.Cut(out.String(), " ")
	n, err := strconv.ParseInt(kib, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// large are files that ask for memory in other ways than bombs do, each of some
// megabytes.
func large() map[string][]byte {
	var header, meta, texts, gets, storages, shared bytes.Buffer
	header.WriteString(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	for i := range 100_000 {
		fmt.Fprintf(&header, `,"model.layers.%d.weight":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, i, i+1)
	}
	header.WriteString("}")
	meta.WriteString(`{"__metadata__":{"a":"b"`)
	for i := range 500_000 {
		fmt.Fprintf(&meta, `,"k%d":"v%d"`, i, i)
	}
	meta.WriteString("}}")
	texts.WriteString("\x80\x02](")
	gets.WriteString("\x80\x02")
	storages.WriteString("\x80\x02](")
	for i := range 400_000 {
		fmt.Fprintf(&texts, "X\x08\x00\x00\x00%08d\x85", i)
		gets.Write(binary.LittleEndian.AppendUint32([]byte("]r"), uint32(i)))
		gets.WriteString("0")
	}
	gets.WriteString("(")
	for i := range 400_000 {
		gets.Write(binary.LittleEndian.AppendUint32([]byte("j"), uint32(i)))
	}
	gets.WriteString("t.")
	texts.WriteString("e.")
	for i := range 200_000 {
		fmt.Fprintf(&storages, "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x10\x00\x00\x00%016dX\x03\x00\x00\x00cpuK\x01tQ", i)
	}
	storages.WriteString("e.")
	shared.WriteString("\x80\x02X\x00\x10\x00\x00" + strings.Repeat("sk-", 1365) + "aq\x00](" + strings.Repeat("h\x00", 1_000_000) + "e.")
	var members bytes.Buffer
	w := zip.NewWriter(&members)
	for i := range 100_000 {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("archive/data/%d", i)}); err != nil {
			panic(err) // a buffer takes all
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	sized := func(b []byte) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), b...)
	}
	return map[string][]byte{
		"tensors.safetensors": append(sized(header.Bytes()), make([]byte, 100_000)...),
		"meta.safetensors":    sized(meta.Bytes()),
		"text.safetensors":    sized([]byte(`{"__metadata__":{"a":"` + strings.Repeat("ab cd ", 1_900_000) + `"}}`)),
		"huge.safetensors":    sized([]byte(`{"__metadata__":{"a":"` + strings.Repeat("ab cd ", 8_000_000) + `"}}`)),
		"texts.pkl":           texts.Bytes(),
		"gets.pkl":            gets.Bytes(),
		"storages.pkl":        storages.Bytes(),
		"shared.pkl":          shared.Bytes(),
		"members.zip":         members.Bytes(),
		"text.zip":            zipOf("a/data.pkl", texts.Bytes()),
		"string.json":         []byte(`{"a":"` + strings.Repeat("x", 40_000_000) + `"}`),
		"text.yaml":           bytes.Repeat([]byte("a: hf_bcd password=hunter2hunter2\n"), 1_000_000),
	}
}

// TestPeak holds the memory of a whole process that scans a hostile file, with
// the collector as it is by default, to 100 MiB; and that of all of them together by
// eight workers with the collector as the command has it. The files that are
// read on their own are those that take most; the others are among all.
func TestPeak(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil || testing.Short() || raceEnabled {
		t.Skip("measures memory")
	}
	dir := t.TempDir()
	write := func(name string, data []byte) {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var one []string // cases that ask for much, each on its own
	for name, f := range corpusFiles(t, "cases.tar.gz") {
		if !strings.HasPrefix(name, "N/") {
			write(name, f.Data)
		}
		if strings.HasPrefix(name, "G/") && len(f.Data) > 10_000 {
			one = append(one, name)
		}
	}
	for _, more := range []map[string][]byte{bombs(), large()} {
		for name, data := range more {
			write("large/"+name, data)
			one = append(one, "large/"+name)
		}
	}
	slices.Sort(one)
	// Where processors are short, the collector comes late, and with it a peak
	// that the scan has no part in: one that comes back has.
	const most = 100 << 10
	for _, name := range []string{"G/bomb-list.pt", "G/dups.pkl", "G/nones.pkl", "large/nest.pkl", "large/shared.pkl", "large/storages.pkl", "large/tensors.safetensors", "large/members.zip"} {
		if !slices.Contains(one, name) {
			t.Fatalf("%s is not there", name)
		}
		peak := int64(0)
		for range 3 {
			peak = peakOf(t, filepath.Join(dir, filepath.FromSlash(name)), 1, "100")
			t.Logf("%-30s %4d MiB", name, peak>>10)
			if peak <= most {
				break
			}
		}
		if peak > most {
			t.Errorf("%s takes %d MiB", name, peak>>10)
		}
	}
	peak := int64(0)
	for range 3 {
		peak = peakOf(t, dir, 8, "25")
		t.Logf("all of them, 8 at a time: %d MiB", peak>>10)
		if peak <= most*5/4 {
			return
		}
	}
	t.Errorf("all of them take %d MiB, 8 at a time", peak>>10)
	for _, name := range one { // which it is
		if peak := peakOf(t, filepath.Join(dir, filepath.FromSlash(name)), 1, "100"); peak > most/2 {
			t.Logf("%-30s %4d MiB", name, peak>>10)
		}
	}
}
