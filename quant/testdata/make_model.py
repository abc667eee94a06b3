#!/usr/bin/env python3
"""Writes the model of docs/quantised.md: Llama's names, two layers, random weights in BF16, 4 MB.

Needs numpy.

    python3 make_model.py DIR

The weights are whole numbers times 2^-20, each the sum of the four parts of a number of SplitMix64
(Steele, Lea, Flood, doi:10.1145/2660193.2660195), which is nearly normal with a deviation of 0.036, and
rounded to BF16 to the nearest even. So every machine makes the same bytes; a test of cmd/tensmith makes
them, too.
"""

import json
import os
import struct
import sys

import numpy as np

HIDDEN, INTERMEDIATE, VOCABULARY, LAYERS = 256, 640, 1000, 2


def shapes():
    yield "lm_head.weight", (VOCABULARY, HIDDEN)
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for n in range(LAYERS):
        layer = f"model.layers.{n}."
        yield layer + "input_layernorm.weight", (HIDDEN,)
        yield layer + "mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)
        yield layer + "mlp.gate_proj.weight", (INTERMEDIATE, HIDDEN)
        yield layer + "mlp.up_proj.weight", (INTERMEDIATE, HIDDEN)
        yield layer + "post_attention_layernorm.weight", (HIDDEN,)
        for part in "koqv":
            yield layer + f"self_attn.{part}_proj.weight", (HIDDEN, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)


def splitmix(first, count):
    """The numbers first, first + 1, … of the sequence whose seed is 0."""
    z = np.arange(first + 1, first + 1 + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def weights(first, count):
    z = splitmix(first, count)
    parts = sum((z >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    x = (parts.astype(np.int64) - 2 * 0xFFFF).astype(np.float32) * np.float32(2**-20)
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


header, data, made = {"__metadata__": {"format": "pt"}}, [], 0
for name, shape in shapes():
    count = int(np.prod(shape))
    if len(shape) == 1:  # of a norm: ones
        part = np.full(count, 0x3F80, "<u2").tobytes()
    else:
        part = weights(made, count).tobytes()
        made += count
    begin = sum(map(len, data))
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, begin + len(part)]}
    data.append(part)

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(folder, "model.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + b"".join(data))
with open(os.path.join(folder, "config.json"), "w") as f:
    json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": HIDDEN,
               "intermediate_size": INTERMEDIATE, "num_attention_heads": 4, "num_hidden_layers": LAYERS, "num_key_value_heads": 4,
               "rms_norm_eps": 1e-06, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": VOCABULARY}, f, indent=2)
    f.write("\n")
