"""The one training loop, of encoders and rankers: early stopping, exact resume, data parallel, mixed precision.

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

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.foundation.errors import InputError
from components.foundation.progress import say
from components.recommenders.training.checkpoint import read_checkpoint, write_checkpoint
from components.recommenders.training.processes import Share, TrainingResources, current_share


@dataclass(frozen=True)
class TrainingPlan:
    """How long a network is trained, and what its random numbers follow from.

    Attributes:
        steps: optimizer steps at most.
        evaluate_every: steps between two evaluations; the last step is followed by one in any case.
        patience: evaluations without a better score after which training stops.
        seed: of everything random.
        gradient_norm: length to which a longer gradient is cut; infinite: none is cut.
        betas: of Adam.
    """

    steps: int
    evaluate_every: int
    patience: int
    seed: int
    gradient_norm: float = math.inf
    betas: tuple[float, float] = (0.9, 0.999)


class TrainingTask(ABC):
    """What the loop needs to know of a network that is being trained.

    Attributes:
        name: how messages call what is trained.
        network: whose parameters are trained, on the device of the resources. Its buffers stay as they are.
        mixed_precision: matrix products in bfloat16 on a GPU.
        score_name: the metric of `evaluate` by which the best weights are chosen, higher is better.
    """

    name: str
    network: nn.Module
    mixed_precision: bool = True
    score_name: str

    @abstractmethod
    def loss(self, step: int, share: Share) -> Tensor:
        """This share's part of the loss of batch `step` (from 1): the parts of all shares *add up* to the loss.

        It must follow from the weights, the configuration and `step` alone (`step_generator`); torch's own random
        state, which dropout reads, is set by the loop.
        """

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Metrics of what is kept out of training, `score_name` among them; empty where nothing could be kept out."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """The learning rate of a step (from 1)."""

    @abstractmethod
    def identity(self) -> str:
        """What decides the result: a checkpoint goes on only with the training whose identity it has.

        Asked for only where there are checkpoints.
        """


@dataclass
class Progress:
    """Where a training stands; with weights and optimizer it is all that a checkpoint holds.

    Attributes:
        step: optimizer steps taken.
        best_step: the step after which the score was best, or the last one where there are no scores.
        best_score: the score there.
        curve: one entry for each evaluation: `step`, the mean `loss` since the one before, and the metrics.
    """

    step: int = 0
    best_step: int = 0
    best_score: float = -math.inf
    curve: list[dict[str, float]] = field(default_factory=list)

    def is_over(self, plan: TrainingPlan) -> bool:
        """Whether all steps are taken, or the score has stopped to rise."""
        evaluations_since_best = sum(point["step"] > self.best_step for point in self.curve)
        return self.step >= plan.steps or evaluations_since_best >= plan.patience

    @property
    def best(self) -> dict[str, float]:
        """The entry of the curve at the best step."""
        return next(point for point in self.curve if point["step"] == self.best_step)


def train(task: TrainingTask, plan: TrainingPlan, resources: TrainingResources) -> Progress:
    """Train `task.network` in place; it ends with the weights of the best score, or the last ones where there is none.

    Under `torchrun` every process calls this with the same arguments and all of them end with the same weights.

    Raises:
        InputError: the loss is not finite, or the checkpoint is damaged or belongs to another training.
    """
    share = current_share()
    parameters = dict(task.network.named_parameters())
    optimizer = torch.optim.Adam(parameters.values(), lr=0.0, betas=plan.betas, fused=True)
    best = {name: value.detach().clone() for name, value in parameters.items()}
    progress = Progress()
    identity = ""
    if resources.checkpoint is not None:
        identity = _digest(task, plan)
        state = read_checkpoint(resources.checkpoint, identity, parameters, best, optimizer)
        if state is not None:
            progress = Progress(**state)
            say(f"{task.name}: goes on after step {progress.step} ({resources.checkpoint})")
    total = torch.zeros((), device=next(iter(parameters.values())).device)
    since_evaluation = 0
    task.network.train()
    with deterministic(resources.device):
        while not progress.is_over(plan):
            progress.step += 1
            _take_step(task, plan, progress.step, share, optimizer, parameters, resources, total)
            since_evaluation += 1
            if progress.step % plan.evaluate_every and progress.step < plan.steps:
                continue
            _evaluate(task, plan, progress, share, total / since_evaluation)
            total.zero_()
            since_evaluation = 0
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
    return progress


def _take_step(
    task: TrainingTask,
    plan: TrainingPlan,
    step: int,
    share: Share,
    optimizer: torch.optim.Optimizer,
    parameters: dict[str, nn.Parameter],
    resources: TrainingResources,
    total: Tensor,
) -> None:
    """One optimizer step over all processes; adds this share's loss to `total`."""
    torch.manual_seed(_seed_of(plan.seed, step, share.rank))
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
    if plan.gradient_norm < math.inf:
        nn.utils.clip_grad_norm_(parameters.values(), plan.gradient_norm)
    optimizer.step()


def _evaluate(task: TrainingTask, plan: TrainingPlan, progress: Progress, share: Share, loss: Tensor) -> None:
    """Evaluate the weights and note it. The first process does, and sends the others what it has, so all stop at once.

    Raises:
        InputError: the loss is not finite; the checkpoint is that of the evaluation before.
    """
    summed = loss.detach().to(torch.float64).reshape(1)
    if share.world > 1:
        dist.all_reduce(summed)
    mean_loss = float(summed)
    if not math.isfinite(mean_loss):
        raise InputError(f"{task.name}: the loss is not finite at step {progress.step}, try a lower learning_rate")
    was_training = task.network.training
    task.network.eval()
    with torch.no_grad():
        metrics = task.evaluate() if share.rank == 0 else {}
    task.network.train(was_training)
    if share.world > 1:
        sent = [metrics]
        dist.broadcast_object_list(sent)
        metrics = sent[0]
    progress.curve.append({"step": progress.step, "loss": mean_loss, **metrics})
    score = metrics.get(task.score_name)
    if score is None or score > progress.best_score:
        progress.best_step = progress.step
        progress.best_score = progress.best_score if score is None else score
    if share.rank == 0:
        shown = "" if score is None else f", {task.score_name} {score:.4f}"
        say(f"{task.name}: step {progress.step}/{plan.steps}, loss {mean_loss:.4f}{shown}")


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of what is drawn in a step, the same in every process; step 0 is what comes before training."""
    return torch.Generator().manual_seed(_seed_of(seed, step, 0))


def _seed_of(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


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


def _digest(task: TrainingTask, plan: TrainingPlan) -> str:
    """What a checkpoint belongs to: the task and the plan. More or fewer processes may go on with it."""
    described = [task.name, dataclasses.asdict(plan), task.identity()]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()
