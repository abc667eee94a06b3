package scan

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// TestManyTensors states that a checkpoint of 60,000 tensors, laid out as torch
// writes them, is clean without Deep, and that one import among them is found.
func TestManyTensors(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes a second")
	}
	const n = 60_000
	for _, test := range []struct {
		evil string
		want Verdict
	}{{"", Clean}, {"X\x04\x00\x00\x00evilcposix\nsystem\nX\x02\x00\x00\x00id\x85R", VerdictDangerous}} {
		var p bytes.Buffer
		memo := uint32(0)
		put := func() {
			p.Write(binary.LittleEndian.AppendUint32([]byte("r"), memo))
			memo++
		}
		text := func(s string) {
			p.Write(binary.LittleEndian.AppendUint32([]byte("X"), uint32(len(s))))
			p.WriteString(s)
			put()
		}
		p.WriteString("\x80\x02}")
		put()
		p.WriteString("(")
		for i := range n {
			if i > 0 && i%1000 == 0 {
				p.WriteString("u(")
			}
			if i == n/2 {
				p.WriteString(test.evil)
			}
			text(fmt.Sprintf("model.layers.%d.weight", i))
			p.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((")
			text("storage")
			p.WriteString("ctorch\nFloatStorage\n")
			text(fmt.Sprint(i))
			text("cpu")
			p.WriteString("K\x01t")
			put()
			p.WriteString("QK\x00K\x01\x85")
			put()
			p.WriteString("K\x01\x85")
			put()
			p.WriteString("\x89ccollections\nOrderedDict\n)R")
			put()
			p.WriteString("t")
			put()
			p.WriteString("R")
			put()
		}
		p.WriteString("u.")
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		member := func(name string, data []byte) {
			f, err := w.CreateHeader(&zip.FileHeader{Name: "archive/" + name})
			if err == nil {
				_, err = f.Write(data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		member("data.pkl", p.Bytes())
		for i := range n {
			member(fmt.Sprintf("data/%d", i), []byte{0, 0, 0, 0})
		}
		member("version", []byte("3\n"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f := reader(t, "model.pt", b.Bytes(), Options{Jobs: 1})
		if f.Verdict != test.want || f.Format != "torch-zip" {
			t.Errorf("%s, %s: %+v", f.Format, f.Verdict, f.Findings[:min(3, len(f.Findings))])
		}
	}
}
