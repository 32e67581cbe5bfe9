"""Training of rankers: every position of every window predicts the next item, cross entropy over all items."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.foundation.errors import InputError
from components.recommenders.configuration import TrainingConfig
from components.recommenders.evaluation import CUTOFF, rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.next_item import next_item_loss
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.loop import TrainingPlan, TrainingTask, train
from components.recommenders.training.processes import Share, TrainingResources
from components.recommenders.training.windows import WindowBatches, cut_windows

_BETAS = (0.9, 0.98)
_WARM_UP_SHARE = 0.04


@dataclass(frozen=True)
class TrainingResult:
    """What came of a ranker's training.

    Attributes:
        steps: optimizer steps taken.
        passes: how often they went over the data.
        best_step: the step whose weights validation chose.
        validation: the metrics there.
        curve: `step`, `loss` and the metrics of each evaluation.
    """

    steps: int
    passes: float
    best_step: int
    validation: dict[str, float]
    curve: list[dict[str, float]]


def train_ranker(
    ranker: Ranker,
    sequences: InteractionSequences,
    rationales: RationaleAssignments,
    config: TrainingConfig,
    resources: TrainingResources | None = None,
) -> TrainingResult:
    """Train in place by cross entropy (section 4.1); the ranker ends with the weights of the best validation NDCG@10.

    Reads training interactions, and the validation item of each user to choose the weights; never a test item. The
    ranker ends on the CPU, ready to score.

    Args:
        resources: where to train; None: on the CPU, without checkpoints.

    Raises:
        InputError: there is nothing to predict, or as `loop.train`.
    """
    resources = resources or TrainingResources()
    task = _RankerTask(ranker, sequences, rationales, config, resources.device)
    progress = train(task, task.plan, resources)
    ranker.cpu().eval()
    return TrainingResult(
        steps=progress.step,
        passes=progress.step / task.steps_per_pass,
        best_step=progress.best_step,
        validation={name: progress.best[name] for name in (f"hr@{CUTOFF}", f"ndcg@{CUTOFF}")},
        curve=progress.curve,
    )


class _RankerTask(TrainingTask):
    """Next items of a ranker's windows; scored by the full ranking of every user's validation item."""

    network: Ranker
    score_name = f"ndcg@{CUTOFF}"

    def __init__(
        self,
        ranker: Ranker,
        sequences: InteractionSequences,
        rationales: RationaleAssignments,
        config: TrainingConfig,
        device: str,
    ):
        length = ranker.config.history_length
        _, _, window_lengths = cut_windows(sequences, length, np.random.default_rng(config.seed))
        if not len(window_lengths):
            raise InputError("training data: no user has two training interactions, so there is nothing to predict")
        self.name = ranker.config.variant
        self.network = ranker.to(device)
        self.sequences = sequences
        self.rationales = rationales
        self.config = config
        self.device = device
        self.batches = WindowBatches(sequences, length, config.batch_size, config.seed)
        self.steps_per_pass = math.ceil(len(window_lengths) / config.batch_size)
        self.positions_per_batch = float(window_lengths.sum()) / self.steps_per_pass
        steps_per_epoch = max(self.steps_per_pass, config.minimum_steps_per_epoch)
        self.plan = TrainingPlan(
            steps=config.epochs * steps_per_epoch,
            evaluate_every=config.evaluate_every * steps_per_epoch,
            patience=config.patience,
            seed=config.seed,
            gradient_norm=config.gradient_norm,
            betas=_BETAS,
        )

    def learning_rate(self, step: int) -> float:
        """Linear warm-up over the first steps, then linear decay to zero, so that the last epochs settle."""
        warm_up = max(1, round(_WARM_UP_SHARE * self.plan.steps))
        decay = (self.plan.steps - step) / max(1, self.plan.steps - warm_up)
        return self.config.learning_rate * min(step / warm_up, decay)

    def loss(self, step: int, share: Share) -> Tensor:
        users, inputs, targets = (share.of(part) for part in self.batches.of_step(step))
        rationale = self.rationales.of_users(users).to(self.device) if self.network.reads_rationales else None
        table = self.network.item_encoder()
        states, _ = self.network.user_states(table, inputs.to(self.device), rationale)
        return next_item_loss(states.float(), table.float(), targets.to(self.device), self.positions_per_batch)

    def evaluate(self) -> dict[str, float]:
        return rank_held_out(self.network, self.sequences, self.rationales, "valid").metrics()

    def identity(self) -> str:
        """Digest of the configurations and of all data that the training reads."""
        digest = hashlib.sha256()
        described = [dataclasses.asdict(self.network.config), dataclasses.asdict(self.config)]
        digest.update(json.dumps(described).encode())
        for array in (self.sequences.items, self.sequences.offsets, self.sequences.train_lengths):
            digest.update(array.tobytes())
        text = self.network.item_encoder.text
        for tensor in (self.rationales.embeddings, self.rationales.rows, torch.empty(0) if text is None else text):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()
