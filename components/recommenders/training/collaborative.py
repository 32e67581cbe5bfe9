"""Training of collaborative rankers: pairs of a user and an item of the training data, each with an item drawn."""

import torch
import torch.nn.functional as F
from torch import Tensor

from components.foundation.errors import InputError
from components.recommenders.backbones.registry import BPR
from components.recommenders.collaborative_ranker import CollaborativeRanker
from components.recommenders.configuration import TrainingConfig
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.auxiliary import contrastive_loss
from components.recommenders.objectives.pairs import UnchosenItems, bpr_loss, logistic_loss
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.loop import step_generator
from components.recommenders.training.processes import Share
from components.recommenders.training.ranker_task import RankerTask
from components.recommenders.variants import variant_named


class CollaborativeTask(RankerTask):
    """A step draws training visits with replacement, and for each an item that its user has not in training.

    Under `torchrun` each process makes the vectors of all users and items and takes its share of the pairs.
    """

    network: CollaborativeRanker
    mixed_precision = False  # sums of thousands of neighbours, limited by memory and not by arithmetic

    def __init__(
        self,
        ranker: CollaborativeRanker,
        sequences: InteractionSequences,
        rationales: RationaleAssignments,
        config: TrainingConfig,
        device: str,
    ):
        users, items = (torch.from_numpy(part) for part in sequences.training_pairs())
        if not len(users):
            raise InputError("training data: no training interaction, so there is nothing to learn")
        super().__init__(ranker, sequences, rationales, config, device, len(users))
        self.users, self.items = users, items
        self.unchosen = UnchosenItems(users, items - 1, sequences.n_items)
        self.auxiliary = variant_named(ranker.config.variant).auxiliary

    def loss(self, step: int, share: Share) -> Tensor:
        """The objective's mean over the pairs of the step, and the squared length of what they have learned."""
        generator = step_generator(self.config.seed, step)
        drawn = torch.randint(len(self.users), (self.config.batch_size,), generator=generator)
        others = self.unchosen.draw(self.users[drawn], generator) + 1
        users = share.of(self.users[drawn])
        rationale = self.rationales.of_users(users).to(self.device) if self.network.reads_rationales else None
        numbers, items, others = (
            part.to(self.device) for part in (users, share.of(self.items[drawn]), share.of(others))
        )
        table = self.network.item_encoder()
        user_vectors, item_vectors = self.network.backbone(table)
        # F.embedding and not indexing, whose gradient is summed by racing threads.
        states = self.network.fused(F.embedding(numbers, user_vectors), rationale)
        scores, of_others = (
            self.network.backbone.score(states, F.embedding(part, item_vectors)) for part in (items, others)
        )
        objective = bpr_loss if self.config.objective == BPR else logistic_loss
        loss = objective(scores, of_others).sum()
        if self.config.weight_decay:
            learned = [F.embedding(numbers, self.network.backbone.user_embedding)]
            learned += [F.embedding(part, table) for part in (items, others)]
            loss = loss + self.config.weight_decay * sum(part.square().sum() for part in learned) / 2
        if self.auxiliary and self.config.auxiliary_weight:
            loss = loss + self.config.auxiliary_weight * self._auxiliary_loss(users, states, user_vectors) * len(users)
        return loss / self.config.batch_size

    def _auxiliary_loss(self, users: Tensor, states: Tensor, user_vectors: Tensor) -> Tensor:
        """What draws users whose rationales are known to them, or to the seed users they are about."""
        rows = self.rationales.rows[users, 0]
        matched = rows > 0
        if not matched.any():
            return states.sum() * 0
        users, rows, states = users[matched], rows[matched], states[matched.to(self.device)]
        if self.network.alignment is not None:
            partners = self.network.alignment(self.rationales.embeddings[rows].to(self.device))
        else:
            partners = F.embedding(self.rationales.seeds_of(users).to(self.device), user_vectors)
        return contrastive_loss(states, partners, rows.to(self.device))
