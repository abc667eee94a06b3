"""Makes checkpoints at random with torch, converts them with the command, and compares: the same tensors?

    python pytorch_random.py TENSMITH [COUNT [SEED]]

Needs torch and the Python package `safetensors`. Every dtype of this torch, views of all kinds, storages shared by
many, sparse, quantised and nested tensors, subclasses, modules, in dicts, lists and objects within one another; as
zip, legacy stream, pickle, TorchScript, compressed or not; with the options of the command. Each number of a seed is
a checkpoint of its own, so `COUNT 1 SEED+n` makes one of them again. A file is loaded only by the process that made it.
"""

import argparse
import bz2
import collections
import dataclasses
import gzip
import io
import json
import lzma
import os
import pickle
import random
import subprocess
import sys
import tempfile
import types
import warnings
import zlib

import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "convert", "torch", "testdata"))

import expect

warnings.simplefilter("ignore")
OLD = torch.__version__.startswith("1.")
# What the type of elements is called where expect.HOME, which is what safetensors has, does not.
HOMELESS = {"complex32": "float16", "complex128": "float64", "bcomplex32": "bfloat16"}
TYPES = [getattr(torch, name) for name in [*expect.HOME, *HOMELESS] if hasattr(torch, name)]
BITS = [getattr(torch, name) for name in ("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2") if hasattr(torch, name)]
# As convert/torch/root.go and docs/convert.md have them.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "params_ema", "params",
            "ema", "ema_state_dict", "model_ema", "weights", "generator", "g_ema")


class Tagged(torch.Tensor):
    """A subclass without data of its own."""


class Double(torch.Tensor):
    """A subclass whose data are another tensor."""

    @staticmethod
    def __new__(cls, of):
        return torch.Tensor._make_wrapper_subclass(cls, of.shape, dtype=of.dtype)

    def __init__(self, of):
        self.of = of

    def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
        return func(*(a.of if isinstance(a, Double) else a for a in args), **(kwargs or {}))


@dataclasses.dataclass
class Record:
    name: str
    value: object


Pair = collections.namedtuple("Pair", "first second")


class Names(dict):
    """A dict of the program's own."""


def nothing():
    return None


class Maker:
    """Random values; the tensors among them may share storages."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.pool = []

    def name(self):
        r = self.r
        return r.choice(["weight", "bias", "layer.%d.w" % r.randrange(9), "a.b", "вес", "重み", "😀", "", "a/b", " ", "x" * r.randrange(1, 300),
                         "tab\there", "quote\"d", "\u202eabc", "e\u0301", "\x7f", "\n", "k%d" % r.randrange(1000)])

    def key(self):
        r = self.r
        return r.choice([self.name, self.name, self.name, self.name, lambda: r.randrange(-5, 5), lambda: r.choice([True, None, 0.5, -2.0, 1e20, 1e-7]),
                         lambda: 2 ** r.randrange(70)])()

    def shape(self):
        r = self.r
        return [r.choice([1 if OLD else 0, 1, 1, 2, 3, 4, 5, 7, 8, 17]) for _ in range(r.choice([0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 9]))]

    def base(self):
        """A tensor of random bits."""
        r = self.r
        if self.pool and r.random() < 0.35:
            return r.choice(self.pool)
        shape, dtype = self.shape(), r.choice(TYPES)
        while np.prod(shape) > 20000:
            shape.pop()
        n = int(np.prod(shape))
        if dtype == torch.bool:
            t = torch.tensor([r.random() < 0.5 for _ in range(n)], dtype=torch.bool).reshape(shape)
        else:
            size = torch.empty(0, dtype=dtype).element_size()
            bits = bytearray(r.randbytes(n * size) or b"\0")
            if size == 4 and dtype.is_complex:  # torch computes with these by way of float32, which makes NaN quiet
                bits[1::2] = bytes(b & 0xbf for b in bits[1::2])
            t = torch.frombuffer(bits, dtype=torch.uint8)[:n * size]
            if n == 0:
                t = torch.empty(shape, dtype=dtype)
            elif dtype == torch.complex32:
                t = torch.view_as_complex(t.clone().view(torch.float16).reshape(*shape, 2))
            else:
                t = t.clone().view(dtype).reshape(shape)
        self.pool.append(t)
        return t

    def view(self, t):
        """Another view of the same storage."""
        r, n = self.r, t.dim()
        kind = r.randrange(14)
        if kind == 0 and n > 1:
            return t.transpose(*r.sample(range(n), 2))
        if kind == 1 and n:
            return t.permute(*r.sample(range(n), n))
        if kind == 2 and n:
            d = r.randrange(n)
            start = r.randrange(t.shape[d] + 1)
            return t[(slice(None),) * d + (slice(start, r.randrange(start, t.shape[d] + 1), r.randrange(1, 4)),)]
        if kind == 3 and n and t.shape[0]:
            return t[r.randrange(t.shape[0])]
        if kind == 4 and n < 6:
            return t.unsqueeze(r.randrange(n + 1)).expand([-1] * 0 + [r.randrange(1, 4)] + list(t.shape)) if n == 0 else t.expand([r.randrange(1, 4)] + list(t.shape))
        if kind == 5 and t.is_contiguous():
            return t.view(-1)
        if kind == 6:
            return t.conj()
        if kind == 7 and t.is_complex() and t.dtype in (torch.complex64, torch.complex128):
            return r.choice([lambda: t.real, lambda: t.imag, lambda: t.conj().imag])()
        if kind == 8 and not t.is_complex() and t.dtype in (torch.float32, torch.float64, torch.float16, torch.int32, torch.int8, torch.int64, torch.bfloat16):
            return torch._neg_view(t)
        if kind == 9 and not (t.is_conj() or t.is_neg()):  # overlapping with itself, strides of what has one element at random
            whole = (t.untyped_storage() if hasattr(t, "untyped_storage") else t.storage()).nbytes() // t.element_size() - t.storage_offset()
            shape, stride = [], []
            for _ in range(r.randrange(4)):
                size, step = r.randrange(1, 5), r.randrange(4)
                if whole - (size - 1) * step < 1:
                    continue
                whole -= (size - 1) * step
                shape.append(size)
                stride.append(step if size > 1 else r.choice([0, 1, 7, 10 ** 12]))
            if whole >= 1:
                return t.as_strided(shape, stride, t.storage_offset())
        if kind == 10 and t.numel() == 0:
            return t.as_strided([0, 3, 2], [10 ** 12, 5, 77])
        if kind == 11 and n == 4 and not t.is_complex():
            return t.contiguous(memory_format=torch.channels_last)
        if kind == 12 and n:
            return t.diagonal() if n > 1 else t.unfold(0, min(2, t.shape[0]), 1)
        return t.detach()

    def special(self):
        """A tensor that is none of the plain ones, or dressed as another class."""
        r = self.r
        floats = torch.tensor([[r.choice([0, 0, 1.5, -2.0, 3.25]) for _ in range(6)] for _ in range(4)])
        kind = r.randrange(18)
        if kind == 0:
            return torch.nn.Parameter(floats, requires_grad=r.random() < 0.5)
        if kind == 1:
            p = torch.nn.Parameter(floats)
            p.tag = r.choice(["x", floats[0], {"y": floats}])
            return p
        if kind == 2 and hasattr(torch.nn, "Buffer"):
            return torch.nn.Buffer(floats.t())
        if kind == 3:
            s = floats.as_subclass(Tagged)
            s.scale = r.choice([2.0, floats[1]])
            return s
        if kind == 4:
            t = floats.clone()
            t.tag = {"t": floats}
            return t
        if kind == 5:
            dtype = r.choice([torch.qint8, torch.quint8, torch.qint32])
            q = torch.quantize_per_tensor(floats, 0.05, 0 if dtype == torch.qint32 else 3, dtype)
            return r.choice([q, q.t(), q[1:, ::2]])
        if kind == 6:
            axis = r.randrange(2)
            n = floats.shape[axis]
            scales = torch.arange(1, n + 1, dtype=torch.float64) / 8
            q = torch.quantize_per_channel(floats, scales, torch.arange(n), axis, r.choice([torch.qint8, torch.quint8]))
            return r.choice([q, torch.quantize_per_channel(floats, scales.float(), torch.arange(n).float(), axis, torch.quint8)])
        if kind == 7:
            return r.choice([floats.to_sparse(), floats.to_sparse(1), floats.double().to_sparse(), floats.to(torch.complex64).to_sparse(),
                             torch.zeros(3, 2).to_sparse(), torch.tensor(3.5).to_sparse() if not OLD else floats.to_sparse(),
                             torch.sparse_coo_tensor([[0, 0, 1], [2, 2, 0]], [1.0, 2.0, 3.0], (2, 3)),
                             torch.sparse_coo_tensor(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([True, True]), (2,)),
                             torch.sparse_coo_tensor([[1, 1]], torch.tensor([[250, 3], [9, 4]], dtype=torch.uint8), (2, 2))])
        if kind == 8:
            return r.choice([lambda: floats.to_sparse_csr(), lambda: floats.t().contiguous().to_sparse_csr(), lambda: floats.to_sparse_csc(),
                             lambda: floats.to_sparse_bsr((2, 3)), lambda: floats.to_sparse_bsc((4, 2)),
                             lambda: torch.stack([floats, floats]).to_sparse_csr(), lambda: floats.half().to_sparse_csr()])()
        if kind == 9 and hasattr(torch, "nested"):
            kw = {} if OLD else {"layout": r.choice([torch.strided, torch.jagged])}
            return torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], **kw)
        if kind == 10:
            return torch.empty(self.shape(), device="meta")
        if kind == 11 and BITS:
            return torch.arange(16, dtype=torch.uint8).view(r.choice(BITS))
        if kind == 12 and not OLD:
            return Double(floats)
        if kind == 13:
            return floats.storage() if OLD or r.random() < 0.5 else floats.untyped_storage()
        if kind == 14:
            a = np.array(r.choice([np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
                                   np.arange(3, dtype=">f4"), np.array([True]), np.arange(5, dtype=np.uint64)[::-2], np.zeros((0, 2)), np.array(2.5, np.float16)]))
            return a
        if kind == 15:
            return r.choice([np.array(["a", "b"]), np.array([1, None], dtype=object), np.array([1 + 2j]), np.array([(1, 2.0)], dtype="i4,f8"),
                             np.array(["2020-01-01"], dtype="M8[D]"), np.arange(3, dtype=np.longdouble)])
        if kind == 16:
            return torch.nn.parameter.UninitializedParameter()
        return floats.requires_grad_() * 2  # not a leaf

    def tensor(self):
        if self.r.random() < 0.08:
            return self.special()
        for _ in range(9):
            try:
                t = self.base()
                for _ in range(self.r.choice([0, 0, 0, 1, 1, 2, 3])):
                    t = self.view(t)
                return t
            except (RuntimeError, NotImplementedError, TypeError):  # not for all dtypes
                pass
        return torch.ones(1)

    def plain(self):
        r = self.r
        return r.choice([None, True, 3, -2 ** 70, 0.5, "text", "\u00e4😀", b"raw", bytearray(b"xy"), 1 + 2j, {1, 2}, frozenset([3]), torch.Size([2, 3]),
                         torch.float16, torch.device("cpu"), torch.strided, slice(1, 2), range(3), np.float32(1.5), np.int64(3), np.bool_(True), np.dtype("<f4"),
                         collections.Counter("aab"), argparse.Namespace(lr=1), [], (), {}, "x" * 70000, float("nan"), dict, nothing,
                         Record("r", 1), types.SimpleNamespace(a=1), torch.Generator().get_state()[:4] if r.random() < 0.2 else 0])

    def module(self):
        r, nn = self.r, torch.nn
        a = nn.Linear(3, 2)
        tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
        tied[2].weight = tied[0].weight
        m = r.choice([lambda: a, lambda: tied, lambda: nn.Sequential(collections.OrderedDict([("a", a), ("b.c" if False else "b", nn.BatchNorm1d(2))])),
                      lambda: nn.ModuleDict({"x": a, "y": nn.ModuleList([a, nn.Conv1d(1, 2, 2)])}), lambda: nn.ParameterList([a.weight, a.bias]),
                      lambda: nn.ParameterDict({"p": a.weight, "q": nn.Parameter(torch.ones(2))}), lambda: nn.LSTM(2, 3, num_layers=2),
                      lambda: nn.MultiheadAttention(4, 2), lambda: nn.Embedding(4, 3, padding_idx=0), lambda: nn.TransformerEncoderLayer(4, 2, 8),
                      lambda: nn.BatchNorm2d(3, affine=False), lambda: nn.GRUCell(2, 2), lambda: nn.utils.weight_norm(nn.Linear(2, 2)).state_dict(),
                      lambda: nn.Identity()])()
        if isinstance(m, nn.Module) and r.random() < 0.5:
            m.register_buffer("fleeting", torch.ones(2), persistent=False)
            m.register_buffer("nothing", None)
            m.extra = torch.ones(3)  # an attribute, no part of the state
        return m

    def value(self, depth=0):
        r = self.r
        x = r.random()
        if depth == 0 or x < 0.25 and depth < 5:
            d = r.choice([dict, dict, dict, collections.OrderedDict, Names if depth else dict, lambda: collections.defaultdict(list)])()
            for _ in range(r.randrange(1, 7)):
                d[self.key()] = self.value(depth + 1)
            if r.random() < 0.25:
                d[r.choice(WRAPPERS)] = self.value(depth + 1)
            return d
        if x < 0.32 and depth < 5:
            items = [self.value(depth + 1) for _ in range(r.randrange(4))]
            return r.choice([list, tuple, collections.deque])(items)
        if x < 0.36:
            v = self.value(depth + 1)
            return r.choice([lambda: argparse.Namespace(v=v), lambda: types.SimpleNamespace(v=v), lambda: Record("r", v), lambda: Pair(v, 1)])()
        if x < 0.40:
            return self.module()
        if x < 0.55:
            return self.plain()
        return self.tensor()


def is_tensor(v):
    return isinstance(v, (torch.Tensor, np.ndarray)) or is_storage(v)


def is_storage(v):
    return isinstance(v, getattr(torch, "UntypedStorage", ())) or type(v).__name__ in ("TypedStorage", "_TypedStorage", "_UntypedStorage", "UntypedStorage")


def below(v):
    """The parts of a value by key, or None for what has none. That is the rule of docs/convert.md."""
    if isinstance(v, torch.nn.Module):
        return list(v.state_dict().items())
    if isinstance(v, dict):
        return list(v.items())
    if isinstance(v, (list, tuple, collections.deque)):
        return list(enumerate(v))
    return None


def holds(v, seen=()):
    """Does it hold tensors? In objects, too."""
    if is_tensor(v):
        return True
    if id(v) in seen:
        return False
    parts = below(v)
    if parts is None and not isinstance(v, (set, frozenset, str, bytes)):
        parts = list(getattr(v, "__dict__", {}).items()) or (list(enumerate(v)) if isinstance(v, tuple) else [])
    return any(holds(part, (*seen, id(v))) for _, part in parts or ())


def root_of(v):
    path, keys = "", WRAPPERS
    for _ in range(8):
        if not isinstance(v, dict):
            break
        for key in keys:
            if key in v and not is_tensor(v[key]) and holds(v[key]) and (below(v[key]) is not None or vars_of(v[key])):
                break
        else:
            break
        v, path, keys = v[key], path + "." + key if path else key, WRAPPERS[:3]
    return v, path


def vars_of(v):
    return getattr(v, "__dict__", None)


def flatten(v, prefix=""):
    """All tensors with their names, those of equal names too."""
    if is_tensor(v):
        yield prefix or "tensor", v
        return
    parts = below(v)
    if parts is None and vars_of(v):
        parts = list(vars_of(v).items())
    for key, part in parts or ():
        yield from flatten(part, f"{prefix}.{key}" if prefix else str(key))


def plain_tensor(t):
    if is_storage(t):
        if "Untyped" in type(t).__name__:
            return torch.tensor(list(t), dtype=torch.uint8)
        return torch.tensor([], dtype=t.dtype).set_(t)
    return t


def why_not(name, t):
    """None for a tensor with a home; else what it is."""
    if isinstance(t, torch.nn.parameter.UninitializedTensorMixin):
        return "meta"
    if isinstance(t, torch.Tensor):
        if type(t).__name__ in ("Double", "NestedTensor") or t.is_nested:
            return "wrapper"
        if t.layout != torch.strided:
            return "meta" if t.device.type == "meta" else "sparse"
        if t.device.type == "meta":
            return "meta"
        if t.is_quantized:
            return "quantized"
    dtype = t.dtype.name if isinstance(t, np.ndarray) else str(t.dtype).split(".")[1]
    if isinstance(t, np.ndarray) and (t.dtype.hasobject or t.dtype.fields):
        return "object"
    if dtype in HOMELESS:
        return "complex"
    return None if dtype in expect.HOME else dtype


def content(t):
    """The bytes, without a hook into subclasses."""
    if isinstance(t, np.ndarray):
        return np.ascontiguousarray(t).astype(t.dtype.newbyteorder("<")).tobytes()
    t = t.detach().as_subclass(torch.Tensor)
    if t.is_neg() and t.dtype in (torch.float16, torch.bfloat16):  # torch goes by way of float32, which makes NaN quiet
        return expect.tensor_bytes(torch._neg_view(t).contiguous().view(torch.int16) ^ -32768)
    return expect.tensor_bytes(t)


def described(t):
    if isinstance(t, np.ndarray):
        return expect.HOME[t.dtype.name], list(t.shape)
    dtype, shape = expect.HOME[str(t.dtype).split(".")[1]], list(t.shape)
    if dtype == "F4":
        shape[-1] *= 2
    return dtype, shape


def parts_of(t, options):
    """Suffixes and tensors that the options make of one without a home, or None."""
    why = why_not("", t)
    if why == "complex" and "--complex" in options:
        if isinstance(t, np.ndarray):
            return [(".real", t.real.copy()), (".imag", t.imag.copy())]
        t = t.detach()
        if str(t.dtype) == "torch.bcomplex32" and t.is_conj():  # torch 2.15 cannot do more with it than look
            half = torch.view_as_real(t.conj())
            return [(".real", half[..., 0]), (".imag", (half[..., 1].contiguous().view(torch.int16) ^ -32768).view(torch.bfloat16))]
        half = torch.view_as_real(t.resolve_conj().resolve_neg() if t.is_neg() else t.resolve_conj())
        return [(".real", half[..., 0]), (".imag", half[..., 1])]
    if why == "quantized" and "--quantized" in options:
        if t.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            return [(".int_repr", t.int_repr()), (".scale", torch.tensor(t.q_scale(), dtype=torch.float64)), (".zero_point", torch.tensor(t.q_zero_point()))]
        return [(".int_repr", t.int_repr()), (".scale", t.q_per_channel_scales()), (".zero_point", t.q_per_channel_zero_points())]
    if why == "sparse" and "dense" in options:
        return [("", t.to_dense())]
    if why == "sparse" and "--sparse" in options:
        names = {torch.sparse_coo: ["_indices", "_values"], torch.sparse_csr: ["crow_indices", "col_indices", "values"]}
        for layout in ("sparse_bsr", "sparse_csc", "sparse_bsc"):
            names[getattr(torch, layout, layout)] = ["crow_indices" if layout == "sparse_bsr" else "ccol_indices", "col_indices" if layout == "sparse_bsr" else "row_indices", "values"]
        return [("." + n.strip("_"), getattr(t, n)()) for n in names[t.layout]]
    return None


def scripted(m):
    b = io.BytesIO()
    torch.jit.save(torch.jit.script(m), b)
    return b.getvalue(), lambda: torch.jit.load(io.BytesIO(b.getvalue())).state_dict()


def saved(obj, m):
    """A file's bytes, and how torch reads them."""
    r, kw = m.r, {} if OLD else {"weights_only": False}
    kind = r.randrange(10)
    b = io.BytesIO()
    if kind < 5:
        torch.save(obj, b, pickle_protocol=r.choice([2, 2, 3, 4, 5]))
    elif kind < 8:
        torch.save(obj, b, _use_new_zipfile_serialization=False, pickle_protocol=r.choice([1, 2, 2, 3, 4, 5]))
    elif kind < 9 or not isinstance(obj, torch.nn.Module):
        data = pickle.dumps(obj, protocol=r.choice([0, 1, 2, 3, 4, 5]))
        return data, lambda: pickle.loads(data)
    else:
        return scripted(obj)
    return b.getvalue(), lambda: torch.load(io.BytesIO(b.getvalue()), **kw)


WRAPS = [bytes] * 12 + [gzip.compress, bz2.compress, lzma.compress, zlib.compress, lambda b: lzma.compress(b, format=lzma.FORMAT_ALONE)]


def parsed(file):
    with open(file, "rb") as f:
        raw = f.read()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    return header.pop("__metadata__", {}), {k: (v["dtype"], v["shape"], raw[end + v["data_offsets"][0]:end + v["data_offsets"][1]]) for k, v in header.items()}


def python_loads(file, header):
    """What the Python package gives must be what the header says. It has no F4 and F8_E8M0."""
    from safetensors import safe_open
    with safe_open(file, framework="pt") as f:
        for name in f.keys():
            dtype, shape, data = header[name]
            if dtype == "F4" or OLD and dtype not in ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "C64"):
                continue
            try:
                t = f.get_tensor(name)
            except Exception as failure:
                if dtype in ("F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"):
                    continue
                yield f"the Python package cannot load {name!r}: {failure}"
                continue
            if list(t.shape) != shape or expect.tensor_bytes(t) != data:
                yield f"the Python package loads another {name!r}"


def trial(program, number, folder):
    """What is wrong; None if torch cannot write it."""
    m = Maker(number)
    obj = m.value() if m.r.random() < 0.9 else m.r.choice([m.tensor, m.module, lambda: [m.tensor()]])()
    try:
        data, load = saved(obj, m)
        try:
            back = load()
        except AttributeError as failure:  # torch has written what it cannot read: a type newer than the legacy stream
            if "UntypedStorage" not in str(failure):
                raise
            back = obj
    except Exception as failure:
        return None, str(failure)
    options = []
    for option in (["--sparse", "parts"], ["--sparse", "dense"], ["--quantized", "parts"], ["--complex", "split"], ["--tied", "keep"]):
        if m.r.random() < 0.6 and option[0] not in options:
            options += option
    file, out = os.path.join(folder, "in"), os.path.join(folder, "out.safetensors")
    with open(file, "wb") as f:
        f.write(m.r.choice(WRAPS)(data))
    command = [program, "convert", file, "-o", out, "--json", *options]
    if m.r.random() < 0.5:
        command.append("--verify")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    wrong = list(judge(done, out, back, options, folder))
    return wrong, " ".join(options) if done.returncode == 0 else "refused: " + done.stderr.strip()


# What is refused though torch has it, by docs/convert.md.
LIMITS = ["key is no text", "sparse_csr of rank 3 as a dense tensor"]


def quoted(name):
    """As Go's %q has it, for the names above."""
    return "".join({'"': '\\"', "\t": "\\t", "\n": "\\n", "\x7f": "\\x7f", "\u202e": "\\u202e"}.get(c, c) for c in name)


def judge(done, out, back, options, folder):
    v, path = root_of(back)
    want, bad, doubled = {}, {}, set()
    for name, t in flatten(v):
        t = plain_tensor(t)
        why = why_not(name, t)
        for suffix, part in ([("", t)] if why is None else parts_of(t, options) or []):
            if why_not("", part) is not None:
                bad[name] = str(part.dtype)
                continue
            if name + suffix in want:
                doubled.add(name + suffix)
            want[name + suffix] = part
        if why is not None and not parts_of(t, options):
            bad[name] = why
        elif isinstance(t, torch.Tensor) and t.dim() == 0 and str(t.dtype).endswith("fn_x2"):
            bad[name] = "F4"
    if done.returncode != 0:
        said = done.stderr.strip()
        if "panic" in said or not said.startswith("tensmith: convert: ") or done.returncode not in (1, 2):
            yield f"exit {done.returncode}: {said}"
        elif done.returncode == 1:
            yield f"called malformed: {said}"
        elif any(limit in said for limit in LIMITS):
            pass
        elif not (bad or doubled or not want):
            yield f"refused: {said}"
        elif bad and not doubled and not any(f'tensor "{quoted(n)}"' in said for n in bad):
            yield f"refused without a name of {bad}: {said}"
        if os.listdir(folder) != ["in"]:
            yield f"it left {os.listdir(folder)}"
        return
    if bad or doubled:
        yield f"converted, in spite of {bad} {doubled}"
        return
    report = json.loads(done.stdout)
    if report.get("root", "") != path:
        yield f"root {report.get('root')!r} should be {path!r}"
    metadata, got = parsed(out)
    aliases = 0
    for name, t in want.items():
        kept = name
        if name not in got:
            kept, aliases = metadata.get(name), aliases + 1
            if "--tied" in options:
                yield f"{name!r} is missing with --tied keep"
        if kept not in got:
            yield f"{name!r} is neither in the file nor an alias"
        elif OLD and content(t) == b"" and got[kept][1:] == (described(t)[1], b""):
            pass  # torch 1.13 gives the empty tensors of a legacy stream one type
        elif got[kept] != (*described(t), content(t)):
            yield f"{name!r} ({kept!r}): {got[kept][:2]} should be {described(t)}, data {'equal' if got[kept][2] == content(t) else 'differ'}"
    more = set(got) - set(want) if report["format"] == "torchscript" else ()  # attributes are no part of the state_dict
    if len(got) + aliases != len(want) + len(more):
        yield f"{sorted(got)} with {aliases} aliases are not {sorted(want)}"
    yield from python_loads(out, got)


def main():
    program = os.path.abspath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10 ** 9)
    print(f"torch {torch.__version__}, seed {seed}")
    failed, refused, converted, unwritten = 0, 0, 0, collections.Counter()
    reasons = collections.Counter()
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory() as folder:
            wrong, said = trial(program, number, folder)
        if wrong is None:
            unwritten[said[:160]] += 1
            continue
        refused, converted = refused + said.startswith("refused"), converted + (not said.startswith("refused"))
        if said.startswith("refused"):
            reasons[said.split("\n")[0].split(": ")[-1][:50]] += 1
        for line in wrong:
            print(f"{number}: {line[:1500]}")
        failed += bool(wrong)
    if os.environ.get("VERBOSE"):
        print(unwritten, reasons)
    print(f"{converted} converted to the same tensors, {refused} refused as they should be, {failed} wrong, {sum(unwritten.values())} that torch does not write")
    sys.exit(1 if failed or converted < count // 4 else 0)


if __name__ == "__main__":
    main()
