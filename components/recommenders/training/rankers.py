"""Training of rankers: every position of every window predicts the next item, or pairs of a user and an item."""

from dataclasses import dataclass

import numpy as np
import torch
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
    """Next items of a ranker's windows."""

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
        self.same_targets = None
        if backbone_entry(ranker.config.backbone).draws_same_targets_together:
            self.same_targets = SameTargetHistories(sequences)
        self.sampler = None
        if config.objective == "sampled_softmax" and config.negatives < sequences.n_items:
            self.sampler = ItemSampler(sequences, config.negatives, config.negative_sampling, device)
        self.positions_per_batch = float(window_lengths.sum()) / self.steps_per_pass

    def loss(self, step: int, share: Share) -> Tensor:
        batch = self.batches.of_step(step)
        users, inputs, targets = (share.of(part) for part in batch)
        rationale = self.rationales.of_users(users).to(self.device) if self.network.reads_rationales else None
        inputs, targets = inputs.to(self.device), targets.to(self.device)
        generator = step_generator(self.config.seed, step)
        sampled = None if self.sampler is None else self.sampler.draw(generator)
        views = self._same_target_views(batch[1], batch[2], generator)
        if sampled is None or self.auxiliary:  # the loss beside the objective reads histories of other users
            items, rows = None, inputs
        else:
            # Of thousands of items a step reads hundreds: the others' rows need not be made.
            padding = torch.zeros_like(sampled[:1])
            items = torch.cat([part.flatten() for part in (padding, inputs, targets, sampled, *views[:2])]).unique()
            rows, targets, sampled = (torch.searchsorted(items, part) for part in (inputs, targets, sampled))
        table = self.network.item_table(items)
        own = None if self.network.pool_attention is None else self.rationales.own_rows(users).to(self.device)
        states, _ = self.network.user_states(table, inputs, rationale, own, rows)
        loss = self._objective(states, table, targets, items, sampled)
        if self.auxiliary and self.config.auxiliary_weight:
            weight = self.config.auxiliary_weight * len(users) / self.config.batch_size
            loss = loss + weight * self._auxiliary_loss(users, last_states(states, inputs), table)
        if views:
            # Of the whole batch in every process, each of which counts it for its users: all are rivals of all.
            weight = self.config.auxiliary_weight * len(users) / self.config.batch_size
            *histories, followed_by = views
            read = histories if items is None else [torch.searchsorted(items, history) for history in histories]
            first, second = (self.network.backbone_vector(table, of) for of in read)
            loss = loss + weight * same_target_loss(first, second, followed_by)
        return loss

    def _same_target_views(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Histories int64[B, T] of a batch, for each another one that the same item followed, and that item int64[B].

        Empty where the backbone's training has no use for them.
        """
        if self.same_targets is None or not self.config.auxiliary_weight:
            return []
        followed_by = last_states(targets[..., None], inputs)[:, 0]
        # Cut to the batch's own width: batches are of windows of similar length, and one long history would make all
        # of them as long.
        others = self.same_targets.draw(followed_by, inputs.shape[1], generator)
        return [part.to(self.device) for part in (inputs, others, followed_by)]

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

    def _objective(
        self, states: Tensor, table: Tensor, targets: Tensor, items: Tensor | None, sampled: Tensor | None
    ) -> Tensor:
        """The loss of targets and sampled items, both rows of `table`, which are `items` or all."""
        states, table = states.float(), table.float()
        if self.sampler is None or sampled is None:
            return next_item_loss(states, table, targets, self.positions_per_batch)
        corrections = self.sampler.corrections
        if corrections is not None and items is not None:
            corrections = corrections[items]
        return sampled_softmax_loss(states, table, targets, sampled, corrections, self.positions_per_batch)
