package cases

import (
	"archive/zip"
	"bytes"
	"strconv"
	"strings"
)

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// otherFiles: what is found under the name of a weights file and is none.
func otherFiles() []Case {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0123456789abcdef", 4) + "\nsize 4265146304\n"
	good := string(file(oneF32, 4))
	archive := zipOf("model.safetensors", good)
	return []Case{
		refuse("header-too-large", "other-git-lfs-pointer", []byte(pointer), "a Git LFS pointer instead of the file"),
		refuse("header-too-large", "other-html", []byte("<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"), "a sign-in page instead of the file"),
		refuse("header-too-large", "other-json-error", []byte(`{"error":"Repository not found"}`), "an error message instead of the file"),
		refuse("header-too-large", "other-index", []byte(`{"metadata":{"total_size":4},"weight_map":{"a":"model-00001-of-00001.safetensors"}}`), "the index of a sharded model"),
		refuse("header-too-large", "other-header-without-length", []byte(oneF32+"\x00\x00\x00\x00"), "the 8 bytes of the length are missing"),
		refuse("header-length", "other-gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00"), "gzip; its first 8 bytes are a length within the limit"),
		refuse("header-too-large", "other-gzip-with-time", []byte("\x1f\x8b\x08\x00\x3d\x8e\x21\x66\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00"), "gzip with a time"),
		refuse("header-too-large", "other-zip", archive, "a zip archive, as a PyTorch checkpoint is"),
		refuse("header-too-large", "other-pickle", []byte("\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."), "a pickle, as an old PyTorch checkpoint is"),
		refuse("header-too-large", "other-gguf", []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "a GGUF file"),
		refuse("header-too-large", "other-numpy", []byte("\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n\x00\x00\x00\x00"), "a NumPy array"),
		refuse("header-too-large", "other-hdf5", []byte("\x89HDF\r\n\x1a\n\x00\x00\x00\x00\x00\x08\x08\x00"), "an HDF5 file, as Keras weights are"),
		refuse("header-too-large", "other-onnx", []byte("\x08\x07\x12\x07pytorch:\x00"), "Protocol Buffers; its first 8 bytes are no length of this file"),
		refuse("header-too-large", "other-zstandard", []byte("\x28\xb5\x2f\xfd\x04\x00\x11\x00\x00{}\x99\x98\x6d\xe5"), "Zstandard"),
		refuse("header-too-large", "other-elf", []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "a program"),
		refuse("json", "other-zeros", make([]byte, 64), "a file that was allocated and never written"),
		refuse("header-too-large", "other-ones", bytes.Repeat([]byte{0xff}, 64), "erased flash memory"),
		refuse("header-too-large", "other-text", []byte("Access denied. Please log in.\n"), "a line of text"),
		refuse("header-too-large", "other-byte-order-mark", []byte("\ufeff"+good), "a byte order mark in front of a good file"),
		refuse("header-length", "other-line-ends", []byte("\r\n"+good), "two bytes in front of a good file; what is read as a length is within the limit"),
		refuse("file-size", "other-zip-behind", append([]byte(good), archive...), "a zip archive behind the last tensor: a file of two formats"),
		refuse("offset", "other-zip-in-a-hole", zipInHole(), "the end of a zip archive in a hole between two tensors"),
	}
}

// zipOf is an archive of one stored file with no time in it.
func zipOf(name, content string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// zipInHole is two tensors with the 22 bytes of an empty archive between them.
func zipInHole() []byte {
	header := object(entry("a", "F32", "[1]", "[0,4]"), entry("b", "F32", "[1]", "[26,30]"))
	end := "PK\x05\x06" + strings.Repeat("\x00", 18)
	return framedWith(header, "\x00\x00\x00\x00"+end+"\x00\x00\x00\x00")
}
