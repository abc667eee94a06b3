#!/usr/bin/env python3
"""Makes the models of this folder, each packed and unpacked by the library that made its scheme.

Needs torch, safetensors and, for what is asked for by name:

    compressed-tensors, bitsandbytes, transformers, torchao, optimum-quanto, mlx (its CPU build),
    gptqmodel and auto-round (importable), aqlm, autoawq's awq/utils/packing_utils.py as $AWQ_PACKING

    python3 make.py [NAME...]

A file holds the packed tensors as the library stores them and, as expected:NAME, what it makes of
them. Metadata: "config" is the config.json, "made_by" the library, "call" what was called. Files are
the same on every run.
"""

import importlib.util
import json
import os
import sys

import torch
from safetensors.torch import save_file

MODELS = {}


def model(f):
    MODELS[f.__name__.replace("_", "-")] = f
    return f


def noise(*shape, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g) * torch.exp(torch.randn(shape[:-1] + (1,), generator=g))
    return x.to(dtype)


def integers(lo, hi, *shape, seed=0, dtype=torch.int32):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(lo, hi, shape, generator=g).to(dtype)


def version(name):
    from importlib.metadata import version
    return f"{name} {version(name)}"


# ---- FP8 -------------------------------------------------------------------------------------


def deepseek(rows, cols, block=128, scale=torch.float32, seed=1):
    """What DeepSeek's kernel.py does in Triton, as its formula: s = max|block| / 448, x / s."""
    x = noise(rows, cols, seed=seed)
    r, c = -(-rows // block), -(-cols // block)
    padded = torch.zeros(r * block, c * block)
    padded[:rows, :cols] = x
    blocks = padded.view(r, block, c, block)
    s = blocks.abs().amax(dim=(1, 3)) / 448
    q = (blocks / s[:, None, :, None]).reshape(r * block, c * block)[:rows, :cols].contiguous().to(torch.float8_e4m3fn)
    return q, s.to(scale)


def weight_dequant(q, s, block=128):
    """weight_dequant of DeepSeek-V3's kernel.py: x.to(float32) * s, stored as bfloat16."""
    full = s.to(torch.float32).repeat_interleave(block, 0).repeat_interleave(block, 1)[: q.shape[0], : q.shape[1]]
    return (q.to(torch.float32) * full).to(torch.bfloat16)


FP8_CONFIG = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}}


@model
def fp8_block():
    q, s = deepseek(150, 200)
    q2, s2 = deepseek(128, 128, seed=2)
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    want = Fp8Dequantize(None)._dequantize_one(q2, s2, torch.bfloat16)  # takes whole blocks alone
    assert torch.equal(want, weight_dequant(q2, s2))
    return ({"a.weight": q, "a.weight_scale_inv": s, "b.weight": q2, "b.weight_scale_inv": s2, "norm.weight": noise(16, dtype=torch.bfloat16)},
            {"a.weight": weight_dequant(q, s), "b.weight": want}, FP8_CONFIG,
            version("transformers"), "Fp8Dequantize for b; for a, whose blocks are cut off, the formula of DeepSeek's weight_dequant")


@model
def fp8_rows():
    from compressed_tensors.compressors.naive_quantized.base import NaiveQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    packed, want = {}, {}
    for name, strategy, shape, dtype, more in (
            ("row", "channel", (20, 1), torch.bfloat16, {}), ("tensor", "tensor", (1,), torch.float32, {}),
            ("group", "group", (20, 3), torch.bfloat16, {"group_size": 32}), ("half", "channel", (20, 1), torch.float16, {})):
        args = QuantizationArgs(num_bits=8, type="float", strategy=strategy, symmetric=True, **more)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        scale = noise(*shape, seed=len(name)).abs().clamp(min=0.01).to(dtype)
        state = NaiveQuantizationCompressor.compress({"weight": noise(20, 96, seed=3).to(dtype), "weight_scale": scale}, scheme)
        packed |= {f"{name}.{k}": v for k, v in state.items()}
        want[name + ".weight"] = NaiveQuantizationCompressor.decompress(state, scheme)["weight"]
    return packed, want, {"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized"}}, version("compressed-tensors"), "NaiveQuantizationCompressor"


@model
def int8_rows():
    from compressed_tensors.compressors.naive_quantized.base import NaiveQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    packed, want = {}, {}
    for name, symmetric in (("sym", True), ("asym", False)):
        args = QuantizationArgs(num_bits=8, type="int", strategy="channel", symmetric=symmetric)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        state = {"weight": noise(20, 96, seed=4, dtype=torch.bfloat16), "weight_scale": noise(20, 1, seed=5).abs().to(torch.bfloat16)}
        if not symmetric:
            state["weight_zero_point"] = integers(-128, 128, 20, 1, dtype=torch.int8)
        state = NaiveQuantizationCompressor.compress(state, scheme)
        packed |= {f"{name}.{k}": v for k, v in state.items()}
        want[name + ".weight"] = NaiveQuantizationCompressor.decompress(state, scheme)["weight"]
    return packed, want, {}, version("compressed-tensors"), "NaiveQuantizationCompressor"


@model
def mxfp8():
    from compressed_tensors.compressors.mxfp8.base import MXFP8QuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    args = QuantizationArgs(num_bits=8, type="float", strategy="group", group_size=32, symmetric=True, scale_dtype=torch.uint8)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    x = noise(20, 96, seed=6, dtype=torch.bfloat16)
    scale = 2.0 ** torch.floor(torch.log2(x.float().view(20, 3, 32).abs().amax(-1) / 256))
    state = MXFP8QuantizationCompressor.compress({"weight": x, "weight_scale": scale.to(torch.bfloat16)}, scheme)
    want = MXFP8QuantizationCompressor.decompress(state, scheme)["weight"]
    return {"a." + k: v for k, v in state.items()}, {"a.weight": want}, {}, version("compressed-tensors"), "MXFP8QuantizationCompressor"


@model
def fp8_e8m0():
    q, s = deepseek(128, 128)
    s = (2.0 ** torch.ceil(torch.log2(s))).to(torch.float8_e8m0fnu)  # scale_fmt ue8m0
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    want = Fp8Dequantize(None)._dequantize_one(q, s, torch.bfloat16)
    return {"a.weight": q, "a.scale": s}, {"a.weight": want}, FP8_CONFIG, version("transformers"), "Fp8Dequantize"


# ---- FP4 -------------------------------------------------------------------------------------


@model
def gpt_oss():
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    blocks = integers(0, 256, 2, 12, 3, 16, seed=7, dtype=torch.uint8)
    scales = integers(100, 140, 2, 12, 3, seed=8, dtype=torch.uint8)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    return ({name + "_blocks": blocks, name + "_scales": scales, name + "_bias": noise(2, 12, dtype=torch.bfloat16)},
            {name: convert_moe_packed_tensors(blocks, scales)}, {"quantization_config": {"quant_method": "mxfp4"}},
            version("transformers"), "convert_moe_packed_tensors")


@model
def mxfp4():
    from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    args = QuantizationArgs(num_bits=4, type="float", strategy="group", group_size=32, symmetric=True, scale_dtype=torch.uint8)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    x = noise(20, 96, seed=9, dtype=torch.bfloat16)
    scale = 2.0 ** torch.floor(torch.log2(x.float().view(20, 3, 32).abs().amax(-1) / 4))
    state = MXFP4PackedCompressor.compress({"weight": x, "weight_scale": scale.to(torch.bfloat16)}, scheme)
    want = MXFP4PackedCompressor.decompress(state, scheme)["weight"]
    return {"a." + k: v for k, v in state.items()}, {"a.weight": want}, {}, version("compressed-tensors"), "MXFP4PackedCompressor"


@model
def nvfp4():
    from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    args = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16, symmetric=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    x = noise(20, 96, seed=10, dtype=torch.bfloat16)
    g = (448 * 6 / x.float().abs().max()).reshape(1)
    scale = (g * x.float().view(20, 6, 16).abs().amax(-1) / 6).to(torch.float8_e4m3fn)
    state = NVFP4PackedCompressor.compress({"weight": x, "weight_scale": scale.float(), "weight_global_scale": g}, scheme)
    want = NVFP4PackedCompressor.decompress(state, scheme)["weight"]
    state = {"a." + k: v for k, v in state.items()}
    # ModelOpt stores the factor itself, under other names: the product in float32, then rounded.
    codes, two = state["a.weight_packed"], 1 / g
    lut = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6])
    values = torch.stack([lut[(codes & 15).int()], lut[(codes >> 4).int()]], -1).view(20, 6, 16)
    modelopt = (values * (scale.float() * two).view(20, 6, 1)).view(20, 96).to(torch.bfloat16)
    state |= {"b.weight": codes.clone(), "b.weight_scale": scale.clone(), "b.weight_scale_2": two.reshape(()), "b.input_scale": torch.ones(())}
    return state, {"a.weight": want, "b.weight": modelopt}, {}, version("compressed-tensors"), "NVFP4PackedCompressor for a; for b the formula of ModelOpt"


# ---- integers --------------------------------------------------------------------------------


@model
def pack_quantized():
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    packed, want = {}, {}
    groups = {}
    for bits in (2, 3, 4, 5, 8):
        for symmetric in (True, False):
            name = f"w{bits}{'s' if symmetric else 'a'}"
            args = QuantizationArgs(num_bits=bits, type="int", strategy="group", group_size=32, symmetric=symmetric)
            groups[name] = {"weights": {"num_bits": bits}}
            scheme = QuantizationScheme(targets=["Linear"], weights=args)
            state = {"weight": noise(20, 96, seed=bits, dtype=torch.bfloat16), "weight_scale": noise(20, 3, seed=bits + 10).abs().to(torch.bfloat16) / 2 ** bits}
            half = 2 ** (bits - 1)
            if not symmetric:
                state["weight_zero_point"] = integers(-half, half, 20, 3, seed=bits, dtype=torch.int8)
            state = PackedQuantizationCompressor.compress(state, scheme)
            packed |= {f"{name}.{k}": v for k, v in state.items()}
            want[name + ".weight"] = PackedQuantizationCompressor.decompress(state, scheme)["weight"]
    # A scale a row, a number of columns that fills no words, and a group index.
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(num_bits=4, type="int", strategy="channel", symmetric=True))
    state = PackedQuantizationCompressor.compress({"weight": noise(6, 37, seed=20, dtype=torch.float16), "weight_scale": noise(6, 1, seed=21).abs().to(torch.float16)}, scheme)
    packed |= {"odd." + k: v for k, v in state.items()}
    want["odd.weight"] = PackedQuantizationCompressor.decompress(state, scheme)["weight"]
    return packed, want, {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": groups}}, version("compressed-tensors"), "PackedQuantizationCompressor"


@model
def pack_quantized_old():
    """As before words were filled to the last bit. Only with compressed-tensors 0.9.4 in $OLD_COMPRESSED_TENSORS, in a run of its own."""
    sys.path.insert(0, os.environ["OLD_COMPRESSED_TENSORS"])
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import pack_to_int32, unpack_from_int32
    packed, want, groups = {}, {}, {}
    for bits in (3, 5, 6):
        q = integers(-2 ** (bits - 1), 2 ** (bits - 1), 10, 96, seed=bits, dtype=torch.int8)
        s = noise(10, 3, seed=80 + bits).abs().to(torch.bfloat16)
        p = pack_to_int32(q, bits)
        name, groups[str(bits)] = f"w{bits}", {"weights": {"num_bits": bits}}
        packed |= {name + ".weight_packed": p, name + ".weight_scale": s, name + ".weight_shape": torch.tensor([10, 96])}
        want[name + ".weight"] = (unpack_from_int32(p, bits, torch.Size([10, 96])).to(torch.bfloat16).view(10, 3, 32) * s[:, :, None]).view(10, 96)
    return packed, want, {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": groups}}, "compressed-tensors 0.9.4", "unpack_from_int32, times the scale"


def gptq(bits, v2, desc_act, rows=32, cols=64, group=32):
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    layer = TorchLinear(bits=bits, group_size=group, sym=False, desc_act=desc_act, in_features=cols, out_features=rows, bias=False, register_buffers=True)
    words = 2 ** 31
    layer.qweight.copy_(integers(-words, words, *layer.qweight.shape, seed=bits, dtype=torch.int64).to(torch.int32))
    layer.qzeros.copy_(integers(-words, words, *layer.qzeros.shape, seed=bits + 1, dtype=torch.int64).to(torch.int32))
    if not v2:  # the largest code is none: adding one would carry over
        fields = integers(0, 2 ** bits - 1, layer.qzeros.shape[0], rows, seed=bits + 1, dtype=torch.int64)
        stream = torch.zeros(layer.qzeros.shape, dtype=torch.int64)
        for r in range(rows):
            at = r * bits
            stream[:, at // 32] |= fields[:, r] << at % 32
            if at % 32 + bits > 32:
                stream[:, at // 32 + 1] |= fields[:, r] >> (32 - at % 32)
        layer.qzeros.copy_((stream & 0xFFFFFFFF).to(torch.int32))
    layer.scales.copy_(noise(*layer.scales.shape, seed=bits + 2).abs().to(torch.float16) / 2 ** bits)
    index = torch.arange(cols) // group
    if desc_act:
        index = index[torch.randperm(cols, generator=torch.Generator().manual_seed(bits))]
    layer.g_idx.copy_(index.to(torch.int32))
    layer.post_init()
    state = {k: getattr(layer, k).clone() for k in ("qweight", "qzeros", "scales", "g_idx")}
    if not v2:
        # The first version stores zero points less one; the library adds one to every field when it loads them.
        from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module
        layer.qzero_format(format=1)
        convert_gptq_v1_to_v2_format_module(layer, bits=bits, pack_dtype=torch.int32)
    return state, layer.dequantize_weight().t().contiguous().to(torch.float16)


def gptqs(v2):
    packed, want = {}, {}
    for bits in (2, 3, 4, 8):
        for desc_act in (False, True):
            name = f"w{bits}{'d' if desc_act else ''}"
            state, w = gptq(bits, v2, desc_act)
            packed |= {f"{name}.{k}": v for k, v in state.items()}
            want[name + ".weight"] = w
    return packed, want, {"quantization_config": {"quant_method": "gptq", "checkpoint_format": "gptq_v2" if v2 else "gptq"}}, version_of_gptqmodel(), "TorchLinear.dequantize_weight"


def version_of_gptqmodel():
    import gptqmodel
    return "gptqmodel " + gptqmodel.__version__


@model
def gptq_v2():
    return gptqs(True)


@model
def gptq_v1():
    return gptqs(False)


@model
def auto_round():
    """As GPTQ, but for zero points, which are stored as they are; and with five, six and seven bits."""
    from auto_round_extension.torch.qlinear_torch import QuantLinear
    packed, want = {}, {}
    words = 2 ** 31
    for bits in range(2, 9):
        layer = QuantLinear(bits, 32, 64, 32, False)
        for i, b in enumerate((layer.qweight, layer.qzeros)):
            b.copy_(integers(-words, words, *b.shape, seed=90 + bits + i, dtype=torch.int64).to(torch.int32))
        layer.scales.copy_(noise(*layer.scales.shape, seed=bits).abs().to(torch.float16) / 2 ** bits)
        packed |= {f"w{bits}.{k}": getattr(layer, k) for k in ("qweight", "qzeros", "scales")}
        want[f"w{bits}.weight"] = layer(torch.eye(64, dtype=torch.float16)).t()
    return packed, want, {"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round"}}, version("auto-round"), "QuantLinear, of a unit matrix"


@model
def awq():
    spec = importlib.util.spec_from_file_location("packing_utils", os.environ["AWQ_PACKING"])
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    words = 2 ** 31
    q = integers(-words, words, 96, 5, seed=30, dtype=torch.int64).to(torch.int32)
    z = integers(-words, words, 3, 5, seed=31, dtype=torch.int64).to(torch.int32)
    s = noise(3, 40, seed=32).abs().to(torch.float16) / 16
    want = utils.dequantize_gemm(q, z, s, 4, 32).t().contiguous()
    return ({"a.qweight": q, "a.qzeros": z, "a.scales": s}, {"a.weight": want},
            {"quantization_config": {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": 32}}, "autoawq 0.2.9", "dequantize_gemm")


# ---- bitsandbytes ----------------------------------------------------------------------------


def four_bit(kind):
    import bitsandbytes.functional as F
    packed, want = {}, {}
    for name, shape, dtype, nested, block in (
            ("plain", (24, 64), torch.bfloat16, False, 64), ("nested", (65, 256), torch.bfloat16, True, 64),
            ("half", (10, 96), torch.float16, False, 64), ("full", (10, 96), torch.float32, True, 128), ("odd", (3, 45), torch.bfloat16, False, 64)):
        q, state = F.quantize_4bit(noise(*shape, seed=40, dtype=dtype), blocksize=block, compress_statistics=nested, quant_type=kind)
        packed[name + ".weight"] = q
        packed |= {f"{name}.weight.{k}": v for k, v in state.as_dict(packed=True).items()}
        if shape[1] % block == 0:
            want[name + ".weight"] = F.dequantize_4bit(q, state)
        else:  # where blocks go over the ends of rows the kernel for processors takes others than all else does
            from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
            absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset if nested else state.absmax
            want[name + ".weight"] = _dequantize_4bit_compute(q.reshape(-1), absmax, state.code, block, shape, dtype)
    return packed, want, {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, version("bitsandbytes"), "dequantize_4bit"


@model
def nf4():
    return four_bit("nf4")


@model
def fp4():
    return four_bit("fp4")


@model
def nf4_storage():
    """As FSDP asks for them: the same bytes, in the name of a float (bnb_4bit_quant_storage)."""
    import bitsandbytes.functional as F
    packed, want = {"norm.weight": noise(64, dtype=torch.bfloat16)}, {}
    for i, (name, kind, storage, nested) in enumerate((("b", "nf4", torch.bfloat16, True), ("h", "fp4", torch.float16, False), ("f", "nf4", torch.float32, False))):
        q, state = F.quantize_4bit(noise(24, 64, seed=42 + i, dtype=torch.bfloat16), compress_statistics=nested, quant_type=kind, quant_storage=storage)
        packed[name + ".weight"] = q
        packed |= {f"{name}.weight.{k}": v for k, v in state.as_dict(packed=True).items()}
        want[name + ".weight"] = F.dequantize_4bit(q, state)
    return packed, want, {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_storage": "bfloat16"}}, version("bitsandbytes"), "dequantize_4bit"


@model
def bnb_int8():
    import bitsandbytes.functional as F
    cb, scb, _ = F.int8_vectorwise_quant(noise(24, 64, seed=41, dtype=torch.float16))
    return ({"a.weight": cb, "a.SCB": scb, "a.weight_format": torch.tensor(0, dtype=torch.uint8)}, {"a.weight": F.int8_vectorwise_dequant(cb, scb)},
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, version("bitsandbytes"), "int8_vectorwise_dequant")


# ---- others ----------------------------------------------------------------------------------


@model
def mlx():
    import mlx.core as mx
    import numpy as np

    def to_torch(a):
        if a.dtype == mx.bfloat16:
            return torch.from_numpy(np.array(a.view(mx.uint16))).view(torch.bfloat16)
        return torch.from_numpy(np.array(a))

    packed, want, modules = {}, {}, {}
    mx.random.seed(1)
    for bits, group, dtype in ((2, 32, mx.float16), (3, 64, mx.bfloat16), (4, 64, mx.bfloat16), (5, 64, mx.float16), (6, 32, mx.bfloat16), (8, 64, mx.float32)):
        name = f"model.w{bits}"
        q, s, b = mx.quantize(mx.random.normal((12, 128)).astype(dtype), group, bits)
        packed |= {name + ".weight": to_torch(q), name + ".scales": to_torch(s), name + ".biases": to_torch(b)}
        want[name + ".weight"] = to_torch(mx.dequantize(q, s, b, group, bits))
        modules[name] = {"group_size": group, "bits": bits}
    for mode, group in (("mxfp4", 32), ("mxfp8", 32), ("nvfp4", 16)):
        q, s = mx.quantize(mx.random.normal((12, 128)).astype(mx.bfloat16), group, 4 if mode != "mxfp8" else 8, mode=mode)
        w = to_torch(mx.dequantize(q, s, None, group, 4 if mode != "mxfp8" else 8, mode=mode, dtype=mx.bfloat16))
        MODELS_MLX[mode] = ({"model.a.weight": to_torch(q), "model.a.scales": to_torch(s)}, {"model.a.weight": w}, {"quantization": {"group_size": group, "bits": 4 if mode != "mxfp8" else 8, "mode": mode}}, version("mlx"), "dequantize")
    return packed, want, {"quantization": {"group_size": 64, "bits": 4} | modules}, version("mlx"), "dequantize"


MODELS_MLX = {}


@model
def quanto():
    from optimum.quanto import qfloat8, qint8
    from optimum.quanto.tensor.weights import quantize_weight
    from optimum.quanto import AbsmaxOptimizer
    packed, want = {}, {}
    for name, kind in (("i8", qint8), ("f8", qfloat8)):
        w = noise(24, 64, seed=50, dtype=torch.bfloat16)
        scale = AbsmaxOptimizer()(w, qtype=kind, axis=0)
        q = quantize_weight(w, qtype=kind, axis=0, scale=scale)
        q.save_to_state_dict(packed, name + ".weight.", False)
        want[name + ".weight"] = q.dequantize()
    return packed, want, {}, version("optimum-quanto"), "QTensor.dequantize"


@model
def torchao():
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
    packed, want = {}, {}
    for name, config in (("i8", Int8WeightOnlyConfig(version=2)), ("f8", Float8WeightOnlyConfig())):
        layer = torch.nn.Sequential(torch.nn.Linear(64, 24, bias=False, dtype=torch.bfloat16))
        layer[0].weight = torch.nn.Parameter(noise(24, 64, seed=51, dtype=torch.bfloat16))
        quantize_(layer, config)
        flat, _ = flatten_tensor_state_dict({name + ".weight": layer[0].weight})
        packed |= flat
        want[name + ".weight"] = layer[0].weight.dequantize()
    return packed, want, {"quantization_config": {"quant_method": "torchao"}}, version("torchao"), "dequantize"


@model
def aqlm():
    # Not in bfloat16: there PyTorch's kernel for processors rounds halves away from zero, as no other does.
    from aqlm.utils import _dequantize_weight, unpack_int_data
    packed, want = {}, {}
    for name, books, bits, high, wide, dtype, kind in (("one", 1, 10, 1, 8, torch.float16, torch.int16), ("two", 2, 8, 1, 8, torch.float32, torch.int8),
                                                      ("tiles", 3, 6, 4, 4, torch.float16, torch.int8)):
        codes = integers(-2 ** (bits - 1), 2 ** (bits - 1), 12 // high, 64 // wide, books, seed=70, dtype=kind)
        book = noise(books, 2 ** bits, high, wide, seed=71, dtype=dtype)
        scales = noise(12 // high, 1, 1, 1, seed=72, dtype=dtype)
        packed |= {name + ".codes": codes, name + ".codebooks": book, name + ".scales": scales}
        want[name + ".weight"] = _dequantize_weight(unpack_int_data(codes, bits), book, scales)
    return packed, want, {"quantization_config": {"quant_method": "aqlm"}}, version("aqlm"), "_dequantize_weight"


@model
def bitnet():
    from transformers.integrations.bitnet import unpack_weights
    w = integers(0, 256, 6, 40, seed=60, dtype=torch.uint8)
    w = torch.where(w & (w >> 1) & 0x55 > 0, w & 0x55, w)  # 3 is no code
    s = torch.tensor([0.37], dtype=torch.bfloat16)
    want = (unpack_weights(w, torch.bfloat16) / s).to(torch.bfloat16)
    return {"a.weight": w, "a.weight_scale": s}, {"a.weight": want}, {"quantization_config": {"quant_method": "bitnet", "linear_class": "bitlinear"}}, version("transformers"), "unpack_weights, divided as post_quant_process does"


@model
def bitnet_auto():
    packed, want, _, made, _ = bitnet()
    from transformers.integrations.bitnet import unpack_weights
    w = unpack_weights(packed["a.weight"], torch.bfloat16) * packed["a.weight_scale"]
    return packed, {"a.weight": w}, {"quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}}, made, "unpack_weights, multiplied as AutoBitLinear does"


def write(name, made):
    packed, want, config, library, call = made
    tensors = {k: v.detach().contiguous() for k, v in packed.items()}
    tensors |= {"expected:" + k: v.detach().contiguous() for k, v in want.items()}
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(folder, name + ".safetensors")
    text = json.dumps({"config": json.dumps(config), "made_by": library, "call": call})
    save_file(tensors, path, metadata={"case": text})  # one key, so that the file is the same each time
    print(name, os.path.getsize(path), {k: str(v.dtype) for k, v in want.items()} if len(want) < 6 else len(want))


if __name__ == "__main__":
    failed = 0
    for name in sys.argv[1:] or [m for m in MODELS if m != "pack-quantized-old"]:
        try:
            write(name, MODELS[name]())
        except Exception as e:
            failed += 1
            import traceback
            traceback.print_exc(limit=-3)
            print("FAILED", name, repr(e)[:300])
    for mode, made in MODELS_MLX.items():
        write("mlx-" + mode, made)
    sys.exit(failed > 0)
