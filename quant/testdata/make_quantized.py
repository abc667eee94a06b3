#!/usr/bin/env python3
"""Makes quantized/*.safetensors: tensors of floats, and what others make of them.

Needs torch, ml_dtypes, compressed-tensors, torchao and safetensors.

    python3 make_quantized.py

A file holds the tensors as they were, as from:NAME, the tensors that quantising them gives, and
what these stand for, as value:NAME. By scheme:

  tensor    compressed-tensors: calculate_qparams and NaiveQuantizationCompressor, scales in float32
  block128  the formula of DeepSeek's kernel.py, s = max|block| / 448 and x / s, in torch; the values by
            transformers' Fp8Dequantize where it takes them
  mx        torchao's to_mx with ScaleCalculationMode.FLOOR, which is section 6.3 of OCP's specification;
            the values by ml_dtypes: element times 2 ** (scale - 127)
"""

import os

import ml_dtypes
import numpy as np
import torch
from safetensors.torch import save_file

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quantized")


def noise(*shape, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g) * torch.exp(2 * torch.randn(shape[:-1] + (1,), generator=g))
    x[..., :32][0] = 0  # blocks of zeros
    x[..., 32:64][1] *= 1e-34  # and of small numbers; below 2^-126 torchao divides by another scale than it stores
    x[..., :32][2] *= 1e30
    return x.to(dtype)


def unfold(x, block=128):
    rows, cols = x.shape
    r, c = -(-rows // block), -(-cols // block)
    padded = torch.zeros(r * block, c * block)
    padded[:rows, :cols] = x.float()
    return padded.view(r, block, c, block), r, c


def write(name, tensors):
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(folder, name + ".safetensors"))
    print(name, sorted(tensors))


def tensor():
    from compressed_tensors.compressors.naive_quantized.base import NaiveQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams
    out = {}
    for name, x in (("a.weight", noise(5, 70, seed=1)), ("b.weight", noise(4, 64, seed=2, dtype=torch.bfloat16)), ("zero.weight", torch.zeros(3, 4))):
        args = QuantizationArgs(num_bits=8, type="float", strategy="tensor", symmetric=True)
        scale, _ = calculate_qparams(x.float().min(), x.float().max(), args)
        scale = scale.reshape(1).float()
        if not x.any():
            scale = torch.ones(1)  # there it is the library's choice, eps
        state = NaiveQuantizationCompressor.compress({"weight": x.float(), "weight_scale": scale}, QuantizationScheme(targets=["Linear"], weights=args))
        want = NaiveQuantizationCompressor.decompress(state, QuantizationScheme(targets=["Linear"], weights=args))["weight"]
        out |= {"from:" + name: x, name: state["weight"], name + "_scale": scale, "value:" + name: want.float()}
    write("tensor", out)


def block128():
    out = {}
    for name, x in (("a.weight", noise(130, 132, seed=3)), ("b.weight", noise(6, 128, seed=4, dtype=torch.bfloat16)), ("experts.up_proj", None)):
        if x is None:
            x = torch.stack([noise(5, 129, seed=5, dtype=torch.bfloat16), noise(5, 129, seed=6, dtype=torch.bfloat16)])
        qs, ss, vs = [], [], []
        for part in x.reshape(-1, *x.shape[-2:]):
            blocks, r, c = unfold(part)
            s = blocks.abs().amax(dim=(1, 3)) / 448
            s[s == 0] = 1
            q = (blocks / s[:, None, :, None]).reshape(r * 128, c * 128)[: part.shape[0], : part.shape[1]].to(torch.float8_e4m3fn)
            full = s.repeat_interleave(128, 0).repeat_interleave(128, 1)[: part.shape[0], : part.shape[1]]
            qs, ss, vs = qs + [q], ss + [s], vs + [q.float() * full]
        shape = x.shape[:-2]
        out |= {"from:" + name: x, name: torch.stack([q.view(torch.uint8) for q in qs]).reshape(x.shape).view(torch.float8_e4m3fn),
                name + "_scale_inv": torch.stack(ss).reshape(*shape, *ss[0].shape), "value:" + name: torch.stack(vs).reshape(x.shape)}
    write("block128", out)


def mx():
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.mx_tensor import to_mx
    for kind, dtype, element in (("mxfp8", torch.float8_e4m3fn, ml_dtypes.float8_e4m3fn), ("mxfp8-e5m2", torch.float8_e5m2, ml_dtypes.float8_e5m2),
                                 ("mxfp4", getattr(torch, "float4_e2m1fn_x2"), ml_dtypes.float4_e2m1fn)):
        out = {}
        for name, x in (("a.weight", noise(5, 96, seed=7)), ("b.weight", noise(4, 64, seed=8, dtype=torch.bfloat16))):
            s, q = to_mx(x, dtype, 32, ScaleCalculationMode.FLOOR)
            s, q = s.view(torch.uint8), q.view(torch.uint8)
            codes = q.numpy()
            if kind == "mxfp4":
                codes = np.stack([codes & 15, codes >> 4], -1).reshape(x.shape)
            values = codes.view(element).astype(np.float64) if kind != "mxfp4" else codes.astype(np.uint8).view(np.uint8).astype(np.int64)
            if kind == "mxfp4":
                table = np.arange(16, dtype=np.uint8).view(element).astype(np.float64)
                values = table[values]
            values = values * 2.0 ** (np.repeat(s.numpy().astype(np.float64), 32, -1) - 127)
            stored = {"mxfp4": name + "_packed"}.get(kind, name)
            out |= {"from:" + name: x, stored: q if kind == "mxfp4" else q.view(dtype), name + "_scale": s, "value:" + name: torch.from_numpy(values.astype(np.float32))}
        write(kind, out)


tensor()
block128()
mx()
