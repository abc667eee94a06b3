#!/usr/bin/env python3
"""Checkpoints of torch.distributed.checkpoint, by torch 1.13 or newer:

    python make_dcp.py       writes dcpNNN/, NNN being the version of torch: what dcp.save makes of two processes, or of one
                             before 2.2, whose gloo cannot cut all types
    python make_dcp.py hf    also dcpNNN/hf_*: HuggingFaceStorageWriter (torch 2.8 and newer, safetensors)

What a checkpoint is to become is what the processes had saved, put together by torch itself.
"""
import os, pathlib, shutil, sys, tempfile

import torch
import torch.distributed as dist
try:
    import torch.distributed.checkpoint as dcp
except ImportError:
    import torch.distributed._shard.checkpoint as dcp  # 1.13
import torch.multiprocessing as mp

import expect
from common_cases import seq

VERSION = tuple(int(n) for n in torch.__version__.split("+")[0].split(".")[:2])
FOLDER = "dcp%d%d" % VERSION


def whole():
    """The tensors before they are cut."""
    return {"rows": seq(5, 4), "cols": seq(4, 6, dtype=torch.bfloat16), "both": seq(6, 4, 2, dtype=torch.float16),
            "whole": seq(3), "plain": seq(2, 2, dtype=torch.int64), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}


def cut(rank, world, mesh):
    from torch.distributed._tensor import Replicate, Shard, distribute_tensor
    w = whole()
    place = {"rows": Shard(0), "cols": Shard(1), "both": Shard(0), "whole": Replicate()}
    return {k: distribute_tensor(v, mesh, [place[k]]) if k in place else v for k, v in w.items()}


def worker(rank, world, out, kind, rendezvous):
    dist.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=world)
    from torch.distributed.device_mesh import init_device_mesh
    mesh = init_device_mesh("cpu", (world,))
    state = cut(rank, world, mesh)
    if kind == "hf":
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        index = {k: 1 + i % 2 for i, k in enumerate(sorted(state))}
        dcp.save(state, storage_writer=HuggingFaceStorageWriter(path=out, save_distributed=True, fqn_to_index_mapping=index))
    elif VERSION >= (2, 3):
        dcp.save({"model": state, "step": 7}, checkpoint_id=pathlib.Path(out))
    else:  # a path as the state, for there is no name for it in .metadata yet
        dcp.save_state_dict({"model." + k: v for k, v in state.items()} | {"step": torch.tensor(7)}, dcp.FileSystemWriter(out))
    dist.barrier()
    dist.destroy_process_group()


def run(s, name, kind, world):
    shutil.rmtree(s.path(name), ignore_errors=True)
    if world == 1 and kind == "dcp":
        os.makedirs(s.path(name))
        dcp.save_state_dict(dict(whole(), step=torch.tensor(7)), dcp.FileSystemWriter(s.path(name)), no_dist=True)
        return
    with tempfile.TemporaryDirectory() as t:
        mp.spawn(worker, (world, s.path(name), kind, t + "/r"), nprocs=world)


def read_hf(d):
    """Loaded by torch into whole tensors. (Its consolidate_safetensors_files loses scalars and takes floats alone.)"""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    got = {k: torch.full_like(v, 3) for k, v in whole().items()}
    dcp.load(got, storage_reader=HuggingFaceStorageReader(d), no_dist=True)
    for k, v in whole().items():
        assert torch.equal(got[k], v), k
    return got


def main():
    s = expect.Suite("make_dcp.py %d.%d" % VERSION, FOLDER)
    if VERSION < (2, 2):
        run(s, "one_rank", "dcp", 1)
        s.expect("one_rank", "dcp", dict(whole(), step=torch.tensor(7)), alias=False, note="written by one process; expected: what it saved")
        s.close()
        return
    run(s, "two_ranks", "dcp", 2)
    want = {"model." + k: v for k, v in whole().items()}
    if VERSION < (2, 3):
        want["step"] = torch.tensor(7)
    s.expect("two_ranks", "dcp", want, alias=False, note="written by two processes; expected: what they saved")
    if sys.argv[1:] == ["hf"]:
        for world in (1, 3):
            name = "hf_%d" % world
            run(s, name, "hf", world)
            s.expect(name, "dcp-safetensors", read_hf(s.path(name)), alias=False, note="HuggingFaceStorageWriter, %d processes" % world)
    s.close()


if __name__ == "__main__":
    main()
