"""Makes the files of this folder: python3 make.py PATH-OF-REFERENCE

NAME.in.safetensors is made here, byte by byte, in an order that no writer would
choose. NAME.safetensors is what the reference implementation (crate safetensors
0.8.0, by the program of bench/reference) writes of the same tensors.
"""

import json
import pathlib
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}


def size(dtype, shape):
    n = BITS[dtype]
    for dim in shape:
        n *= dim
    assert n % 8 == 0
    return n // 8


def file(tensors, metadata=None):
    header, data = {}, b""
    for name, dtype, shape in tensors:
        n = size(dtype, shape)
        header[name] = {"data_offsets": [len(data), len(data) + n], "shape": shape, "dtype": dtype}
        data += bytes((i * 31 + len(data) * 7 + 1) % 256 for i in range(n))
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


NAMES = [
    "b", "a", "a.10", "a.2", "a.1", "A", "", " ", "ä", "a\u0308", "z", "~", "\x7f", "\u20ac", "\uff5e",
    "\U0001f600", "\ue000", "\u2028", '"quoted"', "back\\slash", "new\nline", "\t\r\b\f", "\x00", "\x1f", "a/b", "<&>",
    "../up", "__metadata", "__metadata___", "aa", "a\x00",
]

CASES = {
    "dtypes": file([("t." + d, d, [2, 4]) for d in BITS]),
    "dtypes_same_name": file([(f"{i % 3}.{d.lower()}", d, [4]) for i, d in enumerate(reversed(BITS))]),
    "names": file([(n, "U8", [1]) for n in NAMES]),
    "names_two_types": file([(n, "F16" if i % 2 else "F32", [i]) for i, n in enumerate(NAMES)]),
    "shapes": file([
        ("scalar", "F32", []), ("empty", "F32", [0]), ("empty2", "F64", [0, 3]), ("one", "F32", [1]),
        ("deep", "U8", [1, 2, 1, 1, 3, 1, 1, 1, 2]), ("large_empty", "U8", [18446744073709551615, 0]), ("f6", "F6_E2M3", [3, 4]), ("f4", "F4", [3, 2]),
    ]),
    "metadata": file([("a", "F32", [1])], {"format": "pt"}),
    "metadata_escapes": file([("a", "F32", [1])], {'k"\\\n\x01\u00e9': "v\x7f\u2028\x00/<>&\U0001f600"}),
    "metadata_empty": file([("a", "F32", [1])], {}),
    "metadata_alone": file([], {"format": "np"}),
    "nothing": file([]),
    **{f"padding{n}": file([("a" * n, "U8", [1])]) for n in range(1, 9)},
}

for name, data in CASES.items():
    source = HERE / (name + ".in.safetensors")
    source.write_bytes(data)
    subprocess.run([sys.argv[1], "save", source, HERE / (name + ".safetensors"), "1"], check=True, stdout=subprocess.DEVNULL)
    (HERE / (name + ".safetensors")).chmod(0o644)
