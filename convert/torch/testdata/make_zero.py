#!/usr/bin/env python3
"""Run with DeepSpeed and a current torch: DS_ACCELERATOR=cpu python make_zero.py

What each checkpoint is to become is what DeepSpeed's own zero_to_fp32 makes of it.
"""
import contextlib, io, os, shutil, sys

import torch
import torch.multiprocessing as mp

import expect

FOLDER = "deepspeed019"


class Net(torch.nn.Module):
    """With what ZeRO treats specially: a frozen and a shared parameter, buffers of several types, two groups."""

    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(7, 4)
        self.fc = torch.nn.Linear(4, 5)
        self.norm = torch.nn.LayerNorm(5)
        self.frozen = torch.nn.Linear(5, 4, bias=False)
        self.frozen.weight.requires_grad = False
        self.head = torch.nn.Linear(4, 7, bias=False)
        self.head.weight = self.emb.weight
        self.register_buffer("steps", torch.arange(3))
        self.register_buffer("scale", torch.linspace(0.1, 1, 4))

    def forward(self, x):
        y = self.frozen(self.norm(self.fc(self.emb(x))))
        return self.head(self.scale.to(y.dtype) * y)


def worker(rank, world, config, out, port):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_SIZE=str(world), WORLD_SIZE=str(world),
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    import deepspeed
    deepspeed.init_distributed(dist_backend="gloo")
    torch.manual_seed(0)
    net = Net()
    if config.get("bf16"):
        net = net.bfloat16()
    rest = {id(p) for p in net.norm.parameters()}
    groups = [{"params": [p for p in net.parameters() if p.requires_grad and id(p) not in rest]},
              {"params": list(net.norm.parameters()), "weight_decay": 0.0}]
    engine, *_ = deepspeed.initialize(model=net, optimizer=torch.optim.Adam(groups, lr=1e-3), config={
        "train_micro_batch_size_per_gpu": 2, "zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False, **config})
    engine.backward(engine(torch.tensor([rank, 2])).float().sum())
    engine.step()
    engine.save_checkpoint(out, tag="global_step1")
    torch.distributed.destroy_process_group()


CASES = {
    "zero0": (1, {"bf16": {"enabled": True}, "zero_optimization": {"stage": 0}}),
    "zero1": (2, {"bf16": {"enabled": True}, "zero_optimization": {"stage": 1}}),
    "zero2": (3, {"bf16": {"enabled": True}, "zero_optimization": {"stage": 2}}),
    "zero2_fp32": (2, {"zero_optimization": {"stage": 2}}),
    "zero3": (3, {"bf16": {"enabled": True}, "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0, "sub_group_size": 20}}),
    "zero3_persistent": (2, {"bf16": {"enabled": True}, "zero_optimization": {"stage": 3}}),
}


def main():
    s = expect.Suite("make_zero.py", FOLDER)
    for i, (name, (world, config)) in enumerate(CASES.items()):
        out = s.path(name)
        shutil.rmtree(out, ignore_errors=True)
        mp.spawn(worker, (world, config, out, 29600 + os.getpid() % 1000 + i), nprocs=world)
        for script in ("zero_to_fp32.py", "zero_to_torch.py"):  # copies of DeepSpeed's
            if os.path.exists(os.path.join(out, script)):
                os.remove(os.path.join(out, script))
        if name == "zero0":
            file = torch.load(out + "/global_step1/mp_rank_00_model_states.pt", weights_only=False)
            s.expect(name, "torch-zip", file, root="module", note="ZeRO off: one file with all weights")
            continue
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
        with contextlib.redirect_stdout(io.StringIO()):
            want = get_fp32_state_dict_from_zero_checkpoint(out)
        s.expect(name, "deepspeed", want, note="%d processes; expected: DeepSpeed's zero_to_fp32" % world)
    for name in ("zero1/global_step1/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero3/global_step1/zero_pp_rank_0_mp_rank_00_model_states.pt"):
        s.refuse(name, "torch-zip", "zero", note="one file of several")
    import deepspeed
    print("DeepSpeed", deepspeed.__version__, file=sys.stderr)
    s.close()


if __name__ == "__main__":
    main()
