#!/usr/bin/env python3
"""Writes models.json: tensors as real models name and shape them, and what must be said of them.

Run: python3 make_models.py   (standard library only)

A name with {a-b} stands for all numbers from a to b. The parameters wanted are computed from the
sizes of the architecture, never from the list of tensors; where the makers publish a count it is
asserted here too, so that list, formula and the world agree.
"""
import json
import os

models = []


def model(name, tensors, params, kind, packing="", layers=0, base="", config=None, metadata=None, published=None):
    if published is not None:
        assert params == published, (name, params, published)
    models.append({"name": name, "config": config, "metadata": metadata,
                   "want": {"kind": kind, "base": base, "parameters": params, "packing": packing, "layers": layers},
                   "tensors": tensors})


# ---- packings of a matrix: what a linear layer [o, i] is stored as --------------------------

def plain(dtype="BF16"):
    return lambda n, o, i: [[n + ".weight", dtype, [o, i]]]


def gptq(bits=4, group=128):
    return lambda n, o, i: [[n + ".qweight", "I32", [i * bits // 32, o]],
                            [n + ".qzeros", "I32", [i // group, o * bits // 32]],
                            [n + ".scales", "F16", [i // group, o]], [n + ".g_idx", "I32", [i]]]


def awq(n, o, i):
    return [[n + ".qweight", "I32", [i, o // 8]], [n + ".qzeros", "I32", [i // 128, o // 8]],
            [n + ".scales", "F16", [i // 128, o]]]


def nf4(n, o, i):
    state = json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [o, i],
                        "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.04})
    w = n + ".weight"
    return [[w, "U8", [o * i // 2, 1]], [w + ".absmax", "U8", [o * i // 64]], [w + ".quant_map", "F32", [16]],
            [w + ".nested_absmax", "F32", [o * i // 64 // 256]], [w + ".nested_quant_map", "F32", [256]],
            [w + ".quant_state.bitsandbytes__nf4", "U8", [len(state)], state]]


def bnb8(n, o, i):
    return [[n + ".weight", "I8", [o, i]], [n + ".SCB", "F32", [o]], [n + ".weight_format", "U8", []]]


def fp8_block(n, o, i):
    return [[n + ".weight", "F8_E4M3", [o, i]],
            [n + ".weight_scale_inv", "F32", [-(-o // 128), -(-i // 128)]]]


def fp8_row(n, o, i):
    return [[n + ".weight", "F8_E4M3", [o, i]], [n + ".weight_scale", "F32", [o, 1]]]


def fp8_tensor(n, o, i):
    return [[n + ".weight", "F8_E4M3", [o, i]], [n + ".weight_scale", "F32", []], [n + ".input_scale", "F32", []]]


def nvfp4(n, o, i):  # as ModelOpt writes it
    return [[n + ".weight", "U8", [o, i // 2]], [n + ".weight_scale", "F8_E4M3", [o, i // 16]],
            [n + ".weight_scale_2", "F32", []], [n + ".input_scale", "F32", []]]


def nvfp4_ct(n, o, i):  # as compressed-tensors does
    return [[n + ".weight_packed", "U8", [o, i // 2]], [n + ".weight_scale", "F8_E4M3", [o, i // 16]],
            [n + ".weight_global_scale", "F32", [1]], [n + ".input_global_scale", "F32", [1]]]


def mxfp4_w(n, o, i):
    return [[n + ".weight", "U8", [o, i // 2]], [n + ".weight_scale", "U8", [o, i // 32]]]


def mxfp8(n, o, i):
    return [[n + ".weight", "F8_E4M3", [o, i]], [n + ".weight_scale", "U8", [o, i // 32]]]


def packed(bits):
    def f(n, o, i):
        each = 32 // bits
        return [[n + ".weight_packed", "I32", [o, -(-i // each)]], [n + ".weight_scale", "BF16", [o, i // 128]],
                [n + ".weight_shape", "I64", [2], [o, i]]]
    return f


def dense(bits):  # since words are filled to the last bit
    return lambda n, o, i: [[n + ".weight_packed", "I32", [o, -(-i * bits // 32)]], [n + ".weight_scale", "BF16", [o, i // 128]],
                            [n + ".weight_shape", "I64", [2], [o, i]]]


def mlx(bits, group):
    return lambda n, o, i: [[n + ".weight", "U32", [o, i * bits // 32]], [n + ".scales", "BF16", [o, i // group]],
                            [n + ".biases", "BF16", [o, i // group]]]


def int8(n, o, i):
    return [[n + ".weight", "I8", [o, i]], [n + ".weight_scale", "BF16", [o, 1]]]


def bitnet(n, o, i):
    return [[n + ".weight", "U8", [o // 4, i]], [n + ".weight_scale", "BF16", [1]]]


def exl2(n, o, i):
    return [[n + ".q_weight", "I32", [i * 5 // 32, o]], [n + ".q_invperm", "I16", [i]], [n + ".q_scale", "I32", [i // 128, o // 8]],
            [n + ".q_scale_max", "F16", [i // 128]], [n + ".q_groups", "I16", [2 * (i // 128)]]]


def exl3(n, o, i):
    return [[n + ".trellis", "I16", [i // 16, o // 16, 16 * 3]], [n + ".suh", "F16", [i]], [n + ".svh", "F16", [o]]]


def aqlm(n, o, i):
    return [[n + ".codes", "I16", [o, i // 8, 1]], [n + ".codebooks", "F16", [1, 65536, 1, 8]], [n + ".scales", "F16", [o, 1, 1, 1]]]


def torchao_int4(n, o, i):
    return [[n + "._weight_qdata", "U8", [o, i // 2]], [n + "._weight_scale", "BF16", [i // 128, o]],
            [n + "._weight_zero_point", "BF16", [i // 128, o]]]


# ---- Llama and its kin -----------------------------------------------------------------------

def llama_tensors(L, h, ff, vocab, kv, lin=plain(), head=plain(), emb="BF16", p="model."):
    t = [[p + "embed_tokens.weight", emb, [vocab, h]], [p + "norm.weight", "BF16", [h]]]
    x = p + "layers.{0-%d}." % (L - 1)
    for n, o, i in (("q", h, h), ("k", kv, h), ("v", kv, h), ("o", h, h)):
        t += lin(x + "self_attn.%s_proj" % n, o, i)
    for n, o, i in (("gate", ff, h), ("up", ff, h), ("down", h, ff)):
        t += lin(x + "mlp.%s_proj" % n, o, i)
    t += [[x + n + ".weight", "BF16", [h]] for n in ("input_layernorm", "post_attention_layernorm")]
    return t + (head("lm_head", vocab, h) if head else [])


def llama_params(L, h, ff, vocab, kv, tied=False):
    return vocab * h * (1 if tied else 2) + h + L * (2 * h * h + 2 * h * kv + 3 * h * ff + 2 * h)


L3 = (32, 4096, 14336, 128256, 1024)
P3 = llama_params(*L3)
DEC = "language model (decoder)"
MOE = "language model (decoder, Mixture of Experts)"


def quantised(name, lin, packing, quant=None, head=plain(), config=None):
    if quant:
        config = {"architectures": ["LlamaForCausalLM"], "quantization_config": quant}
    model(name, llama_tensors(*L3, lin=lin, head=head), P3, DEC, packing, 32, config=config)


def llamas():
    model("llama-3-8b", llama_tensors(*L3), P3, DEC, "", 32, config={"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 32},
          published=8030261248)
    l2 = (32, 4096, 11008, 32000, 4096)
    model("llama-2-7b with inv_freq", llama_tensors(*l2) + [["model.layers.{0-31}.self_attn.rotary_emb.inv_freq", "F32", [64]]],
          llama_params(*l2), DEC, "", 32, published=6738415616)
    quantised("gptq", gptq(), "GPTQ 4-bit", {"bits": 4, "quant_method": "gptq"})
    quantised("gptq-8", gptq(8), "GPTQ 8-bit", {"bits": 8, "quant_method": "gptq"})
    quantised("gptq-3 without config", gptq(3, 64), "GPTQ 3-bit")
    quantised("awq", awq, "AWQ 4-bit", {"bits": 4, "quant_method": "awq", "group_size": 128})
    quantised("nf4", nf4, "bitsandbytes nf4", {"load_in_4bit": True, "quant_method": "bitsandbytes"})
    quantised("bnb8", bnb8, "bitsandbytes int8", {"load_in_8bit": True, "quant_method": "bitsandbytes"})
    quantised("fp8-block", fp8_block, "FP8 with 128×128 block scales", {"quant_method": "fp8", "weight_block_size": [128, 128]})
    quantised("fp8-block without config", fp8_block, "FP8 with 128×128 block scales")
    quantised("fp8-row", fp8_row, "FP8 with per-row scales", {"quant_method": "compressed-tensors", "format": "float-quantized"})
    quantised("fp8-tensor", fp8_tensor, "FP8 with per-tensor scales")
    quantised("mxfp8", mxfp8, "FP8 with 1×32 block scales")
    quantised("nvfp4", nvfp4, "NVFP4", {"quant_method": "modelopt", "quant_algo": "NVFP4"})
    quantised("nvfp4-ct", nvfp4_ct, "NVFP4", {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"})
    quantised("mxfp4-weight", mxfp4_w, "MXFP4")
    for bits in (4, 8, 3):
        quantised("ct-w%d" % bits, packed(bits), "compressed-tensors pack-quantized %d-bit" % bits,
                  {"quant_method": "compressed-tensors", "format": "pack-quantized",
                   "config_groups": {"group_0": {"weights": {"num_bits": bits, "group_size": 128}}}})
    quantised("ct-w4 without config", packed(4), "compressed-tensors pack-quantized 4-bit")
    quantised("ct-int8", int8, "INT8 with per-row scales")
    quantised("bitnet", bitnet, "BitNet", {"quant_method": "bitnet"})
    quantised("exl2", exl2, "EXL2")
    quantised("exl3", exl3, "EXL3 3-bit")
    quantised("aqlm", aqlm, "AQLM")
    quantised("torchao", torchao_int4, "torchao 4-bit")
    quantised("mlx-4", mlx(4, 64), "MLX 4-bit", config={"quantization": {"group_size": 64, "bits": 4}}, head=mlx(4, 64))
    quantised("mlx-8-32", mlx(8, 32), "MLX 8-bit", config={"quantization": {"group_size": 32, "bits": 8}}, head=mlx(8, 32))
    quantised("mlx-mixed", mlx(4, 32), "MLX 4-bit, MLX 6-bit", head=mlx(6, 64), config={
        "quantization": {"group_size": 32, "bits": 4, "lm_head": {"group_size": 64, "bits": 6}}})
    quantised("mlx without config", mlx(4, 64), "MLX 4-bit")
    # FP8 with the cache's scales, which are nobody's companions.
    model("fp8-kv", llama_tensors(*L3, lin=fp8_tensor) + [["model.layers.{0-31}.self_attn.k_scale", "F32", []],
                                                         ["model.layers.{0-31}.self_attn.v_scale", "F32", []]],
          P3, DEC, "FP8 with per-tensor scales", 32)


def small():
    """Small enough to be written to files whole."""
    size = (2, 256, 512, 64, 128)
    for name, lin, packing in (("gptq", gptq(), "GPTQ 4-bit"), ("awq", awq, "AWQ 4-bit"), ("nf4", nf4, "bitsandbytes nf4"),
                               ("bnb8", bnb8, "bitsandbytes int8"), ("fp8", fp8_block, "FP8 with 128×128 block scales"),
                               ("nvfp4", nvfp4, "NVFP4"), ("ct-w4", packed(4), "compressed-tensors pack-quantized 4-bit"),
                               ("ct-w3", packed(3), "compressed-tensors pack-quantized 3-bit"),
                               ("ct-w3 dense", dense(3), "compressed-tensors pack-quantized 3-bit"), ("mlx", mlx(4, 64), "MLX 4-bit"),
                               ("torchao", torchao_int4, "torchao 4-bit"), ("plain", plain(), "")):
        model("small " + name, llama_tensors(*size, lin=lin), llama_params(*size), DEC, packing, 2)


def mixtral():
    L, h, ff, v, kv, E = 32, 4096, 14336, 32000, 1024, 8
    t = [["model.embed_tokens.weight", "BF16", [v, h]], ["model.norm.weight", "BF16", [h]], ["lm_head.weight", "BF16", [v, h]]]
    x = "model.layers.{0-31}."
    for n, o in (("q", h), ("k", kv), ("v", kv), ("o", h)):
        t += plain()(x + "self_attn.%s_proj" % n, o, h)
    t += [[x + "block_sparse_moe.gate.weight", "BF16", [E, h]]]
    for n, o, i in (("w1", ff, h), ("w2", h, ff), ("w3", ff, h)):
        t += plain()(x + "block_sparse_moe.experts.{0-7}." + n, o, i)
    t += [[x + n + ".weight", "BF16", [h]] for n in ("input_layernorm", "post_attention_layernorm")]
    model("mixtral-8x7b", t, 2 * v * h + h + L * (2 * h * h + 2 * h * kv + E * h + 3 * E * h * ff + 2 * h), MOE, "", 32,
          config={"architectures": ["MixtralForCausalLM"]}, published=46702792704)


def deepseek():
    """V3: layers 0-2 dense, 3-60 with 256 experts, 61 the module that predicts further tokens."""
    h, v, L, qr, kvr, heads, E = 7168, 129280, 61, 1536, 512, 128, 256
    nope, rope, vd, ff, eff = 128, 64, 128, 18432, 2048

    def attention(x):
        t = fp8_block(x + "q_a_proj", qr, h) + fp8_block(x + "q_b_proj", heads * (nope + rope), qr)
        t += fp8_block(x + "kv_a_proj_with_mqa", kvr + rope, h) + fp8_block(x + "kv_b_proj", heads * (nope + vd), kvr)
        return t + fp8_block(x + "o_proj", h, heads * vd) + [[x + "q_a_layernorm.weight", "BF16", [qr]], [x + "kv_a_layernorm.weight", "BF16", [kvr]]]

    def mlp(x, f):
        return fp8_block(x + "gate_proj", f, h) + fp8_block(x + "up_proj", f, h) + fp8_block(x + "down_proj", h, f)

    x = "model.layers.{0-61}."
    t = attention(x + "self_attn.") + [[x + n + ".weight", "BF16", [h]] for n in ("input_layernorm", "post_attention_layernorm")]
    t += mlp("model.layers.{0-2}.mlp.", ff)
    m = "model.layers.{3-61}.mlp."
    t += mlp(m + "experts.{0-255}.", eff) + mlp(m + "shared_experts.", eff)
    t += [[m + "gate.weight", "BF16", [E, h]], [m + "gate.e_score_correction_bias", "F32", [E]]]
    t += [["model.embed_tokens.weight", "BF16", [v, h]], ["lm_head.weight", "BF16", [v, h]], ["model.norm.weight", "BF16", [h]]]
    y = "model.layers.61."
    t += [[y + "embed_tokens.weight", "BF16", [v, h]], [y + "shared_head.head.weight", "BF16", [v, h]], [y + "eh_proj.weight", "BF16", [h, 2 * h]]]
    t += [[y + n + ".weight", "BF16", [h]] for n in ("enorm", "hnorm", "shared_head.norm")]
    att = h * qr + qr * heads * (nope + rope) + h * (kvr + rope) + kvr * heads * (nope + vd) + heads * vd * h + qr + kvr
    moe = 3 * h * eff * (E + 1) + E * h + E
    main = 2 * v * h + h + L * (att + 2 * h) + 3 * 3 * h * ff + 58 * moe
    assert main == 671026419200, main  # as published for the main model
    mtp = att + 2 * h + moe + 2 * v * h + 2 * h * h + 3 * h
    model("deepseek-v3", t, main + mtp, MOE, "FP8 with 128×128 block scales", 61, config={
        "architectures": ["DeepseekV3ForCausalLM"], "num_hidden_layers": 61,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})


def gpt_oss():
    """20b, as released: experts in MXFP4, everything else in BF16."""
    L, h, ff, v, E, q, kv = 24, 2880, 2880, 201088, 32, 64 * 64, 8 * 64
    x = "model.layers.{0-23}."
    t = [["model.embed_tokens.weight", "BF16", [v, h]], ["lm_head.weight", "BF16", [v, h]], ["model.norm.weight", "BF16", [h]]]
    for n, o, i in (("q", q, h), ("k", kv, h), ("v", kv, h), ("o", h, q)):
        t += plain()(x + "self_attn.%s_proj" % n, o, i) + [[x + "self_attn.%s_proj.bias" % n, "BF16", [o]]]
    t += [[x + "self_attn.sinks", "BF16", [64]], [x + "mlp.router.weight", "BF16", [E, h]], [x + "mlp.router.bias", "BF16", [E]]]
    for n, o, i in (("gate_up", 2 * ff, h), ("down", h, ff)):
        e = x + "mlp.experts.%s_proj" % n
        t += [[e + "_blocks", "U8", [E, o, i // 32, 16]], [e + "_scales", "U8", [E, o, i // 32]], [e + "_bias", "BF16", [E, o]]]
    t += [[x + n + ".weight", "BF16", [h]] for n in ("input_layernorm", "post_attention_layernorm")]
    att = h * (q + 2 * kv) + q + 2 * kv + q * h + h + 64
    moe = E * (2 * ff * h + 2 * ff + ff * h + h) + E * h + E
    model("gpt-oss-20b", t, 2 * v * h + h + L * (att + moe + 2 * h), MOE, "MXFP4", 24, published=20914757184,
          config={"architectures": ["GptOssForCausalLM"], "quantization_config": {"quant_method": "mxfp4"}})


# ---- other language models -------------------------------------------------------------------

def gpt2():
    L, h, v, n = 12, 768, 50257, 1024
    x = "h.{0-11}."
    t = [["wte.weight", "F32", [v, h]], ["wpe.weight", "F32", [n, h]], ["ln_f.weight", "F32", [h]], ["ln_f.bias", "F32", [h]]]
    for m, i, o in (("attn.c_attn", h, 3 * h), ("attn.c_proj", h, h), ("mlp.c_fc", h, 4 * h), ("mlp.c_proj", 4 * h, h)):
        t += [[x + m + ".weight", "F32", [i, o]], [x + m + ".bias", "F32", [o]]]
    t += [[x + m, "F32", [h]] for m in ("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias")]
    t += [[x + "attn.bias", "F32", [1, 1, n, n]]]  # the mask
    model("gpt2", t, v * h + n * h + 2 * h + L * (12 * h * h + 13 * h), DEC, "", 12, published=124439808)


def bert():
    L, h, v = 12, 768, 30522
    e, x = "bert.embeddings.", "bert.encoder.layer.{0-11}."
    t = [[e + "word_embeddings.weight", "F32", [v, h]], [e + "position_embeddings.weight", "F32", [512, h]],
         [e + "token_type_embeddings.weight", "F32", [2, h]], [e + "LayerNorm.weight", "F32", [h]], [e + "LayerNorm.bias", "F32", [h]],
         [e + "position_ids", "I64", [1, 512]], ["bert.pooler.dense.weight", "F32", [h, h]], ["bert.pooler.dense.bias", "F32", [h]]]
    for m, o, i in (("attention.self.query", h, h), ("attention.self.key", h, h), ("attention.self.value", h, h),
                    ("attention.output.dense", h, h), ("intermediate.dense", 4 * h, h), ("output.dense", h, 4 * h)):
        t += [[x + m + ".weight", "F32", [o, i]], [x + m + ".bias", "F32", [o]]]
    for m in ("attention.output.LayerNorm", "output.LayerNorm"):
        t += [[x + m + ".weight", "F32", [h]], [x + m + ".bias", "F32", [h]]]
    model("bert-base", t, (v + 512 + 2) * h + 2 * h + L * (12 * h * h + 13 * h) + h * h + h, "language model (encoder, BERT)", "", 12,
          published=109482240)


def t5():
    L, h, ff, v = 6, 512, 2048, 32128
    t = [["shared.weight", "F32", [v, h]]]
    for side, cross in (("encoder", False), ("decoder", True)):
        x = side + ".block.{0-5}.layer."
        for m in "qkvo":
            t += [[x + "0.SelfAttention.%s.weight" % m, "F32", [h, h]]]
            t += [[x + "1.EncDecAttention.%s.weight" % m, "F32", [h, h]]] if cross else []
        n = 2 if cross else 1
        t += [[x + "%d.DenseReluDense.wi.weight" % n, "F32", [ff, h]], [x + "%d.DenseReluDense.wo.weight" % n, "F32", [h, ff]]]
        t += [[x + "{0-%d}.layer_norm.weight" % n, "F32", [h]]]
        t += [[side + ".final_layer_norm.weight", "F32", [h]], [side + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight", "F32", [32, 8]]]
    model("t5-small", t, v * h + L * (4 * h * h + 2 * h * ff + 2 * h) + L * (8 * h * h + 2 * h * ff + 3 * h) + 2 * h + 2 * 32 * 8,
          "language model (encoder and decoder, T5)", "", 6, published=60506624)
    enc = [x for x in t if x[0].startswith(("encoder", "shared"))]
    model("t5-small encoder", enc, v * h + L * (4 * h * h + 2 * h * ff + 2 * h) + h + 32 * 8, "text encoder (T5)", "", 6)


def whisper():
    L, h, v = 4, 384, 51865
    t = [["model.encoder.conv1.weight", "F32", [h, 80, 3]], ["model.encoder.conv1.bias", "F32", [h]],
         ["model.encoder.conv2.weight", "F32", [h, h, 3]], ["model.encoder.conv2.bias", "F32", [h]],
         ["model.encoder.embed_positions.weight", "F32", [1500, h]],
         ["model.decoder.embed_tokens.weight", "F32", [v, h]], ["model.decoder.embed_positions.weight", "F32", [448, h]]]
    for side, atts in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        x = "model.%s.layers.{0-3}." % side
        for a in atts:
            for m in ("q", "k", "v", "out"):
                t += [[x + a + ".%s_proj.weight" % m, "F32", [h, h]]] + ([] if m == "k" else [[x + a + ".%s_proj.bias" % m, "F32", [h]]])
            t += [[x + a + "_layer_norm." + m, "F32", [h]] for m in ("weight", "bias")]
        t += [[x + "fc1.weight", "F32", [4 * h, h]], [x + "fc1.bias", "F32", [4 * h]], [x + "fc2.weight", "F32", [h, 4 * h]], [x + "fc2.bias", "F32", [h]]]
        t += [[x + "final_layer_norm." + m, "F32", [h]] for m in ("weight", "bias")]
        t += [["model.%s.layer_norm." % side + m, "F32", [h]] for m in ("weight", "bias")]
    att = 4 * h * h + 3 * h + 2 * h
    ff = 8 * h * h + 5 * h + 2 * h
    conv = 80 * 3 * h + h + 3 * h * h + h
    model("whisper-tiny", t, conv + 1500 * h + v * h + 448 * h + L * (3 * att + 2 * ff) + 4 * h, "speech recognition model (Whisper)", "", 4,
          published=37760640)


def vision():
    L, h = 12, 768
    x = "vit.encoder.layer.{0-11}."
    t = [["vit.embeddings.cls_token", "F32", [1, 1, h]], ["vit.embeddings.position_embeddings", "F32", [1, 197, h]],
         ["vit.embeddings.patch_embeddings.projection.weight", "F32", [h, 3, 16, 16]], ["vit.embeddings.patch_embeddings.projection.bias", "F32", [h]],
         ["vit.layernorm.weight", "F32", [h]], ["vit.layernorm.bias", "F32", [h]], ["classifier.weight", "F32", [1000, h]], ["classifier.bias", "F32", [1000]]]
    for m, o, i in (("attention.attention.query", h, h), ("attention.attention.key", h, h), ("attention.attention.value", h, h),
                    ("attention.output.dense", h, h), ("intermediate.dense", 4 * h, h), ("output.dense", h, 4 * h)):
        t += [[x + m + ".weight", "F32", [o, i]], [x + m + ".bias", "F32", [o]]]
    t += [[x + m, "F32", [h]] for m in ("layernorm_before.weight", "layernorm_before.bias", "layernorm_after.weight", "layernorm_after.bias")]
    model("vit-base", t, h + 197 * h + 3 * 256 * h + h + 2 * h + 1001 * h - h + 1000 + L * (12 * h * h + 13 * h), "vision transformer", "", 12,
          published=86567656)

    def tower(p, L, h):
        x = p + ".encoder.layers.{0-%d}." % (L - 1)
        t = []
        for m, o, i in (("self_attn.q_proj", h, h), ("self_attn.k_proj", h, h), ("self_attn.v_proj", h, h), ("self_attn.out_proj", h, h),
                        ("mlp.fc1", 4 * h, h), ("mlp.fc2", h, 4 * h)):
            t += [[x + m + ".weight", "F32", [o, i]], [x + m + ".bias", "F32", [o]]]
        return t + [[x + m, "F32", [h]] for m in ("layer_norm1.weight", "layer_norm1.bias", "layer_norm2.weight", "layer_norm2.bias")]

    def count(L, h):
        return L * (12 * h * h + 13 * h)

    text = tower("text_model", 12, 768) + [
        ["text_model.embeddings.token_embedding.weight", "F32", [49408, 768]], ["text_model.embeddings.position_embedding.weight", "F32", [77, 768]],
        ["text_model.embeddings.position_ids", "I64", [1, 77]], ["text_model.final_layer_norm.weight", "F32", [768]], ["text_model.final_layer_norm.bias", "F32", [768]]]
    tp = count(12, 768) + 49408 * 768 + 77 * 768 + 2 * 768
    image = tower("vision_model", 24, 1024) + [
        ["vision_model.embeddings.class_embedding", "F32", [1024]], ["vision_model.embeddings.patch_embedding.weight", "F32", [1024, 3, 14, 14]],
        ["vision_model.embeddings.position_embedding.weight", "F32", [257, 1024]], ["vision_model.embeddings.position_ids", "I64", [1, 257]],
        ["vision_model.pre_layrnorm.weight", "F32", [1024]], ["vision_model.pre_layrnorm.bias", "F32", [1024]],
        ["vision_model.post_layernorm.weight", "F32", [1024]], ["vision_model.post_layernorm.bias", "F32", [1024]]]
    ip = count(24, 1024) + 1024 * (1 + 3 * 196 + 257 + 4)
    both = [["logit_scale", "F32", []], ["text_projection.weight", "F32", [768, 768]], ["visual_projection.weight", "F32", [768, 1024]]]
    model("clip-vit-large", text + image + both, tp + ip + 1 + 768 * 768 + 768 * 1024, "CLIP (text and image encoder)", "", 24, published=427616513)
    model("clip text", text, tp, "text encoder (CLIP)", "", 12, published=123060480)
    model("clip image", image, ip, "image encoder (CLIP)", "", 24)
    llava = llama_tensors(32, 4096, 11008, 32064, 4096, p="language_model.model.")
    llava = [x for x in llava if x[0] != "lm_head.weight"] + [["language_model.lm_head.weight", "BF16", [32064, 4096]]]
    llava += [["vision_tower." + x[0]] + x[1:] for x in image]
    llava += [["multi_modal_projector.linear_1.weight", "F16", [4096, 1024]], ["multi_modal_projector.linear_2.weight", "F16", [4096, 4096]]]
    model("llava-1.5-7b", llava, llama_params(32, 4096, 11008, 32064, 4096) + ip + 4096 * 1024 + 4096 * 4096, "vision-language model", "", 32)


# ---- diffusion: enough of each to be told by, not whole models ---------------------------------

def sized(*tensors):
    """Tensors and the number of their elements, given beside the shape as a product written out."""
    return [t[:3] for t in tensors], sum(t[3] for t in tensors)


def diffusion():
    def short(name, kind, *tensors, **kw):
        t, n = sized(*tensors)
        model(name, t, n, kind, **kw)

    u = "model.diffusion_model."
    net = ((u + "input_blocks.0.0.weight", "F16", [320, 4, 3, 3], 11520), (u + "time_embed.0.weight", "F16", [1280, 320], 409600),
           (u + "middle_block.0.in_layers.0.weight", "F16", [1280], 1280), ("alphas_cumprod", "F32", [1000], 0), ("betas", "F32", [1000], 0))
    vae = (("first_stage_model.decoder.conv_in.weight", "F16", [512, 4, 3, 3], 18432),
           ("first_stage_model.encoder.conv_in.weight", "F16", [128, 3, 3, 3], 3456),
           ("first_stage_model.decoder.mid.block_1.conv1.weight", "F16", [512, 512, 3, 3], 2359296))
    k = u + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    c1 = "cond_stage_model.transformer.text_model.embeddings."
    short("sd-1.5", "Stable Diffusion checkpoint", *net, *vae, (k, "F16", [320, 768], 245760), (c1 + "position_ids", "I64", [1, 77], 0),
          (c1 + "token_embedding.weight", "F16", [49408, 768], 37945344), base="Stable Diffusion 1")
    short("sd-2.1", "Stable Diffusion checkpoint", *net, *vae, (k, "F16", [320, 1024], 327680),
          ("cond_stage_model.model.token_embedding.weight", "F16", [49408, 1024], 50593792),
          ("cond_stage_model.model.transformer.resblocks.0.mlp.c_fc.weight", "F16", [4096, 1024], 4194304), base="Stable Diffusion 2")
    xl = u + "input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight"
    short("sdxl", "Stable Diffusion checkpoint", *net, *vae, (xl, "F16", [640, 2048], 1310720),
          ("conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight", "F16", [49408, 768], 37945344),
          ("conditioner.embedders.1.model.token_embedding.weight", "F16", [49408, 1280], 63242240), base="SDXL",
          metadata={"modelspec.architecture": "stable-diffusion-xl-v1-base"})
    d = (("conv_in.weight", "F16", [320, 4, 3, 3], 11520), ("time_embedding.linear_1.weight", "F16", [1280, 320], 409600),
         ("down_blocks.0.resnets.0.conv1.weight", "F16", [320, 320, 3, 3], 921600))
    for name, width, base in (("sd-1.5 unet", 768, "Stable Diffusion 1"), ("sd-2 unet", 1024, "Stable Diffusion 2"), ("sdxl unet", 2048, "SDXL")):
        short(name, "diffusion UNet (%s)" % base, *d, ("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", "F16", [640, width], 640 * width), base=base)
    flux = (("double_blocks.{0-18}.img_attn.qkv.weight", "BF16", [9216, 3072], 19 * 28311552),
            ("single_blocks.{0-37}.linear1.weight", "BF16", [21504, 3072], 38 * 66060288), ("img_in.weight", "BF16", [3072, 64], 196608))
    short("flux", "diffusion transformer (Flux.1)", *flux, base="Flux.1", layers=38)
    short("flux in comfy fp8", "diffusion transformer (Flux.1)", ("scaled_fp8", "F8_E4M3", [0], 0),
          ("double_blocks.{0-18}.img_attn.qkv.weight", "F8_E4M3", [9216, 3072], 19 * 28311552),
          ("double_blocks.{0-18}.img_attn.qkv.scale_weight", "F32", [], 0), ("single_blocks.{0-37}.linear1.weight", "F8_E4M3", [21504, 3072], 38 * 66060288),
          ("single_blocks.{0-37}.linear1.scale_weight", "F32", [], 0), base="Flux.1", layers=38, packing="FP8 with per-tensor scales")
    short("flux diffusers", "diffusion transformer (Flux.1)", ("transformer_blocks.{0-18}.attn.add_k_proj.weight", "BF16", [3072, 3072], 19 * 9437184),
          ("single_transformer_blocks.{0-37}.attn.to_q.weight", "BF16", [3072, 3072], 38 * 9437184), ("x_embedder.weight", "BF16", [3072, 64], 196608),
          base="Flux.1", layers=38, config={"_class_name": "FluxTransformer2DModel"})
    short("sd3", "diffusion transformer (Stable Diffusion 3)", ("model.diffusion_model.joint_blocks.{0-23}.x_block.attn.qkv.weight", "F16", [4608, 1536], 24 * 7077888),
          base="Stable Diffusion 3", layers=24)
    short("vae", "VAE", ("decoder.conv_in.weight", "F32", [512, 4, 3, 3], 18432), ("decoder.mid_block.resnets.0.conv1.weight", "F32", [512, 512, 3, 3], 2359296),
          ("encoder.conv_in.weight", "F32", [128, 3, 3, 3], 3456), ("quant_conv.weight", "F32", [8, 8, 1, 1], 64))
    short("vae in sd names", "VAE", *((n.removeprefix("first_stage_model."), *r) for n, *r in vae))
    short("controlnet", "ControlNet for Stable Diffusion 1", ("controlnet_cond_embedding.conv_in.weight", "F32", [16, 3, 3, 3], 432), *d,
          ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", "F32", [320, 768], 245760), base="Stable Diffusion 1")
    short("controlnet in sd names", "ControlNet", ("control_model.input_hint_block.0.weight", "F32", [16, 3, 3, 3], 432),
          ("control_model.input_blocks.0.0.weight", "F32", [320, 4, 3, 3], 11520))
    short("esrgan", "image upscaler (ESRGAN)", ("conv_first.weight", "F32", [64, 3, 3, 3], 1728), ("body.{0-22}.rdb1.conv1.weight", "F32", [32, 64, 3, 3], 23 * 18432))
    short("esrgan, old names", "image upscaler (ESRGAN)", ("model.1.sub.{0-22}.RDB1.conv1.0.weight", "F32", [32, 64, 3, 3], 23 * 18432))
    short("textual inversion", "textual inversion for Stable Diffusion 1", ("emb_params", "F32", [8, 768], 6144), base="Stable Diffusion 1")
    short("textual inversion sdxl", "textual inversion for SDXL", ("clip_g", "F32", [8, 1280], 10240), ("clip_l", "F32", [8, 768], 6144), base="SDXL")


def adapters():
    def kohya(name, kind, p, i, **kw):
        model(name, [[p + ".alpha", "F16", []], [p + ".lora_down.weight", "F16", [16, i]], [p + ".lora_up.weight", "F16", [320, 16]]],
              16 * (i + 320), kind, **kw)

    k = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    kohya("kohya by shape 1", "LoRA adapter for Stable Diffusion 1", k, 768, base="Stable Diffusion 1")
    kohya("kohya by shape 2", "LoRA adapter for Stable Diffusion 2", k, 1024, base="Stable Diffusion 2")
    kohya("kohya by shape xl", "LoRA adapter for SDXL", k, 2048, base="SDXL")
    kohya("kohya te2", "LoRA adapter for SDXL", "lora_te2_text_model_encoder_layers_0_mlp_fc1", 1280, base="SDXL")
    kohya("kohya flux", "LoRA adapter for Flux.1", "lora_unet_double_blocks_0_img_attn_proj", 3072, base="Flux.1")
    kohya("kohya by metadata", "LoRA adapter for SDXL", "lora_unet_mid_block_attentions_0_proj_in", 1280, base="SDXL",
          metadata={"ss_base_model_version": "sdxl_base_v1-0", "ss_network_dim": "16"})
    kohya("kohya by modelspec", "LoRA adapter for Flux.1", "lora_unet_x", 64, base="Flux.1",
          metadata={"modelspec.architecture": "flux-1-dev/lora", "ss_base_model_version": "flux1"})
    kohya("kohya unknown", "LoRA adapter", "lora_unet_mid_block_attentions_0_proj_in", 1280)
    p = "base_model.model.model.layers.{0-31}.self_attn.q_proj."
    model("peft", [[p + "lora_A.weight", "F32", [8, 4096]], [p + "lora_B.weight", "F32", [4096, 8]]], 32 * 2 * 8 * 4096, "LoRA adapter", layers=32,
          base="meta-llama/Llama-2-7b-hf", config={"peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-2-7b-hf", "r": 8})
    u = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k."
    model("diffusers lora", [[u + "lora_A.weight", "F16", [4, 2048]], [u + "lora_B.weight", "F16", [640, 4]]], 4 * 2688, "LoRA adapter for SDXL", base="SDXL")
    f = "transformer.single_transformer_blocks.{0-37}.attn.to_k."
    model("diffusers lora flux", [[f + "lora_A.weight", "F16", [16, 3072]], [f + "lora_B.weight", "F16", [3072, 16]]], 38 * 2 * 16 * 3072,
          "LoRA adapter for Flux.1", base="Flux.1", layers=38)
    w = k + ".hada_w"
    model("loha", [[k + ".alpha", "F16", []], [w + "1_a", "F16", [320, 8]], [w + "1_b", "F16", [8, 768]], [w + "2_a", "F16", [320, 8]], [w + "2_b", "F16", [8, 768]]],
          2 * 8 * (320 + 768), "LyCORIS adapter (LoHa) for Stable Diffusion 1", base="Stable Diffusion 1")
    model("lokr", [["lora_unet_a.lokr_w1", "F16", [4, 4]], ["lora_unet_a.lokr_w2_a", "F16", [80, 8]], ["lora_unet_a.lokr_w2_b", "F16", [8, 192]]], 16 + 8 * 272,
          "LyCORIS adapter (LoKr)")
    model("optimizer", [["state.{0-9}.exp_avg", "F32", [100, 100]], ["state.{0-9}.exp_avg_sq", "F32", [100, 100]]], 200000, "optimizer state")
    model("unknown", [["x", "F32", [3]], ["y", "I32", [4]]], 7, "unknown")
    model("empty", [], 0, "unknown")
    model("unknown with config", [["classifier.dense.weight", "F32", [3, 4]]], 12, "text classifier", config={"architectures": ["FooForSequenceClassification"]})


def pipelines():
    t, n = sized(("unet/conv_in.weight", "F16", [320, 4, 3, 3], 11520), ("unet/down_blocks.0.resnets.0.conv1.weight", "F16", [320, 320, 3, 3], 921600),
                 ("unet/time_embedding.linear_1.weight", "F16", [1280, 320], 409600),
                 ("unet/down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", "F16", [640, 2048], 1310720),
                 ("vae/decoder.conv_in.weight", "F32", [512, 4, 3, 3], 18432), ("vae/encoder.conv_in.weight", "F32", [128, 3, 3, 3], 3456),
                 ("text_encoder/text_model.embeddings.token_embedding.weight", "F16", [49408, 768], 37945344),
                 ("text_encoder_2/text_model.embeddings.token_embedding.weight", "F16", [49408, 1280], 63242240))
    model("sdxl pipeline", t, n, "diffusers pipeline (SDXL)", base="SDXL", config={"_class_name": "StableDiffusionXLPipeline"})


for make in (llamas, small, mixtral, deepseek, gpt_oss, gpt2, bert, t5, whisper, vision, diffusion, adapters, pipelines):
    make()
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "models.json"), "w", encoding="utf-8") as f:
    f.write("[\n" + ",\n".join(json.dumps(m, ensure_ascii=False, separators=(",", ":")) for m in models) + "\n]\n")
print(len(models), "models")
