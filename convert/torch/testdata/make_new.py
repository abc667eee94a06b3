#!/usr/bin/env python3
"""Run with a current torch, joblib and huggingface_hub: python make_new.py"""
import bz2, gzip, io, json, lzma, os, shutil, sys, tempfile, zlib

import numpy as np
import joblib
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from huggingface_hub import save_torch_state_dict

import common_cases, expect
from common_cases import attempt, net, put, seq, small

FOLDER = "torch215"


def shards(s):
    shutil.rmtree(s.path("hf_bin"), ignore_errors=True)
    sd = {k: v for k, v in net().state_dict().items() if v.dim()}
    sd["head.weight"] = sd["fc.weight"]
    os.makedirs(s.path("hf_bin"))
    save_torch_state_dict(sd, s.path("hf_bin"), max_shard_size=110, safe_serialization=False)
    files = sorted(f for f in os.listdir(s.path("hf_bin")) if f.endswith(".bin"))
    got = {}
    for f in files:
        got.update(s.load("hf_bin/" + f))
    s.expect("hf_bin", "hf-shards", got, alias=False, note="%d shards and pytorch_model.bin.index.json" % len(files))


def dcp_read(s, name):
    """What torch itself gives: the converter it ships."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
    with tempfile.TemporaryDirectory() as d:
        dcp_to_torch_save(s.path(name), d + "/x.pt")
        return torch.load(d + "/x.pt", weights_only=False)


def dcp_worker(rank, d, rendezvous):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    dist.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    dcp.save({"model": {
        "rows": distribute_tensor(seq(5, 4), mesh, [Shard(0)]),
        "cols": distribute_tensor(seq(4, 6, dtype=torch.bfloat16), mesh, [Shard(1)]),
        "whole": distribute_tensor(seq(3), mesh, [Replicate()]),
        "plain": seq(2, 2, dtype=torch.int64), "step": 7}}, checkpoint_id=d)
    dist.destroy_process_group()


def distributed(s):
    for n in ("dcp_single", "dcp_two_ranks"):
        shutil.rmtree(s.path(n), ignore_errors=True)
    sd = {"model": net().state_dict(), "epoch": 3, "extra": {"shape": torch.Size([2]), "name": "x"},
          "t": seq(4, 3).t()}
    dcp.save(sd, checkpoint_id=s.path("dcp_single"), no_dist=True)
    s.expect("dcp_single", "dcp", dcp_read(s, "dcp_single"), alias=False)
    with tempfile.TemporaryDirectory() as t:
        mp.spawn(dcp_worker, (s.path("dcp_two_ranks"), t + "/r"), nprocs=2)
    s.expect("dcp_two_ranks", "dcp", dcp_read(s, "dcp_two_ranks"), alias=False, note="written by two processes, rows and cols sharded")


def exported(s):
    m = net()
    p = torch.export.export(m, (torch.zeros(1, 2, 4, 4),))
    torch.export.save(p, s.path("exported.pt2"))
    back = torch.export.load(s.path("exported.pt2"))
    want = dict(back.state_dict)
    want.update({"constants/" + k: v for k, v in back.constants.items() if isinstance(v, torch.Tensor) and k not in want})
    s.expect("exported.pt2", "pt2", want, alias=False, note="state_dict and constants of the program")

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(seq(4, 4))
            self.b = self.a
            self.register_buffer("row", self.a.detach()[1])
            self.register_buffer("bf", seq(3, dtype=torch.bfloat16))
            self.register_buffer("none", torch.zeros(0, 3))

        def forward(self, x):
            return x @ self.a + self.b.sum() + self.row + self.bf.sum() + self.none.sum()

    p = torch.export.export(Shared(), (torch.zeros(2, 4),))
    torch.export.save(p, s.path("exported_shared.pt2"))
    back = torch.export.load(s.path("exported_shared.pt2"))
    s.expect("exported_shared.pt2", "pt2", dict(back.state_dict), note="tied and overlapping weights")


def numpy_files(s):
    d = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
         "big": np.arange(4, dtype=">i4"), "i": np.arange(3), "n": {"x": np.float16([1, 2])}, "text": "hello",
         "scalar": np.array(2.5), "empty": np.zeros((0, 2), np.uint8), "b": np.array([True, False])}
    for name, kw in (("joblib_raw.joblib", {}), ("joblib_zlib.joblib", {"compress": ("zlib", 3)}),
                     ("joblib_gzip.joblib", {"compress": ("gzip", 3)}), ("joblib_bz2.joblib", {"compress": ("bz2", 3)}),
                     ("joblib_xz.joblib", {"compress": ("xz", 3)}), ("joblib_lzma.joblib", {"compress": ("lzma", 3)}),
                     ("joblib_proto2.joblib", {"protocol": 2})):
        joblib.dump(d, s.path(name), **kw)
        s.expect(name, "joblib", joblib.load(s.path(name)), alias=False, wrap=(kw.get("compress") or [""])[0])
    joblib.dump({"o": np.array([1, "a", None], dtype=object)}, s.path("joblib_object.joblib"))
    s.expect("joblib_object.joblib", "joblib", joblib.load(s.path("joblib_object.joblib")))

    arrays = {"c_order": d["w"], "f_order": d["f"], "big_endian": d["big"], "bool": d["b"], "scalar": d["scalar"],
              "empty": d["empty"], "f16": np.float16([1, 2]), "c64": np.array([1 + 2j], np.complex64),
              "c128": np.array([1 + 2j]), "structured": np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]),
              "object": np.array([1, "a"], dtype=object), "unicode": np.array(["ab", "c"])}
    for k, a in arrays.items():
        n = "npy_%s.npy" % k
        np.save(s.path(n), a, allow_pickle=True)
        s.expect(n, "npy", np.load(s.path(n), allow_pickle=True))
    with open(s.path("npy_v2.npy"), "wb") as f:
        np.lib.format.write_array(f, d["w"], version=(2, 0))
    s.expect("npy_v2.npy", "npy", np.load(s.path("npy_v2.npy")))
    with open(s.path("npy_v3.npy"), "wb") as f:
        np.lib.format.write_array(f, d["w"], version=(3, 0))
    s.expect("npy_v3.npy", "npy", np.load(s.path("npy_v3.npy")))
    plain = {k: arrays[k] for k in ("c_order", "f_order", "big_endian", "bool", "scalar", "empty")}
    np.savez(s.path("stored.npz"), **plain)
    np.savez_compressed(s.path("deflated.npz"), **plain)
    for n in ("stored.npz", "deflated.npz"):
        s.expect(n, "npz", dict(np.load(s.path(n))))
    # Arrays inside a torch file and inside a bare pickle, with numpy 2 names.
    attempt(s, "numpy_inside.pt", "torch-zip", lambda: torch.save({"a": d["w"], "s": np.float64(2), "t": seq(2)}, s.path("numpy_inside.pt")))
    import pickle
    for p in (2, 4, 5):
        n = "numpy_proto%d.pkl" % p
        put(s, n, pickle.dumps({k: v for k, v in d.items() if k != "text"}, protocol=p))
        s.expect(n, "pickle", pickle.load(open(s.path(n), "rb")), alias=False)


def main():
    s = expect.Suite("make_new.py", FOLDER)
    common_cases.all_cases(s)
    for part in (shards, distributed, exported, numpy_files):
        try:
            part(s)
        except Exception as e:
            print("FAILED", part.__name__, type(e).__name__, str(e)[:600])
    s.close()


if __name__ == "__main__":
    main()
