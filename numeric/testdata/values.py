"""Makes values.json.gz: what numpy and torch find in tensors of known numbers.

Needs numpy, ml_dtypes and torch (made with numpy 2.4.6, ml_dtypes 0.6.0 and
torch 2.15.0 on x86-64); run `python values.py` in this folder.

The numbers are not stored. Word i of a series is splitmix64 of its index, and

  bits     the element whose bits are the lowest of word i
  weights  ((word >> 40) - 2^23) / 2^26, rounded to the type: within 1/8 of zero,
           and zero if word & 7 is 7 (not F4, where all would be)
  noisy    weights + ((word >> 8 & 0xFF) - 128) / 2^32 where word & 0x18 is 0,
           in float32, rounded to the type: a changed copy

Sums are exact, by fractions, and rounded once. Quantiles are numpy's, by the
method inverted_cdf; histograms are numpy's over the edges given.
"""
import gzip
import json
import math
import warnings
from fractions import Fraction

import ml_dtypes
import numpy as np
import torch

warnings.simplefilter("ignore")
COUNT = 50_024  # three blocks of ours and a half, and whole groups of F6

TYPES = {
    "BOOL": np.uint8, "U8": np.uint8, "I8": np.int8, "I16": np.int16, "U16": np.uint16,
    "I32": np.int32, "U32": np.uint32, "I64": np.int64, "U64": np.uint64,
    "F4": ml_dtypes.float4_e2m1fn, "F6_E2M3": ml_dtypes.float6_e2m3fn, "F6_E3M2": ml_dtypes.float6_e3m2fn,
    "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32, "F64": np.float64,
}
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def words(n):
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


W = words(COUNT)


def weights():
    v = ((W >> np.uint64(40)).astype(np.int64) - 2**23).astype(np.float32) / np.float32(2**26)
    v[(W & np.uint64(7)) == 7] = 0
    return v


def noisy():
    v = weights()
    step = ((W >> np.uint64(8) & np.uint64(0xFF)).astype(np.int64) - 128).astype(np.float32) / np.float32(2**32)
    return np.where((W & np.uint64(0x18)) == 0, v + step, v)


def bits(name, t):
    size = np.dtype(t).itemsize
    mask = np.uint64((1 << BITS.get(name, 8 * size)) - 1)
    return (W & mask).astype(WORDS[size]).view(t)


def wide(a):
    return a.astype(np.float64)


def root(x):
    """The square root of a fraction, to float64."""
    scale = 1 << 2200
    return float(Fraction(math.isqrt(int(x * scale * scale)), scale))


def number(x):
    return float(x) if np.isfinite(x) else None


def stats(name, t, a):
    v = wide(a)
    f = v[np.isfinite(v)]
    normal = 0.0
    if name.startswith(("F", "BF")):
        normal = {"F8_E8M0": 0.0, "F32": float(np.finfo(np.float32).tiny), "F64": float(np.finfo(np.float64).tiny)}.get(name)
        if normal is None:
            normal = float(ml_dtypes.finfo(t).smallest_normal)
    exact = [Fraction(x) for x in f.tolist()]
    total, squares = sum(exact), sum(x * x for x in exact)
    mean = total / len(exact)
    out = {
        "count": len(v), "zeros": int((v == 0).sum()), "nans": int(np.isnan(v).sum()),
        "posinfs": int((v == np.inf).sum()), "neginfs": int((v == -np.inf).sum()),
        "subnormals": int(((np.abs(f) < normal) & (f != 0)).sum()),
        "min": float(f.min()), "max": float(f.max()), "absmax": float(np.abs(f).max()),
        "mean": float(mean), "std": root(squares / len(exact) - mean * mean), "l2": root(squares),
        "meanabs": float(sum(map(abs, exact)) / len(exact)),
    }
    # numpy agrees, as far as its own sums go.
    assert math.isclose(out["std"], float(np.std(f)), rel_tol=1e-9), name
    assert math.isclose(out["l2"], float(np.linalg.norm(f)), rel_tol=1e-9), name
    qs = [0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.999, 1]
    out["q"] = qs
    out["quantiles"] = [float(x) for x in np.quantile(f, qs, method="inverted_cdf")]
    edges = np.linspace(f.min() / 2, f.max() / 2 + 1e-3, 17)
    out["edges"], out["histogram"] = edges.tolist(), np.histogram(f, edges)[0].tolist()
    m = np.abs(f)
    edges = np.geomspace(max(m.max(), 1e-30) / 2**12, m.max(), 13)
    out["logedges"], out["magnitudes"] = edges.tolist(), np.histogram(m, edges)[0].tolist()
    return out


def compare(a, b):
    x, y = torch.from_numpy(wide(a)), torch.from_numpy(wide(b))
    d = (x - y).abs()
    changed = (x != y) & ~(torch.isnan(x) & torch.isnan(y))
    finite = torch.isfinite(x) & torch.isfinite(y)
    special = changed & ~finite
    where = torch.nonzero(changed)
    x0, y0, d0 = (torch.where(finite, v, 0.0) for v in (x, y, d))
    top = torch.maximum(x0.abs(), y0.abs())
    out = {
        "count": len(x), "changed": int(changed.sum()), "special": int(special.sum()),
        "first": int(where[0]) if len(where) else 0,
        "maxabs": float(d0.max()), "maxabsat": int(d0.argmax()),
        "maxrel": float(torch.where(top > 0, d0 / top, 0.0).max()),
        "l2": root(sum(Fraction(p) ** 2 for p in (x0 - y0).tolist())),
        "cosine": float(torch.nn.functional.cosine_similarity(x0, y0, dim=0)),
        "tolerances": [],
    }
    for rel, absolute in [(0, 0), (1e-5, 1e-8), (1e-3, 0), (0, 1e-3), (2**-8, 1e-4), (0.1, 0.1)]:
        close = torch.isclose(x, y, rtol=rel, atol=absolute, equal_nan=True)
        out["tolerances"].append([rel, absolute, int((~close).sum())])
    return out


def main():
    cases, pairs = [], []
    for name, t in TYPES.items():
        series = {} if name == "F64" else {"bits": bits(name, t)}
        if name.startswith(("F", "BF")) and name not in ("F4", "F8_E8M0"):
            series["weights"] = weights().astype(t)
        for kind, a in series.items():
            cases.append({"dtype": name, "series": kind} | stats(name, t, a))
            print(name, kind)
    for one, other in [("F32", "F32"), ("F32", "BF16"), ("BF16", "F32"), ("BF16", "BF16"), ("F16", "F16"), ("F16", "BF16"),
                       ("F32", "F16"), ("F32", "F8_E4M3"), ("F8_E4M3", "F8_E4M3"), ("F64", "F64"), ("F64", "F32")]:
        a, b = weights().astype(TYPES[one]), noisy().astype(TYPES[other])
        pairs.append({"a": one, "b": other, "series": "weights"} | compare(a, b))
    for one, other in [("F32", "F16"), ("F16", "BF16"), ("I8", "U8"), ("I32", "I16"), ("BF16", "F8_E5M2"), ("F4", "F6_E2M3")]:
        pairs.append({"a": one, "b": other, "series": "bits"} | compare(bits(one, TYPES[one]), bits(other, TYPES[other])))
    with open("values.json.gz", "wb") as f:
        f.write(gzip.compress(json.dumps({"stats": cases, "pairs": pairs}, indent=1).encode(), 9, mtime=0))


main()
