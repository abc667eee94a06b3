#!/usr/bin/env python3
"""Containers and faults no current torch writes, byte by byte.

Run: python make_hand.py              with a current torch: writes hand/
     /usr/bin/python3 make_hand.py --check-old   loads them again with torch 1.13

What torch can load is loaded and its answer is the expectation. Malformed files are loaded in a
forked child to note what torch says. The evil_* files hold inert bytes and are never loaded.
"""
import io, json, os, struct, sys, tarfile, zlib

import torch

import expect
from common_cases import seq, small, to_bytes

# --- a pickle assembler ---------------------------------------------------------------------


class G:  # a global
    def __init__(self, module, name):
        self.module, self.name = module, name


class R:  # a call
    def __init__(self, f, *args):
        self.f, self.args = f, args


class Pid:
    def __init__(self, *v):
        self.v = v


class Raw:
    def __init__(self, b):
        self.b = b


def enc(v):
    """Protocol 2; bytes become Python 2 strings (SHORT_BINSTRING)."""
    if isinstance(v, Raw):
        return v.b
    if isinstance(v, G):
        return b"c%s\n%s\n" % (v.module.encode(), v.name.encode())
    if isinstance(v, R):
        return enc(v.f) + enc(tuple(v.args)) + b"R"
    if isinstance(v, Pid):
        return enc(v.v[0] if len(v.v) == 1 else tuple(v.v)) + b"Q"
    if v is None:
        return b"N"
    if isinstance(v, bool):
        return b"\x88" if v else b"\x89"
    if isinstance(v, bytes):
        return b"U" + bytes([len(v)]) + v
    if isinstance(v, str):
        b = v.encode()
        return b"X" + struct.pack("<I", len(b)) + b
    if isinstance(v, int):
        if 0 <= v < 256:
            return b"K" + bytes([v])
        if -2**31 <= v < 2**31:
            return b"J" + struct.pack("<i", v)
        b = v.to_bytes(v.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(b)]) + b
    if isinstance(v, tuple):
        return b"(" + b"".join(map(enc, v)) + b"t"
    if isinstance(v, list):
        return b"](" + b"".join(map(enc, v)) + b"e"
    if isinstance(v, dict):
        return b"}(" + b"".join(enc(k) + enc(x) for k, x in v.items()) + b"u"
    raise TypeError(type(v))


def pkl(v):
    return b"\x80\x02" + enc(v) + b"."


F32 = G("torch", "FloatStorage")
EVIL = Raw(b"cos\nsystem\n(X\x04\x00\x00\x00truetR")  # os.system("true"), never run


def t2(key, numel, size, stride, offset=0, cls=F32, view=()):
    """view: (None,) in a legacy stream, whose ids carry view metadata."""
    return R(G("torch._utils", "_rebuild_tensor_v2"), Pid("storage", cls, key, "cpu", numel, *view),
             offset, tuple(size), tuple(stride), False, R(G("collections", "OrderedDict")))


def raw(t):
    return expect.tensor_bytes(t)


# --- a zip writer that can be wrong on purpose ----------------------------------------------


def make_zip(records, deflate=(), zip64=False, bad_crc=False):
    out, central = b"", b""
    for name, data in records:
        n = name.encode()
        method = 8 if name in deflate else 0
        body = data
        if method:
            c = zlib.compressobj(9, zlib.DEFLATED, -15)
            body = c.compress(data) + c.flush()
        crc = zlib.crc32(data) ^ (0xFF if bad_crc else 0)
        off = len(out)
        if zip64:
            lex = struct.pack("<HHQQ", 1, 16, len(data), len(body))
            cex = struct.pack("<HHQQQ", 1, 24, len(data), len(body), off)
            sizes, coff = (0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF
        else:
            lex = cex = b""
            sizes, coff = (len(body), len(data)), off
        out += struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45 if zip64 else 20, 0x800, method, 0, 0x21, crc,
                           *sizes, len(n), len(lex)) + n + lex + body
        central += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 45, 45 if zip64 else 20, 0x800, method, 0, 0x21,
                               crc, *sizes, len(n), len(cex), 0, 0, 0, 0, coff) + n + cex
    start, count = len(out), len(records)
    out += central
    if zip64:
        rec = len(out)
        out += struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(central), start)
        out += struct.pack("<4sIQI", b"PK\x06\x07", 0, rec, 1)
        out += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    else:
        out += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(central), start, 0)
    return out


A = seq(4, 3, start=1)
B = seq(5, dtype=torch.float16)
HALF = G("torch", "HalfStorage")
OBJ = {"a": t2("0", 12, (4, 3), (3, 1)), "b": t2("1", 5, (5,), (1,), cls=HALF)}
LEGACY = {"a": t2("0", 12, (4, 3), (3, 1), view=(None,)), "b": t2("1", 5, (5,), (1,), cls=HALF, view=(None,))}
GOOD = {"a": A, "b": B}


def records(obj=OBJ, top="archive", data=None, extra=()):
    data = {"0": raw(A), "1": raw(B)} if data is None else data
    return ([(top + "/data.pkl", pkl(obj))] + [(top + "/data/" + k, v) for k, v in data.items()]
            + [(top + "/version", b"3\n")] + list(extra))


def legacy(obj, storages, little=True, tail=b"", sysinfo=None):
    """storages: (key, element count written, raw bytes), in the order of the keys pickle."""
    info = sysinfo or {"protocol_version": 1001, "little_endian": little,
                       "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + pkl(1001) + pkl(info)
    out += pkl(obj) + pkl([k for k, _, _ in storages])
    for _, n, b in storages:
        out += struct.pack("<q", n) + b
    return out + tail


def tar(members):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w:", format=tarfile.PAX_FORMAT) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return b.getvalue()


def tar_members(obj):
    f64 = seq(6, dtype=torch.float64)
    st = pkl(2)
    st += pkl((100, b"cpu", F32)) + struct.pack("<q", 12) + raw(A)
    st += pkl((200, b"cpu", G("torch", "DoubleStorage"))) + struct.pack("<q", 6) + raw(f64)
    st += pkl([(300, 100, 3, 6)])  # a view of storage 100: elements 3 to 9

    def tensor(key, storage, cls, sizes, strides, offset):
        return (pkl((key, storage, G("torch", cls))) + struct.pack("<ii", len(sizes), 0)
                + struct.pack("<%dq" % (2 * len(sizes) + 1), *sizes, *strides, offset))
    te = pkl(4) + tensor(1, 100, "FloatTensor", (4, 3), (3, 1), 0) + tensor(2, 200, "DoubleTensor", (2, 2), (1, 2), 1)
    te += tensor(3, 300, "FloatTensor", (2, 3), (3, 1), 0) + tensor(4, 100, "FloatTensor", (3, 4), (1, 3), 0)
    info = {b"protocol_version": 1000, b"little_endian": True, b"type_sizes": {b"short": 2, b"int": 4, b"long": 8}}
    return [("sys_info", pkl(info)), ("pickle", pkl(obj)), ("tensors", te), ("storages", st)]


TAR_OBJ = {b"weight": Pid(b"1"), b"double": Pid(b"2"), b"view": Pid(b"3"), b"transposed": Pid(b"4"), b"again": Pid(b"1")}


def good(s):
    """(name, container, bytes, note)"""
    swapped = {"0": b"".join(raw(A)[i:i + 4][::-1] for i in range(0, 48, 4)),
               "1": b"".join(raw(B)[i:i + 2][::-1] for i in range(0, 10, 2)),
               "2": b"".join(raw(C)[i:i + 4][::-1] for i in range(0, len(raw(C)), 4))}
    big = dict(OBJ, c=t2("2", 3, (3,), (1,), cls=G("torch", "ComplexFloatStorage")))
    one = {"w": t2("0", 12, (4, 3), (3, 1))}
    bool_obj = {"m": t2("0", 4, (4,), (1,), cls=G("torch", "BoolStorage"))}
    u = G("torch.storage", "UntypedStorage")

    def t3(dtype, size, stride, offset=0):
        return R(G("torch._utils", "_rebuild_tensor_v3"), Pid("storage", u, "0", "cpu", 48), offset, size, stride,
                 False, R(G("collections", "OrderedDict")), G("torch", dtype), {})
    py2 = {}
    for name, key, numel, view, size, stride, off in (
            (b"root", b"94000", 12, None, (4, 3), (3, 1), 0), (b"view", b"94000", 12, (b"94100", 3, 6), (2, 3), (3, 1), 0)):
        py2[name] = R(G("torch._utils", "_rebuild_tensor"), Pid(b"storage", F32, key, b"cpu", numel, view), off, size, stride)
    info2 = {b"protocol_version": 1001, b"little_endian": True, b"type_sizes": {b"short": 2, b"int": 4, b"long": 4}}
    both = [("0", 12, raw(A)), ("1", 5, raw(B))]
    yield "tar_old.pt", "torch-tar", tar(tar_members(TAR_OBJ)), "container of torch 0.1.x, with a storage view and strides"
    yield "legacy_py2_views.pt", "torch-legacy", legacy(py2, [(b"94000", 12, raw(A))], sysinfo=info2), "Python 2 strings, _rebuild_tensor with 4 arguments, view metadata"
    yield "legacy_big_endian_flag.pt", "torch-legacy", legacy(LEGACY, both, little=False), "little_endian False: torch ignores the flag, elements are little-endian"
    yield "legacy_keys_order.pt", "torch-legacy", legacy(LEGACY, both[::-1]), "keys not sorted: the keys pickle decides"
    yield "zip_plain.pt", "torch-zip", make_zip(records()), "sizes in local headers, no descriptor, no alignment"
    yield "zip_big_endian.pt", "torch-zip", make_zip(records(big, data=swapped, extra=[("archive/byteorder", b"big")])), "byteorder big, elements swapped (complex by component)"
    yield "zip_deflated.pt", "torch-zip", make_zip(records(), deflate={n for n, _ in records()}), "every record deflated"
    yield "zip_deflated_storage.pt", "torch-zip", make_zip(records(), deflate={"archive/data/0"}), ""
    yield "zip_zip64.pt", "torch-zip", make_zip(records(), zip64=True), "zip64 sizes and offsets in every entry"
    yield "zip_uppercase.pt", "torch-zip", make_zip([(n.upper() if n.endswith(".pkl") else n, d) for n, d in records(top="ARCHIVE")]), "ARCHIVE/DATA.PKL"
    yield "zip_mixed_top.pt", "torch-zip", make_zip(records(top="My Model-v1.0 ü")), "another top folder"
    yield "zip_bad_crc.pt", "torch-zip", make_zip(records(), bad_crc=True), "torch does not check CRCs"
    yield "zip_records_reversed.pt", "torch-zip", make_zip(records()[::-1]), "data.pkl last"
    yield "zip_bool_values.pt", "torch-zip", make_zip(records(bool_obj, data={"0": bytes([0, 1, 2, 255])})), "bool bytes other than 0 and 1: expected are the stored bytes, torch.clone would make them 1"
    yield "zip_dtype_views.pt", "torch-zip", make_zip(records(
        {"f32": t3("float32", (4, 3), (3, 1)), "i32": t3("int32", (12,), (1,)), "u16": t3("uint16", (3,), (2,), 5),
         "u8": t3("uint8", (48,), (1,))}, data={"0": raw(A)})), "one untyped storage under four dtypes (numel counts bytes, offsets elements)"
    yield "zip_junk_record.pt", "torch-zip", make_zip(records(one, extra=[("archive/.data/x", b"hi")])), "a storage and a record nobody refers to"
    yield "zip_protocol1_text.pt", "torch-zip", make_zip([("a/data.pkl", b"(dp0\nVw\np1\n" + enc(t2("0", 12, (4, 3), (3, 1))) + b"s."), ("a/data/0", raw(A)), ("a/version", b"3\n")]), "no PROTO, text opcodes"


C = torch.tensor([1 + 2j, 3 - 4j, 0.5j], dtype=torch.complex64)


def pt2(s):
    sd = to_bytes({"fc.weight": A, "fc.bias": seq(4)})
    consts, inputs = to_bytes({"c0": B}), to_bytes(((seq(2, 3),), {}))
    schema = json.dumps({"graph_module": {"graph": {"inputs": [], "outputs": [], "nodes": [], "tensor_values": {}}}, "opset_version": {"aten": 10},
                         "range_constraints": {}, "schema_version": {"major": 8, "minor": 1}}).encode()
    old = [("serialized_exported_program.json", schema), ("serialized_state_dict.pt", sd), ("serialized_constants.pt", consts),
           ("serialized_example_inputs.pt", inputs), ("version", b"8.1")]
    mid = [("archive_format", b"pt2"), ("archive_version", b"0"), ("models/model.json", schema), ("data/weights/model.pt", sd),
           ("data/constants/model.pt", consts), ("data/sample_inputs/model.pt", inputs), ("byteorder", b"little"), ("version", b"6\n"),
           (".data/serialization_id", b"0" * 40)]
    want = {"fc.weight": A, "fc.bias": seq(4), "constants/c0": B}
    put(s, "export_old.pt2", make_zip(old))
    s.expect("export_old.pt2", "pt2", want, note="layout of torch 2.1-2.6: no top folder; state_dict and constants; not loadable (the graph is empty)")
    put(s, "export_mid.pt2", make_zip([("package/" + n, d) for n, d in mid]))
    s.expect("export_mid.pt2", "pt2", want, note="layout of torch 2.7-2.8; state_dict and constants; not loadable (the graph is empty)")


def malformed():
    """(name, container, bytes, error, note); error words are listed in README.md."""
    z = make_zip(records())

    def one(**kw):
        a = dict(key="0", numel=12, size=(4, 3), stride=(3, 1))
        a.update(kw)
        return make_zip(records({"a": t2(**a)}, data={"0": raw(A)}))
    yield "bad_truncated_zip.pt", "torch-zip", z[:len(z) * 2 // 3], "truncated", "no central directory"
    yield "bad_missing_record.pt", "torch-zip", make_zip(records(data={"1": raw(B)})), "missing", "data/0 is not there"
    yield "bad_storage_short.pt", "torch-zip", make_zip(records(data={"0": raw(A)[:20], "1": raw(B)})), "bounds", "record of 20 bytes, 48 announced"
    yield "bad_offset_beyond.pt", "torch-zip", one(offset=1), "bounds", "last element is outside the storage"
    yield "bad_offset_negative.pt", "torch-zip", one(offset=-1), "bounds", ""
    yield "bad_stride_beyond.pt", "torch-zip", one(stride=(4, 1)), "bounds", ""
    yield "bad_stride_negative.pt", "torch-zip", one(stride=(-3, 1), offset=9), "stride", ""
    yield "bad_size_negative.pt", "torch-zip", one(size=(-4, 3)), "shape", ""
    yield "bad_rank.pt", "torch-zip", one(stride=(1,)), "shape", "2 sizes, 1 stride"
    yield "bad_giant_stride0.pt", "torch-zip", one(size=(2**25, 2**25), stride=(0, 0)), "too-large", "48 bytes that claim 2^50 elements"
    yield "bad_shape_overflow.pt", "torch-zip", one(size=(2**62, 4), stride=(0, 0)), "too-large", ""
    yield "bad_stride_overflow.pt", "torch-zip", one(size=(2, 2), stride=(2**62, 2**62)), "bounds", ""
    yield "bad_key_traversal.pt", "torch-zip", one(key="../data.pkl"), "key", "the storage key names another record"
    yield "bad_duplicate_pkl.pt", "torch-zip", make_zip(records() + [("archive/data.pkl", pkl({"x": 1}))]), "duplicate", "two data.pkl that differ; torch reads the last"
    yield "bad_case_clash.pt", "torch-zip", make_zip(records() + [("archive/DATA.PKL", pkl({"x": 1}))]), "duplicate", "data.pkl and DATA.PKL differ"
    yield "bad_two_folders.pt", "torch-zip", make_zip(records() + [("other/data.pkl", pkl({"x": 1}))]), "duplicate", "two top folders"
    yield "bad_pickle_cut.pt", "torch-zip", make_zip([("archive/data.pkl", pkl(OBJ)[:-20]), ("archive/data/0", raw(A)), ("archive/data/1", raw(B)), ("archive/version", b"3\n")]), "truncated", "pickle ends before STOP"
    lg = legacy(LEGACY, [("0", 12, raw(A)), ("1", 5, raw(B))])
    yield "bad_legacy_truncated.pt", "torch-legacy", lg[:-7], "truncated", "last storage is short"
    yield "bad_legacy_numel.pt", "torch-legacy", legacy(LEGACY, [("0", 11, raw(A)), ("1", 5, raw(B))]), "bounds", "count in the stream differs from the id"
    yield "bad_legacy_negative.pt", "torch-legacy", legacy(LEGACY, [("0", -12, raw(A)), ("1", 5, raw(B))]), "bounds", ""
    yield "bad_legacy_huge.pt", "torch-legacy", legacy({"a": t2("0", 2**60, (4, 3), (3, 1), view=(None,))}, [("0", 2**60, raw(A))]), "truncated", "2^60 elements announced"
    yield "bad_legacy_missing_key.pt", "torch-legacy", legacy(LEGACY, [("0", 12, raw(A))]), "missing", "storage 1 is not in the keys"
    yield "bad_tar_no_storages.pt", "torch-tar", tar(tar_members(TAR_OBJ)[:3]), "missing", ""
    yield "bad_7z.pt", "", b"7z\xbc\xaf\x27\x1c" + bytes(26), "unknown", "torch never reads 7z"
    yield "bad_html.pt", "", b"<!DOCTYPE html><html><body>404</body></html>\n", "unknown", ""
    yield "bad_lfs_pointer.pt", "", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n", "unknown", "Git-LFS pointer"


def evil():
    """(name, container, bytes, tensors still there, note). Never loaded here."""
    e = dict(OBJ, hook=EVIL)
    lg = [("0", 12, raw(A)), ("1", 5, raw(B))]
    yield "evil_zip.pt", "torch-zip", make_zip(records(e)), GOOD, "os.system in data.pkl"
    yield "evil_zip_case.pt", "torch-zip", make_zip(records() + [("archive/DATA.PKL", pkl(e))]), {}, "the harmless spelling hides the other"
    yield "evil_zip_stack_global.pt", "torch-zip", make_zip([("archive/data.pkl", b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."), ("archive/version", b"3\n")]), {}, "STACK_GLOBAL, no tensors"
    yield "evil_zip_inst.pt", "torch-zip", make_zip([("archive/data.pkl", b"(S'true'\nios\nsystem\n."), ("archive/version", b"3\n")]), {}, "INST"
    yield "evil_legacy_object.pt", "torch-legacy", legacy(dict(LEGACY, hook=EVIL), lg), GOOD, "os.system in the object pickle"
    good_ = legacy(LEGACY, lg)
    magic = good_[:15]
    yield "evil_legacy_second.pt", "torch-legacy", magic + b"\x80\x02" + enc(EVIL) + b"0" + enc(1001) + b"." + good_[15 + len(pkl(1001)):], GOOD, "os.system in the second pickle, which still gives 1001"
    yield "evil_legacy_tail.pt", "torch-legacy", good_ + pkl(EVIL), GOOD, "a further pickle behind the last storage"
    yield "evil_bare.pkl", "pickle", pkl(EVIL), {}, ""
    yield "evil_tar.pt", "torch-tar", tar(tar_members({b"weight": Pid(b"1"), b"x": EVIL})), {"weight": A}, "os.system in the member `pickle`"
    yield "evil_tensor_arg.pt", "torch-zip", make_zip(records({"a": R(G("torch._tensor", "_rebuild_from_type_v2"), G("os", "system"), G("torch", "Tensor"), ("true",), {})})), {}, "trusted helper handed os.system"


def put(s, name, data):
    with open(s.path(name), "wb") as f:
        f.write(data)


def torch_says(s, name):
    """First line of torch's answer, from a child that may crash."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            s.load(name)
            msg = "loads"
        except BaseException as e:
            msg = type(e).__name__ + ": " + str(e).split("\n")[0].replace(expect.HERE, ".")[:120]
        os.write(w, msg.encode())
        os._exit(0)
    os.close(w)
    data = b""
    while chunk := os.read(r, 4096):
        data += chunk
    os.close(r)
    _, status = os.waitpid(pid, 0)
    return data.decode() or "crash, status %d" % status


def check_old():
    s = expect.Suite("check", "hand")
    for name, _, _, _ in good(s):
        if not os.path.exists(s.path(name) + ".expected.json"):
            continue
        want = json.load(open(s.path(name) + ".expected.json"))
        try:
            got = expect.flatten(s.load(name))
            got = [expect.entry(k, got[k]) for k in sorted(got)]
            print("same" if got == want["tensors"] else "DIFFERENT", name)
        except Exception as e:
            print("refused", name, type(e).__name__, str(e).split("\n")[0][:100])


def main():
    s = expect.Suite("make_hand.py", "hand")
    for name, container, data, note in good(s):
        put(s, name, data)
        try:
            s.expect(name, container, note=note)
        except Exception as e:
            os.remove(s.path(name))
            print("NOT LOADED", name, type(e).__name__, str(e)[:200])
    pt2(s)
    for name, container, data, error, note in malformed():
        put(s, name, data)
        s.refuse(name, container, error, note, torch_says=torch_says(s, name))
    for name, container, data, tensors, note in evil():
        put(s, name, data)
        s.write(name, container, "", {"root": "", "left_out": [], "alias": [], "refused": [], "error": "dangerous",
                                      "tensors": [expect.entry(k, tensors[k]) for k in sorted(tensors)]}, note)
    s.close()


if "--check-old" in sys.argv:
    check_old()
else:
    main()
