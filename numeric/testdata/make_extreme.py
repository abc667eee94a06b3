#!/usr/bin/env python3
"""Writes extreme.json: statistics of numbers that are alike but for their last bits, or whose
squares no float64 holds, as exact fractions give them, and differences of such numbers.

    python3 make_extreme.py > extreme.json        (needs numpy)

A row is "base", "step" and "count": number i is base + step·(i·7919 mod 1000 - 500), rounded as
float64 and then to the type. NumPy computes them, and the standard deviation, for those that a
longdouble has room for; it has to agree. "b" is a second tensor, of which number i is that of the
first times "factor".
"""

import json
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np

getcontext().prec = 60
getcontext().Emin, getcontext().Emax = -9999, 9999


def root(x):
    return float((Decimal(x.numerator) / Decimal(x.denominator)).sqrt())


def row(dtype, base, step, count, factor=None):
    kind = {"F64": np.float64, "F32": np.float32, "I64": np.int64}[dtype]
    i = np.arange(count)
    x = (np.float64(base) + np.float64(step) * (i * 7919 % 1000 - 500).astype(np.float64)).astype(kind)
    a = [Fraction(v.item()) for v in x]
    n, total, squares = len(a), sum(a), sum(v * v for v in a)
    std = root((n * squares - total * total) / (n * n))
    wide = float(x.astype(np.longdouble).std())
    assert abs(wide - std) <= 1e-9 * std + 1e-18 * abs(base), (dtype, base, step, wide, std)
    out = {"dtype": dtype, "base": base, "step": step, "count": count, "mean": float(total / n), "std": std, "l2": root(squares)}
    if factor is not None:
        y = x * np.float64(factor)
        b = [Fraction(v.item()) for v in y]
        errors = sum((u - v) ** 2 for u, v in zip(a, b))
        dot, other = sum(u * v for u, v in zip(a, b)), sum(v * v for v in b)
        d = lambda f: Decimal(f.numerator) / Decimal(f.denominator)
        out |= {"factor": factor, "diff_l2": root(errors), "cosine": float(d(dot) / (d(squares) * d(other)).sqrt()), "sqnr": float(10 * (d(squares) / d(errors)).log10())}
    return out


rows = [
    row("F64", 0.1, 0, 20000), row("F32", 0.1, 0, 20000), row("F64", 1.7e306, 0, 1000), row("F64", 1.6e306, 1e300, 1000), row("F64", 1e-200, 0, 1000), row("F64", 5e-324, 0, 20),
    row("F64", 1e6, 1e-6, 20000), row("F64", 1, 1e-12, 20000), row("F32", 1000, 1e-3, 40000), row("I64", 1000000000000000, 1, 20000),
    row("F64", 0, 1e298, 20000, 0.5), row("F64", 0, 1e300, 1000, 1 + 2 ** -40), row("F64", 1e300, 1e290, 1000, 0.75), row("F64", 0, 1e-200, 20000, 3),
    row("F64", 0, 1e-300, 1000, 0.5), row("F64", 1e-310, 1e-313, 1000, 0.5), row("F64", 0, 1e200, 1000, 1e-300), row("F64", 0, 1e-150, 1000, 1e290),
]
print("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]")
