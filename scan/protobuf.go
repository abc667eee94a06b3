package scan

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// Models of ONNX and of TensorFlow are messages of protocol buffers, which no
// first bytes mark. They are known by their fields, which are read here as far
// as a scan needs them (onnx/onnx.proto3, tensorflow/core/protobuf).

// A field is a field of a message: its number, its type, and where it lies.
type field struct {
	number, wire int
	value        uint64 // of a number
	data         blob   // of bytes
	offset       int64
}

// fields reads the fields of a message one by one. It tells whether the
// message was read to its end.
func (t *trace) fields(b blob, visit func(field) bool) bool {
	var p [20]byte
	for off := int64(0); off < b.size; {
		if !t.work(workField) || t.ctx.Err() != nil {
			return false
		}
		n, err := b.ReadAt(p[:], off)
		if n == 0 || err != nil && err != io.EOF {
			return false
		}
		key, k := varint(p[:n])
		if k == 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return false
		}
		f := field{number: int(key >> 3), wire: int(key & 7), offset: off}
		off += int64(k)
		switch f.wire {
		case 0:
			v, m := varint(p[k:n])
			if m == 0 {
				return false
			}
			f.value = v
			off += int64(m)
		case 1:
			off += 8
		case 2:
			size, m := varint(p[k:n])
			if m == 0 || size > uint64(b.size-off-int64(m)) {
				return false
			}
			off += int64(m)
			f.data, _ = b.sub(off, int64(size))
			f.offset = off
			off += int64(size)
		case 5:
			off += 4
		default:
			return false
		}
		if off > b.size || !visit(f) {
			return false
		}
	}
	return true
}

func varint(p []byte) (v uint64, n int) {
	for i, c := range p {
		if i == 10 {
			return 0, 0
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// str reads a short text.
func (f field) str() string {
	p, err := f.data.at(0, min(f.data.size, 4096))
	if err != nil {
		return ""
	}
	return string(p)
}

// protobuf reads a message that is a model, and returns its format, or "".
func (t *trace) protobuf(b blob, at place, head []byte) string {
	apart := t.apart()
	m := &message{t: apart, at: at}
	seen := map[int]int{}
	wires := map[int]int{}
	whole := apart.fields(b, func(f field) bool {
		seen[f.number]++
		wires[f.number] = f.wire
		return f.number < 64 || f.number >= 200 && f.number <= 3000 // as Core ML numbers its kinds
	})
	if !whole && len(seen) < 3 {
		return ""
	}
	format := ""
	core := 0
	for number := range seen {
		if number >= 200 {
			core++
		}
	}
	switch {
	case core > 0:
		if !whole || seen[1] != 1 || wires[1] != 0 || seen[2] != 1 || wires[2] != 2 {
			return ""
		}
		format = "coreml"
		m.coreML(b)
	case whole && seen[1] == 1 && wires[1] == 2 && seen[2] == 1 && wires[2] == 2 && m.metaGraph(b):
		format = "tf-metagraph"
	case whole && seen[7] == 1 && wires[7] == 2 && seen[8] > 0 && wires[8] == 2 && (seen[1] == 0 || wires[1] == 0):
		format = "onnx"
		m.onnx(b)
	case whole && seen[1] == 1 && wires[1] == 0 && seen[2] > 0 && wires[2] == 2 && len(seen) == 2,
		whole && at.name == "saved_model.pb" && seen[2] > 0 && wires[2] == 2 && len(seen) == 1:
		format = "tf-savedmodel"
		m.savedModel(b)
	case whole && seen[1] > 1 && wires[1] == 2 && seen[2] == 1 && wires[2] == 2 && (seen[1] > 100 || m.pieces(b)):
		return "sentencepiece" // pieces and the settings of a trainer: data
	case whole && seen[1] > 0 && wires[1] == 2 && (strings.HasSuffix(at.name, ".pb") || seen[4] == 1 && wires[4] == 2):
		format = "tf-graph"
		if m.kerasMetadata(b); m.nodes > 0 {
			format = "keras-metadata"
			break
		}
		m.graph(b)
		if m.nodes == 0 {
			return ""
		}
	}
	if format != "" {
		t.join(apart)
	}
	return format
}

// pieces tells whether each field 1 is a piece of SentencePiece: a text = 1, its
// score = 2, and a type = 3 (sentencepiece_model.proto).
func (m *message) pieces(b blob) bool {
	sound := true
	m.each(b, 1, func(f field) {
		texts, scores, others := 0, 0, 0
		whole := m.t.fields(f.data, func(g field) bool {
			switch {
			case g.number == 1 && g.wire == 2:
				texts++
			case g.number == 2 && g.wire == 5:
				scores++
			case g.number != 3 || g.wire != 0:
				others++
			}
			return true
		})
		sound = sound && whole && texts == 1 && scores == 1 && others == 0
	})
	return sound
}

// A message is a model that is being read.
type message struct {
	t     *trace
	at    place
	nodes int
	depth int
}

// onnx reads a ModelProto: graph = 7, opset_import = 8, functions = 25.
func (m *message) onnx(b blob) {
	m.t.fields(b, func(f field) bool {
		switch {
		case f.number == 7 && f.wire == 2:
			m.onnxGraph(f.data, f.offset)
		case f.number == 8 && f.wire == 2:
			m.t.fields(f.data, func(g field) bool {
				if g.number == 1 && g.wire == 2 {
					if domain := g.str(); !ownDomain(domain) {
						m.t.note("ST371", m.at, f.offset, domain, fmt.Sprintf("operators of the domain %+q, which a library of its own implements", clip(domain, 60)))
					}
				}
				return true
			})
		case f.number == 25 && f.wire == 2:
			m.t.fields(f.data, func(g field) bool {
				if g.number == 7 && g.wire == 2 {
					m.onnxNode(g.data, g.offset)
				}
				return true
			})
		}
		return true
	})
}

func ownDomain(domain string) bool {
	switch domain {
	case "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "pkg.onnxscript.torch_lib", "pkg.onnxscript.torch_lib.common", "pkg.torch.onnx":
		return true
	}
	return strings.HasPrefix(domain, "pkg.onnxscript") || strings.HasPrefix(domain, "pkg.transformers") || strings.HasPrefix(domain, "com.microsoft.")
}

// onnxGraph reads a GraphProto: node = 1, initializer = 5.
func (m *message) onnxGraph(b blob, offset int64) {
	if m.depth++; m.depth > 32 {
		m.t.note("ST404", m.at, offset, "", "graphs nested deeper than 32")
		return
	}
	defer func() { m.depth-- }()
	m.t.fields(b, func(f field) bool {
		switch {
		case f.number == 1 && f.wire == 2:
			m.onnxNode(f.data, f.offset)
		case f.number == 5 && f.wire == 2:
			m.onnxTensor(f.data, f.offset)
		}
		return true
	})
}

// onnxNode reads a NodeProto: op_type = 4, attribute = 5, domain = 7.
func (m *message) onnxNode(b blob, offset int64) {
	m.t.fields(b, func(f field) bool {
		switch {
		case f.number == 4 && f.wire == 2:
			if op := f.str(); strings.HasPrefix(op, "PythonOp") || op == "PyOp" {
				m.t.note("ST372", m.at, offset, op, "the operator "+op+", which calls Python")
			} else if op == "ATen" {
				m.t.note("ST371", m.at, offset, op, "the operator ATen, which calls any operator of torch")
			}
		case f.number == 7 && f.wire == 2:
			if domain := f.str(); !ownDomain(domain) {
				m.t.note("ST371", m.at, offset, domain, fmt.Sprintf("an operator of the domain %+q, which a library of its own implements", clip(domain, 60)))
			}
		case f.number == 5 && f.wire == 2: // AttributeProto: t = 5, g = 6, tensors = 10, graphs = 11
			m.t.fields(f.data, func(g field) bool {
				switch {
				case (g.number == 5 || g.number == 10) && g.wire == 2:
					m.onnxTensor(g.data, g.offset)
				case (g.number == 6 || g.number == 11) && g.wire == 2:
					m.onnxGraph(g.data, g.offset)
				}
				return true
			})
		}
		return true
	})
}

// onnxTensor reads a TensorProto: external_data = 13.
func (m *message) onnxTensor(b blob, offset int64) {
	part, sound := external{}, true
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 10, 62)
		sound = sound && err == nil
		return n
	}
	m.t.fields(b, func(f field) bool {
		if f.number != 13 || f.wire != 2 {
			return true
		}
		key, value := "", ""
		m.t.fields(f.data, func(g field) bool {
			switch {
			case g.number == 1 && g.wire == 2:
				key = g.str()
			case g.number == 2 && g.wire == 2:
				value = g.str()
			}
			return true
		})
		switch key {
		case "location":
			if value == "" || leaves(path.Clean(value)) {
				m.t.note("ST370", m.at, offset, clip(value, 80), fmt.Sprintf("data outside of the model's directory: %+q", clip(value, 80)))
			} else {
				m.t.need(m.at, value)
				part.name = value
			}
		case "offset":
			part.begin = number(value)
		case "length":
			part.end = number(value)
		case "checksum", "basepath":
		default:
			m.t.note("ST373", m.at, offset, clip(key, 40), fmt.Sprintf("an unknown key %+q of data in another file, with which old readers set attributes", clip(key, 40)))
		}
		return true
	})
	if part.end > 0 {
		part.end += part.begin
	}
	if part.name != "" && sound {
		m.t.outside(m.at, part)
	}
}

// savedModel reads meta_graphs = 2, of which graph_def = 2.
func (m *message) savedModel(b blob) {
	m.t.fields(b, func(f field) bool {
		if f.number == 2 && f.wire == 2 {
			m.t.fields(f.data, func(g field) bool {
				if g.number == 2 && g.wire == 2 {
					m.graph(g.data)
				}
				return true
			})
		}
		return true
	})
}

// metaGraph reads a MetaGraphDef: meta_info_def = 1, graph_def = 2. It tells
// whether there was a graph.
func (m *message) metaGraph(b blob) bool {
	m.each(b, 2, func(f field) { m.graph(f.data) })
	return m.nodes > 0
}

// graph reads a GraphDef: node = 1, library = 2, of which function = 1, of
// which node_def = 3.
func (m *message) graph(b blob) {
	m.t.fields(b, func(f field) bool {
		switch {
		case f.number == 1 && f.wire == 2:
			m.node(f.data, f.offset)
		case f.number == 2 && f.wire == 2:
			m.t.fields(f.data, func(g field) bool {
				if g.number == 1 && g.wire == 2 {
					m.t.fields(g.data, func(h field) bool {
						if h.number == 3 && h.wire == 2 {
							m.node(h.data, h.offset)
						}
						return true
					})
				}
				return true
			})
		}
		return true
	})
}

// kerasMetadata reads a SavedMetadata of Keras 2: nodes = 1, of which
// identifier = 4 and metadata = 5, the settings of a layer as JSON.
func (m *message) kerasMetadata(b blob) {
	m.t.fields(b, func(f field) bool {
		if f.number != 1 || f.wire != 2 {
			return true
		}
		own := false
		m.t.fields(f.data, func(g field) bool {
			switch {
			case g.number == 4 && g.wire == 2:
				own = strings.HasPrefix(g.str(), "_tf_keras_")
			case g.number == 5 && g.wire == 2 && own && g.data.size <= maxJSON:
				m.nodes++
				m.t.jsonText(io.NewSectionReader(g.data, 0, g.data.size), m.at, g.offset)
			}
			return true
		})
		return true
	})
}

// fileNodes are operators of TensorFlow that reach files or Python.
var fileNodes = map[string]string{
	"ReadFile": "reads a file", "WriteFile": "writes a file", "MatchingFiles": "lists files", "ImmutableConst": "maps a file",
	"ShellExecute": "runs a program, by its name", "ExecuteOp": "runs a program, by its name", "PyCall": "calls Python",
	"PyFunc": "calls Python", "PyFuncStateless": "calls Python", "EagerPyFunc": "calls Python",
	"DecodeRaw": "", "LoadDataset": "reads a dataset of any path", "SaveDataset": "writes a dataset", "SaveDatasetV2": "writes a dataset",
	"FixedLengthRecordReader": "reads a file", "TextLineReader": "reads a file", "WholeFileReader": "reads a file", "TFRecordReader": "reads a file",
	"TextLineDataset": "reads a file", "TFRecordDataset": "reads a file", "FixedLengthRecordDataset": "reads a file", "SqlDataset": "opens a database",
	"DebugIdentityV2": "writes to an address", "DebugIdentityV3": "writes to an address",
	"TextLineReaderV2": "reads a file", "WholeFileReaderV2": "reads a file", "TFRecordReaderV2": "reads a file", "FixedLengthRecordReaderV2": "reads a file",
	"FixedLengthRecordDatasetV2": "reads a file", "TFRecordDatasetV2": "reads a file", "DatasetToTFRecord": "writes a file", "ExperimentalDatasetToTFRecord": "writes a file",
	"CreateSummaryFileWriter": "writes a file", "CreateSummaryDbWriter": "writes a database", "SnapshotDataset": "writes files", "SnapshotDatasetV2": "writes files",
	"CSVDataset": "reads a file", "CSVDatasetV2": "reads a file", "ExperimentalCSVDataset": "reads a file", "LMDBDataset": "reads a file", "ExperimentalLMDBDataset": "reads a file",
	"CacheDataset": "writes files", "CacheDatasetV2": "writes files", "CalibrationStatisticsSaver": "writes a file", "DumpTensor": "writes a file",
	"DistributedSave": "writes files", "MatchingFilesDataset": "lists files", "ExperimentalMatchingFilesDataset": "lists files", "RecordInput": "reads files",
	"ListSnapshotChunksDataset": "lists files", "SnapshotChunkDataset": "reads a file", "SnapshotDatasetReader": "reads files", "Skipgram": "reads a file",
	"GenerateVocabRemapping": "reads files", "LoadAndRemapMatrix": "reads a file", "DataServiceDataset": "calls another machine", "DataServiceDatasetV2": "calls another machine",
	"DataServiceDatasetV3": "calls another machine", "DataServiceDatasetV4": "calls another machine", "RegisterDataset": "calls another machine", "RegisterDatasetV2": "calls another machine",
	"RpcClient": "calls another machine", "RpcServer": "opens a port", "LoadLibrary": "loads a library", "RpcCall": "calls another machine", "RemoteCall": "calls another machine", "XlaLaunch": "",
}

// addressed are operators that print, or show values to a debugger, and write to a file
// or another machine if an attribute says so.
func addressed(op string) bool {
	switch op {
	case "PrintV2", "DebugIdentity", "DebugNanCount", "DebugNumericSummary":
		return true
	}
	return false
}

// node reads a NodeDef: name = 1, op = 2.
func (m *message) node(b blob, offset int64) {
	m.t.fields(b, func(f field) bool {
		if f.number != 2 || f.wire != 2 {
			return true
		}
		m.nodes++
		op := f.str()
		if why := fileNodes[op]; why != "" {
			m.t.note("ST374", m.at, offset, op, "the operator "+op+" "+why)
		} else if addressed(op) && m.t.work(workSearch*min(b.size, maxText)) {
			if text, err := b.at(0, maxText); err == nil && (b.size > maxText || bytes.Contains(text, []byte("://"))) {
				m.t.note("ST374", m.at, offset, op, "the operator "+op+" writes to an address")
			}
		}
		return true
	})
}
