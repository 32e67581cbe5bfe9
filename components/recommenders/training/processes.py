"""On what a training runs: devices, the processes that share its batches, and where its state is kept."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class TrainingResources:
    """Where a network is trained. The result does not depend on it, but for rounding.

    Attributes:
        checkpoint: folder that holds the state of training; an interrupted training with the same configuration and
            data goes on from it and ends with the same weights. None: no checkpoints.
        device: "cpu" or "cuda"; on cuda, matrix products are in bfloat16 where the task allows it.
    """

    checkpoint: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Share:
    """The part of each batch that this process computes: every `world`-th example from `rank` on."""

    rank: int = 0
    world: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """The rows of a batch that are this process's."""
        return batch[self.rank :: self.world]


def current_share() -> Share:
    """This process's share: all of a process alone, a part of one in the group that `torchrun` has started."""
    if dist.is_available() and dist.is_initialized():
        return Share(dist.get_rank(), dist.get_world_size())
    return Share()


def default_device() -> str:
    """The name of the device to train on by default: a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the group that `torchrun` describes in the environment; alone, or in it already, there is none to join."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()
