"""A, B, D, F, N: what a campaign of random pickles, containers and mutations found
that ran its payload in a real loader and was not dangerous; each as small as
it gets. interop/scan_mutations.py is a part of that campaign.
"""

import base64
import json

from asm import *
from calls import case
from uses import FIRE, WRAPPER, described


def pickles():
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
    # NumPy 2.4 reads address 0.
    yield case("D/date-no-unit.pkl", "a type of dates whose state has no unit", "suspicious", "use", p2(
        g("numpy", "dtype") + x("M8") + b"\x89\x88\x87R(K\x03" + x("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"), False)
    # Python takes what is left of the last entry for its name, and numpy.load opens it.
    cut = bytearray(zipped(("a.npy", npy(p3(SYSTEM2)))))
    at = directory_entry(cut, 0)
    cut[at + 28] = 0x70
    yield bad("F/name-cut.npz", "a name that is longer than the directory", bytes(cut))
    # What torch itself writes.
    scheduler = g("torch.optim.lr_scheduler", "OneCycleLR") + b")\x81q\x00}" + x("base_lrs") + b"]sb"
    yield case("N/method.pt", "the method of a scheduler in its state, as torch 1.13 saves it", "suspicious", "unknown", torch_zip(p2(
        b"}" + x("anneal_func") + g("__builtin__", "getattr") + scheduler + x("_annealing_cos") + b"\x86Rs")), False)
    yield case("N/memory-format.pkl", "a memory format, which pickle finds in torch._utils", "clean", "", p4(b"]" + sg("torch._utils", "torch.channels_last") + b"a"), False)
    yield bad("A/method-called.pkl", "the same method, called", p2(g("__builtin__", "getattr") + scheduler + x("_annealing_cos") + b"\x86R)R"), True, "computed")
    yield bad("A/method-dunder.pkl", "getattr of an object, to its class", p2(g("__builtin__", "getattr") + scheduler + x("__class__") + b"\x86R"), True)
    yield bad("A/method-of-tensor.pkl", "getattr of an object whose class is allowed", p2(g("__builtin__", "getattr") + g("collections", "OrderedDict") + b")R" + x("update") + b"\x86R"), True)


def settings():
    """What is no pickle, and names what its reader imports and calls."""
    def asks(name, technique, text, finds="target", want="dangerous"):
        return case("D/" + name, technique, want, finds, {name.split("/")[-1]: text.encode() if isinstance(text, str) else text}, False)

    for name, text in (("tag", "a: !!python/object/apply:os.system [x]\n"), ("tag-long", "a: !<tag:yaml.org,2002:python/name:os.system> x\n"), ("tag-handle", "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [x]\n"),
                       ("tag-percent", "a: !!%70ython/object/apply:os.system [x]\n"), ("new", "a: !new:os.system [x]\n"), ("apply", "a: !apply:os.system [x]\n"), ("braces", "a: {_target_: os.system}\n"), ("key", "a:\n  ? _target_\n  : os.system\n"),
                       ("escape", 'a:\n  "\\x5ftarget_": os.system\n'), ("line", "a:\n  _target_:\n    os.system\n"), ("anchor", "a:\n  _target_: &x os.system\n")):
        yield asks("yaml-%s/hyperparams.yaml" % name, "YAML that has a function called: " + name, text)
    yield asks("yaml-nemo/model_config.yaml", "the class of a model of NeMo", "target: os.system\n")
    yield asks("yaml-unknown/hyperparams.yaml", "YAML that has an unknown function called", "a: !new:mycode.Net\n", "", "suspicious")
    yield asks("yaml-plain/hyperparams.yaml", "YAML of SpeechBrain and PyYAML without a stranger", "a: !new:speechbrain.nnet.CNN\nb: !!python/tuple [1, 2]\nc: !ref <a>\ntarget: code.x\n", "", "clean")
    yield asks("mlflow/MLmodel", "MLflow: the module of the loader", "flavors:\n  python_function:\n    loader_module: os\n")
    yield asks("mlflow-plain/MLmodel", "MLflow: its own loader", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n", "", "clean")
    yield asks("text-graph/saved_model.pbtxt", "TensorFlow: a graph in text that writes a file", 'meta_graphs { graph_def { node { name: "x" op: "Write" \'File\' } } }\n', "graph")
    yield asks("caffe/net.prototxt", "Caffe: a layer of Python", 'layer { type: "Python" python_param { module: "os" layer: "system" } }\n')
    for name, value in (("modules.json", [{"idx": 0, "type": "os.system"}]), ("model_index.json", {"_class_name": "X", "unet": ["os", "system"]}), ("adapter_config.json", {"auto_mapping": {"parent_library": "os", "base_model_class": "system"}}),
                        (".zarray", {"filters": [{"id": "pickle"}]})):
        yield asks("asks-%s/%s" % (name.strip(".").split(".")[0], name), "settings that name what is imported", json.dumps(value))
    yield asks("plain-modules/modules.json", "sentence-transformers without a stranger", json.dumps([{"idx": 0, "type": "sentence_transformers.models.Transformer"}]), "", "clean")
    yield asks("plain-index/model_index.json", "diffusers without a stranger", json.dumps({"_class_name": "X", "unet": ["diffusers", "UNet2DModel"], "none": [None, None]}), "", "clean")
    yield asks("agent/a.zip", "Stable-Baselines3: a pickle in base64", zipped(("data", json.dumps({"policy_class": {":serialized:": base64.b64encode(EVIL2).decode()}}).encode())), "name")
    yield asks("served/a.mar", "TorchServe: a handler of any module", zipped(("MAR-INF/MANIFEST.json", json.dumps({"model": {"handler": "os:system"}}).encode())))
    yield asks("served-packages/a.mar", "TorchServe: packages that are installed", zipped(("MAR-INF/MANIFEST.json", json.dumps({"model": {"handler": "x", "requirementsFile": "r.txt"}}).encode())), "", "suspicious")
    keras = lambda config: zipped(("metadata.json", b"{}"), ("config.json", json.dumps(config).encode()))
    yield asks("keras-first/m.keras", "Keras 3: the module of the model itself", keras({"module": "os", "class_name": "system", "config": {}}), "keras")
    yield asks("keras-vocabulary/m.keras", "Keras 3: a vocabulary read from anywhere (CVE-2025-12058)", keras({"module": "keras", "class_name": "Sequential", "config": {"layers": [
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}]}}), "keras")
    mark = b"arrow.py_extension_type"
    yield asks("arrow/a.arrow", "Arrow: a pickled type (CVE-2023-47248)", b"ARROW1\0\0" + bytes(40) + mark + EVIL2 + bytes(20) + b"ARROW1", "arrow")
    for shift in range(3):
        yield asks("parquet-%d/a.parquet" % shift, "the same in Parquet, in base64", b"PAR1" + bytes(40) + base64.b64encode(bytes(shift) + mark + EVIL2) + bytes(20) + b"PAR1", "arrow")
    for name, text in (("percent", "{{ ('%c%cclass' % (95, 95)) }}"), ("sum", "{{ messages['__cla' + 'ss__'] }}"), ("tilde", "{{ messages['_' ~ '_class' ~ '__'] }}"), ("map", "{{ messages|map('attr', x) }}"), ("escape", "{{ messages|map(attribute='\\u005f_class__') }}")):
        yield asks("name-of-%s/chat_template.jinja" % name, "a template that puts a name together", text, "", "suspicious")


def cases():
    yield from pickles()
    yield from settings()


def of(code):
    return sg("numpy", "dtype") + code + b"\x89\x88\x87R"


def array(elements, raw):
    return b"\x80\x04]" + WRAPPER + b")\x81" + described(elements, 1) + b"b" + raw + b"a."
