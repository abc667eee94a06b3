"""Holds what the command says of values to what NumPy makes of the same bytes.

    python values.py TENSMITH

Needs the packages of requirements.txt. Prints what differs, exit 1 if anything.
"""

import io
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

REAL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "safetensors", "testdata", "real")
NUMPY = {"BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
         "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}
# Bits of exponent and mantissa, bias, and what the highest codes are.
SMALL = {"F8_E4M3": (4, 3, 7, "nan"), "F8_E5M2": (5, 2, 15, "ieee"), "F8_E4M3FNUZ": (4, 3, 8, "fnuz"),
         "F8_E5M2FNUZ": (5, 2, 16, "fnuz"), "F4": (2, 1, 1, "none")}


def small(codes, exponent, mantissa, bias, top):
    table = np.zeros(1 << (1 + exponent + mantissa), np.float32)
    for code in range(len(table)):
        e, m = code >> mantissa & (1 << exponent) - 1, code & (1 << mantissa) - 1
        value = np.ldexp(m, 1 - bias - mantissa) if e == 0 else np.ldexp((1 << mantissa) + m, e - bias - mantissa)
        if top == "ieee" and e == (1 << exponent) - 1:
            value = np.inf if m == 0 else np.nan
        if top == "nan" and code & 0x7F == 0x7F:
            value = np.nan
        table[code] = -value if code >> (exponent + mantissa) else value
    if top == "fnuz":
        table[0x80] = np.nan
    return table[codes]


def numbers(dtype, shape, raw):
    """The tensor as an array: of NumPy's type, or float32."""
    if dtype in NUMPY:
        return np.frombuffer(raw, NUMPY[dtype]).reshape(shape)
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if dtype == "F8_E8M0":
        codes = np.frombuffer(raw, np.uint8).astype(int)
        return np.where(codes == 255, np.nan, np.ldexp(1.0, codes - 127)).astype(np.float32).reshape(shape)
    codes = np.frombuffer(raw, np.uint8)
    if dtype == "F4":
        codes = np.stack([codes & 15, codes >> 4], 1).reshape(-1)
    return small(codes, *SMALL[dtype]).reshape(shape)


def tensors(path):
    with open(path, "rb") as f:
        data = f.read()
    (n,) = struct.unpack("<Q", data[:8])
    for name, t in json.loads(data[8:8 + n]).items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            yield name, t["dtype"], t["shape"], data[8 + n + begin:8 + n + end]


class Trial:
    def __init__(self, program):
        self.program, self.checks, self.failures = os.path.abspath(program), 0, []

    def equal(self, what, ok, detail=""):
        self.checks += 1
        if not ok:
            self.failures.append(f"{what}: {detail}")

    def run(self, *arguments, status=0):
        done = subprocess.run([self.program, *arguments], capture_output=True, timeout=120)
        self.equal(" ".join(arguments), done.returncode == status, f"exit {done.returncode}, {done.stderr.decode()[:300]}")
        return done.stdout

    def array(self, what, got, want):
        # "V" compares bits, so that NaN and the sign of zero count.
        same = got.dtype == want.dtype and got.shape == want.shape and np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(want).tobytes()
        self.equal(what, same, f"{got.dtype} {got.shape} {got!r}, want {want.dtype} {want.shape} {want!r}")

    def export(self, path):
        for name, dtype, shape, raw in tensors(path):
            want = numbers(dtype, shape, raw)
            what = f"{os.path.basename(path)} {name} {dtype}"
            with np.errstate(all="ignore"):
                self.array(what, np.load(io.BytesIO(self.run("export", path, name, "--npy"))), want)
            for spec, key in slices(shape):
                got = np.load(io.BytesIO(self.run("export", path, name + spec, "--npy")))
                self.array(what + spec, got, np.asarray(want[key]))
            if dtype == "BF16":
                bits = np.load(io.BytesIO(self.run("export", path, name, "--npy", "--raw")))
                self.array(what + " raw", bits, np.frombuffer(raw, "<u2").reshape(shape))
            if want.ndim == 2 and want.size and want.dtype != bool and np.isfinite(want).all():
                text = self.run("export", path, name, "--csv").decode()
                kind = complex if dtype == "C64" else want.dtype
                self.array(what + " csv", np.loadtxt(io.StringIO(text), delimiter=",", dtype=kind, ndmin=2).astype(want.dtype), want)

    def stats(self, path):
        report = json.loads(self.run("stats", path, "--json", "--quantiles=0,0.1,0.5,0.9,1"))
        rows = {r["name"]: r for r in report["rows"]}
        for name, dtype, shape, raw in tensors(path):
            x = numbers(dtype, shape, raw).reshape(-1)
            if dtype == "C64":
                x = x.view("<f4")
            x = x.astype(np.float64)
            finite = x[np.isfinite(x)]
            row, what = rows[name], f"stats of {os.path.basename(path)} {name} {dtype}"
            counts = [len(x), (x == 0).sum(), np.isnan(x).sum(), (x == np.inf).sum(), (x == -np.inf).sum()]
            self.equal(what, [row[k] for k in ("count", "zeros", "nans", "pos_infs", "neg_infs")] == counts, f"{row}, want {counts}")
            if not len(finite):
                continue
            for key, want in (("min", finite.min()), ("max", finite.max()), ("mean", finite.mean()), ("std", finite.std()),
                              ("l2", np.linalg.norm(finite)), ("absmax", np.abs(finite).max())):
                self.equal(f"{what}: {key}", np.isclose(row[key], want, rtol=1e-12, atol=1e-300), f"{row[key]}, want {want}")
            for q in row["quantiles"]:
                want = np.quantile(finite, q["q"], method="inverted_cdf")
                self.equal(f"{what}: quantile {q['q']}", q["value"] == want, f"{q['value']}, want {want}")
            got = json.loads(self.run("hist", path, name, "--json", "--bins", "7"))["tensors"][0]
            want = np.histogram(finite, bins=np.array(got["edges"]))[0].tolist()
            self.equal(f"{what}: histogram", got["counts"] == want, f"{got['counts']}, want {want}")

    def difference(self, directory):
        rng = np.random.default_rng(1)
        a = rng.standard_normal((100, 37)).astype(np.float32)
        b = a.copy()
        b[rng.random(a.shape) < 0.1] *= np.float32(1.01)
        paths = []
        for name, x in (("a", a), ("b", b)):
            header = json.dumps({"w": {"dtype": "F32", "shape": list(x.shape), "data_offsets": [0, x.nbytes]}}).encode()
            paths.append(os.path.join(directory, name + ".safetensors"))
            with open(paths[-1], "wb") as f:
                f.write(struct.pack("<Q", len(header)) + header + x.tobytes())
        row = json.loads(self.run("diff", "--values", *paths, "--json", "--rtol", "0.005", status=1))["values"][0]
        x, y = a.astype(np.float64), b.astype(np.float64)
        e = x - y
        self.equal("diff: changed", row["changed"] == (a != b).sum(), row)
        self.equal("diff: beyond", row["beyond"] == (~np.isclose(x, y, rtol=0.005, atol=0)).sum(), row)
        for key, want in (("max_abs", np.abs(e).max()), ("l2", np.linalg.norm(e)), ("relative_l2", np.linalg.norm(e) / np.linalg.norm(x)),
                          ("cosine", (x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y)), ("sqnr_db", 10 * np.log10((x ** 2).sum() / (e ** 2).sum()))):
            self.equal(f"diff: {key}", np.isclose(row[key], want, rtol=1e-12), f"{row[key]}, want {want}")


def slices(shape):
    if len(shape) < 2 or 0 in shape:
        return []
    return [("[-1]", np.s_[-1]), ("[0:1,::2]", np.s_[0:1, ::2]), ("[...,1:]", np.s_[..., 1:]), ("[5:2]", np.s_[5:2])]


def main():
    trial = Trial(sys.argv[1])
    files = [os.path.join(REAL, n) for n in sorted(os.listdir(REAL)) if n.endswith(".safetensors")]
    for path in files:
        trial.export(path)
        trial.stats(path)
    with tempfile.TemporaryDirectory() as directory:
        trial.difference(directory)
    for failure in trial.failures:
        print(failure)
    print(f"{trial.checks} checks, {len(trial.failures)} failed")
    sys.exit(1 if trial.failures else 0)


if __name__ == "__main__":
    main()
