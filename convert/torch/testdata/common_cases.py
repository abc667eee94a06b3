"""The cases both an old and a current torch can write."""
import argparse, bz2, collections, datetime, gzip, io, lzma, os, pathlib, pickle, uuid, zlib

import numpy as np
import torch

from testmodels import Callback, Level, Mode, Net, Tagged


def seq(*shape, dtype=torch.float32, start=0, step=0.5):
    n = 1
    for s in shape:
        n *= s
    return (torch.arange(n, dtype=torch.float64) * step + start).to(dtype).reshape(shape)


def small():
    return collections.OrderedDict([
        ("fc1.weight", seq(4, 3)), ("fc1.bias", seq(4, start=-1)),
        ("emb.weight", seq(5, 2, dtype=torch.float16)), ("steps", torch.tensor(7)),
        ("mask", torch.tensor([True, False, True]))])


def net():
    m = Net()
    with torch.no_grad():
        for i, p in enumerate(m.parameters()):
            p.copy_(seq(*p.shape, start=i, step=0.125))
    return m.eval()


def to_bytes(obj, **kw):
    b = io.BytesIO()
    torch.save(obj, b, **kw)
    return b.getvalue()


def put(s, name, data):
    with open(s.path(name), "wb") as f:
        f.write(data)


def attempt(s, name, container, make, **kw):
    """Some torch versions cannot write some files: say so and go on."""
    try:
        make()
        s.expect(name, container, **kw)
    except Exception as e:
        if os.path.exists(s.path(name)):
            os.remove(s.path(name))
        print("skipped %s/%s: %s: %s" % (s.folder, name, type(e).__name__, str(e).split("\n")[0][:150]))


def containers(s):
    sd = small()
    legacy = dict(_use_new_zipfile_serialization=False)
    attempt(s, "zip_path.pt", "torch-zip", lambda: torch.save(sd, s.path("zip_path.pt")))
    put(s, "zip_buffer.pt", to_bytes(sd)); s.expect("zip_buffer.pt", "torch-zip")
    for p in (2, 3, 4, 5):
        n = "zip_proto%d.pt" % p
        attempt(s, n, "torch-zip", lambda: put(s, n, to_bytes(sd, pickle_protocol=p)))
    for p in (0, 1, 2, 3, 4, 5):
        n = "legacy_proto%d.pt" % p
        attempt(s, n, "torch-legacy", lambda: put(s, n, to_bytes(sd, pickle_protocol=p, **legacy)))
    for p in (2, 4):
        n = "bare_proto%d.pkl" % p
        put(s, n, pickle.dumps(sd, protocol=p))
        s.expect(n, "pickle", pickle.load(open(s.path(n), "rb")), note="each storage is a nested torch.save file given to _load_from_bytes")
    for wrap, f, ext in (("gzip", lambda b: gzip.compress(b, mtime=0), "gz"), ("bz2", bz2.compress, "bz2"),
                         ("xz", lzma.compress, "xz"), ("zlib", zlib.compress, "zlib")):
        for kind, kw in (("zip", {}), ("legacy", legacy)):
            n = "wrapped_%s.pt.%s" % (kind, ext)
            data = to_bytes(sd, **kw)
            put(s, n, f(data))
            s.expect(n, "torch-" + kind, torch.load(io.BytesIO(data)), wrap=wrap)
    m = net()
    attempt(s, "torchscript.pt", "torchscript", lambda: torch.jit.script(m).save(s.path("torchscript.pt")),
            obj=None)
    attempt(s, "torchscript_traced.pt", "torchscript",
            lambda: torch.jit.trace(m, torch.zeros(1, 2, 4, 4)).save(s.path("torchscript_traced.pt")))
    attempt(s, "torchscript_lite.ptl", "torchscript",
            lambda: torch.jit.script(m)._save_for_lite_interpreter(s.path("torchscript_lite.ptl")))

    def package():
        from torch.package import PackageExporter
        with PackageExporter(s.path("package.pt")) as e:
            e.extern("**")
            e.save_pickle("model", "model.pkl", m)
    attempt(s, "package.pt", "torch-package", package, obj=m, note="torch.package: contains code; expected is the state_dict of the pickled module")


def save(s, name, obj, legacy=True, **kw):
    """As zip and as legacy stream."""
    attempt(s, name + ".pt", "torch-zip", lambda: put(s, name + ".pt", to_bytes(obj)), **kw)
    if legacy:
        n = name + "_legacy.pt"
        attempt(s, n, "torch-legacy",
                lambda: put(s, n, to_bytes(obj, _use_new_zipfile_serialization=False)), **kw)


def dtypes(s):
    wide = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
            torch.int16, torch.int8, torch.uint8, torch.complex64]
    d = {str(t).split(".")[1]: seq(2, 3, dtype=t, step=1) for t in wide}
    d["bool"] = seq(2, 3, step=1) % 2 == 0
    save(s, "dtypes", d)
    for n in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
              "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"):
        if hasattr(torch, n):
            t = getattr(torch, n)
            bits = (torch.arange(48) * 5 % 127).to(torch.uint8).reshape(2, 24)
            save(s, "dtype_" + n, {"w": bits.view(t)})
    save(s, "complex128", {"w": seq(2, 3, dtype=torch.complex128) * (1 + 2j), "ok": seq(2)})
    save(s, "complex32", {"w": torch.view_as_complex(seq(3, 2, dtype=torch.float16)), "ok": seq(2)})
    save(s, "qint8_per_tensor", {"w": torch.quantize_per_tensor(seq(3, 4, start=-3), 0.05, 3, torch.qint8), "ok": seq(2)})
    save(s, "quint8_per_tensor", {"w": torch.quantize_per_tensor(seq(3, 4), 0.05, 10, torch.quint8)})
    save(s, "qint32_per_tensor", {"w": torch.quantize_per_tensor(seq(3, 4), 0.05, 0, torch.qint32)})
    save(s, "qint8_per_channel", {"w": torch.quantize_per_channel(
        seq(3, 4, start=-3), torch.tensor([0.05, 0.1, 0.2], dtype=torch.float64), torch.tensor([0, 1, 2]), 0, torch.qint8)})
    dense = torch.tensor([[0, 1.5, 0], [2.5, 0, -3]])
    save(s, "sparse_coo", {"w": dense.to_sparse(), "ok": seq(2)})
    save(s, "sparse_coo_uncoalesced", {"w": torch.sparse_coo_tensor([[0, 0, 1], [2, 2, 0]], [1.0, 2.0, 3.0], (2, 3))})
    save(s, "sparse_csr", {"w": dense.to_sparse_csr()})
    save(s, "meta", {"w": torch.empty(2, 3, device="meta"), "ok": seq(2)})


def views(s):
    w = seq(4, 6)
    save(s, "shapes", {"scalar": torch.tensor(1.5), "zero": torch.zeros(0), "zero2": torch.zeros(3, 0, 2),
                       "rank8": seq(1, 2, 1, 2, 1, 2, 1, 2), "rank0_int": torch.tensor(-3)})
    save(s, "strides", {
        "transposed": seq(3, 5).t(), "expanded": seq(3, 1).expand(3, 4), "scalar_expanded": torch.tensor(2.0).expand(2, 3),
        "offset": seq(10)[3:7], "step": seq(10)[1::3], "step2d": seq(6, 6)[::2, 1::2], "permuted": seq(2, 3, 4).permute(2, 0, 1),
        "size1": seq(6).as_strided((1, 3, 1), (77, 2, 55)), "column": seq(4, 4)[:, 2], "channels_last": seq(1, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        "f16_transposed": seq(7, 3, dtype=torch.float16).t(), "i8_transposed": seq(5, 9, dtype=torch.int8, step=1).t(),
        "c64_transposed": seq(2, 3, dtype=torch.complex64).t(), "big_transposed": seq(33, 67, step=1).t()})
    save(s, "conj", {"w": (seq(2, 3, dtype=torch.complex64) * (1 + 2j)).conj()},
         note="torch 1.13 drops the flag when it saves: the expectation is what it loads")
    save(s, "neg", {"w": (seq(3, dtype=torch.complex64) * (1 + 2j)).conj().imag},
         note="a negative view; torch 1.13 drops the flag when it saves")
    save(s, "tied", {"embed.weight": w, "head.weight": w, "other": seq(3)})
    big = seq(12)
    save(s, "overlap", {"a": big[0:8], "b": big[4:12]})
    save(s, "flat", {"w": w, "w_flat": w.view(-1)})
    save(s, "row", {"w": w, "row1": w[1]})
    save(s, "tied_transposed", {"w": w, "wt": w.t()})
    save(s, "part_of_large", {"w": seq(1000)[10:14]})
    save(s, "dtype_views", {"f": big, "i": big.view(torch.int32), "b": big.view(torch.uint8)})
    save(s, "nan", {"w": torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0]),
                    "h": torch.tensor([float("nan")], dtype=torch.float16)})
    save(s, "empty", {})
    save(s, "many", {"layer.%d.w" % i: seq(2, start=i) for i in range(300)}, legacy=False)
    save(s, "names", {"вес": seq(2), "重み.0": seq(2, start=1), "😀": seq(2, start=2), "": seq(1), "a/b": seq(1), 5: seq(1, start=5)})
    save(s, "parameter", {"p": torch.nn.Parameter(seq(2, 2)), "frozen": torch.nn.Parameter(seq(2), requires_grad=False)})
    ps = torch.nn.Parameter(seq(2, 2)); ps.tag = "x"
    save(s, "parameter_state", {"p": ps})
    st = seq(2, 2); st.tag = "x"
    save(s, "tensor_state", {"t": st})
    sub = seq(3).as_subclass(Tagged); sub.tag = "y"
    save(s, "tensor_subclass", {"sub": sub})
    save(s, "tensor_only", seq(2, 3))
    save(s, "tensor_list", [seq(2), (seq(3), {"x": seq(1)})])
    save(s, "state_dict_metadata", net().state_dict())


def wrappers(s):
    sd = net().state_dict()
    m = net()
    opt = torch.optim.Adam(m.parameters(), lr=1e-3)
    m(torch.zeros(1, 2, 4, 4)).sum().backward()
    opt.step()
    save(s, "lightning", {
        "epoch": 3, "global_step": 30, "pytorch-lightning_version": "1.9.5", "state_dict": {"model." + k: v for k, v in sd.items()},
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"ModelCheckpoint": {"best": torch.tensor(0.5)}, Callback: 1},
        "optimizer_states": [opt.state_dict()], "lr_schedulers": [{"last_epoch": 3}],
        "hparams_name": "cfg", "hyper_parameters": {"lr": 1e-3, "shape": torch.Size([2, 3])}}, root="state_dict")
    save(s, "fairseq", {"args": argparse.Namespace(arch="t", lr=[1e-3]), "cfg": None, "model": dict(sd),
                        "optimizer_history": [{"criterion_name": "x"}], "last_optimizer_state": opt.state_dict()}, root="model")
    save(s, "mp_rank_00_model_states", {
        "module": dict(sd), "buffer_names": ["table"], "optimizer": None, "dp_world_size": 1, "mp_world_size": 1,
        "param_shapes": [collections.OrderedDict((k, v.shape) for k, v in sd.items())], "ds_version": "0.9.0", "ds_config": {"zero": 1}}, root="module")
    save(s, "megatron", {
        "args": argparse.Namespace(num_layers=1, hidden_size=4), "checkpoint_version": 3.0, "iteration": 5,
        "model": {"language_model": {"embedding": {"word_embeddings": {"weight": seq(6, 4)}},
                                     "encoder": {"layers.0.mlp.weight": seq(4, 4), "final_layernorm.weight": seq(4)}}}}, root="model")
    save(s, "stable_diffusion", {"global_step": 1, "state_dict": {
        "model.diffusion_model.input_blocks.0.0.weight": seq(2, 2, 3, 3), "first_stage_model.encoder.conv_in.weight": seq(2, 3, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(5)}}, root="state_dict")
    save(s, "ema", {"params": {"w": seq(2, 2)}, "params_ema": {"w": seq(2, 2, start=1)}}, root="params_ema")
    save(s, "plain_objects", {
        "state_dict": {"w": seq(2, 2)}, "mode": Mode.FAST, "level": Level.HIGH, "path": pathlib.PurePosixPath("/data/x"),
        "when": datetime.datetime(2024, 1, 2, 3, 4, 5), "id": uuid.UUID(int=5), "set": {1, 2}, "frozen": frozenset([3]),
        "complex": 1 + 2j, "slice": slice(1, 2), "bytes": b"raw", "bytearray": bytearray(b"xy"), "big": 2**200, "neg": -1,
        "default": collections.defaultdict(list, a=[1]), "counter": collections.Counter("aab"), "deque": collections.deque([1, 2]),
        "device": torch.device("cpu"), "dtype": torch.float16, "size": torch.Size([2, 3]), "np_scalar": np.float64(0.5),
        "np_array": np.arange(3.0), "none": None, "text": "\u00e4\U0001f600"}, root="state_dict")
    save(s, "numpy_arrays", {"f8": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
                             "big": np.arange(3, dtype=">f4"), "bool": np.array([True, False]), "t": seq(2)})
    save(s, "module", net(), note="a whole nn.Module; expected is its state_dict()")
    save(s, "module_sequential", torch.nn.Sequential(collections.OrderedDict(a=net().fc, b=net().bn)), note="a whole nn.Module")


def all_cases(s):
    torch.manual_seed(0)
    containers(s)
    dtypes(s)
    views(s)
    wrappers(s)
