"""LightGCN by Bayesian personalised ranking, the behavior encoder of the paper's offline experiments (3.1.1, Eq. 1).

LightGCN (He et al., SIGIR 2020) knows the users it was trained with. Another user u is *folded in*: what the layers
1 .. K of the propagation would give it, from the layers of its items H and the degrees of training,

    m_u = 1 / (K + 1)  sum_{k=1..K}  sum_{i in H}  e_i^(k-1) / sqrt(|H| d_i)
        = 1 / ((K + 1) sqrt|H|)  sum_{i in H} p_i,
    p_i = d_i^(-1/2)  sum_{k=0..K-1} e_i^(k),

so one table p is kept and a new user costs one sum. Missing is the user's own e_u^(0), which only training gives; how
near a folded-in user comes is measured (`inductive_agreement`). Not covered: features of users and items, edge types.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.behavior_encoder.encoder import BehaviorEncoder, EncoderConfig, Weights
from components.behavior_encoder.histories import item_histories, read_histories
from components.behavior_encoder.identifiers import Identifiers
from components.behavior_encoder.inductive import inductive_agreement
from components.behavior_encoder.link_prediction import HeldOutPairs, hold_out, link_auc
from components.behavior_encoder.training import EncoderTask, train_encoder
from components.behavior_encoder.user_vectors import USER_VECTORS, UserVectors
from components.contracts.lineage import training_lineage
from components.foundation.errors import InputError
from components.recommenders.backbones.lightgcn import LightGCN, normalized_adjacency
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.pairs import UnchosenItems
from components.recommenders.training.loop import step_generator
from components.recommenders.training.processes import Share, TrainingResources

ITEM_VECTORS = "item_vectors"
FOLDING = "item_folding"


@dataclass(frozen=True, kw_only=True)
class LightGCNConfig(EncoderConfig):
    """What LightGCN has beside the common settings.

    Attributes:
        layers: K, how often vectors are propagated over the graph.
        batch_size: training pairs in a step; each step propagates over the whole graph, so few large batches are best.
        learning_rate: of Adam, constant.
        weight_decay: factor of the squared norm of the embeddings in a batch, 0 or more, as in the LightGCN paper.
    """

    layers: int = 2
    batch_size: int = 65536
    learning_rate: float = 3e-2
    weight_decay: float = 1e-4


class LightGCNEncoder(BehaviorEncoder):
    """Vectors of users and items after propagation, and the table p that folds new users in."""

    name = "lightgcn"
    config_type = LightGCNConfig
    config: LightGCNConfig

    def fit(self, prepared: Path, resources: TrainingResources) -> None:
        """Train the vectors by BPR, propagate them once more and keep the result.

        Under `torchrun` each process propagates over the whole graph and takes its share of the batch alone: more
        processes give the same result, not the same result sooner.
        """
        sequences = read_histories(prepared)
        self.lineage = training_lineage(prepared)
        self.user_ids, self.item_ids = Identifiers(sequences.user_ids), Identifiers(sequences.item_ids)
        task = LightGCNTask(prepared, sequences, self.config, resources)
        train_encoder(task, self, resources)
        users, items = task.pairs
        layers = task.network.layer_embeddings(_adjacency(users, items, sequences, resources))
        total = torch.stack(layers).mean(dim=0).cpu()
        user_degree = torch.bincount(users, minlength=sequences.n_users)
        item_degree = torch.bincount(items, minlength=sequences.n_items).to(torch.float32)
        # Of a user or an item without an edge, training has learned nothing.
        self._users = UserVectors(total[: sequences.n_users] * (user_degree > 0)[:, None])
        self._items = total[sequences.n_users :].clone()
        before_last = torch.stack(layers[:-1]).sum(dim=0)[sequences.n_users :].cpu()
        self._folding = before_last * torch.where(item_degree > 0, item_degree.rsqrt(), 0.0)[:, None]
        self.metrics |= inductive_agreement(self, sequences)

    def encode(self, users: InteractionSequences) -> np.ndarray:
        """The stored vectors of these users."""
        self.check_items(users.item_ids)
        return self._users.rows(self.rows_of(users.user_ids))

    def encode_new(self, histories: Sequence[Sequence[str]]) -> np.ndarray:
        """Add up the folded vectors of a user's distinct items, normalised by their number as LightGCN does."""
        sequences = item_histories(self.item_ids, histories)
        users, items = _distinct_pairs(sequences, len(self.item_ids))
        has_vector = self._folding[items].any(dim=1)
        users, items = users[has_vector], items[has_vector]
        folded = torch.zeros(sequences.n_users, self.config.dimension).index_add_(0, users, self._folding[items])
        degree = torch.bincount(users, minlength=sequences.n_users).clamp(min=1)
        return (folded / ((self.config.layers + 1) * degree.sqrt()[:, None])).numpy()

    def tensors(self) -> dict[str, Tensor]:
        """The vectors of users and items, and the items' vectors from which those of new users follow."""
        return {USER_VECTORS: self._users.all(), ITEM_VECTORS: self._items, FOLDING: self._folding}

    def restore(self, weights: Weights) -> None:
        """Take the tables of the items; the vectors of users stay in their file."""
        if self.user_ids is None:
            raise InputError(f"{self.origin}: holds no ids of users")
        dimension = self.config.dimension
        self._users = UserVectors.open(weights, len(self.user_ids), dimension)
        self._items = weights.tensor(ITEM_VECTORS, (len(self.item_ids), dimension))
        self._folding = weights.tensor(FOLDING, (len(self.item_ids), dimension))


class LightGCNTask(EncoderTask):
    """Training pairs (user, item), distinct; those held out are kept out of the graph until training is over."""

    network: LightGCN
    config: LightGCNConfig
    mixed_precision = False  # sums of thousands of neighbours, limited by memory and not by arithmetic

    def __init__(
        self, prepared: Path, sequences: InteractionSequences, config: LightGCNConfig, resources: TrainingResources
    ):
        self.name = LightGCNEncoder.name
        self.config = config
        self.prepared = prepared
        self.device = resources.device
        self.n_users, self.n_items = sequences.n_users, sequences.n_items
        self.pairs = _distinct_pairs(sequences, sequences.n_items)
        users, items = self.pairs
        if not len(users):
            raise InputError("training data: no training interaction, so there is no graph to encode")
        self.held_out: HeldOutPairs = hold_out(sequences, config.held_out_share, step_generator(config.seed, 0))
        keys, held = users * self.n_items + items, self.held_out.users * self.n_items + self.held_out.items
        kept = ~torch.isin(keys, held)
        self.adjacency = _adjacency(users[kept], items[kept], sequences, resources)
        self.users, self.items = users[kept], items[kept]
        self.unchosen = UnchosenItems(self.users, self.items, self.n_items)
        torch.manual_seed(config.seed)
        self.network = LightGCN(self.n_users, self.n_items, config.dimension, config.layers).to(self.device)

    def learning_rate(self, step: int) -> float:
        """The configured rate at every step."""
        return self.config.learning_rate

    def loss(self, step: int, share: Share) -> Tensor:
        """Bayesian personalised ranking of randomly drawn training pairs against one negative item each."""
        generator = step_generator(self.config.seed, step)
        size = min(self.config.batch_size, len(self.users))
        pairs = torch.randint(len(self.users), (size,), generator=generator)
        negatives = self.unchosen.draw(self.users[pairs], generator)
        users, positives, negatives = (
            share.of(part).to(self.device) for part in (self.users[pairs], self.items[pairs], negatives)
        )
        summed = _bpr_loss(self.network, self.adjacency, users, positives, negatives, self.config.weight_decay)
        return summed / size

    def evaluate(self) -> dict[str, float]:
        """The area under the ROC curve of the links held out; empty where there are none."""
        if not len(self.held_out.users):
            return {}
        user_vectors, item_vectors = self.network(self.adjacency)
        held_out_users = user_vectors[self.held_out.users.to(self.device)]
        return {self.score_name: link_auc(held_out_users, item_vectors, self.held_out)}


def _bpr_loss(
    network: LightGCN, adjacency: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, weight_decay: float
) -> Tensor:
    """Sum of -log sigmoid(m_u . (e_i - e_j)) over pairs int64[B], plus L2 on the embeddings before propagation."""
    user_vectors, item_vectors = network(adjacency)
    difference = item_vectors[positives] - item_vectors[negatives]
    ranking = -F.logsigmoid((user_vectors[users] * difference).sum(dim=1)).sum()
    used = network.embedding[torch.cat([users, positives + network.n_users, negatives + network.n_users])]
    return ranking + weight_decay * used.square().sum() / 2


def _distinct_pairs(sequences: InteractionSequences, n_items: int) -> tuple[Tensor, Tensor]:
    """Users int64[M] and items int64[M], both from 0; a pair that came more than once counts once."""
    users, items = (torch.from_numpy(part) for part in sequences.training_pairs())
    keys = torch.unique(users * n_items + items - 1)
    return keys // max(1, n_items), keys % max(1, n_items)


def _adjacency(users: Tensor, items: Tensor, sequences: InteractionSequences, resources: TrainingResources) -> Tensor:
    return normalized_adjacency(users, items, sequences.n_users, sequences.n_items).to(resources.device)
