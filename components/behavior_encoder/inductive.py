"""How near a user's vector from its history alone comes to the vector that training gave it."""

import numpy as np

from components.behavior_encoder.encoder import BehaviorEncoder
from components.recommenders.interaction_sequences import InteractionSequences

USERS_COMPARED = 1_000


def inductive_agreement(encoder: BehaviorEncoder, sequences: InteractionSequences) -> dict[str, float]:
    """Mean cosine of `encode` and `encode_new` over users with a history, `USERS_COMPARED` at most, evenly spread."""
    with_history = np.flatnonzero(sequences.train_lengths)
    compared = with_history[:: max(1, -(-len(with_history) // USERS_COMPARED))]
    taken = np.concatenate([np.arange(sequences.offsets[user], sequences.offsets[user + 1]) for user in compared])
    items = sequences.items[taken]
    lengths = sequences.train_lengths[compared]
    names = np.array(sequences.item_ids, dtype=object)[items - 1]
    histories = [list(part) for part in np.split(names, np.cumsum(lengths)[:-1])]
    users = InteractionSequences(
        user_ids=[sequences.user_ids[user] for user in compared],
        item_ids=sequences.item_ids,
        items=items,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths,
    )
    trained, folded = (_unit(vectors) for vectors in (encoder.encode(users), encoder.encode_new(histories)))
    return {"inductive_agreement": float((trained * folded).sum(axis=1).mean())}


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
