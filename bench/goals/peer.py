# Measures the Python package from inside of one process, for command goals, and
# prints the least time of its runs.
#
# What is loaded is to be the program's own. With backend="pread" the package
# reads into new memory; with its default it maps the file, of which numpy gets
# copies, and torch tensors that are copied here.
import json, os, sys, time

verb, framework, backend, path, out, single, matrix, runs = sys.argv[1:]
pt = framework == "torch"
from safetensors import safe_open

if pt:
    import torch
    from safetensors.torch import load_file, save_file
else:
    import numpy, ml_dtypes
    from safetensors.numpy import load_file, save_file
name = "pt" if pt else "np"


def own(tensors):
    if pt and backend == "mmap":
        return {k: v.clone() for k, v in tensors.items()}
    return tensors


def load():
    files = sorted(os.path.join(path, f) for f in os.listdir(path) if f.endswith(".safetensors")) if os.path.isdir(path) else [path]
    all = {}
    for file in files:
        all.update(own(load_file(file, backend=backend)))
    return all


def touch():
    all = load_file(path)
    for t in all.values():
        t.view(torch.uint8)[..., ::4096].sum() if t.dim() == 1 else t.view(torch.uint8).flatten()[::4096].sum()
    return all


def one():
    with safe_open(path, name, backend=backend) as f:
        t = f.get_tensor(single)
        return t.clone() if pt and backend == "mmap" else t


def part():
    with safe_open(path, name) as f:
        t = f.get_slice(matrix)[:, :512]
        return t.clone() if pt else t


def sync(name):
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def durable():
    save_file(tensors, out)
    sync(out)
    sync(os.path.dirname(out))


work = {"load": load, "touch": touch, "one": one, "slice": part, "save": lambda: save_file(tensors, out), "save-durable": durable}[verb]
tensors = load() if verb.startswith("save") else None
times = []
for _ in range(int(runs)):
    result = None
    if os.path.exists(out):
        os.remove(out)
    if tensors is not None:
        sync(os.path.dirname(out))
    start = time.perf_counter_ns()
    result = work()
    times.append(time.perf_counter_ns() - start)
if os.path.exists(out):
    os.remove(out)
peak = -1
try:
    with open("/proc/self/status") as f:
        peak = next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM:"))
except OSError:
    pass
print(json.dumps({"min_ns": min(times), "rss": peak}))
