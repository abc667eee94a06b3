"""Writes trained.safetensors: the weights of a small layer that torch trained.

    python make.py

Made with torch 2.15 and safetensors 0.8.0. The low bits of its weights are
those of real training in F32, with nothing hidden in them.
"""

import torch
from safetensors.torch import save_file

torch.manual_seed(7)
layer = torch.nn.Linear(256, 256)
teacher = torch.randn(256, 256) / 16
optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
for _ in range(200):
    x = torch.randn(64, 256)
    loss = ((layer(x) - x @ teacher.T) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
save_file({"weight": layer.weight.detach()}, "trained.safetensors")
