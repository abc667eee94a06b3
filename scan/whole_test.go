package scan

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// A tensor of torch 2.15, as pickle.dump has torch.save write each: the storage of
// torch.ones(2).
const wholeStorage = "gAKKCmz8nEb5IGqoUBkugAJN6QMugAJ9cQAoWBAAAABwcm90b2NvbF92ZXJzaW9ucQFN6QNYDQAAAGxpdHRsZV9lbmRpYW5xAohYCgAAAHR5cG" +
	"Vfc2l6ZXNxA31xBChYBQAAAHNob3J0cQVLAlgDAAAAaW50cQZLBFgEAAAAbG9uZ3EHSwR1dS6AAihYBwAAAHN0b3JhZ2VxAGN0b3JjaApGbG9h" +
	"dFN0b3JhZ2UKcQFYDgAAADk0MjY5Nzc5NDg3NjQ4cQJYAwAAAGNwdXEDSwJOdHEEUS6AAl1xAFgOAAAAOTQyNjk3Nzk0ODc2NDhxAWEuAgAAAA" +
	"AAAAAAAIA/AACAPw=="

// TestWholeTensors has 20,000 tensors that were pickled one by one, of which each is
// a file of torch.save, and what may hide among them.
func TestWholeTensors(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 40,000 pickles")
	}
	storage, err := base64.StdEncoding.DecodeString(wholeStorage)
	if err != nil {
		t.Fatal(err)
	}
	load := func(data []byte) string {
		return "h\x00B" + string(le.AppendUint32(nil, uint32(len(data)))) + string(data) + "\x85R"
	}
	all := func(last string) []byte {
		var b bytes.Buffer
		b.WriteString("\x80\x04](ctorch.storage\n_load_from_bytes\n\x94" + strings.TrimPrefix(load(storage), "h\x00"))
		for range 20_000 - 2 {
			b.WriteString(load(storage))
		}
		b.WriteString(last + "e.")
		return b.Bytes()
	}
	changed := bytes.Replace(storage, []byte("ctorch\nFloatStorage\n"), []byte("cos\nsystem\n"), 1)
	extra := fmt.Sprintf("%s!\n", strings.Repeat("A", 100))
	for _, test := range []struct {
		name, last string
		want       Verdict
	}{
		{"tensors", load(storage), Clean},
		{"a name in the last", load(changed), VerdictDangerous},
		{"bytes behind the last", load(append(append([]byte(nil), storage...), extra...)), VerdictSuspicious},
		{"a pickle that is not loaded", "B\x1d\x00\x00\x00\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.    ", VerdictDangerous},
	} {
		if f := reader(t, "a.pkl", all(test.last), Options{}); f.Verdict != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, f.Verdict, f.Findings[:min(len(f.Findings), 5)], test.want)
		}
	}
}
