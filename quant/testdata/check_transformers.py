#!/usr/bin/env python3
"""Loads what `tensmith cast` has written with transformers, and compares each weight.

    tensmith cast MODEL --to f8_e4m3 --scale block128 -o DIR/model.safetensors --config DIR/config.json
    tensmith dequantize DIR -o plain.safetensors
    python3 check_transformers.py DIR plain.safetensors

MODEL is one that AutoModelForCausalLM knows. transformers dequantises as it loads, on the processor:
its own FP8 code for block128, compressed-tensors for tensor and mx. Exit status 1 says that a weight
is not, bit by bit, what tensmith makes of it.
"""

import json
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, FineGrainedFP8Config

folder, plain = sys.argv[1:]
method = json.load(open(folder + "/config.json"))["quantization_config"]["quant_method"]
config = FineGrainedFP8Config(dequantize=True) if method == "fp8" else CompressedTensorsConfig(run_compressed=False)
model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, dtype=torch.bfloat16)
theirs, ours = model.state_dict(), load_file(plain)
different = [k for k in ours if k not in theirs or not torch.equal(theirs[k].to(ours[k].dtype), ours[k])]
print(f"{len(ours)} tensors, {len(different)} different {different[:5]}")
sys.exit(bool(different))
