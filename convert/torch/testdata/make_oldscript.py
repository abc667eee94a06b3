#!/usr/bin/env python3
"""TorchScript as torch 1.0, 1.1 and 1.2 save it; run with each (Python 3.7): python make_oldscript.py

This torch's state_dict of the module it loads again is the expectation.
"""
import hashlib, json, os

import torch

import expect  # for its table of types: these versions lack what else it uses

FOLDER = "torch" + "".join(torch.__version__.split(".")[:2])


class Sub(torch.jit.ScriptModule):
    def __init__(self):
        super(Sub, self).__init__()
        self.weight = torch.nn.Parameter(torch.arange(6, dtype=torch.float32).reshape(2, 3) * 0.5)
        self.bias = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
        self.register_buffer("count", torch.tensor(7))

    @torch.jit.script_method
    def forward(self, x):
        return torch.matmul(x, self.weight.t()) + self.bias


class Net(torch.jit.ScriptModule):
    def __init__(self):
        super(Net, self).__init__()
        self.first = Sub()
        self.turned = torch.nn.Parameter(self.first.weight.detach().t())
        self.small = torch.nn.Parameter(torch.tensor([0.5, 2.0], dtype=torch.float16), requires_grad=False)
        self.register_buffer("table", torch.arange(6, dtype=torch.int32)[2:5])
        self.register_buffer("octets", torch.tensor([1, 255], dtype=torch.uint8))

    @torch.jit.script_method
    def forward(self, x):
        return torch.matmul(self.first(x), self.turned.t())


def main():
    s = expect.Suite("make_oldscript.py " + torch.__version__, FOLDER)
    Net().save(s.path("script.pt"))
    state = torch.jit.load(s.path("script.pt")).state_dict()
    tensors = []
    for name in sorted(state):
        t = state[name].detach()
        raw = t.contiguous().numpy().tobytes()
        tensors.append({"name": name, "dtype": expect.HOME[str(t.dtype).split(".")[1]], "shape": list(t.shape), "sha256": hashlib.sha256(raw).hexdigest()})
    s.write("script.pt", "torchscript", "", {"root": "", "left_out": [], "tensors": tensors, "alias": [], "refused": [], "error": ""}, "model.json and tensors/")
    s.close()


if __name__ == "__main__":
    main()
