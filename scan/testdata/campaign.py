"""A, B, D: what a campaign of random pickles, containers and mutations found
that ran its payload in a real loader and was not dangerous; each as small as
it gets. interop/scan_mutations.py is a part of that campaign.
"""

from asm import *
from calls import case
from uses import FIRE, WRAPPER, described


def cases():
    def bad(name, technique, data, fires=True, finds="name"):
        return case(name, technique, "dangerous", finds, data, fires)

    # numpy.load takes the first of a pair for the type and the second for its shape, outside of a list of fields.
    yield bad("D/object-shaped.npy", "a type of objects with a shape of its own", npy(p3(SYSTEM2), "('O', (2,))"))
    yield bad("D/object-shaped-field.npy", "the same in a field", npy(p3(SYSTEM2), "[('a', ('O', (2,)))]"))
    yield bad("D/object-titled.npy", "a field of objects that has a title", npy(p3(SYSTEM2), "[(('t', 'a'), 'O')]"))
    for name, code in (("word", "object"), ("name", "object_"), ("count", "2O"), ("fields", "f8,O"), ("shape", "(1,)O")):
        yield bad("D/object-%s.npy" % name, "a type of objects, written " + code, npy(p3(SYSTEM2), repr(code)))
        yield bad("D/object-%s.joblib" % name, "an array of objects, its type written " + code, array(of(u(code)), p3(SYSTEM2)))
    yield bad("D/object-class.joblib", "an array whose type is the class object", array(of(sg("builtins", "object")), p3(SYSTEM2)))
    yield bad("D/object-any.joblib", "an array whose type is a class that NumPy does not know, and takes for objects", array(of(sg("collections", "OrderedDict")), p3(SYSTEM2)))
    yield bad("D/object-of-type.joblib", "an array whose type is made of a type", array(of(of(u("O8"))), p3(SYSTEM2)))
    for name, code in (("float", sg("builtins", "float")), ("float64", sg("numpy", "float64")), ("word", u("float64"))):
        yield bad("D/array-%s.joblib" % name, "a payload behind an array whose type is no code", array(of(code), bytes(8) + b"a" + FIRE))
    # pickle.py reads what there is of a frame, and so do joblib and dill.
    yield bad("B/frame-past-end.pkl", "a frame that is longer than the file, and the name before it", b"\x80\x04" + u("os") + u("system") + b"\x95" + struct.pack("<Q", 99) + b"\x93" + ARG + b"R.")
    # cPickle of Python 2 takes blanks off, and Python 3 stops there.
    yield bad("B/string-blank.txt", "blanks behind the quotes of STRING", b"cos\nsystem\n(S'true' \ntR.", True)


def of(code):
    return sg("numpy", "dtype") + code + b"\x89\x88\x87R"


def array(elements, raw):
    return b"\x80\x04]" + WRAPPER + b")\x81" + described(elements, 1) + b"b" + raw + b"a."
