package scan

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// pb is a field of a message of protocol buffers that holds bytes, or other fields.
func pb(number int, parts ...string) string {
	text := strings.Join(parts, "")
	return string(binary.AppendUvarint([]byte{byte(number<<3 | 2)}, uint64(len(text)))) + text
}

// TestExternal has models of ONNX with numbers in a file beside them, as onnx writes
// them (scan/testdata has files of its own), and files that hold more than that.
func TestExternal(t *testing.T) {
	tensor := func(name string, begin, size int) string {
		return pb(5, pb(1, "\x04"), pb(13, pb(1, "location"), pb(2, name)), pb(13, pb(1, "offset"), pb(2, strconv.Itoa(begin))), pb(13, pb(1, "length"), pb(2, strconv.Itoa(size))))
	}
	odd := random(3, 64)
	odd[0] = 0xff
	aligned := append(append(append([]byte(nil), odd...), make([]byte, 4096-64)...), odd...)
	hidden := append([]byte(nil), aligned...)
	hidden[2000] = 1
	for _, test := range []struct {
		name, file string
		data       []byte
		tensors    []string
		want       []string
	}{
		{"whole", "model.onnx_data", odd, []string{tensor("model.onnx_data", 0, 40), tensor("model.onnx_data", 40, 24)}, []string{"m/model.onnx clean", "m/model.onnx_data clean ST409"}},
		{"to the end", "w.bin", odd, []string{pb(5, pb(13, pb(1, "location"), pb(2, "w.bin")))}, []string{"m/model.onnx clean", "m/w.bin clean ST409"}},
		{"aligned", "model.data", aligned, []string{tensor("model.data", 4096, 64), tensor("model.data", 0, 64)}, []string{"m/model.data clean ST409", "m/model.onnx clean"}},
		{"in the gap", "model.data", hidden, []string{tensor("model.data", 0, 64), tensor("model.data", 4096, 64)}, []string{"m/model.data suspicious ST405", "m/model.onnx clean"}},
		{"behind", "model.data", append(odd, 1), []string{tensor("model.data", 0, 64)}, []string{"m/model.data suspicious ST405", "m/model.onnx clean"}},
		{"cut off", "model.data", odd[:60], []string{tensor("model.data", 0, 64)}, []string{"m/model.data suspicious ST405", "m/model.onnx suspicious ST506"}},
		{"no number", "model.data", odd, []string{pb(5, pb(13, pb(1, "location"), pb(2, "model.data")), pb(13, pb(1, "length"), pb(2, "-1")))}, []string{"m/model.data suspicious ST405", "m/model.onnx clean"}},
		{"of another program", "model.rds", odd, []string{tensor("model.rds", 0, 64)}, []string{"m/model.onnx clean", "m/model.rds suspicious ST405"}},
		{"a pickle", "model.data", append(imports("os", "system").Data, odd...)[:64], []string{tensor("model.data", 0, 64)}, []string{"m/model.data dangerous ST301 ST320", "m/model.onnx clean"}},
	} {
		model := pb(7, test.tensors...) + pb(8, pb(1, ""))
		r, err := Path(context.Background(), fstest.MapFS{"m/model.onnx": {Data: []byte("\x08\x09" + model)}, "m/" + test.file: {Data: test.data}}, ".", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, summary(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestRecords has files of records whose sums are those that crc32c has published
// (RFC 3720, B.4: 32 bytes of zeros are 0x8a9136aa), and changed ones.
func TestRecords(t *testing.T) {
	sum := uint32(0x8a9136aa)
	if got, want := maskedSum(make([]byte, 32)), (sum>>15|sum<<17)+0xa282ead8; got != want {
		t.Errorf("the sum over zeros is %#x, want %#x", got, want)
	}
	record := func(data string) string {
		head := string(le.AppendUint64(nil, uint64(len(data))))
		return head + string(le.AppendUint32(nil, maskedSum([]byte(head)))) + data + string(le.AppendUint32(nil, maskedSum([]byte(data))))
	}
	event := record("\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x1a\x0dbrain.Event:2")
	for _, test := range []struct{ name, data, want string }{
		{"events.out.tfevents.1", event + record("\xff\xff\xff"), "tensorboard clean ST409"},
		{"a.tfrecord", record("\xff\xff\xff\xff") + event, "tfrecord clean ST409"},
		{"a.tfrecord", event[:len(event)-1] + "x", "unknown suspicious ST405"},
		{"a.tfrecord", event + "more", "unknown suspicious ST405"},
		{"a.tfrecord", event + "\xff\xff\xff\xff\xff\xff\xff\xff" + string(le.AppendUint32(nil, maskedSum([]byte("\xff\xff\xff\xff\xff\xff\xff\xff")))), "unknown suspicious ST405"},
	} {
		f := reader(t, test.name, []byte(test.data), Options{})
		got := f.Format + " " + string(f.Verdict)
		for _, x := range f.Findings {
			got += " " + x.ID
		}
		if got != test.want {
			t.Errorf("%s is %s, want %s", test.name, got, test.want)
		}
	}
}
