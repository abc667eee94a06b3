#!/usr/bin/env python3
"""Writes the real-file suite of this folder with the Python package safetensors.

Run: python make.py   (needs numpy, torch, safetensors, huggingface_hub; versions in README.md)

Values are fixed, so a rerun with the same versions gives the same bytes. The reference writes
metadata keys in random order: files with more than one key are written again until the order
is sorted, so that they too stay the same.
"""
import hashlib, json, os, shutil, struct, sys

import numpy as np
import torch
import safetensors, safetensors.numpy, safetensors.torch
from huggingface_hub import save_torch_state_dict

HERE = os.path.dirname(os.path.abspath(__file__))
DIRS = ["sharded", "sharded_tied", "lora_peft", "diffusers", "mistral", "gptq", "mxfp4"]


def seq(shape, dtype, start=0, step=0.25):
    n = int(np.prod(shape))
    x = torch.arange(n, dtype=torch.float64) * step + start
    if dtype in (torch.int64, torch.int32, torch.int16, torch.int8):
        x = torch.arange(n, dtype=torch.float64) % 100 - 50 + start
    if dtype in (torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        x = (torch.arange(n, dtype=torch.float64) + start) % 251
    if dtype == torch.bool:
        x = torch.arange(n) % 3 == 0
    return x.to(dtype).reshape(shape)


def raw(shape, dtype, mul=7):
    """Bit patterns rather than values, for the types below 16 bits."""
    n = int(np.prod(shape))
    return (torch.arange(n) * mul % 127).to(torch.uint8).reshape(shape).view(dtype)


def header(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        return json.loads(f.read(n))


def path(name):
    p = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def save_pt(name, tensors, metadata=None):
    p = path(name)
    while True:
        safetensors.torch.save_file(tensors, p, metadata=metadata)
        keys = list(header(p).get("__metadata__") or {})
        if keys == sorted(keys):
            break
    finish(name, "safetensors.torch.save_file")


def finish(name, writer):
    """Expected values are read back by the package, from the file."""
    p = path(name)
    os.chmod(p, 0o644)
    with open(p, "rb") as f:
        data = f.read()
    got = sorted(safetensors.deserialize(data), key=lambda kv: kv[0])
    with safetensors.safe_open(p, framework="pt") as f:
        metadata = f.metadata()
        assert sorted(f.keys()) == [k for k, _ in got]
    out = {
        "file": os.path.basename(name),
        "writer": writer,
        "metadata": dict(sorted(metadata.items())) if metadata is not None else None,
        "tensors": [
            {"name": k, "dtype": v["dtype"], "shape": list(v["shape"]),
             "sha256": hashlib.sha256(bytes(v["data"])).hexdigest()}
            for k, v in got
        ],
    }
    dump(p + ".expected.json", out)
    return out


def dump(p, v):
    with open(p, "w", encoding="utf-8") as f:
        json.dump(v, f, indent=1, ensure_ascii=False, sort_keys=False)
        f.write("\n")


def put_json(name, v):
    dump(path(name), v)


def folder(name, weights, index=None, note=""):
    """One expectation for a folder read as one model: tensors with the shard that holds them."""
    tensors = []
    for w in weights:
        for t in json.load(open(path(name + "/" + w + ".expected.json")))["tensors"]:
            tensors.append({**t, "shard": w})
    tensors.sort(key=lambda t: t["name"])
    dump(path(name) + ".expected.json",
         {"folder": name, "index": index, "note": note, "tensors": tensors})


def single_files():
    meta = {"format": "np"}
    arrays = {}
    for i, dt in enumerate(["float64", "float32", "float16", "int64", "int32", "int16", "int8",
                            "uint64", "uint32", "uint16", "uint8", "bool", "complex64"]):
        a = (np.arange(6) % 2 == 0) if dt == "bool" else np.arange(6).astype(dt) + i
        arrays["layer.%d.%s" % (i, dt)] = a.astype(dt).reshape(2, 3)
    arrays["scalar"] = np.array(2.5, dtype=np.float32)
    arrays["empty"] = np.zeros((0, 4), dtype=np.float32)
    safetensors.numpy.save_file(arrays, path("numpy.safetensors"), metadata=meta)
    finish("numpy.safetensors", "safetensors.numpy.save_file")

    save_pt("torch.safetensors", {
        "model.embed.weight": seq((8, 4), torch.bfloat16),
        "model.layers.0.weight": seq((4, 4), torch.float16, -1),
        "model.layers.0.bias": seq((4,), torch.float32),
        "model.layers.1.e4m3": seq((4, 4), torch.float8_e4m3fn, -2),
        "model.layers.1.e5m2": seq((4, 4), torch.float8_e5m2, -2),
        "model.nan": torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0]),
    }, {"format": "pt"})
    save_pt("torch_fp8.safetensors", {
        "e4m3": raw((3, 5), torch.float8_e4m3fn), "e5m2": raw((3, 5), torch.float8_e5m2),
        "e4m3fnuz": raw((3, 5), torch.float8_e4m3fnuz),
        "e5m2fnuz": raw((3, 5), torch.float8_e5m2fnuz),
        "e8m0": raw((3, 5), torch.float8_e8m0fnu),
    }, {"format": "pt"})
    save_pt("torch_f4.safetensors", {
        "blocks": raw((4, 16), torch.float4_e2m1fn_x2, 11),
        "scales": raw((4, 2), torch.float8_e8m0fnu, 3),
        "bias": seq((4,), torch.bfloat16),
    }, {"format": "pt"})
    save_pt("torch_all.safetensors", {
        str(d).split(".")[1]: seq((2, 3), d) for d in (
            torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
            torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
            torch.bool, torch.complex64)
    })
    save_pt("metadata_only.safetensors", {}, {"note": "no tensors"})
    save_pt("unicode.safetensors", {
        "слой.0.вес": seq((2,), torch.float32), "層.1.重み": seq((2,), torch.float32, 1),
        "emoji 😀": seq((2,), torch.float32, 2), "tab\tquote\"\\": seq((2,), torch.float32, 3),
        "a.10": seq((1,), torch.float32, 4), "a.2": seq((1,), torch.float32, 5),
    }, {"format": "pt", "автор": "тест\n\"q\""})

    # Tied weights as save_model leaves them: the dropped name is in the metadata.
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(6, 4)
            self.head = torch.nn.Linear(4, 6, bias=False)
            self.head.weight = self.embed.weight
            with torch.no_grad():
                self.embed.weight.copy_(seq((6, 4), torch.float32))
    while True:
        safetensors.torch.save_model(Tied(), path("save_model_tied.safetensors"))
        k = list(header(path("save_model_tied.safetensors"))["__metadata__"])
        if k == sorted(k):
            break
    finish("save_model_tied.safetensors", "safetensors.torch.save_model")


def mlx_like():
    """By hand, as MLX lays files out: no padding, sorted header keys, data in hash order, null
    metadata. Read back by the reference like every other file."""
    order = [("model.norm.weight", "F32", [3]), ("lm_head.weight", "F16", [2, 3]),
             ("model.layers.0.weight", "U32", [2, 2]), ("model.layers.0.biases", "BF16", [5])]
    width = {"F32": 4, "F16": 2, "U32": 4, "BF16": 2}
    body, entries = b"", {}
    for i, (name, dtype, shape) in enumerate(order):
        n = int(np.prod(shape)) * width[dtype]
        entries[name] = {"dtype": dtype, "shape": shape,
                         "data_offsets": [len(body), len(body) + n]}
        body += bytes((j * 5 + i) % 60 for j in range(n))
    h = '{"__metadata__":null,' + ",".join(
        json.dumps(k) + ":" + json.dumps(entries[k], separators=(",", ":")) for k in sorted(entries)) + "}"
    if len(h) % 8 == 0:  # the point of the file is a header that is not padded
        raise SystemExit("header happens to be aligned: change a name")
    with open(path("mlx_like.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h.encode() + body)
    finish("mlx_like.safetensors", "make.py, laid out like MLX")


def shard_files(name, state, size):
    d = path(name)
    os.makedirs(d, exist_ok=True)
    save_torch_state_dict(state, d, max_shard_size=size)
    files = sorted(f for f in os.listdir(d) if f.endswith(".safetensors"))
    for f in files:
        while True:  # random metadata order, see above
            k = list(header(os.path.join(d, f)).get("__metadata__") or {})
            if k == sorted(k):
                break
            save_torch_state_dict(state, d, max_shard_size=size)
    for f in files:
        finish(name + "/" + f, "huggingface_hub.save_torch_state_dict")
    return files


def llama(layers=3):
    s = {"model.embed_tokens.weight": seq((16, 8), torch.bfloat16)}
    for i in range(layers):
        p = "model.layers.%d." % i
        for j, w in enumerate(["q_proj", "k_proj", "v_proj", "o_proj"]):
            s[p + "self_attn.%s.weight" % w] = seq((8, 8), torch.bfloat16, i + j)
        s[p + "mlp.gate_proj.weight"] = seq((12, 8), torch.bfloat16, i)
        s[p + "mlp.up_proj.weight"] = seq((12, 8), torch.bfloat16, i + 1)
        s[p + "mlp.down_proj.weight"] = seq((8, 12), torch.bfloat16, i + 2)
        s[p + "input_layernorm.weight"] = seq((8,), torch.bfloat16, 1, 0)
        s[p + "post_attention_layernorm.weight"] = seq((8,), torch.bfloat16, 1, 0)
    s["model.norm.weight"] = seq((8,), torch.bfloat16, 1, 0)
    s["lm_head.weight"] = seq((16, 8), torch.bfloat16, 3)
    return s


LLAMA_CONFIG = {"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 12,
                "model_type": "llama", "num_attention_heads": 2, "num_hidden_layers": 3,
                "torch_dtype": "bfloat16", "vocab_size": 16}


def folders():
    index = "model.safetensors.index.json"
    files = shard_files("sharded", llama(), 1600)
    assert len(files) == 3, files
    put_json("sharded/config.json", LLAMA_CONFIG)
    folder("sharded", files, index)

    s = llama(1)
    s["lm_head.weight"] = s["model.embed_tokens.weight"]
    files = shard_files("sharded_tied", s, 900)
    put_json("sharded_tied/config.json", {**LLAMA_CONFIG, "num_hidden_layers": 1, "tie_word_embeddings": True})
    folder("sharded_tied", files, index, "lm_head.weight was the same storage as model.embed_tokens.weight")

    lora = {}
    for i in range(2):
        for w in ("q_proj", "v_proj"):
            p = "base_model.model.model.layers.%d.self_attn.%s." % (i, w)
            lora[p + "lora_A.weight"] = seq((2, 8), torch.float32, i)
            lora[p + "lora_B.weight"] = seq((8, 2), torch.float32, i + 1)
    save_pt("lora_peft/adapter_model.safetensors", lora, {"format": "pt"})
    put_json("lora_peft/adapter_config.json", {
        "base_model_name_or_path": "example/tiny-llama", "bias": "none", "lora_alpha": 4, "peft_type": "LORA",
        "r": 2, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"})
    folder("lora_peft", ["adapter_model.safetensors"])

    kohya = {}
    for p in ("lora_unet_down_blocks_0_attentions_0_proj_in", "lora_te_text_model_encoder_layers_0_self_attn_q_proj"):
        kohya[p + ".alpha"] = torch.tensor(1.0, dtype=torch.float16)
        kohya[p + ".lora_down.weight"] = seq((2, 8), torch.float16)
        kohya[p + ".lora_up.weight"] = seq((8, 2), torch.float16, 1)
    save_pt("lora_kohya.safetensors", kohya, {
        "ss_base_model_version": "sd_v1", "ss_learning_rate": "0.0001", "ss_network_dim": "2",
        "ss_tag_frequency": json.dumps({"10_cat": {"a cat": 10}}), "ss_training_comment": "None",
        "sshs_legacy_hash": "0123abcd"})

    f16 = {"format": "pt"}
    save_pt("diffusers/unet/diffusion_pytorch_model.safetensors", {
        "conv_in.weight": seq((4, 4, 3, 3), torch.float16), "conv_in.bias": seq((4,), torch.float16),
        "down_blocks.0.attentions.0.proj_in.weight": seq((4, 4), torch.float16)}, f16)
    save_pt("diffusers/vae/diffusion_pytorch_model.safetensors", {
        "decoder.conv_in.weight": seq((4, 2, 3, 3), torch.float32),
        "encoder.conv_in.weight": seq((4, 3, 3, 3), torch.float32)}, f16)
    save_pt("diffusers/text_encoder/model.safetensors", {
        "text_model.embeddings.token_embedding.weight": seq((16, 4), torch.float32),
        "text_model.embeddings.position_ids": seq((1, 7), torch.int64)}, f16)
    put_json("diffusers/unet/config.json", {"_class_name": "UNet2DConditionModel", "in_channels": 4})
    put_json("diffusers/vae/config.json", {"_class_name": "AutoencoderKL", "latent_channels": 2})
    put_json("diffusers/text_encoder/config.json", {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"})
    put_json("diffusers/scheduler/scheduler_config.json", {"_class_name": "PNDMScheduler"})
    put_json("diffusers/model_index.json", {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0",
        "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None]})
    folder("diffusers", ["text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors",
                         "vae/diffusion_pytorch_model.safetensors"], "model_index.json")

    files = shard_files("mistral", llama(1), 1100)
    put_json("mistral/config.json", {**LLAMA_CONFIG, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_hidden_layers": 1})
    put_json("mistral/params.json", {"dim": 8, "n_layers": 1, "head_dim": 4, "hidden_dim": 12, "n_heads": 2, "vocab_size": 16})
    native = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
              "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
              "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm",
              "post_attention_layernorm": "ffn_norm", "model.embed_tokens": "tok_embeddings",
              "model.norm": "norm", "lm_head": "output", "model.layers": "layers"}
    cons = {}
    for k, v in llama(1).items():
        for a, b in native.items():
            k = k.replace(a, b) if a in k else k
        cons[k] = v
    save_pt("mistral/consolidated.safetensors", cons)
    folder("mistral", files, index, "consolidated.safetensors holds the same weights under Mistral's own names")

    g = {}
    for w in ("q_proj", "v_proj"):
        p = "model.layers.0.self_attn.%s." % w
        g[p + "qweight"] = seq((4, 32), torch.int32)
        g[p + "qzeros"] = seq((2, 4), torch.int32)
        g[p + "scales"] = seq((2, 32), torch.float16, 1)
        g[p + "g_idx"] = (torch.arange(32) // 16).to(torch.int32)
    g["model.embed_tokens.weight"] = seq((8, 32), torch.float16)
    save_pt("gptq/model.safetensors", g, {"format": "pt"})
    put_json("gptq/config.json", {**LLAMA_CONFIG, "hidden_size": 32, "quantization_config": {
        "bits": 4, "group_size": 16, "desc_act": False, "sym": True, "quant_method": "gptq", "checkpoint_format": "gptq"}})
    folder("gptq", ["model.safetensors"])

    m = {"model.layers.0.mlp.experts.%s_proj_blocks" % w: seq((2, 8, 2, 16), torch.uint8) for w in ("gate_up", "down")}
    m.update({"model.layers.0.mlp.experts.%s_proj_scales" % w: seq((2, 8, 2), torch.uint8, 120) for w in ("gate_up", "down")})
    m.update({"model.layers.0.mlp.experts.%s_proj_bias" % w: seq((2, 8), torch.bfloat16) for w in ("gate_up", "down")})
    m["model.layers.0.mlp.router.weight"] = seq((2, 8), torch.bfloat16)
    save_pt("mxfp4/model.safetensors", m, {"format": "pt"})
    put_json("mxfp4/config.json", {"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "quantization_config": {
        "quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"]}})
    folder("mxfp4", ["model.safetensors"])


def main():
    for d in DIRS:
        shutil.rmtree(path(d), ignore_errors=True)
    single_files()
    mlx_like()
    folders()
    print("safetensors", safetensors.__version__, "torch", torch.__version__, "numpy", np.__version__)


main()
