package scan

import (
	"bytes"
	"encoding/binary"
	"path"
	"strconv"
	"strings"
)

// A kind is what a file is by its first bytes.
type kind uint8

const (
	kindUnknown kind = iota
	kindSafetensors
	kindPickle
	kindZip
	kindTar
	kindGzip
	kindBzip2
	kindXZ
	kindLZMA
	kindZlib
	kindZstd
	kindLZ4
	kindZFile    // zlib behind the mark and the length of joblib before 0.10
	kindSevenZip // and other archives that nothing here opens
	kindNPY
	kindHDF5
	kindGGUF
	kindNative // machine code, and code for virtual machines
	kindScript
	kindMedia // pictures, sound, fonts and documents
	kindData  // tables and the like, which hold no code
	kindPointer
)

// signatures are beginnings that no other file has, and what such a file is
// called in a report.
var signatures = []struct {
	magic  string
	kind   kind
	format string
}{
	{"PK\x03\x04", kindZip, "zip"}, {"PK\x05\x06", kindZip, "zip"},
	{"\x1f\x8b", kindGzip, "gzip"}, {"BZh", kindBzip2, "bzip2"}, {"\xfd7zXZ\x00", kindXZ, "xz"}, {"\x5d\x00\x00", kindLZMA, "lzma"},
	{"7z\xbc\xaf\x27\x1c", kindSevenZip, "7z"}, {"Rar!\x1a\x07", kindSevenZip, "rar"}, {"MSCF\x00\x00\x00\x00", kindSevenZip, "cab"},
	{"\x28\xb5\x2f\xfd", kindZstd, "zstd"}, {"\x04\x22\x4d\x18", kindLZ4, "lz4"}, {"!<arch>\n", kindSevenZip, "ar"}, {"ZF0x", kindZFile, "joblib-zfile"},
	{"xar!", kindSevenZip, "xar"}, {"\xed\xab\xee\xdb", kindSevenZip, "rpm"}, {"hsqs", kindSevenZip, "squashfs"},
	{"PYTORCH1", kindSevenZip, "torch-preview"}, {"070701", kindSevenZip, "cpio"}, {"070702", kindSevenZip, "cpio"},
	{"\x93NUMPY", kindNPY, "npy"}, {"\x89HDF\r\n\x1a\n", kindHDF5, "hdf5"}, {"GGUF", kindGGUF, "gguf"},
	{"\x7fELF", kindNative, "elf"}, {"\xcf\xfa\xed\xfe", kindNative, "mach-o"}, {"\xce\xfa\xed\xfe", kindNative, "mach-o"},
	{"\xfe\xed\xfa\xcf", kindNative, "mach-o"}, {"\xfe\xed\xfa\xce", kindNative, "mach-o"}, {"\xca\xfe\xba\xbe", kindNative, "mach-o or java"},
	{"\x00asm\x01\x00\x00\x00", kindNative, "wasm"}, {"dex\n03", kindNative, "dex"}, {"\x4c\x00\x00\x00\x01\x14\x02\x00", kindNative, "windows-shortcut"},
	{"#!", kindScript, "script"},
	{"version https://git-lfs.github.com/spec/", kindPointer, "git-lfs"},
	{"\x89PNG\r\n\x1a\n", kindMedia, "png"}, {"\xff\xd8\xff", kindMedia, "jpeg"}, {"GIF87a", kindMedia, "gif"}, {"GIF89a", kindMedia, "gif"},
	{"%PDF-", kindMedia, "pdf"}, {"OggS", kindMedia, "ogg"}, {"fLaC", kindMedia, "flac"}, {"ID3", kindMedia, "mp3"}, {"\xff\xfb", kindMedia, "mp3"},
	{"RIFF", kindMedia, "riff"}, {"wOFF", kindMedia, "woff"}, {"wOF2", kindMedia, "woff2"}, {"\x00\x01\x00\x00\x00", kindMedia, "font"}, {"OTTO\x00", kindMedia, "font"},
	{"\x00\x00\x01\x00", kindMedia, "icon"}, {"II*\x00", kindMedia, "tiff"}, {"MM\x00*", kindMedia, "tiff"}, {"\x1aE\xdf\xa3", kindMedia, "matroska"}, {"{\\rtf", kindMedia, "rtf"},
	{"PAR1", kindData, "parquet"}, {"ARROW1\x00\x00", kindData, "arrow"}, {"ggjt", kindData, "ggml"},
	{"lmgg", kindData, "ggml"}, {"fmgg", kindData, "ggml"}, {"tjgg", kindData, "ggml"}, {"algg", kindData, "ggml"},
}

// kindOf tells what the beginning of a file looks like.
func kindOf(head []byte) kind {
	k, _ := identify(head)
	return k
}

func identify(head []byte) (kind, string) {
	if len(head) == 0 {
		return kindUnknown, ""
	}
	for i := range signatures {
		s := &signatures[i]
		// First the first byte, for a pickle may hold millions of bytes to tell apart.
		if s.magic[0] == head[0] && bytes.HasPrefix(head, []byte(s.magic)) {
			if s.kind == kindBzip2 && (len(head) < 10 || head[3] < '1' || head[3] > '9' || string(head[4:10]) != "1AY&SY" && string(head[4:10]) != "\x17rE8P\x90") {
				continue
			}
			return s.kind, s.format
		}
	}
	switch {
	case isHeader(head):
		return kindSafetensors, "safetensors"
	case len(head) >= 2 && head[0] == 0x80 && head[1] <= 5:
		return kindPickle, "pickle"
	case isPE(head):
		return kindNative, "pe"
	case isBytecode(head):
		return kindNative, "python-bytecode"
	case len(head) > 2 && head[0] == 0x78 && (head[1] == 0x01 || head[1] == 0x5e || head[1] == 0x9c || head[1] == 0xda):
		return kindZlib, "zlib"
	case len(head) > 12 && string(head[4:8]) == "ftyp":
		return kindMedia, "mp4"
	case len(head) >= 8 && string(head[4:8]) == "TFL3":
		return kindData, "tflite"
	case isTar(head):
		return kindTar, "tar"
	case isBitmap(head):
		return kindMedia, "bmp"
	}
	return kindUnknown, ""
}

// isBitmap knows the pictures of Windows and OS/2 by what follows their two letters:
// two numbers that are none, where the picture begins, and the length of a header.
func isBitmap(head []byte) bool {
	if len(head) < 26 || head[0] != 'B' || head[1] != 'M' || le.Uint32(head[6:]) != 0 {
		return false
	}
	begin, header := le.Uint32(head[10:]), le.Uint32(head[14:])
	return (header == 12 || header == 40 || header == 52 || header == 56 || header == 64 || header == 108 || header == 124) && begin >= 14+header && begin <= 14+header+12+4*256
}

// isHeader knows the length of a header that is no longer than readers take,
// and the brace behind it.
func isHeader(head []byte) bool {
	return len(head) > 9 && le.Uint64(head) <= 100_000_000 && head[8] == '{' && (head[9] == '"' || head[9] == '}' || head[9] <= ' ')
}

// isProgramName knows the names that Windows runs.
func isProgramName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".exe", ".dll", ".sys", ".com", ".scr", ".pyd", ".ocx", ".msi":
		return true
	}
	return false
}

func isPE(head []byte) bool {
	if len(head) < 64 || head[0] != 'M' || head[1] != 'Z' {
		return false
	}
	if bytes.Contains(head[:min(len(head), 1024)], []byte("This program cannot be run in DOS mode")) {
		return true // whatever the rest is, it is there to be taken for one
	}
	at := int64(le.Uint32(head[60:]))
	if at+4 > int64(len(head)) {
		return at < 1<<20 && at%4 == 0
	}
	return string(head[at:at+4]) == "PE\x00\x00"
}

// isHollow tells whether the header of an ELF file names no type and no processor
// (System V ABI, e_type and e_machine): kernels and linkers refuse it.
func isHollow(head []byte) bool { return len(head) >= 20 && le.Uint32(head[16:]) == 0 }

// isBytecode knows the files .pyc of Python 3: a number of the version, a line
// end so that text mode spoils it, and flags.
func isBytecode(head []byte) bool {
	if len(head) < 17 || head[2] != '\r' || head[3] != '\n' || head[1] > 0x0f {
		return false
	}
	n := le.Uint16(head)
	for _, code := range [...]int{8, 12, 16} {
		if code < len(head) && head[code]&^0x80 == 'c' && n >= 2000 && n < 4096 {
			return true
		}
	}
	return false
}

// isTar checks the checksum of the first member: the oldest tar files have no
// other mark. Bytes have a sign for some writers, and so for all readers.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	sum, signed := int64(8*' '), int64(8*' ')
	for i, c := range head[:512] {
		if i < 148 || i >= 156 {
			sum += int64(c)
			signed += int64(int8(c))
		}
	}
	field := head[148:156]
	if field[0] == 0x80 { // a binary number
		want := int64(binary.BigEndian.Uint64(field) & (1<<56 - 1))
		return want == sum || want == signed
	}
	// Python ends the number at a NUL, and takes it as it takes its own.
	python, _, _ := bytes.Cut(field, []byte{0})
	for _, text := range [][]byte{python, bytes.Trim(field, " \x00")} {
		digits := strings.TrimLeft(strings.ReplaceAll(strings.TrimSpace(string(text)), "_", ""), "+")
		want, err := strconv.ParseInt(strings.TrimPrefix(strings.ToLower(digits), "0o"), 8, 64)
		if err == nil && (want == sum || want == signed) {
			return true
		}
	}
	return false
}

// isImport knows the lines of GLOBAL, with which the shortest attacks begin.
func isImport(head []byte) bool {
	lines := bytes.SplitN(head[1:], []byte("\n"), 3)
	return len(lines) == 3 && isDotted(string(lines[0])) && isDotted(string(lines[1]))
}

// isDotted tells whether a text is a name of Python with dots, or may be one.
func isDotted(name string) bool {
	if name == "" || len(name) > 250 {
		return false
	}
	for _, c := range name {
		if c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c < 0x80 {
			return false
		}
	}
	return true
}

// modelNames are the endings of names with which a file claims to be a model.
var modelNames = []string{
	".safetensors", ".pt", ".pth", ".bin", ".pkl", ".pickle", ".p", ".ckpt", ".pt2", ".ptl", ".mar", ".joblib", ".dill", ".dat", ".data", ".npy", ".npz",
	".h5", ".hdf5", ".keras", ".onnx", ".pb", ".tflite", ".gguf", ".ggml", ".msgpack", ".model", ".nemo", ".pdparams", ".pdopt", ".pdmodel",
	".mlmodel", ".engine", ".params", ".weights", ".th", ".t7", ".distcp", ".metadata", ".ot", ".llamafile", ".pte",
	".rds", ".rda", ".rdata", ".cbm", ".dnn", ".cmf", ".rknn", ".trt", ".plan", ".mlpackage",
}

func claimsModel(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	for _, m := range modelNames {
		if ext == m {
			return true
		}
	}
	return false
}
