"""The Python package `safetensors` as a peer that other tests talk to.

    python peer.py dump            names of files on stdin, one a line
    python peer.py write FOLDER    writes files, prints what they hold

Both print one JSON document a file and line:
    {"file", "refused", "metadata", "tensors": [{"name", "dtype", "shape", "sha256"}...]}
`refused` is the package's message, or "". Tensors are in the order of their
names, digests are over the contiguous little-endian bytes.
"""

import ctypes
import hashlib
import json
import os
import random
import sys

import numpy
from safetensors import SafetensorError, TensorSpec, deserialize, safe_open, serialize_file
from safetensors.numpy import save_file

# The package's names of the dtypes it can write, and the bytes of one element
# (F4: of a pair). It has no name for F6_E2M3 and F6_E3M2, which it reads.
WRITABLE = {
    "bool": ("BOOL", 1),
    "float4_e2m1fn_x2": ("F4", 1),
    "uint8": ("U8", 1),
    "int8": ("I8", 1),
    "float8_e5m2": ("F8_E5M2", 1),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e8m0fnu": ("F8_E8M0", 1),
    "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1),
    "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1),
    "int16": ("I16", 2),
    "uint16": ("U16", 2),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "int32": ("I32", 4),
    "uint32": ("U32", 4),
    "float32": ("F32", 4),
    "complex64": ("C64", 8),
    "float64": ("F64", 8),
    "int64": ("I64", 8),
    "uint64": ("U64", 8),
}

METADATA = [None, {"format": "np"}, {"": "", "é😀": 'quote " and \\ and \n'}]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def dump(file):
    answer = {"file": file, "refused": "", "metadata": None, "tensors": []}
    try:
        with safe_open(file, framework="numpy") as opened:
            answer["metadata"] = opened.metadata()
        with open(file, "rb") as raw:
            found = deserialize(raw.read())
    except SafetensorError as error:
        answer["refused"] = str(error) or "?"
        return answer
    for name, view in sorted(found):
        tensor = {"name": name, "dtype": view["dtype"], "shape": list(view["shape"]), "sha256": sha256(view["data"])}
        answer["tensors"].append(tensor)
    return answer


def contiguous(data):
    """The bytes of an array as the format has them, by NumPy, not by the package."""
    little = data.astype(data.dtype.newbyteorder("<"))
    return numpy.ascontiguousarray(little).tobytes()


def write_numpy(folder, metadata, number):
    rng = numpy.random.default_rng(number)
    arrays = {
        "scalar": numpy.array(1.5, "float32"),
        "empty": numpy.zeros((3, 0, 2), "float64"),
        "not.native": rng.integers(-9, 9, (3, 5)).astype(">i4"),
        "mask": rng.integers(0, 2, (7,)).astype(bool),
        "half": rng.standard_normal((3, 1, 3)).astype("float16"),
        "complex": rng.standard_normal((2, 2)).astype("complex64"),
        "special": numpy.array([numpy.nan, numpy.inf, -numpy.inf, -0.0], "float32"),
        "layer.10.é": rng.standard_normal((2, 3)),
        "layer.9.é": rng.integers(0, 2**63, (4,)).astype("uint64"),
    }
    file = os.path.join(folder, f"numpy{number}.safetensors")
    save_file(arrays, file, metadata=metadata)
    names = {"float": "F", "int": "I", "uint": "U", "complex": "C", "bool": "BOOL"}
    tensors = []
    for name in sorted(arrays):
        array = arrays[name]
        kind = array.dtype.name.rstrip("0123456789")
        dtype = names[kind] + array.dtype.name[len(kind) :]
        tensors.append({"name": name, "dtype": dtype, "shape": list(array.shape), "sha256": sha256(contiguous(array))})
    return {"file": file, "refused": "", "metadata": metadata, "tensors": tensors}


def write_all_dtypes(folder, metadata, number):
    rng = random.Random(number)
    specs, tensors, alive = {}, [], []
    for i, (name, (dtype, size)) in enumerate(WRITABLE.items()):
        shape = [rng.randrange(1, 6) for _ in range(i % 4)]
        if dtype == "F4":
            shape = [3, 2]
        count = 1
        for extent in shape:
            count *= extent
        data = rng.randbytes(count * size)
        buffer = ctypes.create_string_buffer(data, max(len(data), 1))
        alive.append(buffer)  # a spec holds an address alone
        specs[f"t.{dtype}"] = TensorSpec(dtype=name, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(data))
        if dtype == "F4":  # the package is given pairs, the file counts elements
            shape = [3, 4]
        tensors.append({"name": f"t.{dtype}", "dtype": dtype, "shape": shape, "sha256": sha256(data)})
    file = os.path.join(folder, f"dtypes{number}.safetensors")
    serialize_file(specs, file, metadata)
    tensors.sort(key=lambda tensor: tensor["name"])
    return {"file": file, "refused": "", "metadata": metadata, "tensors": tensors}


def write_empty(folder):
    file = os.path.join(folder, "empty.safetensors")
    save_file({}, file)
    return {"file": file, "refused": "", "metadata": None, "tensors": []}


def write(folder):
    yield write_empty(folder)
    for number, metadata in enumerate(METADATA):
        yield write_numpy(folder, metadata, number)
        yield write_all_dtypes(folder, metadata, number)


def main(arguments):
    if arguments == ["dump"]:
        answers = (dump(line.rstrip("\n")) for line in sys.stdin)
    elif len(arguments) == 2 and arguments[0] == "write":
        answers = write(arguments[1])
    else:
        sys.exit(__doc__)
    for answer in answers:
        print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
