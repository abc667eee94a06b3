"""Converts checkpoints with the command, and loads them with torch: the same tensors?

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
from safetensors.torch import load_file

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
    failed = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            wrong = list(trial(program, case, folder))
        for line in wrong:
            print(f"{case['file']}: {line}")
        failed += bool(wrong)
    print(f"torch {torch.__version__}: {len(cases) - failed} files passed, {failed} failed")
    sys.exit(1 if failed or len(cases) < 100 else 0)


if __name__ == "__main__":
    main()
