#!/usr/bin/env python3
"""Run with a current torch: python make_objects.py

Tensors in named tuples, dataclasses and other objects within dicts, and batches of compressed sparse tensors.
"""
import collections

import torch

import expect
import testmodels
from common_cases import put, seq, to_bytes

FOLDER = "torch" + "".join(torch.__version__.split(".")[:2])


def objects(s):
    tied = seq(2, 3)
    files = {
        "named_tuple": ({"w": tied, "opt": testmodels.Moments({"a": seq(2)}, {"a": seq(3)}, torch.tensor(7)), "max": seq(3, 4).max(0)},
                        {"w": tied, "opt": [{"a": seq(2)}, {"a": seq(3)}, torch.tensor(7)], "max": list(seq(3, 4).max(0))}, ()),
        "dataclass": ({"run": testmodels.State({"a": tied}, testmodels.Frozen(seq(4), tied)), "user": collections.UserDict(b=seq(5))},
                      {"run": {"weights": {"a": tied}, "ema": [seq(4), tied]}, "user": {"data": {"b": seq(5)}}}, ("run.step",)),
    }
    for protocol in (2, 4):
        for kind, (value, plain, beside) in files.items():
            name = "%s_p%d.pt" % (kind, protocol)
            put(s, name, to_bytes(value, pickle_protocol=protocol))
            s.expect(name, "torch-zip", plain, beside=beside)
    named = testmodels.Named(a=seq(2))
    named.mean = seq(3)
    put(s, "dict_attribute.pt", to_bytes({"w": named}))
    s.expect("dict_attribute.pt", "torch-zip", {"w": {"a": seq(2)}}, beside=("w",))
    # An optimizer's state has parameters for keys: it is left out as a whole.
    p = torch.nn.Parameter(seq(2))
    optimizer = torch.optim.Adam([p])
    p.grad = seq(2)
    optimizer.step()
    put(s, "optimizer_object.pt", to_bytes({"w": p, "optimizer": optimizer}))
    s.expect("optimizer_object.pt", "torch-zip", {"w": p}, beside=("optimizer",))


def batches(s):
    w = torch.zeros(2, 2, 4, 6)
    w[0, 0, 1, 2], w[0, 0, 3, 5], w[0, 1, 0, 0], w[0, 1, 0, 5], w[1, 0, 2, 1], w[1, 0, 2, 2], w[1, 1, 3, 3], w[1, 1, 0, 4] = range(1, 9)
    blocks = torch.zeros(3, 4, 6)
    blocks[:, 2:4, 0:3] = seq(3, 2, 3)
    blocks[0, 0, 4], blocks[1, 1, 1], blocks[2, 3, 5] = -1, -2, -3
    hybrid = torch.zeros(2, 3, 4, 2)
    hybrid[0, 1, 2], hybrid[1, 2, 3], hybrid[0, 0, 0], hybrid[1, 0, 1] = seq(2), seq(2) + 1, seq(2) + 2, seq(2) + 3
    wide = torch.zeros(2, 4, 6, 3)
    wide[:, 0:2, 3:6] = seq(2, 2, 3, 3)
    files = {"csr": w.to_sparse_csr(), "csc": w.to_sparse_csc(), "bsr": blocks.to_sparse_bsr((2, 3)), "bsc": blocks.to_sparse_bsc((2, 3)),
             "csr_hybrid": hybrid.to_sparse_csr(dense_dim=1), "csc_hybrid": hybrid.to_sparse_csc(dense_dim=1),
             "bsr_hybrid": wide.to_sparse_bsr((2, 3), dense_dim=1), "csr_hybrid1": hybrid[0].to_sparse_csr(dense_dim=1),
             "csr_f16": w.half().to_sparse_csr(), "csr_none": torch.zeros(2, 3, 4).to_sparse_csr()}
    for name, t in files.items():
        name = "sparse_batch_%s.pt" % name
        put(s, name, to_bytes({"w": t}))
        s.expect(name, "torch-zip")


def main():
    s = expect.Suite("make_objects.py", FOLDER)
    objects(s)
    batches(s)
    s.close()


if __name__ == "__main__":
    main()
