"""A, B, C, E, H: what a pickle says, and how it hides it."""

import os
import struct

from asm import *

HERE = os.path.dirname(os.path.abspath(__file__))


def case(name, technique, want, finds, data, fires=None):
    return {"name": name, "technique": technique, "want": want, "finds": finds, "fires": fires, "data": data}


def imports():
    """A: the ways from a name to a call."""
    def bad(name, technique, data, fires=None, finds="name"):
        return case("A/" + name, technique, "dangerous", finds, data, fires)

    yield bad("reduce-p0.pkl", "GLOBAL REDUCE", EVIL0)
    yield bad("reduce-p2.pkl", "GLOBAL REDUCE", EVIL2)
    yield bad("reduce-p3.pkl", "GLOBAL REDUCE", p3(SYSTEM2))
    yield bad("stack-global.pkl", "STACK_GLOBAL REDUCE", EVIL4)
    yield bad("inst.pkl", "INST", b"(S'true'\nios\nsystem\n.")
    yield bad("obj.pkl", "OBJ", b"(cos\nsystem\nS'true'\no.")
    yield bad("obj-popped.pkl", "OBJ whose result is popped", b"(cos\nsystem\nS'true'\no0}.")
    yield bad("newobj.pkl", "NEWOBJ", p2(g("subprocess", "Popen") + ARG2 + b"\x81"))
    yield bad("newobj-ex.pkl", "NEWOBJ_EX", p4(sg("subprocess", "Popen") + ARG + b"}\x92"))
    yield bad("import-only.pkl", "an import without a call", b"cos\nsystem\n0N.", True)
    yield bad("import-side-effect.pkl", "an import that acts by itself", p2(g("antigravity", "fly") + b"0}"), True)
    yield bad("slots-of-function.pkl", "BUILD sets attributes of a function, which are then reached by dotted names",
              p4raw(sg("collections", "namedtuple") + b"N}" + u("door") + sg("os", "system") + b"s\x86b0" + sg("collections", "namedtuple.door") + ARG + b"R"), True)
    yield bad("slots-plain-names.pkl", "BUILD sets attributes of a function, and no name is dangerous",
              p4raw(sg("numpy", "size") + b"N}" + u("door") + sg("numpy", "add") + b"s\x86b0" + sg("numpy", "size.door") + ARG + b"R"), True, "change")
    yield bad("numpy-builtins.pkl", "numpy.__builtins__ put into a function by BUILD, numpy's names alone",
              p4raw(sg("numpy", "size") + b"N}" + u("door") + sg("numpy", "__builtins__") + b"s\x86b0" + sg("numpy", "size.door.get") + u("eval") + b"\x85R" + u("1") + b"\x85R"), True)
    yield bad("dotted-pathlib.pkl", "a dotted name through a harmless module", p4(sg("pathlib", "os.system") + ARG + b"R"))
    yield bad("dotted-torch.pkl", "a dotted name through a module of torch", p4(sg("torch.serialization", "os.system") + ARG + b"R"))
    yield bad("dotted-module.pkl", "the module os as an attribute, then getattr", p4(sg("builtins", "getattr") + sg("torch.serialization", "os") + u("system") + b"\x86R" + ARG + b"R"))
    yield bad("dotted-global.pkl", "GLOBAL of a dotted name in protocol 4", p4raw(g("pathlib", "os.system") + ARG + b"R"))
    yield bad("dotted-allowed.pkl", "below an allowed constructor", p4(sg("collections", "OrderedDict.__init__.__globals__") + b"0}"), True)
    yield bad("dotted-rebuild.pkl", "below an allowed function of torch", p4(sg("torch._utils", "_rebuild_tensor_v2.__globals__") + b"0}"), True)
    yield bad("eval-call.pkl", "builtins eval.__call__", p4(sg("builtins", "eval.__call__") + u("1") + b"\x85R"))
    yield bad("getattr-chain.pkl", "getattr of getattr of __import__", p4(
        sg("builtins", "getattr") + sg("builtins", "__import__") + u("os") + b"\x85R" + u("system") + b"\x86R" + ARG + b"R"))
    yield bad("getattr-dunder.pkl", "getattr to __subclasses__", p4(
        sg("builtins", "getattr") + sg("builtins", "object") + u("__subclasses__") + b"\x86R)R"))
    yield bad("getattr-enum-form.pkl", "the form of an enum member, of a module's function", p4(
        sg("builtins", "getattr") + sg("mycode", "helpers") + u("run") + b"\x86R)R"))
    yield bad("computed-join.pkl", "a name put together by str.join", p4raw(
        sg("builtins", "str.join") + u("") + b"(" + u("sys") + u("tem") + b"l\x86R\x94" + u("os") + b"h\x00\x93" + ARG + b"R"), True, "computed")
    yield bad("computed-itemgetter.pkl", "a name picked from an alphabet", p4raw(
        sg("operator", "itemgetter") + b"K\x01K\x00\x86R" + u("so") + b"\x85R0" + sg("os", "getcwd") + b"0N"), True)
    yield bad("computed-encode.pkl", "a name that an allowed call makes", p4raw(
        u("os") + sg("_codecs", "encode") + u("system") + u("latin1") + b"\x86R\x93" + ARG + b"R"), True, "computed")
    yield bad("map-lazy.pkl", "a lazy map that bytes consumes", p4(
        sg("builtins", "bytes") + sg("builtins", "map") + sg("os", "system") + b"(" + u("true") + b"l\x86R\x85\x81"))
    yield bad("map-py2.pkl", "itertools.imap of Python 2", p2(g("itertools", "imap") + g("os", "system") + b"(" + x("true") + b"l\x86R"))
    yield bad("passed-defaultdict.pkl", "os.system as the factory of a defaultdict", p2(g("collections", "defaultdict") + g("os", "system") + b"\x85R"), True)
    yield bad("passed-rebuild.pkl", "os.system handed to torch._tensor._rebuild_from_type_v2", p2(
        g("torch._tensor", "_rebuild_from_type_v2") + b"(" + g("os", "system") + g("torch", "Tensor") + ARG2 + b"NtR"), True)
    yield bad("passed-unknown.pkl", "os.system handed to a class nobody knows", p2(g("mycode", "Callback") + g("os", "system") + b"\x85R"), True)
    yield bad("passed-in-list.pkl", "os.system in a list", p2(b"]" + g("os", "system") + b"a"), True)
    yield bad("passed-as-state.pkl", "os.system as the state of an OrderedDict", p2(g("collections", "OrderedDict") + b")R}" + x("hook") + g("os", "system") + b"sb"), True)
    yield bad("call-of-call.pkl", "the result of a call is called", p4(sg("operator", "methodcaller") + u("system") + u("true") + b"\x86R" + sg("mycode", "thing") + b"\x85R"))
    yield bad("reduce-type.pkl", "a class made by type()", p4(sg("builtins", "type") + u("A") + b")}\x87R"))
    yield bad("code-object.pkl", "a function of a code object", p4(
        sg("types", "FunctionType") + sg("types", "CodeType") + b"(K\x00K\x00K\x00K\x00K\x01K\x40" + b"C\x04d\x00S\x00" + b"tR}\x86R"))
    yield bad("marshal.pkl", "marshalled code", p4(sg("marshal", "loads") + b"C\x01N\x85R"))
    yield bad("in-torch-hooks.pt", "the backward hooks of a tensor", torch_zip(state_dict(extra=SYSTEM2)), True)
    yield bad("in-set-name.pt", "os.system as a key", torch_zip(p2(b"}" + SYSTEM2 + b"K\x01s")), True)
    yield bad("torch-load.pkl", "torch.load of another file", p2(g("torch.serialization", "load") + x("other.bin") + b"\x85R"))
    yield bad("scanner.pkl", "disarms a scanner", p2(g("picklescan.scanner", "_unsafe_globals.clear") + b")R"))
    yield bad("main.pkl", "a name of __main__ that reaches builtins", p4(sg("__main__", "__builtins__") + b"0N"), True)

    def odd(name, technique, data, finds="unknown"):
        return case("A/" + name, technique, "suspicious", finds, data, False)

    yield odd("unknown.pkl", "a class nobody knows", p2(g("mycode", "Net") + b")\x81}b"))
    yield odd("unknown-call.pkl", "a function nobody knows", p4(sg("mycode", "load") + ARG + b"R"))
    yield odd("unknown-main.pkl", "a class of the program itself", p2(g("__main__", "Net") + b")\x81}b"))
    yield odd("unknown-near.pkl", "a module whose name begins as an allowed one's", p2(g("torch._utilsx", "_rebuild_tensor_v2") + b")R"))
    yield odd("unknown-attribute.pkl", "a method of an allowed class", p4(sg("collections", "OrderedDict.fromkeys") + b"]\x85R"))
    yield odd("unknown-case.pkl", "an allowed name in other letters", p2(g("Collections", "OrderedDict") + b")R"))
    yield bad("homoglyph.pkl", "os with a Cyrillic o, and the name system", p4(sg("\u043es", "system") + ARG + b"R"), False)
    yield odd("unknown-extend.pkl", "APPENDS on an object nobody knows", p2(g("mycode", "List") + b")R(K\x01K\x02e"))
    yield odd("unknown-setitem.pkl", "SETITEM on an object nobody knows", p2(g("mycode", "Dict") + b")RK\x01K\x02s"))
    yield odd("unknown-state.pkl", "__setstate__ of an object nobody knows", p2(g("mycode", "Net") + b")R(K\x01K\x02tb"))
    yield odd("unknown-pickle-persid.pkl", "a persistent id in a bare pickle", b"Pmodel-1\n.", "persistent")


def disguises():
    """B: what makes a reader of opcodes see another name, or give up."""
    def bad(name, technique, data, finds="name", fires=None):
        return case("B/" + name, technique, "dangerous", finds, data, fires)

    def odd(name, technique, data):
        return case("B/" + name, technique, "not clean", "", data, False)

    yield bad("memo-decoys.pkl", "names from the memo behind decoys", p4raw(
        u("os") + b"\x94" + u("system") + b"\x94" + u("collections") + b"\x94" + u("OrderedDict") + b"\x940000h\x00h\x01\x93" + ARG + b"R"))
    yield bad("memo-overwrite.pkl", "a memo entry that is written twice", p4raw(
        u("collections") + b"q\x000" + u("os") + b"q\x000h\x00" + u("system") + b"\x93" + ARG + b"R"))
    yield bad("memoize-after-pop.pkl", "MEMOIZE of what lies below a popped operand", p4raw(
        u("os") + u("collections") + b"0\x94" + u("system") + b"\x93" + ARG + b"R"))
    yield bad("memoize-twice.pkl", "MEMOIZE counts memo entries", p4raw(
        u("x") + b"q\x05" + b"0" + u("os") + b"\x940" + b"h\x01" + u("system") + b"\x93" + ARG + b"R"))
    yield bad("memo-text.pkl", "PUT and GET with blanks", b"Vos\np 1\nVsystem\np2\n00g1 \ng2\n\x93(S'true'\ntR.")
    yield bad("memo-int-names.pkl", "a number under the name", p4raw(b"K\x2a0" + u("os") + b"K\x070" + u("system") + b"\x93" + ARG + b"R"))
    yield bad("string-operands.pkl", "STRING operands of STACK_GLOBAL", b"S'os'\nS'system'\n\x93S'true'\n\x85R.")
    yield bad("binstring-operands.pkl", "BINSTRING operands of STACK_GLOBAL", b"\x80\x04U\x02osT\x06\x00\x00\x00system\x93" + ARG + b"R.")
    yield bad("string-escapes.pkl", "hexadecimal and octal escapes", b"S'\\x6f\\163'\nS'\\x73ystem'\n\x93S'true'\n\x85R.")
    yield bad("unicode-escapes.pkl", "raw unicode escapes", b"V\\u006fs\nV\\u0073ystem\n\x93Vtrue\n\x85R.")
    yield bad("binunicode8.pkl", "names as BINUNICODE8", b"\x80\x04\x8d\x02" + bytes(7) + b"os\x8d\x06" + bytes(7) + b"system\x93" + ARG + b"R.")
    yield bad("long-strings.pkl", "names as BINUNICODE", b"\x80\x04" + x("os") + x("system") + b"\x93" + ARG + b"R.")
    yield bad("pop-mark.pkl", "POP_MARK drops decoys", p4raw(u("os") + b"(" + u("collections") + u("OrderedDict") + b"1" + u("system") + b"\x93" + ARG + b"R"))
    yield bad("dup.pkl", "DUP of a name", p4raw(u("os") + b"20" + u("system") + b"\x93" + ARG + b"R"))
    yield bad("tuple-names.pkl", "names between other objects", p4raw(b"]}" + u("os") + b")N0" + b"0" + u("system") + b"\x93" + ARG + b"R"))
    for module, name in (("__builtin__", "eval"), ("__builtin__", "apply"), ("commands", "getoutput"), ("urllib2", "urlopen"), ("httplib", "HTTPConnection"),
                         ("cPickle", "loads"), ("__builtin__", "reduce"), ("os", "popen"), ("SocketServer", "TCPServer"), ("copy_reg", "add_extension")):
        yield bad("python2-%s-%s.pkl" % (module.strip("_"), name), "a name of Python 2", p2(g(module, name) + ARG2 + b"R"))
    for name, text in (("hex", b"I0x10\n"), ("octal", b"I0o17\n"), ("binary", b"I0b1\n"), ("underscore", b"I1_0\n"), ("blank", b"I 7 \n"),
                       ("long-hex", b"L0x10L\n"), ("nul", b"I1\x00x\n"), ("long-nul", b"L1\x00xL\n"), ("float-nul", b"F1\x00x\n"), ("plus", b"I+7\n"), ("float-inf", b"Finfinity\n")):
        # What Python accepts of these depends on its version, so firing is said and not tried.
        yield bad("number-%s.pkl" % name, "a number that only C reads", text + b"0" + EVIL0, fires=True)
        # The words for infinity mean one thing to every reader.
        want = "not dangerous" if name == "float-inf" else "suspicious"
        yield case("B/number-%s-alone.pkl" % name, "a number that only C reads, without payload", want, "number" if want == "suspicious" else "", text + b".", False)
    yield bad("string-not-ascii.pkl", "STRING that is not ASCII", b"S'\xe9'\n0" + EVIL0, fires=True)
    yield bad("string-no-quotes.pkl", "STRING without its quotes", EVIL0[:-1] + b"Strue\n.")
    yield odd("text-cr.pkl", "a carriage return in a name", b"cos\r\nsystem\n.")
    yield odd("bytes-name.pkl", "names as bytes, which Python refuses", p4raw(b"C\x02osC\x06system\x93" + ARG + b"R"))
    yield bad("blank-name.pkl", "a name with a blank, as no program writes", p2(g(" os", "system")), "name", False)
    yield bad("empty-module.pkl", "no module, a dotted name", p4raw(sg("", "os.system") + ARG + b"R"), fires=False)


def extensions():
    """C: names behind numbers."""
    def bad(name, technique, data, fires=None):
        return case("C/" + name, technique, "dangerous", "extension", data, fires)

    yield bad("ext1.pkl", "EXT1 of a code nobody knows", p2(b"\x82\x01" + ARG2 + b"R"), False)
    yield bad("ext2.pkl", "EXT2", p2(b"\x83\x01\x01" + ARG2 + b"R"), False)
    yield bad("ext4.pkl", "EXT4", p2(b"\x84\x01\x00\x01\x00" + ARG2 + b"R"), False)
    yield case("C/ext0.pkl", "code 0, which Python refuses", "not clean", "", p2(b"\x82\x00"), False)
    yield case("C/ext-negative.pkl", "a negative code, which Python refuses", "not clean", "", p2(b"\x84\xff\xff\xff\xff"), False)
    yield case("C/add-extension.pkl", "copyreg.add_extension inside of the pickle, then EXT1", "dangerous", "extension",
               p2(g("copyreg", "add_extension") + b"(" + x("os") + x("system") + b"K\xf0tR0\x82\xf0" + ARG2 + b"R"), True)
    yield case("C/inverted-registry.pkl", "the registry itself, changed as a dict", "dangerous", "change",
               p2(g("copyreg", "_inverted_registry") + b"K\xf0" + x("os") + x("system") + b"\x86s0\x82\xf0" + ARG2 + b"R"), True)


def broken():
    """E: the payload runs, and then the file breaks."""
    def bad(name, technique, data, fires=None):
        return case("E/" + name, technique, "dangerous", "name", data, fires)

    fire = g("os", "system") + ARG2 + b"R"
    yield bad("truncated.pkl", "cut off behind the call", b"\x80\x02" + fire)
    yield bad("truncated-operand.pkl", "cut off within an operand", b"\x80\x02" + fire + b"X\x10\x00\x00\x00abc")
    yield bad("opcode.pkl", "an opcode that does not exist", b"\x80\x02" + fire + b"\xff.")
    yield bad("length.pkl", "a length beyond the end", b"\x80\x02" + fire + b"X\xff\xff\xff\x7f.")
    yield bad("length8.pkl", "a length of 2^62", b"\x80\x04" + fire + b"\x8e" + struct.pack("<Q", 1 << 62) + b".")
    yield bad("length-negative.pkl", "a negative length", b"\x80\x02" + fire + b"T\xff\xff\xff\xff.")
    yield bad("utf8.pkl", "text that is not UTF-8", b"\x80\x02" + fire + b"X\x01\x00\x00\x00\xff.")
    yield bad("memo.pkl", "a memo entry that nothing wrote", b"\x80\x02" + fire + b"h\x07.")
    yield bad("underflow.pkl", "an empty stack", b"\x80\x02" + fire + b"000.")
    yield bad("no-mark.pkl", "a tuple without a mark", b"\x80\x02" + fire + b"t.")
    yield bad("unhashable.pkl", "a list as a key", b"\x80\x02" + fire + b"}]K\x01s.")
    yield bad("leftover.pkl", "leftovers on the stack", b"\x80\x02" + fire + b"NNN.")
    yield bad("marks.pkl", "marks left open", b"\x80\x02((" + fire + b".")
    yield bad("several-proto.pkl", "several PROTO", b"\x80\x02\x80\x04\x80\x00" + fire + b".")
    yield bad("no-proto.pkl", "opcodes of protocol 4 without PROTO", SYSTEM + b".")
    yield bad("proto-99.pkl", "a protocol that does not exist, behind the call", b"\x80\x02" + fire + b"\x80\x63.")
    yield bad("frame-straddle.pkl", "an opcode across the end of a frame", b"\x80\x04\x95" + struct.pack("<Q", 4) + fire + b".")
    yield bad("frame-short.pkl", "a frame shorter than its pickle", b"\x80\x04" + frame(b"N0") + fire + b".")
    yield bad("frame-long.pkl", "a frame longer than the file", b"\x80\x04" + fire + b"\x95" + struct.pack("<Q", 1000) + b"N.")
    yield bad("frame-nested.pkl", "a frame in a frame", b"\x80\x04" + frame(frame(fire + b".")))
    yield bad("frame-beyond.pkl", "a frame that is longer than the file, which Python refuses", b"\x80\x04\x95" + struct.pack("<Q", 20) + u("nt") + b"\x94" + u("system") + b"\x94\x93.", False)
    yield bad("frame-hides.pkl", "STOP in a frame, the call behind it", b"\x80\x04" + frame(b"N.") + EVIL2, False)
    yield bad("text.txt", "a text that is a pickle as far as its call", EVIL0[:-1] + b" is how a pickle calls.\n")
    yield bad("number.pkl", "a number that is none", b"\x80\x02" + fire + b"Ixyz\n.")
    yield bad("persistent.pkl", "a persistent id", b"\x80\x02" + fire + b"Pabc\n.", True)
    yield bad("buffer.pkl", "a buffer out of band", b"\x80\x05" + fire + b"\x97.")
    yield bad("long1.pkl", "LONG4 of negative length", b"\x80\x02" + fire + b"\x8b\xff\xff\xff\xff.")

    def odd(name, technique, finds, data):
        return case("E/" + name, technique, "suspicious", finds, data, False)

    yield odd("plain-truncated.pkl", "a harmless pickle, cut off", "broken", PLAIN[:-3])
    yield odd("plain-opcode.pkl", "a harmless pickle, then no opcode", "broken", PLAIN[:-1] + b"\xff.")
    yield odd("plain-leftover.pkl", "leftovers on the stack", "leftover", p2(b"NN}"))
    yield odd("plain-marks.pkl", "marks left open", "leftover", p2(b"((}"))
    yield odd("plain-several-proto.pkl", "several PROTO", "protocol", b"\x80\x02\x80\x04}.")
    yield odd("plain-no-proto.pkl", "opcodes of protocol 4 without PROTO", "protocol", b"\x8c\x01a.")
    yield odd("plain-frame.pkl", "an opcode across the end of a frame", "frame", b"\x80\x04\x95" + struct.pack("<Q", 2) + u("abc") + b".")
    yield odd("plain-trailing.pkl", "bytes behind STOP", "trailing", PLAIN + b"\x00\x01\x02garbage")
    yield odd("plain-zeros.pkl", "zeros behind STOP", "trailing", PLAIN + bytes(64))


def gadgets():
    """H: names that published attacks use; imported, and not called."""
    with open(os.path.join(HERE, "gadgets.txt"), encoding="ascii") as f:
        names = f.read().split()
    # The last capital part is a class and what follows its method.
    for n, name in enumerate(names):
        parts = name.split(".")
        cut = len(parts) - 1
        if cut > 1 and parts[cut - 1].lstrip("_")[:1].isupper():
            cut -= 1
        if name.startswith("ctypes.cdll"):
            cut = 1
        module, attribute = ".".join(parts[:cut]), ".".join(parts[cut:])
        data = p4(sg(module, attribute) + ARG + b"R") if n % 2 or "." in attribute else p2(g(module, attribute) + ARG2 + b"R")
        yield case("H/%s.pkl" % name, "a gadget's name", "dangerous", "name", data)


def cases():
    for part in (imports, disguises, extensions, broken, gadgets):
        yield from part()
