#!/usr/bin/env python3
"""The opcodes of all pickles of the suite, by pickletools.genops: python make_traces.py (any Python since 3.8, with lz4, zstandard)

Writes traces.json: of each file or directory of cases.json how many pickles and opcodes there are, and the SHA-256 of
their trace. Left out are those that pickletools or zipfile do not read: joblib's, whose arrays stand between
opcodes, and hand-made faults.
"""
import bz2, gzip, hashlib, io, json, lzma, os, pickletools, struct, tarfile, zipfile, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def operand(op, arg):
    if arg is None:
        return "-"
    if isinstance(arg, int):  # True and False among them
        return "%x" % arg
    if isinstance(arg, float):
        return "f" + struct.pack(">d", arg).hex()
    if isinstance(arg, str):
        arg = arg.encode("latin1") if "STRING" in op else arg.encode("utf-8", "surrogatepass")
    return "s" + bytes(arg).hex()


def unzstd(data):
    import zstandard
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


def unlz4(data):
    import lz4.frame
    return lz4.frame.decompress(data)


UNWRAP = {"gzip": gzip.decompress, "bz2": bz2.decompress, "xz": lzma.decompress, "lzma": lzma.decompress, "zstd": unzstd, "lz4": unlz4,
          "zlib": lambda d: zlib.decompress(d[21:].lstrip(b" ") if d[:2] == b"ZF" else d)}


class Trace:
    def __init__(self):
        self.pickles, self.opcodes, self.sum = 0, 0, hashlib.sha256()

    def one(self, name, data, off=0):
        """Traces the pickle at off, and returns where it ends."""
        f = io.BytesIO(data)
        f.seek(off)
        self.sum.update(("%s@%d\n" % (name, off)).encode())
        for op, arg, pos in pickletools.genops(f):
            self.sum.update(("%d %s %s\n" % (pos, op.name, operand(op.name, arg))).encode())
            self.opcodes += 1
        self.pickles += 1
        return f.tell()

    def content(self, name, data):
        if data[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(data)) as z:
                for member in sorted(z.infolist(), key=lambda m: m.filename):
                    if member.filename.lower().endswith(".pkl"):
                        self.one(name + "!" + member.filename, z.read(member))
        elif data.startswith(MAGIC):
            off = 0
            for _ in range(5):
                off = self.one(name, data, off)
        elif data[257:262] == b"ustar":
            with tarfile.open(fileobj=io.BytesIO(data)) as t:
                for member in ("pickle", "sys_info"):
                    self.one(name + "!" + member, t.extractfile(member).read())
        elif data[:1] == b"\x80" or os.path.basename(name) == ".metadata":
            self.one(name, data)


def main():
    with open(os.path.join(HERE, "cases.json")) as f:
        cases = json.load(f)
    traces, skipped = {}, []
    for c in cases:
        path, t = os.path.join(HERE, c["file"]), Trace()
        try:
            if os.path.isdir(path):
                for folder, below, files in os.walk(path):
                    below.sort()
                    for file in sorted(files):
                        if file.endswith((".expected.json", ".distcp")):
                            continue
                        full = os.path.join(folder, file)
                        with open(full, "rb") as f:
                            t.content(os.path.relpath(full, path).replace(os.sep, "/"), f.read())
            else:
                with open(path, "rb") as f:
                    data = f.read()
                t.content("", UNWRAP[c["wrap"]](data) if c["wrap"] else data)
        except Exception as e:
            skipped.append("%s: %s" % (c["file"], str(e)[:60]))
            continue
        if t.pickles:
            traces[c["file"]] = [t.pickles, t.opcodes, t.sum.hexdigest()]
    with open(os.path.join(HERE, "traces.json"), "w") as f:
        f.write("{\n" + ",\n".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in sorted(traces.items())) + "\n}\n")
    print(len(traces), "files,", len(skipped), "skipped:", *skipped, sep="\n")


if __name__ == "__main__":
    main()
