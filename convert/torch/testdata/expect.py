"""Shared by make_old.py, make_new.py, make_hand.py: expected values and the index of cases.

The expectation of a file is what torch.load (weights_only=False, our own files) gives back.
"""
import ctypes, hashlib, json, os, sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

HOME = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
        "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL", "uint16": "U16",
        "uint32": "U32", "uint64": "U64", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
        "float8_e8m0fnu": "F8_E8M0", "float4_e2m1fn_x2": "F4"}


def tensor_bytes(t):
    t = t.detach().resolve_conj().resolve_neg().contiguous()
    n = t.numel() * t.element_size()
    return ctypes.string_at(t.data_ptr(), n) if n else b""


def entry(name, t):
    if isinstance(t, np.ndarray):
        a = np.ascontiguousarray(t).reshape(t.shape).astype(t.dtype.newbyteorder("<"))
        return {"name": name, "dtype": HOME[a.dtype.name], "shape": list(t.shape),
                "sha256": hashlib.sha256(a.tobytes()).hexdigest()}
    dtype = HOME[str(t.dtype).split(".")[1]]
    shape = list(t.shape)
    if dtype == "F4":  # two values in an element; the file counts values
        shape[-1] *= 2
    return {"name": name, "dtype": dtype, "shape": shape, "sha256": hashlib.sha256(tensor_bytes(t)).hexdigest()}


def refusal(name, t):
    """None for a tensor with a home, else why not and the parts the options would write."""
    if isinstance(t, np.ndarray):
        if t.dtype.hasobject or t.dtype.fields:
            return {"name": name, "why": "object" if t.dtype.hasobject else "structured"}
        if t.dtype.name == "complex128":
            return {"name": name, "why": "complex128",
                    "parts": [entry(name + ".real", t.real.copy()), entry(name + ".imag", t.imag.copy())]}
        return None if t.dtype.name in HOME else {"name": name, "why": t.dtype.name}
    d = str(t.dtype).split(".")[1]
    if isinstance(t, torch.nn.parameter.UninitializedTensorMixin):
        return {"name": name, "why": "uninitialized"}
    if t.device.type == "meta":
        return {"name": name, "why": "meta"}
    if t.is_quantized:
        parts = [entry(name + ".int_repr", t.int_repr())]
        if t.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            parts += [entry(name + ".scale", torch.tensor(t.q_scale(), dtype=torch.float64)),
                      entry(name + ".zero_point", torch.tensor(t.q_zero_point(), dtype=torch.int64))]
            r = {"name": name, "why": "quantized", "qscheme": str(t.qscheme()), "parts": parts}
        else:
            parts += [entry(name + ".scale", t.q_per_channel_scales()),
                      entry(name + ".zero_point", t.q_per_channel_zero_points())]
            r = {"name": name, "why": "quantized", "qscheme": str(t.qscheme()),
                 "axis": t.q_per_channel_axis(), "parts": parts}
        return r
    if t.layout == torch.sparse_coo:
        return {"name": name, "why": "sparse", "shape": list(t.shape), "parts": [
            entry(name + ".indices", t._indices()), entry(name + ".values", t._values()),
            entry(name + ".dense", t.to_dense())]}
    if t.layout in (torch.sparse_csr, getattr(torch, "sparse_bsr", None)):
        return {"name": name, "why": "sparse", "shape": list(t.shape), "parts": [
            entry(name + ".crow_indices", t.crow_indices()), entry(name + ".col_indices", t.col_indices()),
            entry(name + ".values", t.values()), entry(name + ".dense", t.to_dense())]}
    if t.layout in (getattr(torch, "sparse_csc", None), getattr(torch, "sparse_bsc", None)):
        return {"name": name, "why": "sparse", "shape": list(t.shape), "parts": [
            entry(name + ".ccol_indices", t.ccol_indices()), entry(name + ".row_indices", t.row_indices()),
            entry(name + ".values", t.values()), entry(name + ".dense", t.to_dense())]}
    if d in ("complex128", "complex32", "bcomplex32"):
        r = torch.view_as_real(t.resolve_conj())
        return {"name": name, "why": d, "parts": [
            entry(name + ".real", r[..., 0]), entry(name + ".imag", r[..., 1])]}
    return None if d in HOME else {"name": name, "why": d}


def flatten(obj, prefix="", out=None):
    """Nested dicts, lists and tuples: names joined by dots. A bare tensor is called `tensor`."""
    out = {} if out is None else out
    if isinstance(obj, (torch.nn.Module, torch.jit.ScriptModule)):
        obj = obj.state_dict()
    if isinstance(obj, (torch.Tensor, np.ndarray)):
        out[prefix or "tensor"] = obj
    elif isinstance(obj, dict):
        for k, v in obj.items():
            flatten(v, "%s.%s" % (prefix, k) if prefix else str(k), out)
    elif isinstance(obj, (list, tuple)):
        for i, v in enumerate(obj):
            flatten(v, "%s.%d" % (prefix, i) if prefix else str(i), out)
    return out


def aliases(tensors):
    groups = {}
    for name, t in tensors.items():
        if isinstance(t, torch.Tensor) and t.layout == torch.strided and t.device.type == "cpu" \
                and not t.is_quantized and t.numel():
            key = (t.data_ptr(), tuple(t.shape), t.stride(), str(t.dtype), t.is_conj(), t.is_neg())
            groups.setdefault(key, []).append(name)
    return sorted(sorted(g) for g in groups.values() if len(g) > 1)


def pretty(v):
    """JSON with one tensor a line."""
    lines = []
    for k, x in v.items():
        if isinstance(x, list) and x and isinstance(x[0], dict):
            x = "[\n  " + ",\n  ".join(json.dumps(e, ensure_ascii=False) for e in x) + "\n ]"
        else:
            x = json.dumps(x, ensure_ascii=False)
        lines.append(" %s: %s" % (json.dumps(k), x))
    return "{\n" + ",\n".join(lines) + "\n}\n"


class Suite:
    def __init__(self, maker, folder):
        self.maker, self.folder, self.cases = maker, folder, []
        os.makedirs(os.path.join(HERE, folder), exist_ok=True)

    def path(self, name):
        p = os.path.join(HERE, self.folder, name)
        os.makedirs(os.path.dirname(p), exist_ok=True)
        return p

    def load(self, name):
        p = self.path(name)
        if torch.__version__.startswith("1."):
            return torch.load(p, map_location="cpu")
        return torch.load(p, map_location="cpu", weights_only=False)

    def expect(self, name, container, obj=None, root="", note="", wrap="", alias=True, beside=()):
        """Writes NAME.expected.json. obj None: torch.load the file now."""
        if obj is None:
            obj = self.load(name)
        left = []
        if root:
            left = sorted(str(k) for k in obj if str(k) != root)
            obj = obj[root]
        left = sorted([*left, *beside])
        tensors = flatten(obj)
        good, bad = [], []
        for k in sorted(tensors):
            r = refusal(k, tensors[k])
            (bad if r else good).append(r or entry(k, tensors[k]))
        self.write(name, container, wrap, {
            "root": root, "left_out": left, "tensors": good,
            "alias": aliases(tensors) if alias else [], "refused": bad,
            "error": bad[0]["why"] if bad else ""}, note)

    def refuse(self, name, container, error, note="", wrap="", torch_says=""):
        self.write(name, container, wrap, {
            "root": "", "left_out": [], "tensors": [], "alias": [], "refused": [], "error": error,
            "torch_says": torch_says}, note)

    def write(self, name, container, wrap, body, note):
        head = {"file": name, "container": container, "wrap": wrap, "maker": self.maker,
                "torch": torch.__version__, "note": note}
        with open(self.path(name) + ".expected.json", "w", encoding="utf-8") as f:
            f.write(pretty({**head, **body}))
        self.cases.append({"file": self.folder + "/" + name, "container": container, "wrap": wrap,
                           "maker": self.maker, "error": body["error"]})

    def close(self):
        p = os.path.join(HERE, "cases.json")
        old = json.load(open(p)) if os.path.exists(p) else []
        all_ = [c for c in old if c["maker"] != self.maker] + self.cases
        all_.sort(key=lambda c: c["file"])
        with open(p, "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(c) for c in all_) + "\n]\n")
        print(self.maker, "torch", torch.__version__, len(self.cases), "cases")
