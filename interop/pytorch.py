"""Converts checkpoints with the command, and loads them with torch: the same tensors?

And with --tied reference: the same file, to the byte, as the reference converter's?

    python pytorch.py TENSMITH

Needs torch and the Python package `safetensors`. The files are those of
convert/torch/testdata that this torch has written itself: loading a pickle
runs what it says, so nothing else is loaded here.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import subprocess
import sys
import tempfile
import zlib

import torch
from safetensors import safe_open
from safetensors.torch import _find_shared_tensors, _is_complete, load_file, save_file

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTDATA = os.path.join(ROOT, "convert", "torch", "testdata")
sys.path.insert(0, TESTDATA)  # whole modules name classes of testmodels.py

import expect

# A file of torch.package is a program with its own importer; its digests are
# compared by the tests of convert/torch.
CONTAINERS = ("torch-zip", "torch-legacy", "torchscript", "pickle")


UNWRAP = {"": bytes, "gzip": gzip.decompress, "bz2": bz2.decompress, "xz": lzma.decompress, "lzma": lzma.decompress, "zlib": zlib.decompress}


def original(file, case, root):
    """The tensors as torch has them, by name."""
    with open(file, "rb") as raw:
        content = io.BytesIO(UNWRAP[case["wrap"]](raw.read()))
    if case["container"] == "torchscript":
        loaded = torch.jit.load(content, map_location="cpu")
    elif case["container"] == "pickle":
        loaded = pickle.load(content)
    else:
        loaded = torch.load(content, map_location="cpu")
    return expect.flatten(loaded[root] if root else loaded)


def compare(file, out, report, want):
    """What differs between the converted file and torch's tensors."""
    got = load_file(out)
    with safe_open(out, framework="pt") as opened:
        kept = opened.metadata() or {}
    digests = {tensor["name"]: tensor["sha256"] for tensor in report["tensors"]}
    aliases = 0
    for name, tensor in want.items():
        stored = name
        if name not in got:  # a tied tensor is stored once; metadata says as what
            stored = kept.get(name)
            aliases += 1
        if stored not in got:
            yield f"{name} is neither in the file nor an alias of what is"
            continue
        theirs = expect.entry(name, tensor)
        ours = expect.entry(name, got[stored])
        if ours != theirs:
            yield f"{ours} should be {theirs}"
        elif stored == name and digests.get(name) != theirs["sha256"]:
            yield f"{name} has another digest in the report: {digests.get(name)}"
    if len(got) + aliases != len(want):
        yield f"{sorted(got)} with {aliases} aliases are not {sorted(want)}"


def convert(program, file, out):
    return subprocess.run([program, "convert", file, "-o", out, "--json"], capture_output=True, text=True, timeout=60)


def reference(tensors, out):
    """Writes what bindings/python/convert.py of safetensors 0.8 does, by the package's own functions: of the names that
    share bytes the first in order that covers the storage, and the others in the metadata. Raises what it raises."""
    tensors, metadata = dict(tensors), {"format": "pt"}
    for shared in _find_shared_tensors(tensors):
        complete = sorted(name for name in shared if _is_complete(tensors[name]))
        if complete:
            for name in sorted(shared - {complete[0]}):
                metadata.setdefault(name, complete[0])
                del tensors[name]
        elif len(shared) == 1:
            tensors.update({name: tensors[name].clone() for name in shared})
        else:
            raise RuntimeError(f"none of {sorted(shared)} covers the storage")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out, metadata=metadata)
    return metadata


def parsed(file):
    """The header in its order but for the metadata, whose order the reference leaves to chance, and the data."""
    with open(file, "rb") as raw:
        content = raw.read()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    metadata = header.pop("__metadata__", None)
    return metadata, list(header.items()), content[end:], content


def ties():
    """State dicts whose tensors share bytes in ways that the files have not."""
    whole = torch.arange(24.0)
    yield "nested", {"a": whole, "b": whole[2:4], "c": whole[6:8], "d": whole[4:20]}
    yield "late", {"z": whole, "b": whole[2:4], "c": whole[20:24]}
    yield "disjoint", {"a": whole[:8], "b": whole[8:20]}
    yield "step", {"a": whole, "s": whole[1::3]}
    yield "square", {"a": whole.view(4, 6), "column": whole.view(4, 6)[:, 2], "flat": whole}
    yield "turned beside", {"a": whole[:12].view(3, 4).t(), "b": whole[12:]}
    yield "expanded", {"e": torch.ones(1).expand(3, 4)}
    yield "expanded twice", {"e": torch.ones(1).expand(3, 4), "f": torch.ones(1).expand(2)}
    one = torch.ones(3, 1)
    yield "expanded beside", {"e": one.expand(3, 4), "w": one}
    yield "partial alone", {"p": whole[3:5]}
    yield "order", {"b": whole, "a": whole.view(2, 12), "c": whole}
    yield "turned alone", {"t": whole.view(4, 6).t()}


def tied(program, file, tensors, folder):
    """What is wrong with --tied reference. None: the reference writes no such file, and neither do we."""
    ours, theirs = os.path.join(folder, "ours.safetensors"), os.path.join(folder, "theirs.safetensors")
    done = subprocess.run([program, "convert", file, "-o", ours, "--tied", "reference"], capture_output=True, text=True, timeout=60)
    try:
        metadata = reference(tensors, theirs)
    except Exception as failure:  # of whatever kind
        if done.returncode == 0:
            yield f"--tied reference writes it, the reference says {failure}"
        else:
            yield None
        return
    if done.returncode != 0:
        yield f"--tied reference: {done.stderr.strip()}"
        return
    a, b = parsed(ours), parsed(theirs)
    if a[:3] != b[:3]:
        yield f"--tied reference: {a[:2]} should be {b[:2]}, data {'equal' if a[2] == b[2] else 'differ'}"
    elif len(metadata) == 1 and a[3] != b[3]:
        yield "--tied reference: another file, if not to JSON"


def trial(program, case, folder):
    """What is wrong with the conversion of one file."""
    file = os.path.join(TESTDATA, case["file"])
    out = os.path.join(folder, "out.safetensors")
    done = convert(program, file, out)
    said = done.stderr.strip()
    if case["error"]:
        if done.returncode not in (1, 2) or not said.startswith("tensmith: convert: "):
            yield f"to be refused ({case['error']}); exit {done.returncode}: {said}"
        if os.listdir(folder):
            yield f"refused, but it left {os.listdir(folder)}"
        return
    if done.returncode != 0:
        yield f"exit {done.returncode}: {said}"
        return
    with open(file + ".expected.json", encoding="utf-8") as expected:
        root = json.load(expected)["root"]
    yield from compare(file, out, json.loads(done.stdout), original(file, case, root))


def main():
    program = os.path.abspath(sys.argv[1])
    with open(os.path.join(TESTDATA, "cases.json"), encoding="utf-8") as index:
        cases = [c for c in json.load(index) if c["maker"] == "make_old.py" and c["container"] in CONTAINERS]
    failed, same, refused, strange = 0, 0, 0, 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            wrong = list(trial(program, case, folder))
        if not case["error"]:
            file = os.path.join(TESTDATA, case["file"])
            with open(file + ".expected.json", encoding="utf-8") as expected:
                tensors = original(file, case, json.load(expected)["root"])
            if all(isinstance(t, torch.Tensor) for t in tensors.values()):  # the reference takes no arrays
                with tempfile.TemporaryDirectory() as folder:
                    found = list(tied(program, file, tensors, folder))
                same, refused = same + (found == []), refused + (found == [None])
                wrong += [line for line in found if line]
        for line in wrong:
            print(f"{case['file']}: {line}")
        failed += bool(wrong)
    for name, tensors in ties():
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "in.pt")
            torch.save(tensors, file)
            found = list(tied(program, file, torch.load(file), folder))
        same, refused = same + (found == []), refused + (found == [None])
        for line in found:
            if line:
                print(f"{name}: {line}")
                strange += 1
    print(f"--tied reference: {same} files as the reference converter writes them, {refused} that it refuses, too")
    print(f"torch {torch.__version__}: {len(cases) - failed} files passed, {failed} failed")
    sys.exit(1 if failed or strange or same < 80 or len(cases) < 100 else 0)


if __name__ == "__main__":
    main()
