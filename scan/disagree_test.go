package scan

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

// Files of which two readers make two things, each loaded once by the reader that is
// named, with a payload that makes a file: NumPy 2.4 and torch 1.13 and 2.15.

const evilCall = "cposix\nsystem\n(S'true'\ntR."

// A zipEntry is a stored member.
type zipEntry struct{ name, data string }

func (e zipEntry) local() []byte {
	b := append([]byte("PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"), make([]byte, 16)...)
	e.sums(b[14:])
	le.PutUint16(b[26:], uint16(len(e.name)))
	return append(append(b, e.name...), e.data...)
}

func (e zipEntry) central(off int) []byte {
	b := append([]byte("PK\x01\x02\x14\x00\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"), make([]byte, 30)...)
	e.sums(b[16:])
	le.PutUint16(b[28:], uint16(len(e.name)))
	le.PutUint32(b[42:], uint32(off))
	return append(b, e.name...)
}

func (e zipEntry) sums(b []byte) {
	le.PutUint32(b, crc32.ChecksumIEEE([]byte(e.data)))
	le.PutUint32(b[4:], uint32(len(e.data)))
	le.PutUint32(b[8:], uint32(len(e.data)))
}

func endRecord(count, size, off, comment int) []byte {
	b := []byte("PK\x05\x06\x00\x00\x00\x00")
	b = le.AppendUint16(le.AppendUint16(b, uint16(count)), uint16(count))
	return le.AppendUint16(le.AppendUint32(le.AppendUint32(b, uint32(size)), uint32(off)), uint16(comment))
}

func endRecord64(count, size, off int) []byte {
	b := le.AppendUint64([]byte("PK\x06\x06"), 44)
	b = append(b, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, n := range []int{count, count, size, off} {
		b = le.AppendUint64(b, uint64(n))
	}
	return b
}

func arrayFile(descr, dims, data string) string {
	header := "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + dims + ", }\n"
	return "\x93NUMPY\x01\x00" + string(binary.LittleEndian.AppendUint16(nil, uint16(len(header)))) + header + data
}

// twoEnds64 has an end record of zip64 where its locator leads to, and another before
// the locator, which is the one that Python reads.
func twoEnds64(seen, loaded zipEntry) []byte {
	data := seen.local()
	dir := seen.central(0)
	at := len(data) + len(dir)
	data = append(append(data, dir...), endRecord64(1, len(dir), at-len(dir))...)
	dir = loaded.central(len(data))
	data = append(data, loaded.local()...)
	data = append(append(data, dir...), endRecord64(1, len(dir), len(data))...)
	data = append(data, "PK\x06\x07\x00\x00\x00\x00"...)
	data = append(le.AppendUint64(data, uint64(at)), 1, 0, 0, 0)
	return append(data, endRecord(0xffff, -1, -1, 0)...)
}

// longComment has a directory in the comment of another, and an end record that
// announces more of a comment than there is, which Python and miniz do not mind. What
// it leads to lies within a member.
func longComment(loaded zipEntry) []byte {
	outer := zipEntry{"a.npy", arrayFile("'|u1'", "(400,)", "")}
	inner := 30 + len(outer.name) + len(outer.data)
	outer.data += string(loaded.local())
	outer.data += strings.Repeat("\x11", 400+inner-30-len(outer.name)-len(outer.data))
	data, dir := outer.local(), outer.central(0)
	hidden := loaded.central(inner)
	end := len(data) + len(dir)
	data = append(append(data, dir...), endRecord(1, len(dir), len(data), len(hidden)+22)...)
	return append(append(data, hidden...), endRecord(1, len(hidden), end+22, 0xffff)...)
}

func tarMember(name string, kind byte, data string) string {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], octal(len(data))+"\x0000000000000\x00        ")
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], octal(sum)[5:]+"\x00 ")
	return string(h) + data + strings.Repeat("\x00", -len(data)&511)
}

func octal(n int) string {
	b := []byte("00000000000")
	for i := len(b) - 1; n > 0; i-- {
		b[i], n = byte('0'+n&7), n>>3
	}
	return string(b)
}

// joblibArray is an array of joblib, with what stands before its numbers.
func joblibArray(aligned bool, data string) []byte {
	key := func(s string) string { return "\x8c" + string(rune(len(s))) + s }
	b := "\x80\x04" + key("joblib.numpy_pickle") + key("NumpyArrayWrapper") + "\x93)\x81}(" + key("subclass") + key("numpy") + key("ndarray") + "\x93" +
		key("shape") + "K\x10\x85" + key("order") + key("C") + key("dtype") + key("numpy") + key("dtype") + "\x93" + key("f8") + "\x89\x88\x87R" + key("allow_mmap") + "\x88"
	if aligned {
		b += key("numpy_array_alignment_bytes") + "K\x10"
	}
	return []byte(b + "ub" + data)
}

func TestDisagree(t *testing.T) {
	sound := arrayFile("'<f8'", "(1,)", strings.Repeat("\x00", 8))
	objects := arrayFile("'|O'", "(1,)", evilCall)
	zeros := strings.Repeat("\x00", 128)
	numbers := func(head string) string { return head + zeros[:128-len(head)] }
	// A text whose length reaches over all that stands there, or over a hole.
	hole := "X\xe8\x03\x00\x00" + "0" + evilCall + strings.Repeat("A", 1000-1-len(evilCall)) + "."
	sparse := tarMember("PaxHeaders/pickle", 'x', "31 GNU.sparse.map=0,5,1005,996\n24 GNU.sparse.size=2001\n26 GNU.sparse.numblocks=2\n") + tarMember("pickle", '0', hole)
	global := tarMember("g", 'g', "12 size=600\n") + tarMember("pickle", '0', "") + tarMember(evilCall, '0', "")
	for _, test := range []struct {
		name string
		data []byte
		want Verdict
		id   string
	}{
		{"zip64.npz", twoEnds64(zipEntry{"a.npy", sound}, zipEntry{"a.npy", objects}), VerdictDangerous, "ST414"},
		{"comment.npz", longComment(zipEntry{"a.npy", objects}), VerdictDangerous, "ST414"},
		{"sparse.tar", []byte(sparse + strings.Repeat("\x00", 1024)), VerdictDangerous, "ST403"},
		{"global.tar", []byte(global + strings.Repeat("\x00", 1024)), VerdictDangerous, "ST419"},
		{"global-plain.tar", []byte(tarMember("g", 'g', "13 comment=x\n") + tarMember("a.txt", '0', "words\n") + strings.Repeat("\x00", 1024)), Clean, ""},
		{"name.tar", []byte(tarMember("a\nb", '0', "words\n") + strings.Repeat("\x00", 1024)), VerdictSuspicious, "ST418"},
		{"padding.joblib", joblibArray(true, ")"+numbers("00"+evilCall)+strings.Repeat("\x00", 41)+"."), VerdictDangerous, "ST420"},
		{"numbers.joblib", joblibArray(false, numbers(")00"+evilCall)+"."), VerdictDangerous, "ST420"},
		{"stranger.joblib", joblibArray(false, numbers("0cstranger\nname\n)R.")+"."), VerdictSuspicious, "ST420"},
		{"strings.joblib", joblibArray(false, numbers("0\x8c\x08stranger\x8c\x04name\x93)R.")+"."), VerdictSuspicious, "ST420"},
		{"row.joblib", joblibArray(false, numbers("X\x7b\x00\x00\x00")+strings.Repeat("N0", 20_000)+"."), VerdictSuspicious, "ST420"},
		{"plain.joblib", joblibArray(false, zeros+"."), Clean, ""},
		{"opcodes.joblib", joblibArray(false, numbers("N)]]")+"."), Clean, ""},
		{"aligned.joblib", joblibArray(true, "\x02\xff\xff"+zeros+"."), Clean, ""},
	} {
		f := reader(t, test.name, test.data, Options{})
		found := test.id == ""
		for _, finding := range f.Findings {
			found = found || finding.ID == test.id
		}
		if f.Verdict != test.want || !found {
			t.Errorf("%s: %s, want %s with %s: %+v", test.name, f.Verdict, test.want, test.id, f.Findings)
		}
	}
}

// TestTargets has values of YAML, in the ways that PyYAML and OmegaConf read.
func TestTargets(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       Verdict
	}{
		{"block.yaml", "a:\n  _target_: >-\n    os.system\n  command: id\n", VerdictDangerous},
		{"literal.yaml", "_target_: |-\n  os.system\ncommand: id\n", VerdictDangerous},
		{"comment.yaml", "a:\n  _target_: # the class\n    os.system\n", VerdictDangerous},
		{"tag.yaml", "a:\n  _target_: !!str\n    os.system\n", VerdictDangerous},
		{"joined.yaml", "a:\n  _target_: \"o\\\n    s.system\"\n", VerdictDangerous},
		{"alias.yaml", "x: &t os.system\na:\n  _target_: *t\n", VerdictDangerous},
		{"interpolation.yaml", "x: os.system\na:\n  _target_: ${x}\n", VerdictDangerous},
		{"interpolation-part.yaml", "x: hub.load\na:\n  _target_: torch.${x}\n", VerdictSuspicious},
		{"key.yaml", "x: &k _target_\na:\n  *k : os.system\n", VerdictSuspicious},
		{"unknown.yaml", "x: ${y}\na:\n  _target_: ${oc.env:X}\n", VerdictSuspicious},
		{"handle.yaml", "%TAG !e! tag:yaml.org,2002:python/object/app\n---\na: !e!ly:os.system [id]\n", VerdictDangerous},
		{"handle-all.yaml", "%TAG !e! tag:yaml.org,2002:python/object/apply:\n---\na: !e!os.system [id]\n", VerdictDangerous},
		{"handle-short.yaml", "%TAG ! tag:yaml.org,2002:python/object/apply:\n---\na: !os.system [id]\n", VerdictDangerous},
		{"handle-other.yaml", "%TAG !e! tag:example.org,2002:\n---\na: !e!x 1\n", VerdictSuspicious},
		{"plain.yaml", "%TAG !! tag:yaml.org,2002:\n---\na:\n  _target_: torch.nn.Linear # a class\n  b: {_target_: \"torch.nn.ReLU\", c: 1}\n  # _target_ is a class\n  _target_:\n    torch.optim.Adam\n", Clean},
		{"none.yaml", "a:\n  _target_: null\n  my_target_: b\nb:\n  _target_: ~\n", Clean},
		{"MLmodel", "flavors: {python_function: {loader_module: antigravity, data: x}}\n", VerdictDangerous},
		{"model/MLmodel", "flavors:\n  python_function:\n    loader_module: >-\n      antigravity\n", VerdictDangerous},
		{"escaped/MLmodel", "flavors:\n  python_function:\n    \"loader\\x5fmodule\": antigravity\n", VerdictDangerous},
		{"plain/MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n", Clean},
		{"model_config.yaml", "target: >-\n  os.system\n", VerdictDangerous},
		{"nemo/model_config.yaml", "target: nemo.collections.asr.models.EncDecCTCModel\nb:\n  target: ${c}\nc: 1\n", Clean},
	} {
		if f := reader(t, test.name, []byte(test.data), Options{}); f.Verdict != test.want {
			t.Errorf("%s: %s, want %s: %+v", test.name, f.Verdict, test.want, f.Findings)
		}
	}
}

// TestPlainSettings has JSON that is no model, and has its reader import, fetch or
// reach what it names.
func TestPlainSettings(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       Verdict
	}{
		{"1_Dense/config.json", `{"in_features":4,"activation_function":"os.abort"}`, VerdictDangerous},
		{"1_Dense/config.json", `{"in_features":4,"activation_function":"stranger.function"}`, VerdictSuspicious},
		{"1_Dense/config.json", `{"in_features":4,"activation_function":"torch.nn.modules.linear.Identity"}`, Clean},
		{"config.json", `{"model_type":"bert","sentence_transformers":{"activation_fn":"os.abort"}}`, VerdictDangerous},
		{"config.json", `{"model_type":"bert","sbert_ce_default_activation_function":"os.abort"}`, VerdictDangerous},
		{"config.json", `{"model_type":"gpt2","activation_function":"gelu_new","tokenizer_class":"GPT2Tokenizer","attn_implementation":"sdpa","types":{"a":"b.c"}}`, Clean},
		{"config.json", `{"types":{"query":"os.abort"},"structure":{}}`, VerdictDangerous},
		{"config.json", `{"model_type":"llama","attn_implementation":"stranger/kernel"}`, VerdictSuspicious},
		{"config.json", `{"model_type":"llama","attn_implementation":"kernels-community/flash-attn"}`, Clean},
		{"tokenizer_config.json", `{"chat_template":"{% set u='_'*2 %}{{ ''[u+'class'+u] }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ ''[('ssalc'|reverse)] }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ joiner[dict(ini=1)|list|first] }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{% set s=messages[0].content %}{{ cycler[s] }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ messages|map(attribute=messages[0].role)|list }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ messages|sum(attribute='a.'~bos_token) }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ request . application }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ 'Carry out the request. Then answer by yourself.' + 'dict[str, ' + x }}"}`, Clean},
		{"tokenizer_config.json", `{"chat_template":"{{ dict[strange] }}{{ dict [ x ] }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{{ messages|selectattr(bos_token)|list }}"}`, VerdictSuspicious},
		{"tokenizer_config.json", `{"chat_template":"{% set ns = namespace(found=false) %}{{ bos_token + '<|user|>' ~ messages[loop.index0 + 1]['content'] + ''.join(x) + x[1:] }}{{ messages|map(attribute='role')|list }}{{ messages|selectattr('role', 'equalto', 'system')|list }}{{ dict(a=1) }}{% for i in range(3) %}{% endfor %}"}`, Clean},
		{"strings.npy", arrayFile("'T'", "(1,)", evilCall), VerdictDangerous},
	} {
		if f := reader(t, test.name, []byte(test.data), Options{}); f.Verdict != test.want {
			t.Errorf("%s: %s: %s, want %s: %+v", test.name, test.data, f.Verdict, test.want, f.Findings)
		}
	}
}

// TestGraphAddress has operators of TensorFlow that write where an attribute says.
func TestGraphAddress(t *testing.T) {
	field := func(number int, data string) string {
		return string(rune(number<<3|2)) + string(rune(len(data))) + data
	}
	model := func(op, attribute string) []byte {
		node := field(1, "name") + field(2, op) + field(5, field(1, "output_stream")+field(2, field(2, attribute)))
		return []byte("\x08\x01" + field(2, field(1, field(5, "1.15.0"))+field(2, field(1, node))))
	}
	for _, test := range []struct {
		op, attribute string
		want          Verdict
	}{
		{"PrintV2", "stderr", Clean},
		{"PrintV2", "file:///etc/x", VerdictDangerous},
		{"DebugIdentity", "grpc://h:1", VerdictDangerous},
		{"CacheDatasetV2", "", VerdictDangerous},
		{"AddV2", "file://", Clean},
	} {
		if f := reader(t, "saved_model.pb", model(test.op, test.attribute), Options{}); f.Verdict != test.want {
			t.Errorf("%s %s: %s, want %s (%s): %+v", test.op, test.attribute, f.Verdict, test.want, f.Format, f.Findings)
		}
	}
}
