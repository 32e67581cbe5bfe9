"""The one training loop of the behavior encoders: early stopping, exact resume, data parallel, mixed precision.

What is random in step t follows from (seed, t) and nothing else, so the state of training is the weights, the optimizer
and the counters of `Progress`: a training that is killed and goes on from its checkpoint takes the same steps as one
that was not.
"""

import dataclasses
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.behavior_encoder.checkpoint import read_checkpoint, write_checkpoint
from components.behavior_encoder.encoder import BehaviorEncoder, TrainingResources
from components.contracts.fingerprint import data_fingerprint
from components.foundation.errors import InputError
from components.foundation.progress import say


@dataclass(frozen=True)
class Share:
    """The part of each batch that this process computes: every `world`-th example from `rank` on."""

    rank: int = 0
    world: int = 1

    def of(self, batch: Tensor) -> Tensor:
        return batch[self.rank :: self.world]


class TrainingTask(ABC):
    """What the loop needs to know of an encoder that is being trained.

    Attributes:
        network: whose parameters are trained, on the device of the resources.
        mixed_precision: matrix products in bfloat16 on a GPU.
        score_name: how `metrics.json` calls the score.
    """

    network: nn.Module
    mixed_precision: bool = True
    score_name: str = "link_auc"

    @abstractmethod
    def loss(self, step: int, share: Share) -> Tensor:
        """This share's part of the loss of batch `step` (from 1): the parts of all shares *add up* to the loss.

        It must follow from the weights, the config and `step` alone (`step_generator`); torch's own random state, which
        dropout reads, is set by the loop.
        """

    @abstractmethod
    def score(self) -> float | None:
        """How well held-out training pairs are predicted, higher is better; None where none could be held out."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """The learning rate of a step (from 1)."""


@dataclass
class Progress:
    """Where a training stands; with weights and optimizer it is all that a checkpoint holds."""

    step: int = 0
    best_step: int = 0
    best_score: float = -math.inf
    curve: list[dict[str, float]] = field(default_factory=list)

    def is_over(self, steps: int, patience: int) -> bool:
        looks_since_best = sum(point["step"] > self.best_step for point in self.curve)
        return self.step >= steps or looks_since_best >= patience


def train(task: TrainingTask, encoder: BehaviorEncoder, prepared: Path, resources: TrainingResources) -> Progress:
    """Train `task.network` in place; it ends with the weights of the best score, or the last ones where there is none.

    Sets `encoder.metrics`: the mean `loss` before the chosen look, its score, the chosen and the last step.

    Raises:
        InputError: the loss is not finite, or the checkpoint is damaged or belongs to another training.
    """
    config = encoder.config
    share = current_share()
    parameters = dict(task.network.named_parameters())
    optimizer = torch.optim.Adam(parameters.values(), lr=0.0, betas=(0.9, 0.999), fused=True)
    best = {name: value.detach().clone() for name, value in parameters.items()}
    progress = Progress()
    identity = ""
    if resources.checkpoint is not None:
        identity = _identity(encoder, prepared)
        state = read_checkpoint(resources.checkpoint, identity, parameters, best, optimizer)
        if state is not None:
            progress = Progress(**state)
            say(f"{encoder.name}: goes on after step {progress.step} ({resources.checkpoint})")
    total = torch.zeros((), device=next(iter(parameters.values())).device)
    since_look = 0
    with deterministic(resources.device):
        while not progress.is_over(config.steps, config.patience):
            progress.step += 1
            _take_step(task, config.seed, progress.step, share, optimizer, parameters, resources, total)
            since_look += 1
            if progress.step % config.evaluate_every and progress.step < config.steps:
                continue
            _look(task, encoder, progress, share, total / since_look)
            total.zero_()
            since_look = 0
            if progress.best_step == progress.step:
                for name, value in parameters.items():
                    best[name].copy_(value.detach())
            if resources.checkpoint is not None and share.rank == 0:
                write_checkpoint(
                    resources.checkpoint, identity, dataclasses.asdict(progress), parameters, best, optimizer
                )
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(best[name])
    chosen = next(point for point in progress.curve if point["step"] == progress.best_step)
    encoder.metrics = {name: value for name, value in chosen.items() if name != "step"} | {
        "best_step": progress.best_step,
        "steps": progress.step,
    }
    return progress


def _take_step(
    task: TrainingTask,
    seed: int,
    step: int,
    share: Share,
    optimizer: torch.optim.Optimizer,
    parameters: dict[str, nn.Parameter],
    resources: TrainingResources,
    total: Tensor,
) -> None:
    """One optimizer step over all processes; adds this share's loss to `total`."""
    torch.manual_seed(_seed_of(seed, step, share.rank))
    for group in optimizer.param_groups:
        group["lr"] = task.learning_rate(step)
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(resources.device, torch.bfloat16, enabled=task.mixed_precision and resources.device == "cuda"):
        loss = task.loss(step, share)
    loss.backward()
    total += loss.detach()
    if share.world > 1:
        for parameter in parameters.values():
            if parameter.grad is None:  # of a share in which nothing reached it
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
    optimizer.step()


def _look(task: TrainingTask, encoder: BehaviorEncoder, progress: Progress, share: Share, loss: Tensor) -> None:
    """Score the weights and note it. The first process scores and tells the others, so that all stop at one step."""
    found = loss.detach().to(torch.float64).reshape(1)
    if share.world > 1:
        dist.all_reduce(found)
    mean_loss = float(found)
    if not math.isfinite(mean_loss):
        raise InputError(f"{encoder.name}: the loss is not finite at step {progress.step}, try a lower learning_rate")
    was_training = task.network.training
    task.network.eval()
    with torch.no_grad():
        score = task.score() if share.rank == 0 else None
    task.network.train(was_training)
    if share.world > 1:
        told = [score]
        dist.broadcast_object_list(told)
        score = told[0]
    point = {"step": progress.step, "loss": mean_loss}
    if score is not None:
        point[task.score_name] = score
    progress.curve.append(point)
    if score is None or score > progress.best_score:
        progress.best_step = progress.step
        progress.best_score = progress.best_score if score is None else score
    if share.rank == 0:
        shown = "" if score is None else f", {task.score_name} {score:.4f}"
        say(f"{encoder.name}: step {progress.step}/{encoder.config.steps}, loss {mean_loss:.4f}{shown}")


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of what is drawn in a step, the same in every process; step 0 is what comes before training."""
    return torch.Generator().manual_seed(_seed_of(seed, step, 0))


def _seed_of(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def current_share() -> Share:
    """This process's share: of one process alone, or of the group that `torchrun` has started."""
    if dist.is_available() and dist.is_initialized():
        return Share(dist.get_rank(), dist.get_world_size())
    return Share()


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Deterministic algorithms for the block. On a GPU a few operations have none: torch warns of them there."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def _identity(encoder: BehaviorEncoder, prepared: Path) -> str:
    """What a checkpoint belongs to: the encoder, its config, the data. More processes may go on with it."""
    described = [encoder.name, dataclasses.asdict(encoder.config), data_fingerprint(prepared)]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()
