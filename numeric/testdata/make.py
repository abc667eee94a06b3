"""Makes golden.bin.gz: what ml_dtypes and PyTorch say each float format means.

Needs numpy, ml_dtypes and torch (made with numpy 2.4.6, ml_dtypes 0.6.0 and
torch 2.15.0 on x86-64); run `python make.py` in this folder. Its output names
every difference between the two that it met; numeric's documentation says what
this project chose.

The file is a gzip stream of tables, in the order of FORMATS. A table is its name
(24 bytes, NUL padded), its number of rows (u32, little-endian) and its columns.
A column is stored in planes: all lowest bytes, then all second bytes, and so on.

  decode NAME   f32 bits by ml_dtypes (numpy for f16); f32 bits by torch
  enc32 NAME    f32 bits of the input; code by ml_dtypes; code by torch
  enc64 NAME    f64 bits of the input; the nearest code, ties to even

The second column of a format torch does not have repeats the first. enc64 is
not a cast by either program, as both round a float64 to float32 first (numpy's
own f16 does not): it is found by exact rational arithmetic among the values of
the decode table, above the largest by rounding as if the format went on.

  digits f16    digits of numpy's shortest unique text, by code, finite ones
"""
import bisect
import gzip
import struct
import sys
import warnings
from fractions import Fraction

import ml_dtypes
import numpy as np
import torch

warnings.simplefilter("ignore")

# name, bits, scalar type, torch type
FORMATS = [
    ("F4", 4, ml_dtypes.float4_e2m1fn, None),
    ("F6_E2M3", 6, ml_dtypes.float6_e2m3fn, None),
    ("F6_E3M2", 6, ml_dtypes.float6_e3m2fn, None),
    ("F8_E5M2", 8, ml_dtypes.float8_e5m2, torch.float8_e5m2),
    ("F8_E4M3", 8, ml_dtypes.float8_e4m3fn, torch.float8_e4m3fn),
    ("F8_E8M0", 8, ml_dtypes.float8_e8m0fnu, torch.float8_e8m0fnu),
    ("F8_E4M3FNUZ", 8, ml_dtypes.float8_e4m3fnuz, torch.float8_e4m3fnuz),
    ("F8_E5M2FNUZ", 8, ml_dtypes.float8_e5m2fnuz, torch.float8_e5m2fnuz),
    ("F16", 16, np.float16, torch.float16),
    ("BF16", 16, ml_dtypes.bfloat16, torch.bfloat16),
]

out = bytearray()


def table(name, *columns):
    out.extend(name.encode().ljust(24, b"\0") + struct.pack("<I", len(columns[0])))
    for c in columns:
        for plane in c.view(np.uint8).reshape(len(c), c.dtype.itemsize).T:
            out.extend(plane.tobytes())


def codes(bits):
    return np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8)


def torch_view(a, t):
    u = torch.from_numpy(a.view(np.int16) if a.dtype.itemsize == 2 else a.copy())
    return u.view(t)


def by_torch(x, t):
    r = torch.from_numpy(x).to(t)
    return r.view(torch.int16).numpy().view(np.uint16) if r.element_size() == 2 else r.view(torch.uint8).numpy()


def torch_float(a, t):
    return torch_view(a, t).to(torch.float32).numpy()


def same(a, b, values):
    nan = np.isnan(values)
    return (a == b) | (nan[a] & nan[b])


def middles(finite):
    return [(a + b) / 2 for a, b in zip(finite, finite[1:])] + [finite[-1] + (finite[-1] - finite[-2]) / 2]


def around(x, kind):
    x = kind(x)
    return [np.nextafter(x, kind(-np.inf)), x, np.nextafter(x, kind(np.inf))]


def inputs(finite, kind):
    """finite: ascending exact values, and what lies between them if a sample."""
    points = [float(v) for v in finite + middles(finite) + [finite[0] / 2, finite[0] / 4, finite[-1] * 2, finite[-1] * 3]]
    info = np.finfo(kind)
    xs = [y for p in points for y in around(p, kind)]
    xs += [kind(0), info.smallest_subnormal, info.tiny, np.nextafter(info.tiny, kind(0)), info.max, kind(np.inf)]
    xs += [kind(v) for v in np.float64([0.1, 1 / 3, np.pi, 1e-7, 12345.678, 1e30, 1e-30])]
    # Inputs away from every boundary: logarithmically even.
    xs += [kind(2.0**v) for v in np.linspace(-30, 30, 61) + 0.3]
    xs = np.array(xs, dtype=kind)
    xs = np.unique(xs[xs >= 0])
    return np.concatenate([xs, -xs, np.array([np.nan, -np.nan], dtype=kind)])


def nearest(x, finite, code_of, top_code, over, nan, sign, signed_zero):
    """The code of the float64 x, by exact arithmetic. over(s), nan(s): special codes."""
    negative = bool(np.signbit(x))
    if np.isnan(x):
        return nan(negative)
    if np.isinf(x):
        return over(negative)
    v = abs(Fraction(float(x)))
    if v >= finite[-1] + (finite[-1] - finite[-2]) / 2 and not (
        v == finite[-1] + (finite[-1] - finite[-2]) / 2 and top_code % 2 == 0
    ):
        return over(negative)
    i = bisect.bisect_left(finite, v)
    if i == len(finite):
        i -= 1
    elif finite[i] != v:
        below, above = v - finite[i - 1], finite[i] - v
        if below < above or below == above and code_of[i - 1] % 2 == 0:
            i -= 1
    c = code_of[i]
    if negative and (c != 0 or signed_zero):
        c |= sign
    return c


def enc64(name, bits, values, finite, code_of, x):
    u = np.uint16 if bits == 16 else np.uint8
    if name in ("F4", "F6_E2M3", "F6_E3M2"):
        x = x[~np.isnan(x)]
    sign = 1 << bits - 1
    top = code_of[-1]
    fnuz = name.endswith("FNUZ")
    kind = {"F16": 0x7C00, "BF16": 0x7F80, "F8_E5M2": 0x7C}.get(name)
    quiet = {"F16": 0x7E00, "BF16": 0x7FC0, "F8_E5M2": 0x7E, "F8_E4M3": 0x7F}.get(name)

    def nan(negative):
        return sign if fnuz else quiet | (sign if negative else 0)

    def over(negative):
        if name in ("F4", "F6_E2M3", "F6_E3M2"):
            return top | (sign if negative else 0)
        if kind is None:
            return nan(negative)
        return kind | (sign if negative else 0)

    y = [nearest(v, finite, code_of, top, over, nan, sign, not fnuz) for v in x]
    y = np.array(y, dtype=u)
    if name == "F16":  # the one direct cast there is: hold the arithmetic to it
        assert same(y, x.astype(np.float16).view(u), values).all()
    table("enc64 " + name, x.view(np.uint64), y)


def main():
    for name, bits, scalar, t in FORMATS:
        a = codes(bits)
        values = a.view(scalar).astype(np.float32)
        other = torch_float(a, t) if t else values
        nan = np.isnan(values)
        differ = (values.view(np.uint32) != other.view(np.uint32)) & ~(nan & np.isnan(other))
        print(f"decode {name}: {len(a)} codes, ml_dtypes and torch differ at {int(differ.sum())}" if t else f"decode {name}: not in torch")
        table("decode " + name, values.view(np.uint32), other.view(np.uint32))

        positive = [i for i in range(len(a) // 2 if name != "F8_E8M0" else 255) if np.isfinite(values[i])]
        finite = [Fraction(float(values[i])) for i in positive]
        assert finite == sorted(finite)
        code_of = positive
        if bits == 16:  # every 29rd value with its successor, and both ends
            keep = [i for k in range(0, len(finite) - 1, 29) for i in (k, k + 1)]
            keep = sorted(set(keep + list(range(4)) + list(range(len(finite) - 4, len(finite)))))
            # Middles only between true neighbours: the two of each pair.
            sample = [v for k in keep for v in ([finite[k], (finite[k] + finite[k + 1]) / 2] if k + 1 < len(finite) else [finite[k]])]
        else:
            sample = finite

        x = inputs(sample, np.float32)
        ml = x.astype(scalar).view(a.dtype)
        tc = by_torch(x, t) if t else ml
        differ = ~same(ml, tc, values)
        print(f"enc32 {name}: {len(x)} inputs" + (f", ml_dtypes and torch differ at {int(differ.sum())}" if t else ""))
        for v, p, q in list(zip(x[differ], ml[differ], tc[differ]))[:12]:
            print(f"    {v!r}: ml_dtypes {p:#x}, torch {q:#x}")
        if t:
            n = np.isnan(x)
            print(f"    NaN, -NaN: ml_dtypes {[hex(c) for c in ml[n]]}, torch {[hex(c) for c in tc[n]]}")
        table("enc32 " + name, x.view(np.uint32), ml, tc)
        if name == "F8_E8M0":
            continue
        enc64(name, bits, values, finite, code_of, inputs(sample, np.float64))
    f16 = codes(16)
    digits = np.zeros(len(f16), dtype=np.uint8)
    for i, v in enumerate(f16.view(np.float16)):
        if np.isfinite(v):
            digits[i] = sum(c.isdigit() for c in np.format_float_scientific(v, trim="-").split("e")[0])
    table("digits F16", digits)
    with open("golden.bin.gz", "wb") as f:
        f.write(gzip.compress(bytes(out), 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main())
