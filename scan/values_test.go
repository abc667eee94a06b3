package scan

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/tensmith/tensmith/safetensors"
)

// values is a model that a test is made of.
type values struct{ entries []safetensors.Entry }

func (v *values) add(name string, d safetensors.DType, shape []uint64, raw []byte) *values {
	v.entries = append(v.entries, safetensors.Entry{Info: safetensors.Info{Name: name, DType: d, Shape: shape}, Data: bytes.NewReader(raw)})
	return v
}

// floats adds an F32 matrix of n columns.
func (v *values) floats(name string, n int, numbers []float32) *values {
	return v.add(name, safetensors.F32, []uint64{uint64(len(numbers) / n), uint64(n)}, f32(numbers))
}

func f32(numbers []float32) (raw []byte) {
	for _, x := range numbers {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return raw
}

func (v *values) scan(t *testing.T) CheckReport {
	t.Helper()
	var b bytes.Buffer
	if err := (&safetensors.Encoder{}).Encode(&b, v.entries); err != nil {
		t.Fatal(err)
	}
	c, err := safetensors.OpenCheckpointFS(fstest.MapFS{"m.safetensors": {Data: b.Bytes()}}, "m.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	report, err := Values(context.Background(), c, ValueOptions{Jobs: 3})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func ids(findings []Finding) string {
	var list []string
	for _, f := range findings {
		list = append(list, f.ID+" "+f.Tensor)
	}
	return strings.Join(list, ", ")
}

// trained is the matrix that torch trained, as it lies.
func trained(t *testing.T) []byte {
	t.Helper()
	f, err := safetensors.Open("testdata/values/trained.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := f.Tensor("weight")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// castBF16 clears what a cast to BF16, by cutting, does not keep.
func castBF16(raw []byte) []byte {
	raw = slices.Clone(raw)
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1] = 0, 0
	}
	return raw
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// hide puts payload into elements of four bytes from the element at on, bits of
// each.
func hide(raw, payload []byte, at, take int, reverse bool) []byte {
	return hideIn(raw, 4, payload, at, take, reverse)
}

// The files that are hidden. The program is what runs this test, so it is one
// of this system's.
func program(t *testing.T, n int) []byte {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("run.sh")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, "echo hello")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped1(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintln(z, "some text that is not long")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pe is the smallest header of a Windows program.
func pe() []byte {
	b := make([]byte, 0x80+0x100)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00\x64\x86\x03\x00")
	binary.LittleEndian.PutUint16(b[0x80+24:], 0x20b)
	return b
}

func machO() []byte {
	var b []byte
	for _, v := range []uint32{0xfeedfacf, 12 | 1<<24, 0, 2, 16, 1200, 0x85, 0} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// elf is the header of a shared library for a 64-bit ARM, as NDK's linker
// writes it.
func elf() []byte {
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint16(b, 3)
	b = binary.LittleEndian.AppendUint16(b, 0xb7)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = append(b, make([]byte, 28)...)
	for _, v := range []uint16{64, 56, 8, 64, 27, 26} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// TestValues has a model for every rule about values, and models like them for
// which the rule must be silent.
func TestValues(t *testing.T) {
	normal := func(seed uint64, n int, std float64) []float32 {
		r := rand.New(rand.NewPCG(seed, 1))
		numbers := make([]float32, n)
		for i := range numbers {
			numbers[i] = float32(r.NormFloat64() * std)
		}
		return numbers
	}
	set := func(numbers []float32, i int, v float64) []float32 {
		numbers[i] = float32(v)
		return numbers
	}
	layers := func(stds ...float64) *values {
		v := &values{}
		for i, std := range stds {
			v.floats(fmt.Sprintf("model.layers.%d.w.weight", i), 32, normal(uint64(i), 1024, std))
		}
		return v
	}
	lora := func(stds ...float64) *values {
		v := &values{}
		for i, std := range stds {
			v.floats(fmt.Sprintf("layers.%d.q.lora_A.weight", i), 64, normal(uint64(i), 256, 0.1))
			v.floats(fmt.Sprintf("layers.%d.q.lora_B.weight", i), 4, normal(uint64(i)+100, 256, std))
		}
		return v
	}
	weights := trained(t)
	matrix := func(raw []byte) *values {
		return (&values{}).add("w", safetensors.F32, []uint64{uint64(len(raw) / 1024), 256}, raw)
	}
	among := func(b []byte) *values { // at an odd place of trained weights
		raw := slices.Clone(weights)
		copy(raw[12345:], b)
		return matrix(raw)
	}
	text := bytes.Repeat([]byte("All happy families are alike; each unhappy family is unhappy in its own way. "), 300)
	inf := math.Inf(1)
	tests := []struct {
		name  string
		model *values
		want  string
	}{
		{"sound", layers(0.02, 0.02, 0.03), ""},
		{"trained", matrix(weights), ""},
		{"cast", matrix(castBF16(weights)), ""},
		{"NaN", layers(1).floats("x", 32, set(normal(1, 1024, 1), 70, math.NaN())), "ST200 x"},
		{"infinity", layers(1).floats("x", 32, set(normal(1, 1024, 1), 70, -inf)), "ST201 x"},
		{"infinity of a mask", (&values{}).add("h.0.attn.masked_bias", safetensors.F32, nil, f32([]float32{float32(-inf)})), ""},
		{"NaN in F8", (&values{}).add("x", safetensors.F8E4M3, []uint64{2, 2}, []byte{1, 2, 0x7f, 3}), "ST200 x"},
		{"zeros", layers(1).floats("x", 32, make([]float32, 1024)), "ST202 x"},
		{"zeros of a vector", layers(1).add("x", safetensors.F32, []uint64{1024}, make([]byte, 4096)), ""},
		{"a new LoRA", (&values{}).floats("q.lora_A.weight", 64, normal(1, 256, 1)).floats("q.lora_B.weight", 4, make([]float32, 256)), "ST202 q.lora_B.weight"},
		{"ones", layers(1).floats("x", 32, slices.Repeat([]float32{1}, 1024)), "ST203 x"},
		{"exploded", layers(0.02, 0.02, 0.03, 5), "ST204 model.layers.3.w.weight"},
		{"near the end of F16", (&values{}).add("x", safetensors.F16, []uint64{8, 8}, append(make([]byte, 126), 0xff, 0x7b)), "ST204 x"},
		{"outlier", layers(0.02, 0.02, 0.03, 0.02, 0.025, 0.021, 0.022, 0.3, 0.02), "ST205 model.layers.7.w.weight"},
		{"outlier of few", layers(0.02, 0.02, 0.03, 0.3), ""},
		{"grows with depth", layers(0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06), ""},
		{"LoRA", lora(0.01, 0.011, 0.01, 0.012, 0.01, 0.011, 0.01, 0.5), "ST206 layers.7.q.lora_B.weight"},
		{"LoRA, all alike", lora(0.01, 0.011, 0.02, 0.012, 0.01, 0.03, 0.01, 0.05), ""},

		{"ELF", among(elf()), "ST210 w"},
		{"PE", among(pe()), "ST210 w"},
		{"Mach-O", among(machO()), "ST210 w"},
		{"script", among([]byte("#!/bin/sh\necho hello\n")), "ST210 w"},
		{"ELF's magic alone", among([]byte("\x7fELF")), ""},
		{"zip", among(archive(t)), "ST211 w"},
		{"gzip", (&values{}).add("w", safetensors.U8, []uint64{512}, append(make([]byte, 77), append(zipped1(t), make([]byte, 512)...)...)[:512]), "ST211 w"},
		{"gzip's magic alone", among([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")), ""},
		{"bzip2", among([]byte("BZh91AY&SY")), "ST211 w"},
		{"pickle", among([]byte("cos\nsystem\n(S'echo hello'\ntR.")), "ST212 w"},
		{"pickle of protocol 2", among([]byte("\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00echoq\x01\x85q\x02Rq\x03.")), "ST212 w"},
		{"pickle of protocol 4", among([]byte("\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x02lr\x94G?\xe0\x00\x00\x00\x00\x00\x00\x8c\x01b\x94K\x01u.")), "ST212 w"},
		{"a pickle of a number", among([]byte("\x80\x02K\x01.")), ""},
		{"in a tensor of bytes", (&values{}).add("x", safetensors.U8, []uint64{64}, elf()), "ST210 x"},
		{"many that are nothing", (&values{}).add("x", safetensors.U8, []uint64{5 << 17}, bytes.Repeat([]byte("BZh1."), 1<<17)), "ST218 x"},

		{"a program in 8 bits", matrix(hide(weights, program(t, 20000), 5000, 8, false)), "ST213 w"},
		{"a program in 24 bits", matrix(hide(weights, program(t, 60000), 5001, 24, false)), "ST213 w"},
		{"a program in 24 bits, highest first", matrix(hide(weights, program(t, 60000), 5000, 24, true)), "ST213 w"},
		{"a program in 16 bits", matrix(hide(weights, program(t, 60000), 5000, 16, true)), "ST213 w"},
		{"a program in a bit", matrix(hide(weights, program(t, 7000), 501, 1, false)), "ST213 w"},
		{"a program in a bit, highest first", matrix(hide(weights, program(t, 7000), 502, 1, true)), "ST213 w"},
		{"a program in 2 bits", matrix(hide(weights, program(t, 14000), 503, 2, true)), "ST213 w"},
		{"a program in 4 bits", matrix(hide(weights, program(t, 30000), 504, 4, false)), "ST213 w"},
		{"an archive in 8 bits of a cast", matrix(hide(castBF16(weights), archive(t), 5000, 8, false)), "ST213 w"},

		{"a bit of each of a cast", matrix(hide(castBF16(weights), random(1, 8192), 0, 1, false)), "ST214 w"},
		{"four bits of some of a cast", matrix(hide(castBF16(weights), random(2, 500), 40000, 4, false)), "ST214 w"},
		{"two bytes of some of a cast", matrix(hide(castBF16(weights), random(3, 2000), 40000, 16, false)), "ST215 w"},
		{"rows that were trained", matrix(append(castBF16(weights[:200000-200000%1024]), weights[200000-200000%1024:]...)), "ST215 w"},
		{"a text in 8 bits", matrix(hide(weights, text, 20000, 8, false)), "ST216 w"},
		{"rows that are copies", matrix(append(slices.Clone(weights), bytes.Repeat(weights[:1024], 128)...)), ""},

		// What cannot be found, so that the documentation stays true.
		{"encrypted, in trained weights", matrix(hide(weights, random(4, 60000), 0, 8, false)), ""},
	}
	met := map[string]bool{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if strings.HasPrefix(test.name, "a program") && !bytes.HasPrefix(program(t, 64), []byte("\x7fELF")) {
				t.Skip("programs of this system do not fill a header with zeros as ELF does")
			}
			report := test.model.scan(t)
			if diff := cmp.Diff(test.want, ids(report.Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s%+v", diff, report.Findings)
			}
			heavy := false
			for _, f := range report.Findings {
				met[f.ID] = true
				heavy = heavy || f.Severity != Note
				if f.Message == "" || f.File != "m.safetensors" || f.Offset < 8 {
					t.Errorf("finding without message or place: %+v", f)
				}
			}
			if report.Valid == heavy {
				t.Errorf("valid is %v with %+v", report.Valid, report.Findings)
			}
		})
	}
	for _, r := range valueRules {
		if !met[r.ID] {
			t.Errorf("%s has no test", r.ID)
		}
	}
}

// TestPlaces states that a finding tells where: the element of a NaN, the byte
// of a file, also where it lies across two pieces that are read apart.
func TestPlaces(t *testing.T) {
	numbers := make([]float32, 4<<20/4)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range numbers {
		numbers[i] = float32(r.NormFloat64())
	}
	numbers[300_001] = float32(math.NaN())
	raw := f32(numbers)
	for _, at := range []int{0, 1<<20 - 2, 1 << 20, 3<<20 - 63, len(raw) - 64} {
		file := slices.Clone(raw)
		copy(file[at:], elf())
		report := (&values{}).add("x", safetensors.F32, []uint64{1024, 1024}, file).scan(t)
		begin := int64(-1)
		for _, f := range report.Findings {
			switch f.ID {
			case "ST200":
				begin = f.Offset - 4*300_001
				if want := "1 of 1048576 numbers are NaN, the first at [292,993]"; f.Message != want {
					t.Errorf("%s, want %s", f.Message, want)
				}
			}
		}
		if i := slices.IndexFunc(report.Findings, func(f Finding) bool { return f.ID == "ST210" }); i < 0 || report.Findings[i].Offset-begin != int64(at) {
			t.Errorf("a program at byte %d: %+v", at, report.Findings)
		}
	}
}

// TestOdds holds random bytes behind a short magic to not passing for a file.
func TestOdds(t *testing.T) {
	trials := 300_000
	if testing.Short() {
		trials = 20_000
	}
	src := rand.NewChaCha8([32]byte{1})
	b := make([]byte, 4096)
	for _, e := range embeddeds {
		if len(e.magic) <= 4 { // longer ones are all of the odds themselves
			for range trials / 10 {
				src.Read(b)
				copy(b, e.magic)
				if e.what == "gzip data" {
					copy(b[3:], "\x00\x00\x00\x00\x00\x00\x03") // the most of it that is right
				}
				if _, detail, ok := e.valid(bytes.NewReader(b), 0, int64(len(b))); ok {
					t.Errorf("%q: random bytes are %s: %s %x", e.magic, e.what, detail, b[:32])
				}
			}
		}
	}
}

// FuzzValues holds Values to its promise that no bytes make it panic, and to
// the same findings for any number of workers.
func FuzzValues(f *testing.F) {
	f.Add([]byte("\x80\x02cposix\nsystem\nq\x00."), uint8(0))
	f.Add(elf(), uint8(1))
	f.Add(pe(), uint8(2))
	for i, d := range lowTypes {
		if k, _ := lowKindOf(d); i%2 == 0 {
			f.Add(hideIn(make([]byte, 8*k.width*len(elf())), k.width, elf(), 0, 1, i%4 == 0), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		d := lowTypes[int(kind)%len(lowTypes)]
		data = data[:len(data)/8*8]
		var b bytes.Buffer
		entry := safetensors.Entry{Info: safetensors.Info{Name: "x", DType: d, Shape: []uint64{1, uint64(len(data) * 8 / d.Bits())}}, Data: bytes.NewReader(data)}
		if err := (&safetensors.Encoder{}).Encode(&b, []safetensors.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		c, err := safetensors.OpenCheckpointFS(fstest.MapFS{"m.safetensors": {Data: b.Bytes()}}, "m.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		one, err := Values(context.Background(), c, ValueOptions{Jobs: 1})
		if err != nil {
			t.Fatal(err)
		}
		two, err := Values(context.Background(), c, ValueOptions{Jobs: 2})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(one, two); diff != "" {
			t.Errorf("with one worker and with two (-one +two):\n%s", diff)
		}
	})
}
