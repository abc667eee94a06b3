"""Makes pickles and containers at random, scans them with the command, and has real loaders read them: what runs is never clean?

    python scan_mutations.py TENSMITH [COUNT [SEED]]

A third of the files are written by a grammar of opcodes, a third are those and a third are cases of scan/testdata,
changed: bytes, opcodes, lengths, keys of the memo, fields of zips, two files in one. They are read by both of Python's
unpicklers, and by torch, NumPy and joblib where they are there, in child processes without a right to memory or time,
and nothing acts: a name that is not known to be harmless becomes a class that only records that it is called.

A file is wrong if it is clean and a loader calls a dangerous name, or looks up one that is not allowed. One that calls
a dangerous name and is an error or suspicious is listed, but for the reasons of EXCUSED: of those one in a hundred may
be. The files of a seed are the same on every run. It ends with 1 if a file is wrong, if too many are listed, or if too
few of them run anything to show much.
"""

import argparse
import collections
import io
import json
import os
import pickle
import pickletools
import random
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "scan", "testdata"))
warnings.simplefilter("ignore")

import asm

DANGEROUS = [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "eval"), ("subprocess", "Popen"), ("commands", "getoutput"), ("pathlib", "os.system"),
             ("builtins", "eval.__call__"), ("builtins", "getattr"), ("numpy", "load"), ("torch", "load"), ("functools", "partial"), ("importlib", "import_module"), ("runpy", "run_path"),
             ("__main__", "__builtins__"), ("collections", "OrderedDict.__init__.__globals__"), ("pickle", "loads"), ("operator", "attrgetter"), ("copyreg", "add_extension"), ("io", "open")]
HARMLESS = {("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "list"), ("builtins", "set"), ("builtins", "dict"), ("builtins", "int"), ("builtins", "bytearray"),
            ("builtins", "tuple"), ("builtins", "object"), ("_codecs", "encode"), ("copyreg", "_reconstructor"), ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy.core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"), ("torch", "float32"), ("torch", "Size"), ("torch", "FloatStorage"),
            ("torch", "Tensor"), ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"), ("torch._tensor", "_rebuild_from_type_v2"), ("torch.jit._pickle", "build_intlist"),
            ("joblib.numpy_pickle", "NumpyArrayWrapper"), ("torch.storage", "_load_from_bytes"), ("torch.serialization", "_get_layout")}
NAMES = sorted(HARMLESS) + [("__builtin__", "set"), ("copy_reg", "_reconstructor"), ("calendar", "Calendar")]
RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}

# Why a file that runs something may be no more than suspicious or an error: it is a text or binary that no loader
# would be given and that breaks off, or compressed as nothing here unpacks.
EXCUSED = {"ST403", "ST405"}


class Writer:
    """Opcodes of random values, each in one of the ways that there are."""

    def __init__(self, r, torch=False):
        self.r, self.torch, self.memo, self.left = r, torch, {}, 100
        self.style = r.choice(["text", "two", "four", "any", "any"])
        self.noise = r.choice([0, 0.03, 0.1, 0.3])
        self.memoise = r.choice([0, 0.3, 0.9])

    def text(self, t):
        raw, r = t.encode(), self.r
        kind = r.choice({"text": "SV", "two": "X", "four": "u", "any": "SVXTUu8"}[self.style])
        if kind == "S":
            line = "".join("\\x%02x" % ord(c) if r.random() < 0.1 or c in "\\'\n" else c for c in t)
            return b"S'" + line.encode() + b"'" + r.choice([b"", b"", b"", b" "]) + b"\n"
        if kind == "V":
            return b"V" + "".join("\\u%04x" % ord(c) if r.random() < 0.1 or c in "\\\n" else c for c in t).encode() + b"\n"
        if kind in "Uu" and len(raw) < 256:
            return {"U": b"U", "u": b"\x8c"}[kind] + bytes([len(raw)]) + raw
        if kind == "8":
            return b"\x8d" + struct.pack("<Q", len(raw)) + raw
        return {"T": b"T"}.get(kind, b"X") + struct.pack("<I", len(raw)) + raw

    def number(self, n):
        if self.style == "text" or self.style == "any" and self.r.random() < 0.3:
            return self.r.choice([b"I%d\n", b"L%dL\n", b"I %d\n" if self.noise else b"I%d\n"]) % n
        return asm.integer(n)

    def put(self, what=None):
        r, key = self.r, len(self.memo) if self.r.random() < 0.9 else self.r.randrange(9)
        if self.style in ("four", "any") and key == len(self.memo) and r.random() < 0.6:
            op = b"\x94"
        elif self.style == "text":
            op = b"p%d\n" % key
        else:
            op = r.choice([b"q" + bytes([key & 255]), b"r" + struct.pack("<I", key)]) if key < 256 else b"r" + struct.pack("<I", key)
        self.memo[key] = what
        return op

    def get(self, key):
        if self.style == "text" or key > 255:
            return b"g%d\n" % key
        return self.r.choice([b"h" + bytes([key]), b"j" + struct.pack("<I", key)])

    def kept(self, what, code):
        """What is in the memo already, or the code of it, which may go there."""
        there = [key for key, v in self.memo.items() if v == what]
        if there and self.r.random() < 0.7:
            return self.get(self.r.choice(there))
        return code() + (self.put(what) if self.r.random() < self.memoise else b"")

    def word(self, t):
        return self.kept(t, lambda: self.text(t))

    def name(self, module, name):
        def code():
            if self.style in ("text", "two") or self.style == "any" and self.r.random() < 0.3:
                return asm.g(module, name)
            return self.word(module) + self.idle() + self.word(name) + self.idle() + b"\x93"
        return self.kept((module, name), code)

    def idle(self):
        """Opcodes that come to nothing."""
        r = self.r
        if r.random() >= self.noise:
            return b""
        return r.choice([lambda: self.atom() + b"0", lambda: b"(" + self.atom() + b"1", lambda: b"(0", lambda: b"\x80" + bytes([r.randrange(6)]), lambda: self.atom() + self.put() + b"0",
                         lambda: self.atom() + b"200", lambda: b"\x95" + struct.pack("<Q", r.choice([0, 1, 5, 60])), lambda: self.name(*r.choice(NAMES)) + b"0", lambda: b"(" + self.value(1) + b"t0"])()

    def tuple(self, *parts):
        if len(parts) in (1, 2, 3) and self.style != "text":
            return b"".join(parts) + bytes([0x84 + len(parts)])
        return b"(" + b"".join(parts) + b"t"

    def list(self, *parts):
        return self.r.choice([b"(" + b"".join(parts) + b"l", b"]" + b"".join(p + b"a" for p in parts), b"](" + b"".join(parts) + b"e"])

    def dict(self, *pairs):
        return self.r.choice([b"(" + b"".join(k + v for k, v in pairs) + b"d", b"}" + b"".join(k + v + b"s" for k, v in pairs), b"}(" + b"".join(k + v for k, v in pairs) + b"u"])

    def call(self, fn, *args):
        return fn + self.idle() + self.tuple(*args) + self.idle() + b"R"

    def bytes(self, raw):
        if self.style in ("text", "two"):
            return self.call(self.name("_codecs", "encode"), asm.x(raw.decode("latin-1")), self.text("latin1"))
        return self.r.choice([b"B" + struct.pack("<I", len(raw)), b"\x8e" + struct.pack("<Q", len(raw)), b"\x96" + struct.pack("<Q", len(raw))]) + raw

    def atom(self):
        r = self.r
        return r.choice([lambda: self.number(r.choice([0, 1, 7, 255, 256, -1, 70000, 2**40])), lambda: b"N", lambda: b"I01\n", lambda: b"F1.5\n",
                         lambda: self.word(r.choice(["a", "weight", "os", "system", "builtins", "eval", "collections", "OrderedDict", "torch", ""])), lambda: self.bytes(r.randbytes(r.randrange(20)))])()

    def dtype(self, code):
        state = self.tuple(self.number(3), self.text("|" if code[0] == "O" else "<"), b"N", b"N", b"N", self.number(-1), self.number(-1), self.number(0x3F if code[0] == "O" else 0))
        return self.call(self.name("numpy", "dtype"), self.text(code), b"I00\n", b"I01\n") + state + b"b"

    def tensor(self):
        storage = self.tuple(self.text("storage"), self.name("torch", "FloatStorage"), self.word("0"), self.word("cpu"), self.number(4), *[b"N"] * (self.torch == "legacy")) + b"Q"
        return self.call(self.name("torch._utils", "_rebuild_tensor_v2"), storage, self.number(0), self.tuple(self.number(2)), self.tuple(self.number(1)), b"I00\n",
                         self.call(self.name("collections", "OrderedDict")))

    def value(self, depth):
        r, inner = self.r, lambda: self.value(depth - 1)
        self.left -= 1
        if depth <= 0 or self.left < 0:
            return self.atom()
        n = range(r.randrange(4))
        array = lambda dtype, data: self.call(self.name("numpy.core.multiarray", "_reconstruct"), self.name("numpy", "ndarray"), self.tuple(self.number(0)), self.bytes(b"b")) + self.tuple(
            self.number(1), self.tuple(self.number(1)), self.dtype(dtype), b"I00\n", data) + b"b"
        code = r.choice([
            self.atom, lambda: self.list(*[inner() for _ in n]), lambda: self.tuple(*[inner() for _ in n]), lambda: self.dict(*[(self.word(r.choice("abc")), inner()) for _ in n]),
            lambda: self.call(self.name("collections", "OrderedDict")) + b"(" + b"".join(self.word("k%d" % i) + inner() for i in n) + b"u",
            lambda: self.call(self.name("__builtin__", "set"), self.list(*[self.atom() for _ in n])), lambda: self.call(self.name("collections", "defaultdict"), self.name("builtins", "list")),
            lambda: array("f8", self.bytes(bytes(8))), lambda: array("O8", self.list(inner())), lambda: self.name(*r.choice(NAMES)),
            lambda: self.call(self.name("torch.storage", "_load_from_bytes"), self.bytes(asm.legacy())), self.tensor if self.torch else self.atom,
        ])()
        return code + (self.put() if r.random() < self.memoise else b"") + self.idle()

    def payload(self):
        r = self.r
        fn, arg = r.choice(DANGEROUS), self.text("true")
        name = lambda: self.name(*fn)
        return r.choice([
            lambda: self.call(name(), arg), lambda: self.call(name(), arg), lambda: b"(" + arg + b"i" + fn[0].encode() + b"\n" + fn[1].encode() + b"\n", lambda: b"(" + name() + arg + b"o",
            lambda: name() + self.tuple(arg) + b"\x81", name, lambda: self.call(self.name("torch._tensor", "_rebuild_from_type_v2"), name(), self.name("torch", "Tensor"), self.tuple(arg), b"N"),
            lambda: self.call(self.name("torch.storage", "_load_from_bytes"), self.bytes(asm.legacy(obj=asm.EVIL2))), lambda: b"(" + name() + arg + b"o0" + self.atom(),
            lambda: self.call(self.name("copyreg", "add_extension"), self.text(fn[0]), self.text(fn[1]), self.number(200)) + b"0\x82\xc8" + self.tuple(arg) + b"R",
        ])()


def pickled(r, torch=False):
    w = Writer(r, torch)
    body = w.value(r.randrange(1, 5))
    if r.random() < 0.75:
        bad = w.payload()
        body = r.choice([bad + b"0" + body, body + bad + b"0", w.list(body, bad), b"(" + bad + b"1" + body, w.dict((w.text("x"), body), (w.text("y"), bad))])
    head = {"text": b"", "two": b"\x80\x02", "four": b"\x80\x04", "any": r.choice([b"", b"\x80\x02", b"\x80\x04", b"\x80\x05"])}[w.style]
    if head > b"\x80\x03" and r.random() < 0.5:
        return head + b"\x95" + struct.pack("<Q", max(0, len(body) + 1 + r.choice([0, 0, 0, -3, 7]))) + body + b"."
    return head + body + b"."


def container(r):
    """A file, and the ending of its name."""
    kind = r.randrange(12)
    if kind < 4:
        return pickled(r), r.choice([".pkl", ".pt", ".bin", ""])
    if kind < 6:
        return changed_zip(r, asm.torch_zip(pickled(r, True))) if r.random() < 0.5 else asm.torch_zip(pickled(r, True)), r.choice([".pt", ".bin", ""])
    if kind < 8:
        return asm.legacy(**{r.choice(["obj", "obj", "magic", "protocol", "info", "keys"]): pickled(r, "legacy")}), ".pt"
    if kind == 8:
        raw = asm.npy(pickled(r), r.choice(["'|O'", "'O'", "'object'", "'f8,O'", "('O', (2,))", "[('a', '|O')]", "[('a', ('O', (1,)))]", "[(('t', 'a'), 'O')]", "'2O'"]))
        return (raw, ".npy") if r.random() < 0.5 else (changed_zip(r, asm.zipped(("a.npy", raw))), ".npz")
    if kind == 9:
        return asm.joblib(*r.choice([(Writer(r).payload() + b"a", b""), (b"", Writer(r).payload() + b"a")])), ".joblib"
    if kind == 10:
        return asm.WRAPPERS[r.choice(["gz", "bz2", "xz", "zlib"])](pickled(r)), ".joblib"
    return pickled(r) + pickled(r), ".pkl"


def changed_zip(r, raw):
    """The fields that readers of zip disagree about."""
    raw = bytearray(raw)
    central, local = raw.find(b"PK\x01\x02"), raw.find(b"PK\x03\x04")
    if central < 0 or local < 0 or len(raw) < central + 68:
        return bytes(raw)
    kind = r.randrange(9)
    if kind == 0:
        struct.pack_into("<H", raw, central + 8, r.choice([1, 0x20, 8, 0x800, 0x2000]))
    elif kind == 1:
        struct.pack_into("<I", raw, central + r.choice([16, 20, 24]), r.choice([0, 4, 100]))
    elif kind == 2:
        struct.pack_into("<H", raw, central + r.choice([28, 30, 32]), r.choice([0, 1, 60, 112]))
    elif kind == 3:
        raw[local + 30] ^= 0x20
    elif kind == 4:
        raw[central + 46] ^= 0x20
    elif kind == 5:
        raw[:0] = r.choice([b"\0" * 4, b"#!/bin/sh\n", asm.PLAIN])
    elif kind == 6:
        raw += r.choice([b"\0", asm.PLAIN])
    elif kind == 7:
        struct.pack_into("<I", raw, raw.rfind(b"PK\x05\x06") + r.choice([12, 16]), r.randrange(len(raw)))
    else:
        struct.pack_into("<H", raw, local + r.choice([6, 8, 26, 28]), r.choice([0, 1, 8, 60]))
    return bytes(raw)


OPS = [c for c in b"().012BCFGIJKMNQRSTUVX]abcdeghijloqrstu}\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8c\x8e\x90\x92\x93\x94\x95"]


def changed(r, raw, pool):
    """Bytes, opcodes, or the two files that one becomes."""
    kind = r.randrange(10)
    if raw[:4] == b"PK\x03\x04" and kind < 4:
        return changed_zip(r, raw)
    if kind < 5:
        try:
            starts = [at for _, _, at in pickletools.genops(raw)]
        except Exception:
            starts = []
        if len(starts) > 3:
            parts = [raw[a:b] for a, b in zip(starts, starts[1:] + [len(raw)])]
            for _ in range(r.choice([1, 1, 2, 4])):
                i, j = r.randrange(len(parts)), r.randrange(len(parts))
                change = r.randrange(6)
                if change == 0:
                    del parts[i]
                elif change == 1:
                    parts[i], parts[j] = parts[j], parts[i]
                elif change == 2:
                    parts.insert(i, bytes([r.choice(OPS)]))
                elif change == 3:
                    parts.insert(i, b"h" + bytes([r.randrange(8)]))
                elif change == 4 and len(parts[i]) > 1:
                    parts[i] = parts[i][:1] + bytes([(parts[i][1] + r.choice([1, -1, 2])) & 255]) + parts[i][2:]
                else:
                    parts.insert(i, parts[j])
                if len(parts) < 2:
                    break
            return b"".join(parts)
    if kind < 8 and raw:
        out = bytearray(raw)
        for _ in range(r.choice([1, 1, 2, 4])):
            at = r.randrange(max(len(out), 1))
            change = r.randrange(4)
            if change == 0:
                out[at:at + 1] = bytes([r.choice(OPS)])
            elif change == 1:
                out[at:at] = bytes([r.randrange(256)])
            elif change == 2:
                del out[at:at + r.choice([1, 2, 9])]
            else:
                out[at:at + 1] = bytes([r.randrange(256)])
        return bytes(out)
    other = r.choice(pool)
    if kind == 8:
        return raw[:r.randrange(len(raw) + 1)] + other[r.randrange(len(other) + 1):]
    return raw[:r.randrange(len(raw) + 1)]


def files(seed, count):
    with tarfile.open(os.path.join(ROOT, "scan", "testdata", "cases.tar.gz")) as archive:
        cases = [(os.path.splitext(m.name)[1], archive.extractfile(m).read()) for m in archive if m.isfile() and 0 < m.size < 4000 and m.name[0] in "ABCDEF"]
    pool = [raw for _, raw in cases]
    for i in range(count):
        r = random.Random("%d.%d" % (seed, i))  # so that a number is a file of its own
        raw, end = r.choice(cases)[::-1] if i % 3 == 2 else container(r)
        for _ in range(r.choice([1, 1, 2]) if i % 3 else 0):
            raw = changed(r, raw, pool)
        yield "%05d%s" % (i, end), raw


def loaders():
    """The readers that are there, with names taken from them that could act."""
    seen, called = [], []

    class Recorder(type):
        def __setattr__(cls, key, value):
            called.append(cls.path)

    def find(own, machine, module, name):
        path = (module, name)
        seen.append(path)
        if (RENAMED.get(module, module), name) in HARMLESS:
            try:
                return own(machine, module, name)
            except Exception:  # a library that is not there
                pass

        def make(cls, *args, **kwargs):
            called.append(path)
            return object.__new__(cls)
        nothing = lambda self, *args, **kwargs: None
        methods = {"__new__": make, "__call__": nothing, "__init__": nothing, "__setstate__": nothing, "append": nothing, "extend": nothing, "__setitem__": nothing, "path": path}
        return Recorder("Inert", (object,), methods)

    import _pickle
    fast, slow = _pickle.Unpickler.find_class, pickle._Unpickler.find_class

    class Unpickler(_pickle.Unpickler):
        def find_class(self, module, name):
            return find(fast, self, module, name)

    def load(f, **options):
        return Unpickler(f, **options).load()
    pickle._Unpickler.find_class = lambda self, module, name: find(slow, self, module, name)
    pickle.Unpickler, pickle.load, pickle.loads = Unpickler, load, lambda raw, **options: load(io.BytesIO(raw), **options)
    readers = {"pickle": lambda p: load(open(p, "rb")), "pickle.py": lambda p: pickle._load(open(p, "rb"))}
    try:
        import numpy

        def arrays(path):
            found = numpy.load(path, allow_pickle=True)
            for key in getattr(found, "files", ()):
                found[key]
        readers["numpy"] = arrays
    except ImportError:
        pass
    try:
        import joblib
        readers["joblib"] = joblib.load
    except ImportError:
        pass
    try:
        import torch
        options = {} if torch.__version__.startswith("1.") else {"weights_only": False}
        readers["torch"] = lambda p: torch.load(p, map_location="cpu", **options)
    except ImportError:
        pass
    return readers, seen, called


def refuse(event, args):
    """Nothing acts, even by a way that the recorder does not see."""
    if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "ctypes.dlopen", "os.remove", "os.rename"):
        os._exit(7)


def run(paths):
    """For each path what the loaders looked up and called."""
    readers, seen, called = loaders()
    found = {path: (set(), set()) for path in paths}
    jobs = [(path, reader) for path in paths for reader in readers]
    while jobs:
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(r)
            quiet = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(quiet, fd)
            size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30),) * 2)
            sys.addaudithook(refuse)
            for i, (path, reader) in enumerate(jobs[:400]):
                del seen[:], called[:]
                signal.alarm(10)
                try:
                    readers[reader](path)
                except BaseException:  # broken after it ran is as good
                    pass
                os.write(w, (json.dumps([i, path, sorted(set(map(tuple, seen)))[:40], sorted(set(map(tuple, called)))[:40]]) + "\n").encode())
            os._exit(0)
        os.close(w)
        done = 0
        with os.fdopen(r, encoding="utf-8") as lines:
            for line in lines:
                i, path, names, calls = json.loads(line)
                found[path][0].update(map(tuple, names))
                found[path][1].update(map(tuple, calls))
                done = i + 1
        os.waitpid(pid, 0)
        jobs = jobs[done if done == len(jobs[:400]) else done + 1:]  # one that ends the process is passed over
    return found, sorted(readers)


def named(path):
    """Whether a name can be one: what was changed into none is never there."""
    return all(part.isidentifier() and part.isascii() for part in ".".join(path).split("."))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, raw in files(args.seed, args.count):
            paths.append(os.path.join(folder, name))
            with open(paths[-1], "wb") as f:
                f.write(raw)
        done = subprocess.run([os.path.abspath(args.program), "scan", "--json", folder], capture_output=True, text=True)
        reports = {os.path.join(folder, os.path.basename(f["path"])): f for f in json.loads(done.stdout)["files"]}
        os.chdir(folder)
        found, readers = run(paths)
    counts, wrong, weak, ran = collections.Counter(), [], [], 0
    for path in paths:
        report, (names, calls) = reports[path], found[path]
        verdict, ids = report["verdict"], {f["id"] for f in report["findings"]}
        acts = [c for c in calls if c in DANGEROUS]
        strange = [n for n in names if (RENAMED.get(n[0], n[0]), n[1]) not in HARMLESS and named(n)]
        what = "runs" if acts else "looks up" if strange else "loads or fails"
        ran += bool(acts)
        counts[what, verdict] += 1
        line = "%s: %s, %s %s, found %s" % (os.path.basename(path), verdict, what, (acts or strange)[:2], sorted(ids))
        # pickle.py takes the last line without its end for a name, and ends there: a text that does that is a text.
        if verdict == "clean" and (acts or strange and report["format"] != "text"):
            wrong.append(line)
        elif acts and verdict != "dangerous" and not ids & EXCUSED:
            weak.append(line)
    for (what, verdict), n in sorted(counts.items()):
        print("%6d  %-15s %s" % (n, what, verdict))
    print("".join(line + "\n" for line in wrong + weak), end="")
    print("%d files of seed %d by %s: %d run something, %d wrong, %d not dangerous" % (len(paths), args.seed, ", ".join(readers), ran, len(wrong), len(weak)))
    if ran < args.count // 15:
        print("too few run anything: the loaders or the grammar are broken")
    sys.exit(1 if wrong or len(weak) > ran // 100 or ran < args.count // 15 else 0)


if __name__ == "__main__":
    main()
