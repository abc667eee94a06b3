#!/usr/bin/env python3
"""Run with a current torch and joblib, lz4 and zstandard: python make_more.py

What make_new.py came to lack: zstd and lz4 around files, the sparse layouts other than COO and CSR, and a .pt2 with an
object among its constants. With an older torch, `python make_more.py pt2` writes torchNNN/exported.pt2 alone.
"""
import io, lzma, subprocess, sys

import numpy as np
import torch

import expect
from common_cases import net, put, seq, small, to_bytes

FOLDER = "torch" + "".join(torch.__version__.split(".")[:2])


def wrapped(s):
    import joblib
    import lz4.frame
    import zstandard
    sd = small()
    for kind, kw in (("zip", {}), ("legacy", {"_use_new_zipfile_serialization": False})):
        data = to_bytes(sd, **kw)
        for wrap, ext, packed in (("zstd", "zst", zstandard.ZstdCompressor(level=19).compress(data)), ("lz4", "lz4", lz4.frame.compress(data))):
            name = "wrapped_%s.pt.%s" % (kind, ext)
            put(s, name, packed)
            s.expect(name, "torch-" + kind, torch.load(io.BytesIO(data)), wrap=wrap)
    # Streamed: no size in the header, several frames, a checksum.
    data = to_bytes(sd)
    packer = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=False)
    put(s, "wrapped_frames.pt.zst", packer.compress(data[:2000]) + packer.compress(data[2000:]))
    s.expect("wrapped_frames.pt.zst", "torch-zip", torch.load(io.BytesIO(data)), wrap="zstd", note="two frames")
    # xz of several blocks, and of several streams with padding between them, by the program itself.
    blocks = subprocess.run(["xz", "-6", "--block-size=1500"], input=data, stdout=subprocess.PIPE, check=True).stdout
    put(s, "wrapped_blocks.pt.xz", blocks)
    s.expect("wrapped_blocks.pt.xz", "torch-zip", torch.load(io.BytesIO(data)), wrap="xz", note="several blocks")
    put(s, "wrapped_streams.pt.xz", lzma.compress(data[:2000]) + b"\0" * 8 + lzma.compress(data[2000:], check=lzma.CHECK_SHA256))
    s.expect("wrapped_streams.pt.xz", "torch-zip", torch.load(io.BytesIO(data)), wrap="xz", note="two streams")
    arrays = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    joblib.dump(arrays, s.path("joblib_lz4.joblib"), compress=("lz4", 3))
    s.expect("joblib_lz4.joblib", "joblib", joblib.load(s.path("joblib_lz4.joblib")), alias=False, wrap="lz4")


def sparse(s):
    w = torch.tensor([[0, 1.5, 0, 0], [2.5, 0, -3, 0], [0, 0, 0, 0], [0, 0, 4, 5], [0, 7, 0, 0], [0, 0, 0, 0]])
    files = {"csc": w.to_sparse_csc(), "bsr": w.to_sparse_bsr((2, 2)), "bsr_wide": w.to_sparse_bsr((3, 4)), "bsc": w.to_sparse_bsc((3, 2)),
             "bsc_f16": w.half().to_sparse_bsc((2, 1)), "csr_int32": torch.sparse_csr_tensor(
                 torch.tensor([0, 1, 3], dtype=torch.int32), torch.tensor([2, 0, 1], dtype=torch.int32), torch.tensor([1.0, 2.0, 3.0]), (2, 3)),
             "csc_empty": torch.zeros(3, 2).to_sparse_csc(), "coo_empty": torch.sparse_coo_tensor(size=(2, 3))}
    for name, t in files.items():
        name = "sparse_%s.pt" % name
        put(s, name, to_bytes({"w": t, "ok": seq(2)}))
        s.expect(name, "torch-zip")


def nested(s):
    """Weights that stand below a root; "model" is one only at the top. TestRoot names what is found."""
    put(s, "nested_root.pt", to_bytes({"epoch": 1, "model": {"state_dict": {"a": seq(2), "model.b": seq(3)}, "optimizer": {"m": seq(2)}}}))
    put(s, "nested_module.pt", to_bytes({"model": {"model": {"a": seq(2)}, "head": {"b": seq(3)}}}))
    loop = {"w": seq(2)}
    loop["state_dict"] = loop
    put(s, "nested_self.pt", to_bytes(loop))


def program(s, name, extra):
    p = torch.export.export(net(), (torch.zeros(1, 2, 4, 4),))
    p.constants.update(extra)
    torch.export.save(p, s.path(name))
    back = torch.export.load(s.path(name))
    want = dict(back.state_dict)
    want.update({"constants/" + k: v for k, v in back.constants.items() if isinstance(v, torch.Tensor) and k not in want})
    s.expect(name, "pt2", want, alias=False, note="state_dict and constants of the program")


def main():
    if sys.argv[1:] == ["pt2"]:
        s = expect.Suite("make_more.py " + FOLDER, FOLDER)
        program(s, "exported.pt2", {})
        s.close()
        return
    s = expect.Suite("make_more.py", FOLDER)
    wrapped(s)
    sparse(s)
    nested(s)
    packed = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(seq(2, 3), 0.1, 0, torch.qint8), None)
    program(s, "exported_object.pt2", {"packed": packed})
    s.close()


if __name__ == "__main__":
    main()
