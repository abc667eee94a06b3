"""Bytes of pickles and of the containers they travel in, by hand.

Every payload is os.system("true") or a mere name, and nothing here is ever
loaded: see inert.py for how a pickle is shown to reach its payload.
"""

import binascii
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

STOP = b"."


def g(module, name):
    """GLOBAL"""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def u(text):
    """SHORT_BINUNICODE, protocol 4"""
    raw = text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def x(text):
    """BINUNICODE, protocol 1"""
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def sg(module, name):
    """STACK_GLOBAL"""
    return u(module) + u(name) + b"\x93"


def binbytes(raw):
    return b"B" + struct.pack("<I", len(raw)) + raw


def frame(body):
    return b"\x95" + struct.pack("<Q", len(body)) + body


def p2(body):
    return b"\x80\x02" + body + STOP


def p3(body):
    return b"\x80\x03" + body + STOP


def p4(body):
    return b"\x80\x04" + frame(body + STOP)


def p4raw(body):
    """Protocol 4 without frames, which is as good to every loader."""
    return b"\x80\x04" + body + STOP


ARG = u("true") + b"\x85"
ARG2 = x("true") + b"\x85"
SYSTEM = sg("os", "system") + ARG + b"R"  # protocol 4
SYSTEM2 = g("posix", "system") + ARG2 + b"R"  # protocol 2
EVIL0 = b"cos\nsystem\n(S'true'\ntR."
EVIL2 = p2(SYSTEM2)
EVIL4 = p4(SYSTEM)
EMPTY = p2(b"}q\x00")
PLAIN = p2(b"}q\x00(" + x("a") + b"K\x01" + x("b") + b"]q\x01(K\x02K\x03eu")


def tensor(key="0", numel=4, size=None, stride=None, offset=0, count=None, cls=("torch", "FloatStorage")):
    """What rebuilds a tensor whose storage is the record data/KEY; protocol 2."""
    size = (numel,) if size is None else size
    stride = (1,) * len(size) if stride is None else stride
    pid = b"(" + x("storage") + g(*cls) + x(key) + x("cpu") + integer(numel if count is None else count) + b"t"
    return (
        g("torch._utils", "_rebuild_tensor_v2") + b"((" + x("storage") + g(*cls) + x(key) + x("cpu")
        + integer(numel if count is None else count) + b"tQ" + integer(offset) + shape(size) + shape(stride)
        + b"\x89" + g("collections", "OrderedDict") + b")RtR"
    )


def integer(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if -(2**31) <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    raw = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def shape(dims):
    return b"(" + b"".join(integer(n) for n in dims) + b"t"


def state_dict(*entries, extra=b""):
    """A pickled dict of tensors, and extra behind them as "extra"."""
    body = b"}q\x00("
    for name, code in entries or [("w", tensor())]:
        body += x(name) + code
    if extra:
        body += x("extra") + extra
    return p2(body + b"u")


def zipped(*records, method=zipfile.ZIP_STORED, comment=b""):
    """A zip of (name, bytes), written as Python writes it, with one date."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, raw in records:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, raw)
        z.comment = comment
    return out.getvalue()


DATA = struct.pack("<4f", 1, 2, 3, 4)


def torch_zip(pickled=None, *more, top="archive", **options):
    pickled = state_dict() if pickled is None else pickled
    records = [(top + "/data.pkl", pickled), (top + "/byteorder", b"little"), (top + "/data/0", DATA), (top + "/version", b"3\n")]
    return zipped(*records, *[(top + "/" + n, d) for n, d in more], **options)


MAGIC = p2(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
PROTOCOL = p2(b"M\xe9\x03")
SYS_INFO = p2(b"}q\x00(" + x("protocol_version") + b"M\xe9\x03" + x("little_endian") + b"\x88" + x("type_sizes")
              + b"}q\x01(" + x("short") + b"K\x02" + x("int") + b"K\x04" + x("long") + b"K\x04uu")


def legacy_tensor(key="0", numel=4):
    return (
        g("torch._utils", "_rebuild_tensor_v2") + b"((" + x("storage") + g("torch", "FloatStorage") + x(key) + x("cpu")
        + integer(numel) + b"NtQK\x00" + shape((numel,)) + shape((1,)) + b"\x89" + g("collections", "OrderedDict") + b")RtR"
    )


def legacy(magic=MAGIC, protocol=PROTOCOL, info=SYS_INFO, obj=None, keys=None, data=None):
    obj = p2(b"}q\x00" + x("w") + legacy_tensor() + b"s") if obj is None else obj
    keys = p2(b"]q\x00" + x("0") + b"a") if keys is None else keys
    data = struct.pack("<q", 4) + DATA if data is None else data
    return magic + protocol + info + obj + keys + data


def tarred(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, raw in members:
            info = tarfile.TarInfo(name)
            if isinstance(raw, str):  # a link
                info.type, info.linkname = tarfile.SYMTYPE, raw
                t.addfile(info)
                continue
            info.size = len(raw)
            t.addfile(info, io.BytesIO(raw))
    return out.getvalue()


def torch_tar(pickled=None, tensors=None, storages=None, info=SYS_INFO):
    """The container of torch 0.1: one storage, one tensor."""
    if storages is None:
        storages = p2(b"K\x01") + p2(b"(K\x07" + x("cpu") + g("torch", "FloatStorage") + b"t") + struct.pack("<q", 4) + DATA + p2(b"]")
    if tensors is None:
        tensors = p2(b"K\x01") + p2(b"(K\x08K\x07" + g("torch", "FloatTensor") + b"t") + struct.pack("<iiqqq", 1, 0, 4, 1, 0)
    if pickled is None:
        pickled = p2(b"}q\x00" + x("w") + b"P8\ns").replace(b"P8\n", x("8") + b"Q")
    return tarred(("sys_info", info), ("pickle", pickled), ("tensors", tensors), ("storages", storages))


def npy(pickled=None, descr="'|O'", dims="(1,)", raw=b""):
    head = "{'descr': %s, 'fortran_order': False, 'shape': %s, }" % (descr, dims)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + (raw if pickled is None else pickled)


def object_array(element):
    """An object array of one element, as ndarray pickles it; protocol 3."""
    return p3(
        g("numpy.core.multiarray", "_reconstruct") + g("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R(K\x01K\x01\x85"
        + g("numpy", "dtype") + x("O8") + b"\x89\x88\x87R(K\x03" + x("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89](" + element + b"etb"
    )


def joblib(before=b"", after=b""):
    """A list of an array whose bytes lie in the stream, and what is around it."""
    head = b"\x80\x04]" + before + (
        sg("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}(" + u("subclass") + sg("numpy", "ndarray") + u("shape") + b"K\x02\x85"
        + u("order") + u("C") + u("dtype") + sg("numpy", "dtype") + u("f8") + b"\x89\x88\x87R(K\x03" + u("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + u("allow_mmap") + b"\x88" + u("numpy_array_alignment_bytes") + b"K\x10ub"
    )
    pad = 16 - (len(head) + 1) % 16
    return head + bytes([pad]) + b"\xff" * pad + struct.pack("<2d", 1, 2) + b"a" + after + STOP


def zstd(raw):
    """One raw block."""
    if len(raw) < 256:
        head = b"\x20" + bytes([len(raw)])
    else:
        head = b"\x60" + struct.pack("<H", len(raw) - 256)
    return b"\x28\xb5\x2f\xfd" + head + struct.pack("<I", 1 | len(raw) << 3)[:3] + raw


def lz4(raw):
    """One stored block; 0x82 is the checksum of this descriptor."""
    return b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(raw) | 1 << 31) + raw + bytes(4)


def seven(name, raw):
    """A 7z of one member, stored."""
    def number(n):  # up to 14 bits
        return bytes([n]) if n < 128 else bytes([0x80 | n >> 8, n & 255])
    names = b"\x00" + (name + "\0").encode("utf-16-le")
    head = (
        b"\x01\x04\x06\x00\x01\x09" + number(len(raw)) + b"\x00\x07\x0b\x01\x00\x01\x01\x00\x0c" + number(len(raw)) + b"\x00"
        + b"\x08\x0a\x01" + struct.pack("<I", zlib.crc32(raw)) + b"\x00\x00\x05\x01\x11" + number(len(names)) + names + b"\x00\x00"
    )
    start = struct.pack("<QQI", len(raw), len(head), zlib.crc32(head))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + raw + head


def gz(raw):
    return gzip.compress(raw, mtime=0)


WRAPPERS = {"gz": gz, "bz2": bz2.compress, "xz": lzma.compress, "lzma": lambda raw: lzma.compress(raw, lzma.FORMAT_ALONE),
            "zlib": zlib.compress, "zst": zstd, "lz4": lz4}


def directory_entry(raw, n):
    """Where the n-th entry of the central directory begins."""
    at = -1
    for _ in range(n + 1):
        at = raw.index(b"PK\x01\x02", at + 1)
    return at


def patch(raw, at, new):
    return raw[:at] + new + raw[at + len(new):]


def safetensors(header, data=b"", pad=True):
    raw = header if isinstance(header, bytes) else header.encode()
    if pad:
        raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + data


def hexed(raw):
    return binascii.hexlify(raw).decode()


def message(*fields):
    """A message of protocol buffers, of (number, bytes or int)."""
    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])
    return b"".join(varint(k << 3) + varint(v) if isinstance(v, int) else varint(k << 3 | 2) + varint(len(v)) + v for k, v in fields)
