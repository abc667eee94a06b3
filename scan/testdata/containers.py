"""D, F, G: what lies around a pickle, and what costs time or memory."""

import base64
import struct
import zipfile
import zlib

from asm import *
from calls import case


def nested():
    """D: a pickle where no reader of the first one looks."""
    def bad(name, technique, data, finds="name", fires=True):
        return case("D/" + name, technique, "dangerous", finds, data, fires)

    yield bad("second.pkl", "a second pickle behind STOP", PLAIN + EVIL2)
    yield bad("tenth.pkl", "the tenth of ten pickles", PLAIN * 9 + EVIL4)
    yield bad("behind-junk.pkl", "junk, then a pickle", PLAIN + b"\x00\xff\x00\xff" * 5 + EVIL4, fires=False)
    yield bad("behind-zeros.pkl", "a page of zeros, then a pickle", PLAIN + bytes(4096) + EVIL4, fires=False)
    yield bad("loads-bytes.pkl", "pickle.loads of bytes", p4(sg("pickle", "loads") + binbytes(EVIL4) + b"\x85R"))
    yield bad("loads-py2.pkl", "cPickle.loads of a string", p2(g("cPickle", "loads") + b"U" + bytes([len(EVIL2)]) + EVIL2 + b"\x85R"))
    yield bad("load-from-bytes.pkl", "torch.storage._load_from_bytes of a legacy file", p3(
        g("torch.storage", "_load_from_bytes") + binbytes(legacy(obj=EVIL2)) + b"\x85R"))
    yield bad("load-from-bytes-zip.pkl", "torch.storage._load_from_bytes of a zip", p3(
        g("torch.storage", "_load_from_bytes") + binbytes(torch_zip(EVIL2)) + b"\x85R"))
    yield bad("load-from-latin1.pkl", "the same as text of protocol 2, through _codecs.encode", p2(
        g("torch.storage", "_load_from_bytes") + g("_codecs", "encode") + x(legacy(obj=EVIL2).decode("latin1")) + x("latin1") + b"\x86R\x85R"))
    yield bad("load-from-load.pkl", "_load_from_bytes within _load_from_bytes", p3(
        g("torch.storage", "_load_from_bytes") + binbytes(p3(g("torch.storage", "_load_from_bytes") + binbytes(EVIL2) + b"\x85R")) + b"\x85R"))
    yield bad("b64-loads.pkl", "pickle.loads of base64", p4(
        sg("pickle", "loads") + sg("base64", "b64decode") + b"X" + struct.pack("<I", len(base64.b64encode(EVIL4))) + base64.b64encode(EVIL4) + b"\x85R\x85R"))
    yield bad("bytes-in-dict.pkl", "a pickle as bytes in plain data, which nothing here loads", p4raw(b"}" + u("state") + binbytes(EVIL4) + b"s"), fires=False)
    yield bad("bytes-in-bytes.pkl", "a pickle in a pickle in plain data, each as bytes", p4raw(b"}" + u("a") + binbytes(p4(u("b") + binbytes(EVIL4) + b"\x86")) + b"s"), fires=False)
    yield case("D/plain-in-bytes.pkl", "a harmless pickle as bytes in plain data", "suspicious", "inside", p4raw(b"}" + u("state") + binbytes(p4(b"]" + u("some text") + b"a")) + b"s"), False)
    yield bad("text-b64.pkl", "a pickle as base64 in plain data, which nothing here loads",
              p2(b"}" + x("state") + x(base64.b64encode(PLAIN + EVIL4).decode()) + b"s"), fires=False)
    yield bad("text-hex.pkl", "a pickle in hexadecimal in plain data, which nothing here loads",
              p2(b"}" + x("state") + x(hexed(PLAIN + EVIL4)) + b"s"), fires=False)
    yield bad("legacy-object.pt", "legacy: the object", legacy(obj=EVIL2))
    yield bad("legacy-sys-info.pt", "legacy: the third pickle", legacy(info=EVIL2))
    yield bad("legacy-protocol.pt", "legacy: the second pickle", legacy(protocol=EVIL2))
    yield bad("legacy-keys.pt", "legacy: the list of keys", legacy(keys=p2(b"]" + SYSTEM2 + b"a")))
    yield bad("legacy-magic-eval.pt", "legacy: the magic number comes from eval", legacy(magic=p2(g("__builtin__", "eval") + x("0x1950a86a20f9469cfc6c") + b"\x85R")))
    yield bad("legacy-tail.pt", "legacy: a pickle behind the last storage", legacy() + EVIL2, fires=False)
    yield bad("legacy-protocol0.pt", "legacy: text opcodes", b"L119547037146038801333356L\n." + b"I1001\n." + b"(d." + EVIL0 + b"(l.")
    yield bad("legacy-module.pt", "legacy: a module's id that is os.system", legacy(obj=p2(
        b"(" + x("module") + g("os", "system") + x("f.py") + x("x = 1") + b"tQ")))
    yield bad("zip-data.pt", "torch zip: data.pkl", torch_zip(EVIL2))
    yield bad("zip-protocol4.pt", "torch zip: data.pkl of protocol 4", torch_zip(EVIL4))
    yield bad("zip-inst.pt", "torch zip: data.pkl of protocol 0", torch_zip(b"(S'true'\nios\nsystem\n."))
    yield bad("zip-constants.pt", "torch zip: constants.pkl", torch_zip(None, ("constants.pkl", EVIL2)))
    yield bad("zip-storage.pt", "torch zip: a storage that is a pickle", zipped(("a/data.pkl", state_dict(("w", tensor(numel=len(EVIL2), cls=("torch", "ByteStorage"))))), ("a/data/0", EVIL2), ("a/version", b"3\n")), fires=False)
    yield bad("zip-extra.pt", "torch zip: a record that nothing names", torch_zip(None, ("extra/x", EVIL2)), fires=False)
    yield bad("zip-txt.zip", "zip: a member called .txt", zipped(("readme.txt", EVIL4)))
    yield bad("zip-deep.zip", "zip in zip in zip", zipped(("a.zip", zipped(("b.zip", zipped(("c.pkl", EVIL4)))))))
    yield bad("zip-gz.zip", "gzip in zip", zipped(("a.bin", gz(EVIL4))))
    yield bad("tar-object.pt", "tar of torch 0.1: pickle", torch_tar(pickled=EVIL2))
    yield bad("tar-storages.pt", "tar of torch 0.1: storages", torch_tar(storages=EVIL2))
    yield bad("tar-tensors.pt", "tar of torch 0.1: tensors", torch_tar(tensors=p2(b"K\x01") + EVIL2))
    yield bad("tar-info.pt", "tar of torch 0.1: sys_info", torch_tar(info=EVIL2), fires=False)
    def keras(settings):
        return zipped(("metadata.json", b'{"keras_version": "3.10.0"}'), ("config.json", settings), ("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(88)))
    yield bad("keras-module.keras", "Keras: a layer of the module os (CVE-2025-1550)", keras(b'{"module": "keras", "class_name": "Sequential", "config": {"layers": [{"class_name": "system", "module": "os", "config": {}}]}}'), "keras")
    yield bad("keras-fn-module.keras", "Keras: a function of subprocess (CVE-2025-1550)", keras(b'{"class_name": "Functional", "config": {"layers": [{"class_name": "Dense", "config": {"fn_module": "subprocess"}}]}}'), "keras")
    yield bad("keras-get-file.keras", "Keras: get_file (CVE-2025-8747)", keras(b'{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "module": "keras.utils", "config": {"fn": "get_file", "url": "https://example.com/x"}}]}}'), "keras")
    yield bad("keras-unsafe.keras", "Keras: enable_unsafe_deserialization (CVE-2025-9906)", keras(b'{"class_name": "Model", "config": {"loader": "keras.config.enable_unsafe_deserialization"}}'), "keras")
    yield bad("keras-torch.keras", "Keras: a layer that unpickles (CVE-2025-49655)", keras(b'{"class_name": "Functional", "config": {"layers": [{"class_name": "TorchModuleWrapper", "config": {}}]}}'), "keras")
    yield case("D/plain.keras", "Keras: layers of its own", "not dangerous", "", keras(b'{"module": "keras", "class_name": "Sequential", "config": {"layers": [{"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}, "registered_name": null}]}, "registered_name": "Sequential"}'), False)
    yield bad("nemo-target.nemo", "NeMo: a _target_ that is called (CVE-2025-23304)", tarred(("model_config.yaml", b"model:\n  layers:\n  - _target_: os.popen\n    cmd: 'true'\n"), ("model_weights.ckpt", torch_zip())), "target")
    yield case("D/plain-target.nemo", "NeMo: a _target_ of its own", "not dangerous", "", tarred(("model_config.yaml", b"model:\n  _target_: nemo.collections.asr.models.EncDecCTCModel\n"), ("model_weights.ckpt", torch_zip())), False)
    yield bad("nemo.nemo", "tar.gz with weights", gz(tarred(("model_config.yaml", b"a: 1\n"), ("model_weights.ckpt", torch_zip(EVIL2)))))
    yield case("D/tar-link.pt", "tar of torch 0.1: a link out of it", "not clean", "archive", tarred(("sys_info", SYS_INFO), ("pickle", EMPTY), ("tensors", p2(b"K\x00")), ("storages", "/etc/passwd")), False)
    yield bad("object.npy", "npy of objects", npy(EVIL4))
    yield bad("object-element.npy", "npy of objects: one of the elements", npy(object_array(SYSTEM2)))
    yield bad("object.npz", "npz with one array of objects", zipped(("a.npy", npy(None, "'<f4'", "(4,)", DATA)), ("b.npy", npy(EVIL4))))
    yield case("D/header-code.npy", "npy: a call in the header, which NumPy does not evaluate", "not clean", "", npy(None, "__import__('os').system('true')", "(1,)", DATA[:4]), False)
    yield bad("joblib-tail.joblib", "joblib: behind an array's bytes", joblib(after=SYSTEM + b"a"))
    yield bad("joblib-before.joblib", "joblib: before an array's bytes", joblib(before=SYSTEM + b"a"))
    yield bad("joblib-second.joblib", "joblib: behind STOP", joblib() + EVIL4)
    for name, wrap in WRAPPERS.items():
        yield bad("wrapped.pkl." + name, "compressed: " + name, wrap(EVIL4))
        yield bad("wrapped-joblib.joblib." + name, "joblib, compressed: " + name, wrap(joblib(after=SYSTEM + b"a")), fires=name != "zst")
    yield bad("wrapped-twice.gz", "gzip in gzip", gz(gz(EVIL4)))
    yield bad("wrapped-second.gz", "the second member of a gzip", gz(PLAIN) + gz(EVIL4), fires=True)
    yield case("D/wrapped-tail.pkl.gz", "behind the gzip, where gzip refuses it", "not clean", "", gz(PLAIN) + EVIL4, False)
    yield bad("seven.7z", "7z", seven("data.pkl", EVIL4), fires=False)
    yield bad("dcp", "DCP: .metadata", {".metadata": EVIL4, "__0_0.distcp": torch_zip()})
    yield bad("dcp-blob", "DCP: an item of a .distcp", {".metadata": PLAIN, "__0_0.distcp": torch_zip() + EVIL4})
    yield bad("export-inputs.pt2", "pt2: sample inputs", zipped(
        ("m/archive_format", b"pt2"), ("m/archive_version", b"0"), ("m/models/model.json", b"{}"), ("m/data/weights/model.pt", torch_zip()),
        ("m/data/sample_inputs/model.pt", torch_zip(EVIL2)), ("m/byteorder", b"little"), ("m/version", b"6\n")))
    yield bad("export-custom.pt2", "pt2: a custom object", zipped(
        ("m/archive_format", b"pt2"), ("m/archive_version", b"0"), ("m/models/model.json", b"{}"),
        ("m/data/constants/custom_obj_0", torch_zip(EVIL2)), ("m/byteorder", b"little"), ("m/version", b"6\n")))
    yield bad("export-opaque.pt2", "pt2: an opaque object", zipped(
        ("m/archive_format", b"pt2"), ("m/archive_version", b"0"), ("m/models/model.json", b"{}"),
        ("m/data/constants/opaque_obj_0", EVIL4), ("m/byteorder", b"little"), ("m/version", b"6\n")))
    yield bad("export-native.pt2", "pt2: a library that the loader opens", zipped(
        ("m/archive_format", b"pt2"), ("m/archive_version", b"0"), ("m/models/model.json", b"{}"),
        ("m/data/aotinductor/model/x.so", b"\x7fELF\x02\x01\x01" + bytes(57)), ("m/data/aotinductor/model/x_compile_flags.json", b"{}"),
        ("m/byteorder", b"little"), ("m/version", b"6\n")), "native")
    script = b"class Net(Module):\n  def forward(self: __torch__.Net, x: Tensor) -> Tensor:\n    return x\n"
    io = b"class Net(Module):\n  def forward(self: __torch__.Net, x: Tensor) -> Tensor:\n    return torch.from_file(\"/etc/passwd\", False, 10)\n"
    module = p2(g("__torch__", "Net") + b")\x81}" + x("training") + b"\x88sb")
    yield case("D/script.pt", "TorchScript: code", "suspicious", "script", torch_zip(module, ("constants.pkl", p2(b")")), ("code/__torch__.py", script)), False)
    yield bad("script-file.pt", "TorchScript: code that reads a file", torch_zip(module, ("constants.pkl", p2(b")")), ("code/__torch__.py", io)), "script")
    def node(op):
        return (1, message((1, b"node"), (2, op)))
    def saved(*ops):
        return message((1, 1), (2, message((1, message((2, b"serve"))), (2, message(*[node(op) for op in ops])))))
    def layer(settings):
        return message((1, message((2, 1), (3, b"root.layer"), (4, b"_tf_keras_layer"), (5, settings))))
    def external(location):
        tensor = message((1, 4), (2, 1), (8, b"w"), (13, message((1, b"location"), (2, location))), (14, 1))
        return message((1, 8), (7, message((1, message((1, b"w"), (2, b"y"), (4, b"Identity"))), (2, b"g"), (5, tensor))), (8, message((1, b""), (2, 17))))
    yield bad("saved-model-write", "TensorFlow: a graph that writes a file", {"saved_model.pb": saved(b"Const", b"WriteFile")}, "graph")
    yield bad("keras-lambda", "Keras 2: a Lambda layer beside a SavedModel", {"saved_model.pb": saved(b"Const"), "keras_metadata.pb": layer(b'{"class_name": "Lambda", "config": {"name": "lambda"}}')}, "lambda")
    yield bad("external.onnx", "ONNX: data outside of the directory", external(b"../../../etc/passwd"), "external", False)
    yield case("D/plain-saved-model", "TensorFlow: a graph that computes", "clean", "", {"saved_model.pb": saved(b"Const", b"MatMul"), "keras_metadata.pb": layer(b'{"class_name": "Dense", "config": {"name": "dense"}}')}, False)
    yield case("D/plain-external.onnx", "ONNX: data in the directory, by a detour", "not dangerous", "", external(b"data/../weights.bin"), False)
    package = zipped(("p/.data/extern_modules", b"os\n"), ("p/.data/version", b"6\n"), ("p/net.py", b"import os\nos.system('true')\n"),
                     ("p/model/model.pkl", p2(g("net", "Net") + b")\x81")), ("p/byteorder", b"little"))
    yield case("D/package.pt", "torch.package: a program", "not clean", "", package, False)


def archives():
    """F: zips that readers see differently."""
    def bad(name, technique, data, finds="name", fires=True):
        return case("F/" + name, technique, "dangerous", finds, data, fires)

    base = torch_zip(EVIL2)
    at = directory_entry(base, 0)
    for name, flag in (("encrypted", 1), ("patch", 0x20), ("strong", 0x40), ("masked", 0x2000)):
        yield bad("flag-%s.pt" % name, "a flag in the central directory (CVE-2025-1945)", patch(base, at + 8, struct.pack("<H", flag)), fires=flag == 0x2000)
        yield bad("flag-%s-local.pt" % name, "a flag in the local header", patch(base, 6, struct.pack("<H", flag)))
    yield bad("name-local.pt", "another name in the local header (CVE-2025-1944)", base.replace(b"archive/data.pkl", b"archive/data.txt", 1))
    yield bad("name-central.pt", "another name in the central directory", patch(base, at + 46, b"archive/d4ta.pkl"), fires=False)
    yield bad("crc.pt", "a wrong CRC (CVE-2025-10156)", patch(base, at + 16, b"\x01\x02\x03\x04"))
    yield bad("size-central.pt", "a size too small in the central directory", patch(base, at + 20, struct.pack("<II", 20, 20)), fires=False, finds="archive")
    yield case("F/method.pt", "a method that nobody has", "not clean", "archive", patch(base, at + 10, struct.pack("<H", 99)), False)
    yield bad("version-needed.pt", "a version of zip to come", patch(base, at + 6, struct.pack("<H", 99)))
    for extension in ("bin", "png", "safetensors", "txt", "json", "h5", "onnx", "pt", "dat", "weights"):
        yield bad("extension-pickle." + extension, "a pickle by another name (CVE-2025-10155)", EVIL4)
    yield bad("extension-none", "a zip without an extension", base)
    yield bad("extension-zip.safetensors", "a zip by another name", base)
    yield bad("duplicate-last.pt", "two data.pkl, the last is loaded", torch_zip(None, ("data.pkl", EVIL2)))
    yield bad("duplicate-first.pt", "two data.pkl, the first is not", zipped(("a/data.pkl", EVIL2), ("a/data.pkl", EMPTY), ("a/version", b"3\n")))
    yield bad("case.pt", "DATA.PKL beside data.pkl", torch_zip(None, ("DATA.PKL", EVIL2)))
    yield bad("case-alone.pt", "DATA.PKL alone", zipped(("archive/DATA.PKL", EVIL2), ("archive/VERSION", b"3\n")))
    yield bad("folder-decoy.pt", "a second folder", zipped(("archive/data.pkl", EMPTY), ("archive/version", b"3\n"), ("other/data.pkl", EVIL2), ("other/version", b"3\n")), fires=False)
    yield bad("folder-first.pt", "a folder before the real one", zipped(("a/readme", b"x"), ("archive/data.pkl", EVIL2), ("archive/version", b"3\n")), fires=False)
    yield bad("in-front.pt", "bytes before the zip", b"#!/bin/sh\nexit\n" + base, fires=False)
    yield bad("polyglot-front.pkl", "a pickle, and a harmless zip behind it", EVIL4 + torch_zip())
    yield bad("polyglot-behind.pt", "a harmless pickle, and a zip behind it", PLAIN + base, fires=False)
    yield bad("comment.pt", "a pickle in the comment", torch_zip(comment=EVIL4), fires=False)
    yield bad("two-ends.pt", "two zips, one behind the other", torch_zip() + base, fires=True)
    yield bad("two-ends-first.pt", "two zips, the first has the payload", base + torch_zip(), fires=False)
    yield bad("deflated.pt", "data.pkl deflated", torch_zip(EVIL2, method=zipfile.ZIP_DEFLATED))
    yield case("F/bzip2.zip", "a member compressed by bzip2", "not clean", "archive", zipped(("data.pkl", EVIL4), method=zipfile.ZIP_BZIP2), True)
    yield case("F/lzma.zip", "a member compressed by LZMA, which is not opened", "not clean", "archive", zipped(("data.pkl", EVIL4), method=zipfile.ZIP_LZMA), True)
    two = zipped(("a/data.pkl", EMPTY), ("a/data/0", EVIL2), ("a/version", b"3\n"))
    second = struct.unpack("<I", two[directory_entry(two, 1) + 42:][:4])[0]
    sizes = two[directory_entry(two, 1) + 16:][:12]
    moved = patch(patch(two, directory_entry(two, 0) + 42, struct.pack("<I", second)), directory_entry(two, 0) + 16, sizes)
    yield bad("offset-moved.pt", "the directory sends data.pkl to another record", moved)
    hidden = zipped(("a/hidden.pkl", EVIL2), ("a/data.pkl", EMPTY), ("a/version", b"3\n"))
    first = directory_entry(hidden, 0)
    length = directory_entry(hidden, 1) - first
    cut = hidden[:first] + hidden[first + length:]
    end = cut.rindex(b"PK\x05\x06")
    count, size = struct.unpack("<H", cut[end + 10:end + 12])[0] - 1, struct.unpack("<I", cut[end + 12:end + 16])[0] - length
    yield bad("not-listed.pt", "a record that the directory does not list", patch(patch(cut, end + 8, struct.pack("<HH", count, count)), end + 12, struct.pack("<I", size)), fires=False)
    for name, path in (("dots", "../../evil.pkl"), ("absolute", "/etc/evil.pkl"), ("backslash", "a\\..\\evil.pkl"), ("drive", "C:/evil.pkl")):
        yield case("F/traversal-%s.zip" % name, "a name that leaves the folder", "not clean", "archive", zipped((path, PLAIN), ("a/data.pkl", EMPTY)), False)
    yield bad("traversal-evil.zip", "a name that leaves the folder, and a payload", zipped(("../../evil.pkl", EVIL4)))

    def odd(name, technique, data, finds="archive"):
        return case("F/" + name, technique, "not clean", finds, data, False)

    plain = torch_zip()
    yield odd("plain-duplicate.pt", "a record twice, with other bytes", torch_zip(None, ("data/0", DATA[::-1])))
    yield odd("plain-case.pt", "names that differ by case alone", torch_zip(None, ("Data/0", DATA[::-1])))
    yield odd("plain-flag.pt", "the encrypted flag on a harmless record", patch(plain, directory_entry(plain, 0) + 8, b"\x01\x00"))
    yield odd("plain-front.pt", "bytes before a harmless zip", b"#!/bin/sh\nexit\n" + plain)
    yield odd("plain-behind.pt", "bytes behind a harmless zip", plain + b"and more" * 20)
    yield odd("plain-cut.pt", "a zip without its end", plain[:-30], "broken")
    yield odd("plain-overlap.pt", "two records of the same bytes", patch(plain, directory_entry(plain, 3) + 42, plain[directory_entry(plain, 1) + 42:][:4]))
    yield odd("plain-link.zip", "a symbolic link as a member", link())
    yield odd("not-a-model.zip", "a member that is a program", zipped(("run.exe", b"MZ" + bytes(62) + b"PE\0\0")), "native")


def link():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo("a/data.pkl", (1980, 1, 1, 0, 0, 0))
        info.external_attr, info.create_system = 0o120777 << 16, 3
        z.writestr(info, "/etc/passwd")
    return out.getvalue()


def resources():
    """G: small files that cost much. Any verdict will do that comes in time, unless one is said."""
    def costs(name, technique, data, want="any", finds=""):
        return case("G/" + name, technique, want, finds, data, False)

    laughs = b"\x80\x02]q\x00"
    for n in range(60):
        laughs += b"]q" + bytes([n + 1]) + b"(h" + bytes([n]) + b"h" + bytes([n]) + b"e"
    yield costs("laughs.pkl", "60 lists, each holding the one before twice", laughs + STOP, "suspicious", "unfold")
    tuples = b"\x80\x02K\x01q\x00"
    for n in range(60):
        tuples += b"0h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1])
    yield costs("laughs-tuples.pkl", "the same as tuples, which hash", tuples + STOP, "suspicious", "unfold")
    yield costs("laughs-key.pkl", "the same tuple as a key", b"\x80\x02}" + tuples[2:] + b"K\x01s" + STOP, "suspicious", "unfold")
    yield costs("laughs-itself.pkl", "a list that holds itself 500 times", b"\x80\x02]q\x00" + b"h\x00a" * 500 + STOP, "suspicious", "unfold")
    yield costs("laughs-evil.pkl", "and os.system at the bottom", laughs.replace(b"\x80\x02]q\x00", b"\x80\x02]q\x00" + SYSTEM2 + b"a") + STOP, "dangerous", "name")
    yield costs("length-binbytes8.pkl", "2^62 bytes", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".", "not clean", "broken")
    yield costs("length-binunicode.pkl", "2^32-1 bytes of text", b"\x80\x02X\xff\xff\xff\xff.", "not clean", "broken")
    yield costs("length-bytearray8.pkl", "2^63 bytes", b"\x80\x05\x96" + struct.pack("<Q", 1 << 63) + b".", "not clean", "broken")
    yield costs("length-long4.pkl", "a number of 2^31-1 bytes", b"\x80\x02\x8b\xff\xff\xff\x7f.", "not clean", "broken")
    yield costs("length-frame.pkl", "a frame of 2^64-1 bytes", b"\x80\x04\x95" + b"\xff" * 8 + b"N.", "not clean", "frame")
    yield costs("memo-index.pkl", "LONG_BINPUT at 2^31", b"\x80\x02}r\xff\xff\xff\x7f.")
    yield costs("memo-text-index.pkl", "PUT at 10^18", b"(dp999999999999999999\n.")
    yield costs("deep-lists.pkl", "200,000 lists in each other", b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + STOP)
    yield costs("deep-tuples.pkl", "200,000 tuples in each other", b"\x80\x02)" + b"\x85" * 200_000 + STOP)
    yield costs("deep-evil.pkl", "200,000 tuples around os.system", b"\x80\x02" + SYSTEM2 + b"\x85" * 200_000 + STOP, "dangerous", "name")
    yield costs("marks.pkl", "300,000 marks", b"\x80\x02" + b"(" * 300_000 + b"N.", "not clean", "leftover")
    yield costs("nones.pkl", "a million values", b"\x80\x02(" + b"N" * 1_000_000 + b"t.")
    yield costs("dups.pkl", "a million copies of one list", b"\x80\x02]" + b"2" * 1_000_000 + b"0" * 1_000_000 + STOP, "any")
    yield costs("digits.pkl", "a number of 200,000 digits", b"I" + b"9" * 200_000 + b"\n.", "not clean", "number")
    yield costs("digits-long.pkl", "LONG1 and LONG4 of 60,000 bytes", b"\x80\x02\x8b" + struct.pack("<i", 60_000) + b"\x7f" * 60_000 + STOP)
    yield costs("line.pkl", "a line of a million letters", b"c" + b"a" * 1_000_000, "not clean", "broken")
    yield costs("globals.pkl", "20,000 names", p2(b"(" + b"".join(g("mycode%d" % n, "Net") for n in range(20_000)) + b"t"), "suspicious", "unknown")
    yield costs("pickles.pkl", "20,000 pickles in a row", b"N." * 20_000)
    yield costs("protos.pkl", "500,000 PROTO", b"\x80\x02" * 500_000 + b"N.", "not clean", "protocol")
    yield costs("bomb.pt", "100 MB of opcodes in 100 KB", zipped(("archive/data.pkl", b"\x80\x02" + b"]0" * 50_000_000 + b"N."), ("archive/version", b"3\n"), method=zipfile.ZIP_DEFLATED))
    yield costs("bomb-list.pt", "20 MB of opcodes that build a list", zipped(("archive/data.pkl", b"\x80\x02](" + b"N" * 20_000_000 + b"e."), ("archive/version", b"3\n"), method=zipfile.ZIP_DEFLATED))
    yield costs("bomb-evil.pt", "10 MB of opcodes, then os.system", zipped(("archive/data.pkl", b"\x80\x02" + b"]0" * 5_000_000 + SYSTEM2 + b"."), ("archive/version", b"3\n"), method=zipfile.ZIP_DEFLATED), "dangerous", "name")
    yield costs("bomb-zeros.gz", "100 MB of zeros", gz(bytes(100 << 20)), "not clean", "")
    yield costs("bomb-text.gz", "one string of 100 MB", gz(b"\x80\x02X" + struct.pack("<I", 100 << 20) + bytes(100 << 20) + b"."), "any")
    yield costs("bomb-member.zip", "100 MB of zeros in a member", zipped(("a.bin", bytes(100 << 20)), method=zipfile.ZIP_DEFLATED), "any")
    quine = EVIL4
    for n in range(40):
        quine = gz(quine)
    yield costs("wrapped-40.gz", "gzip, 40 times", quine, "not clean", "limit")
    archive = zipped(("a.pkl", EVIL4))
    for n in range(40):
        archive = zipped(("a.zip", archive))
    yield costs("wrapped-40.zip", "zip, 40 times", archive, "not clean", "limit")
    fan = zipped(("a.pkl", PLAIN))
    for n in range(5):
        fan = zipped(*[("%d.zip" % k, fan) for k in range(8)], method=zipfile.ZIP_DEFLATED)
    yield costs("fan.zip", "8 zips in each of 8 zips, five deep", fan, "any")
    yield costs("records.zip", "10,000 records", zipped(*[("%d" % n, b"") for n in range(10_000)], method=zipfile.ZIP_STORED))
    many = zipped(("a", b"x"))
    end = many.rindex(b"PK\x05\x06")
    yield costs("records-claimed.zip", "65,534 records claimed, one there", patch(many, end + 8, struct.pack("<HH", 65534, 65534)), "not clean", "")
    yield costs("rank.pt", "a tensor of rank 50,000", torch_zip(state_dict(("w", tensor(size=(1,) * 50_000)))), "not clean", "tensor")
    yield costs("stride0.pt", "2^50 elements of a storage of 16 bytes", torch_zip(state_dict(("w", tensor(size=(1 << 50,), stride=(0,))))), "any")
    yield costs("offset.pt", "an offset beyond the storage", torch_zip(state_dict(("w", tensor(offset=1 << 40)))), "not clean", "tensor")
    yield costs("offset-negative.pt", "a negative offset", torch_zip(state_dict(("w", tensor(offset=-1)))), "not clean", "tensor")
    yield costs("size-negative.pt", "a negative size", torch_zip(state_dict(("w", tensor(size=(-4,))))), "not clean", "tensor")
    yield costs("size-huge.pt", "sizes whose product overflows", torch_zip(state_dict(("w", tensor(size=(1 << 40, 1 << 40))))), "not clean", "tensor")
    yield costs("stride-negative.pt", "a negative stride", torch_zip(state_dict(("w", tensor(stride=(-1,))))), "not clean", "tensor")
    yield costs("stride-huge.pt", "a stride beyond the storage (CVE-2026-24747)", torch_zip(state_dict(("w", tensor(stride=(1 << 40,))))), "not clean", "tensor")
    yield costs("record-short.pt", "a storage that is shorter than it says", torch_zip(state_dict(("w", tensor(numel=400)))), "not clean", "tensor")
    yield costs("record-missing.pt", "a storage that is not there", torch_zip(state_dict(("w", tensor(key="7")))), "not clean", "tensor")
    yield costs("key-path.pt", "a key that is a path", torch_zip(state_dict(("w", tensor(key="../data.pkl")))), "not clean", "tensor")
    yield costs("setitem-tensor.pt", "SETITEM on a tensor", torch_zip(p2(tensor() + b"K\x00K\x01s")), "not clean", "change")
    yield costs("append-tensor.pt", "APPEND on a tensor", torch_zip(p2(tensor() + b"K\x00a")), "not clean", "change")
    yield costs("legacy-negative.pt", "legacy: a negative length", legacy(data=struct.pack("<q", -4) + DATA), "not clean", "tensor")
    yield costs("legacy-huge.pt", "legacy: a length of 2^60", legacy(data=struct.pack("<q", 1 << 60) + DATA), "not clean", "tensor")
    yield costs("legacy-key.pt", "legacy: a storage that no tensor has", legacy(keys=p2(b"](" + x("0") + x("1") + b"e")), "not clean", "")
    yield costs("legacy-cut.pt", "legacy: cut off in a storage", legacy()[:-5], "not clean", "")
    yield costs("header.npy", "npy: a header of 4 GB", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "not clean", "")
    yield costs("shape.npy", "npy: a shape of 2^60", npy(None, "'<f8'", "(%d,)" % (1 << 60), DATA), "not clean", "")
    yield costs("header.safetensors", "safetensors: a header of 2^63 bytes", struct.pack("<Q", 1 << 63) + b"{}", "not clean", "")
    yield costs("brackets.safetensors", "safetensors: a million brackets", safetensors("[" * 1_000_000), "not clean", "")


def cases():
    for part in (nested, archives, resources):
        yield from part()
