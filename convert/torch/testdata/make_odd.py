#!/usr/bin/env python3
"""What interop/pytorch_random.py found to be read wrongly, or refused: python make_odd.py, with a current torch

`python2 make_odd.py` with NumPy writes python2_proto0.pkl.gz alone; do it first, for the other Python says what is in it.
"""
import gzip, io, pickle, sys

import numpy as np


def array():
    return (np.arange(3 * 40000) % 256).astype(np.uint8).reshape(3, 40000)


def by_python2():
    """A string longer than 64 KiB in protocol 0, with escapes; that protocol was Python 2's default."""
    out = io.BytesIO()
    packed = gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0)
    packed.write(pickle.dumps({"w": array(), "f": np.asfortranarray(np.arange(6, dtype="<f4").reshape(2, 3)), "n": 3}))
    packed.close()
    with open("torch215/python2_proto0.pkl.gz", "wb") as f:
        f.write(out.getvalue())


def main():
    import torch
    import expect
    from common_cases import attempt, net, put, seq, to_bytes

    s = expect.Suite("make_odd.py", "torch215")
    want = pickle.loads(gzip.decompress(open(s.path("python2_proto0.pkl.gz"), "rb").read()), encoding="latin1")
    s.expect("python2_proto0.pkl.gz", "pickle", want, alias=False, wrap="gzip", note="by Python 2.7.18 and NumPy 1.16.6")
    # Text longer than 64 KiB in protocol 0, whose escapes are others.
    sd = {"w": torch.from_numpy(array())}
    data = pickle.dumps(sd, protocol=0)
    put(s, "bare_proto0_long.pkl.gz", gzip.compress(data, mtime=0))
    s.expect("bare_proto0_long.pkl.gz", "pickle", pickle.loads(data), alias=False, wrap="gzip")
    # Empty storages of all types have the key 0.
    put(s, "empty_types_legacy.pt", to_bytes({"a": torch.zeros(0, dtype=torch.float64), "b": torch.zeros(2, 0), "c": torch.zeros(0, dtype=torch.int8), "w": seq(2)},
                                             _use_new_zipfile_serialization=False))
    s.expect("empty_types_legacy.pt", "torch-legacy")
    put(s, "keys.pt", to_bytes({k: seq(1, start=i) for i, k in enumerate([
        2 ** 63, -2 ** 80, 1234567.5, 1e15, 1e16, 1e22, 1e-4, 1e-5, -0.0, 0.1, float("nan"), float("inf"), -float("inf"), None, False, -7])}))
    s.expect("keys.pt", "torch-zip", alias=False)
    put(s, "dtype_bcomplex32.pt", to_bytes({"w": seq(6, dtype=torch.bfloat16).view(torch.bcomplex32), "ok": seq(2)}))
    s.expect("dtype_bcomplex32.pt", "torch-zip")
    put(s, "lazy.pt", to_bytes({"w": torch.nn.LazyLinear(3).weight, "ok": seq(2)}))
    s.expect("lazy.pt", "torch-zip", alias=False)
    m = net()
    m.extra, m.again = seq(3), [m.fc.weight]
    put(s, "module_attributes.pt", to_bytes({"epoch": 1, "model": m}))
    s.expect("module_attributes.pt", "torch-zip", root="model", beside=["extra", "scratch"], note="a buffer and an attribute that are no part of the state")
    # The attribute alone does not make it the root.
    e = torch.nn.Identity()
    e.extra = seq(3)
    put(s, "module_stateless.pt", to_bytes({"model": e, "w": seq(2)}))
    s.expect("module_stateless.pt", "torch-zip", {"w": seq(2)}, alias=False)

    class Types(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name in ("uint16", "uint32", "uint64", "float8_e8m0fnu", "float8_e4m3fn"):
                self.register_buffer(name, torch.arange(16, dtype=torch.uint8).view(getattr(torch, name)))

        def forward(self, x):
            return x + self.uint16.view(torch.int16).sum() + self.uint32.view(torch.int32).sum() + self.uint64.view(torch.int64).sum() + \
                self.float8_e8m0fnu.view(torch.uint8).sum() + self.float8_e4m3fn.view(torch.uint8).sum()

    p = torch.export.export(Types(), (torch.zeros(1),))
    torch.export.save(p, s.path("exported_types.pt2"))
    s.expect("exported_types.pt2", "pt2", dict(torch.export.load(s.path("exported_types.pt2")).state_dict), alias=False)
    s.close()


if __name__ == "__main__":
    by_python2() if sys.version_info[0] == 2 else main()
