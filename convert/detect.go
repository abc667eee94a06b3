package convert

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// A Format is what a file is, told by its content and never by its name.
type Format string

// The formats that Detect tells apart. Those that are models or may hold one
// come first.
const (
	Safetensors Format = "safetensors"
	TorchLegacy Format = "torch-legacy" // torch.save before 1.6
	Pickle      Format = "pickle"
	Zip         Format = "zip" // torch.save since 1.6, TorchScript, .pt2, .npz, .keras
	Tar         Format = "tar" // torch.save before 0.1.10, .nemo
	GGUF        Format = "gguf"
	GGML        Format = "ggml" // what came before GGUF
	NPY         Format = "npy"
	HDF5        Format = "hdf5"
	ONNX        Format = "onnx"
	SavedModel  Format = "savedmodel"    // saved_model.pb
	TensorIndex Format = "tensor-bundle" // NAME.index of a TensorFlow checkpoint
	TFLite      Format = "tflite"
	Flax        Format = "flax" // and what else is a map in msgpack
	IRPA        Format = "irpa"
	MLIR        Format = "mlir" // its bytecode
	Paddle      Format = "paddle"
	TVM         Format = "tvm"
	Gzip        Format = "gzip"
	Bzip2       Format = "bzip2"
	XZ          Format = "xz"
	Zstd        Format = "zstd"
	LZ4         Format = "lz4"
	Zlib        Format = "zlib"
	SevenZip    Format = "7z"
	ELF         Format = "elf"
	PE          Format = "pe"
	MachO       Format = "mach-o"
	PNG         Format = "png"
	JPEG        Format = "jpeg"
	PDF         Format = "pdf"
	LFSPointer  Format = "git-lfs"
	HTML        Format = "html"
	XML         Format = "xml"
	JSON        Format = "json"
	Text        Format = "text"
	Zeros       Format = "zeros"
	Empty       Format = "empty"
	Unknown     Format = "unknown"
)

// String returns what a person calls the format.
func (f Format) String() string {
	if name, ok := formatNames[f]; ok {
		return name
	}
	return string(f)
}

var formatNames = map[Format]string{
	Safetensors: "a safetensors file",
	TorchLegacy: "a PyTorch checkpoint in the format before 1.6",
	Pickle:      "a Python pickle",
	Zip:         "a zip archive, as PyTorch checkpoints are",
	Tar:         "a tar archive",
	GGUF:        "a GGUF file",
	GGML:        "a GGML file, from before GGUF",
	NPY:         "a NumPy array",
	HDF5:        "an HDF5 file, as old Keras models are",
	ONNX:        "an ONNX model",
	SavedModel:  "a TensorFlow SavedModel",
	TensorIndex: "the index of a TensorFlow checkpoint",
	TFLite:      "a TensorFlow Lite model",
	Flax:        "a msgpack file, as Flax models are",
	IRPA:        "an IREE parameter archive",
	MLIR:        "MLIR bytecode",
	Paddle:      "a PaddlePaddle parameter file",
	TVM:         "a TVM parameter file",
	Gzip:        "compressed with gzip",
	Bzip2:       "compressed with bzip2",
	XZ:          "compressed with xz",
	Zstd:        "compressed with zstd",
	LZ4:         "compressed with lz4",
	Zlib:        "compressed with zlib",
	SevenZip:    "a 7z archive",
	ELF:         "an executable for Linux",
	PE:          "an executable for Windows",
	MachO:       "an executable for macOS",
	PNG:         "a PNG picture",
	JPEG:        "a JPEG picture",
	PDF:         "a PDF document",
	LFSPointer:  "a Git LFS pointer, not the file it points to",
	HTML:        "an HTML page",
	XML:         "an XML document",
	JSON:        "a JSON text",
	Text:        "a text",
	Zeros:       "nothing but zeros",
	Empty:       "empty",
	Unknown:     "nothing that is known here",
}

// A magic is what files of a format begin with.
type magic struct {
	magic  string
	format Format
}

// magics are beginnings that no other file has.
var magics = []magic{
	{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", TorchLegacy},
	{"version https://git-lfs.github.com/spec/", LFSPointer},
	{"\x89HDF\r\n\x1a\n", HDF5},
	{"\x93NUMPY", NPY},
	{"GGUF", GGUF}, {"IRPA", IRPA}, {"ML\xefR", MLIR},
	{"\xb7\x9c\x04\x05\x4f\x8d\xe5\xf7", TVM}, // TVM's kTVMNDArrayListMagic
	{"lmgg", GGML}, {"fmgg", GGML}, {"tjgg", GGML}, {"algg", GGML},
	{"PK\x03\x04", Zip}, {"PK\x05\x06", Zip},
	{"7z\xbc\xaf\x27\x1c", SevenZip},
	{"ZF0x", Zlib}, // of joblib until 0.9, behind a size
	{"\x1f\x8b", Gzip}, {"BZh", Bzip2}, {"\xfd7zXZ\x00", XZ},
	{"\x28\xb5\x2f\xfd", Zstd}, {"\x04\x22\x4d\x18", LZ4},
	{"\x7fELF", ELF}, {"\xcf\xfa\xed\xfe", MachO}, {"\xca\xfe\xba\xbe", MachO},
	{"\x89PNG\r\n\x1a\n", PNG}, {"\xff\xd8\xff", JPEG}, {"%PDF-", PDF},
}

// Detect tells what the size bytes of r are. It reads at most 4 KiB, at the
// beginning. An error is the reader's.
func Detect(r io.ReaderAt, size int64) (Format, error) {
	head := make([]byte, min(max(size, 0), 4096))
	if n, err := r.ReadAt(head, 0); n < len(head) && err != io.EOF {
		return Unknown, err
	} else {
		head = head[:n]
	}
	if len(head) == 0 {
		return Empty, nil
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) && !(m.packs() && isHeader(head, size)) {
			return m.format, nil
		}
	}
	switch {
	case looksLikeSafetensors(head, size):
		return Safetensors, nil
	case isTar(head):
		return Tar, nil
	case looksLikePickle(head):
		return Pickle, nil
	case len(head) > 8 && string(head[4:8]) == "TFL3":
		return TFLite, nil
	case isPaddle(head):
		return Paddle, nil
	case isTensorIndex(head):
		return TensorIndex, nil
	case looksLikeFlax(head):
		return Flax, nil
	case len(head) > 2 && head[0] == 0x78 && binary.BigEndian.Uint16(head)%31 == 0:
		return Zlib, nil
	case len(head) > 64 && head[0] == 'M' && head[1] == 'Z':
		return PE, nil
	case len(bytes.Trim(head, "\x00")) == 0:
		return Zeros, nil
	}
	if format := detectProtobuf(head); format != Unknown {
		return format, nil
	}
	return detectText(head), nil
}

// Convertible reports whether [Open] reads files of the format.
func (f Format) Convertible() bool { return importers[f] != nil }

// packs tells whether the magic is that of one compressed stream.
func (m *magic) packs() bool {
	switch m.format {
	case Gzip, Bzip2, XZ, Zstd, LZ4:
		return true
	}
	return false
}

// isHeader takes a file for safetensors that has the mark of a compressed one as
// well: a header of 35,615 bytes begins as gzip does. Behind the eight bytes of
// the length stands the JSON, and the file has room for it.
func isHeader(head []byte, size int64) bool {
	if len(head) < 10 || head[8] != '{' || head[9] != '"' && head[9] != '}' && head[9] > ' ' {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	return n <= uint64(size-8) && n <= 100_000_000
}

// looksLikeSafetensors takes a file by its frame: a length that the file has
// room for and a header that begins as JSON does. What is wrong with the
// rest is for the format's own reader to say.
func looksLikeSafetensors(head []byte, size int64) bool {
	if len(head) < 10 {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	text := bytes.TrimLeft(head[8:], " \t\r\n")
	if len(text) == 0 {
		return n <= uint64(size)
	}
	return text[0] == '{' && n < 1<<32
}

// isTar checks the checksum of the first member: the oldest tar files have no
// other mark.
func isTar(head []byte) bool {
	if len(head) < 512 || head[0] == 0 {
		return false
	}
	sum := int64(8 * ' ')
	for i, c := range head[:512] {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	want := int64(0)
	for _, c := range bytes.Trim(head[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want = want*8 + int64(c-'0')
	}
	return sum == want
}

// looksLikePickle takes a binary pickle by its protocol and first opcode, and
// a text one by its first two lines.
func looksLikePickle(head []byte) bool {
	if len(head) < 2 {
		return false
	}
	if head[0] == 0x80 {
		return head[1] <= 5
	}
	if len(head) >= 4 && bytes.IndexByte([]byte("(]}c"), head[0]) >= 0 {
		// (lp0, (dp0, ]q, }q, cmodule\nname
		switch head[0] {
		case '(':
			return bytes.IndexByte([]byte("ldtc"), head[1]) >= 0 && (head[2] == 'p' || head[2] == '.' || head[2] == 'q' || head[1] == 'c')
		case ']', '}':
			return head[1] == 'q' || head[1] == '.' || head[1] == 'p' && bytes.IndexByte(head[:min(len(head), 12)], '\n') > 0
		case 'c':
			lines := bytes.SplitN(head[1:], []byte("\n"), 3)
			return len(lines) == 3 && isDotted(lines[0]) && isDotted(lines[1])
		}
	}
	return len(head) >= 4 && head[0] == 'L' && bytes.HasPrefix(head, []byte("L119547037146038801333356L\n."))
}

func isDotted(name []byte) bool {
	if len(name) == 0 || len(name) > 200 {
		return false
	}
	for _, c := range name {
		if c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func detectText(head []byte) Format {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	lower := bytes.ToLower(text[:min(len(text), 64)])
	switch {
	case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.HasPrefix(lower, []byte("<html")), bytes.HasPrefix(lower, []byte("<head")):
		return HTML
	case bytes.HasPrefix(lower, []byte("<?xml")):
		return XML
	}
	for len(text) > 0 && len(head) == 4096 && !utf8.FullRune(text[max(0, len(text)-3):]) {
		text = text[:len(text)-1] // cut in the middle of a character
	}
	if !utf8.Valid(text) || bytes.ContainsFunc(text, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b }) {
		return Unknown
	}
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		return JSON
	}
	return Text
}
