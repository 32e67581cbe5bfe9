"""Training of the behavior encoder: LightGCN by Bayesian personalised ranking (section 3.1.1, Eq. 1).

Only training interactions are read, so nothing of what is evaluated later can reach a user's vector, and with it the
seeds, the prompts and the matches. There is no validation split to stop on: the length of training is fixed.
"""

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.contracts.progress import say
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.lightgcn import LightGCN, normalized_adjacency


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is and how it is trained; `batch_size` counts training pairs."""

    encoder: str = "lightgcn"
    dimension: int = 64
    layers: int = 2
    steps: int = 200
    batch_size: int = 65536
    learning_rate: float = 3e-2
    weight_decay: float = 1e-4  # on the squared norm of the embeddings in a batch, as in the LightGCN paper
    held_out_share: float = 0.01  # of the training pairs, kept out of the graph to measure link prediction
    seed: int = 0


@dataclass(frozen=True)
class TrainedEncoder:
    """User vectors m_u float32[U, d], item vectors float32[I, d], and what was measured."""

    config: EncoderConfig
    user_vectors: Tensor
    item_vectors: Tensor
    metrics: dict[str, float]


def train_encoder(sequences: InteractionSequences, config: EncoderConfig) -> TrainedEncoder:
    """Train LightGCN on the training interactions. Equal seeds give equal vectors, bit for bit.

    The measured `link_auc` is the probability that a held-out training pair scores above a pair of its user with a
    random item; `loss` is the mean BPR loss of the last tenth of the steps.
    """
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    users, items = (torch.from_numpy(part) for part in sequences.training_pairs())
    items = items - 1
    shuffled = torch.randperm(len(users), generator=generator)
    n_held_out = round(config.held_out_share * len(users))
    held_out, kept = shuffled[:n_held_out], shuffled[n_held_out:]
    users_kept, items_kept = users[kept], items[kept]
    adjacency = normalized_adjacency(users_kept, items_kept, sequences.n_users, sequences.n_items)
    model = LightGCN(sequences.n_users, sequences.n_items, config.dimension, config.layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    losses = []
    for step in range(1, config.steps + 1):
        chosen = torch.randint(len(users_kept), (min(config.batch_size, len(users_kept)),), generator=generator)
        negatives = torch.randint(sequences.n_items, (len(chosen),), generator=generator)
        loss = _bpr_loss(model, adjacency, users_kept[chosen], items_kept[chosen], negatives, config.weight_decay)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % max(1, config.steps // 5) == 0:
            say(f"lightgcn: step {step}/{config.steps}, loss {np.mean(losses[-config.steps // 10 :]):.4f}")
    with torch.no_grad():
        user_vectors, item_vectors = model(adjacency)
    metrics = {"loss": float(np.mean(losses[-max(1, config.steps // 10) :]))}
    if n_held_out:
        metrics["link_auc"] = _link_auc(user_vectors, item_vectors, users[held_out], items[held_out], generator)
    return TrainedEncoder(config, user_vectors, item_vectors, metrics)


def encoder_configuration(trained: TrainedEncoder, sequences: InteractionSequences) -> dict[str, object]:
    """What `config.json` of an encoder holds."""
    return {
        **dataclasses.asdict(trained.config),
        "users": sequences.n_users,
        "items": sequences.n_items,
        "user_ids_sha256": users_digest(sequences),
    }


def users_digest(sequences: InteractionSequences) -> str:
    """SHA-256 (hexadecimal) of the user ids in order: which users the rows of an encoder's vectors belong to."""
    return hashlib.sha256("\n".join(sequences.user_ids).encode()).hexdigest()


def _bpr_loss(
    model: LightGCN, adjacency: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, weight_decay: float
) -> Tensor:
    """Mean of -log sigmoid(m_u . (e_i - e_j)) over pairs int64[B], plus L2 on the embeddings before propagation.

    Negatives are drawn from all items; the few that the user has chosen are not drawn again, unlike in the paper.
    """
    user_vectors, item_vectors = model(adjacency)
    difference = item_vectors[positives] - item_vectors[negatives]
    ranking = -F.logsigmoid((user_vectors[users] * difference).sum(dim=1)).mean()
    used = model.embedding[torch.cat([users, positives + model.n_users, negatives + model.n_users])]
    return ranking + weight_decay * used.square().sum() / (2 * len(users))


def _link_auc(
    user_vectors: Tensor, item_vectors: Tensor, users: Tensor, items: Tensor, generator: torch.Generator
) -> float:
    others = torch.randint(len(item_vectors), (len(items),), generator=generator)
    true = (user_vectors[users] * item_vectors[items]).sum(dim=1)
    random = (user_vectors[users] * item_vectors[others]).sum(dim=1)
    return float(((true > random).double() + 0.5 * (true == random).double()).mean())
