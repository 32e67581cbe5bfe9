"""Training of rankers: every position of every window predicts the next item, or pairs of a user and an item."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.foundation.errors import InputError
from components.recommenders.backbones.registry import backbone_entry
from components.recommenders.collaborative_ranker import CollaborativeRanker
from components.recommenders.configuration import TrainingConfig, check_objective
from components.recommenders.evaluation import CUTOFF
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.auxiliary import contrastive_loss
from components.recommenders.objectives.next_item import next_item_loss
from components.recommenders.objectives.same_target import SameTargetHistories, same_target_loss
from components.recommenders.objectives.sampled_softmax import ItemSampler, sampled_softmax_loss
from components.recommenders.ranker import Ranker, last_states
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.collaborative import CollaborativeTask
from components.recommenders.training.loop import step_generator, train
from components.recommenders.training.processes import Share, TrainingResources
from components.recommenders.training.ranker_task import RankerTask
from components.recommenders.training.windows import WindowBatches, cut_windows
from components.recommenders.variants import variant_named

_LENGTHS_TOGETHER = 64  # histories


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
    ranker: Ranker | CollaborativeRanker,
    sequences: InteractionSequences,
    rationales: RationaleAssignments,
    config: TrainingConfig,
    resources: TrainingResources | None = None,
) -> TrainingResult:
    """Train in place by the objective (section 4.1); the ranker ends with the weights of the best validation NDCG@10.

    Reads training interactions, and the validation item of each user to choose the weights; never a test item. The
    ranker ends on the CPU, ready to score.

    Args:
        resources: where to train; None: on the CPU, without checkpoints.

    Raises:
        InputError: the backbone is not trained by this objective, there is nothing to predict, or as `loop.train`.
    """
    check_objective(ranker.config.backbone, config)
    resources = resources or TrainingResources()
    task: RankerTask
    if isinstance(ranker, CollaborativeRanker):
        task = CollaborativeTask(ranker, sequences, rationales, config, resources.device)
    else:
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


class _RankerTask(RankerTask):
    """Next items of a ranker's windows; scored by the full ranking of every user's validation item."""

    network: Ranker

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
        super().__init__(ranker, sequences, rationales, config, device, len(window_lengths))
        self.batches = WindowBatches(sequences, length, config.batch_size, config.seed)
        self.auxiliary = variant_named(ranker.config.variant).auxiliary
        self.same_target = None
        if backbone_entry(ranker.config.backbone).same_target and config.same_target_weight:
            self.same_target = SameTargetHistories(sequences, length)
        self.sampler = None
        if config.objective == "sampled_softmax" and config.negatives < sequences.n_items:
            self.sampler = ItemSampler(sequences, config.negatives, config.negative_sampling, device)
        self.positions_per_batch = float(window_lengths.sum()) / self.steps_per_pass

    def loss(self, step: int, share: Share) -> Tensor:
        users, inputs, targets = (share.of(part) for part in self.batches.of_step(step))
        rationale = self.rationales.of_users(users).to(self.device) if self.network.reads_rationales else None
        table = self.network.item_table()
        own = None if self.network.pool_attention is None else self.rationales.own_rows(users).to(self.device)
        states, _ = self.network.user_states(table, inputs.to(self.device), rationale, own)
        loss = self._objective(step, states, table, targets)
        if self.auxiliary and self.config.auxiliary_weight:
            last = last_states(states, inputs.to(self.device))
            loss = loss + self.config.auxiliary_weight * self._auxiliary_loss(users, last, table) * (
                len(users) / self.config.batch_size
            )
        if self.same_target is not None:
            loss = loss + self.config.same_target_weight * self._same_target_loss(step, share, table)
        return loss

    def _same_target_loss(self, step: int, share: Share, table: Tensor) -> Tensor:
        """DuoRec's, of a place in each window that is drawn anew; `table` is that of all items.

        Every process needs the views of the whole batch, which its own histories are told apart from.
        """
        assert self.same_target is not None
        if len(table) != self.sequences.n_items + 1:
            raise ValueError("the other histories have items that are not in the table")
        generator = np.random.default_rng([self.config.seed, step])
        _, starts, lengths = self.batches.windows_of_step(step)
        places = starts + generator.integers(1, lengths + 1)
        own = self._states_before(places, table)
        partners = self._states_before(self.same_target.draw(places, generator), table)
        targets = torch.from_numpy(self.sequences.items[places]).to(self.device)
        return share.of(same_target_loss(own, partners, targets)).sum() / self.config.batch_size

    def _states_before(self, places: np.ndarray, table: Tensor) -> Tensor:
        """The backbone's states after what came before places int64[B] of the data: float32[B, d]."""
        assert self.same_target is not None
        # Partners are as long as they happen to be: those of about one length together waste little on padding.
        order = np.argsort(self.same_target.lengths_before(places), kind="stable")
        states = []
        for start in range(0, len(order), _LENGTHS_TOGETHER):
            together = places[order[start : start + _LENGTHS_TOGETHER]]
            history = torch.from_numpy(self.same_target.before(together)).to(self.device)
            items = F.embedding(history, table[:, : self.network.config.embedding_dimension])
            states.append(last_states(self.network.backbone(items), history))
        return F.embedding(torch.from_numpy(np.argsort(order)).to(self.device), torch.cat(states)).float()

    def _auxiliary_loss(self, users: Tensor, states: Tensor, table: Tensor) -> Tensor:
        """What draws users whose rationales are known to them, or to the seed users they are about."""
        rows = self.rationales.rows[users, 0]
        matched = rows > 0
        if not matched.any():
            return states.sum() * 0
        users, rows, states = users[matched], rows[matched].to(self.device), states[matched.to(self.device)]
        if self.network.alignment is not None:
            partners = self.network.alignment(self.rationales.embeddings[rows.cpu()].to(self.device))
        else:
            seeds = self.rationales.seeds_of(users).numpy()
            ends = self.sequences.train_lengths[seeds]
            length = int(min(self.network.config.history_length, ends.max()))
            history = torch.from_numpy(self.sequences.recent_items(seeds, ends, length)).to(self.device)
            partners, _ = self.network.current_user(table, history, None)
        return contrastive_loss(states, partners, rows)

    def _objective(self, step: int, states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        states, table, targets = states.float(), table.float(), targets.to(self.device)
        if self.sampler is None:
            return next_item_loss(states, table, targets, self.positions_per_batch)
        sampled = self.sampler.draw(step_generator(self.config.seed, step))
        return sampled_softmax_loss(states, table, targets, sampled, self.sampler.corrections, self.positions_per_batch)
