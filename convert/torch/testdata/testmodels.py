"""Classes the whole-module and wrapper files refer to by name."""
import dataclasses
import enum
import typing

import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 2)
        self.bn = torch.nn.BatchNorm2d(3)
        self.fc = torch.nn.Linear(3, 4)
        self.register_buffer("table", torch.arange(6, dtype=torch.int32))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x):
        return self.fc(self.bn(self.conv(x)).mean((2, 3))) + torch.tensor([1.0, 2.0, 3.0, 4.0])


class Tagged(torch.Tensor):
    """A tensor subclass without data of its own."""


class Callback:
    def __init__(self):
        self.best = 0.5


class Mode(enum.Enum):
    """Pickled by early Python 3.11 (Debian's 3.11.2) as builtins.getattr(Mode, 'FAST')."""
    FAST = 1


class Level(enum.IntEnum):
    HIGH = 3


class Moments(typing.NamedTuple):
    """As optimizers in the style of optax keep their state."""
    mu: dict
    nu: dict
    count: torch.Tensor


@dataclasses.dataclass
class State:
    weights: dict
    ema: object = None
    step: int = 3


class Frozen:
    """As dataclass(frozen=True, slots=True) pickles itself on Python 3.11 and later: its state is a list."""
    __slots__ = ("scale", "shift")

    def __init__(self, scale, shift):
        self.scale, self.shift = scale, shift

    def __getstate__(self):
        return [self.scale, self.shift]

    def __setstate__(self, state):
        self.scale, self.shift = state


class Named(dict):
    """A dict with an attribute, which has no name among its keys."""
