"""The common measure of encoders: does a user's vector tell an item it has chosen from a random one?"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences

RANDOM_ITEMS = 20
PAIRS_AT_MOST = 50_000
_PAIRS_AT_ONCE = 4_096


@dataclass(frozen=True)
class HeldOutPairs:
    """Training pairs that are kept out of training, at most one a user.

    Attributes:
        users: int64[H], from 0, ascending.
        items: int64[H], from 0: the item of the user's last training visit.
        others: int64[H, n], from 0: random items to compare it with. A few are the user's own; they count as random.
    """

    users: Tensor
    items: Tensor
    others: Tensor


def hold_out(sequences: InteractionSequences, share: float, generator: torch.Generator) -> HeldOutPairs:
    """Choose `share` of the training pairs (at least one, at most `PAIRS_AT_MOST`), each the last item of a user.

    Only users who keep another item are eligible; without any, nothing is held out.

    Args:
        sequences: training interactions alone, as `histories.read_histories` gives them.
    """
    last = sequences.items[sequences.offsets[1:] - 1] if len(sequences.items) else np.empty(0, np.int64)
    users = np.repeat(np.arange(sequences.n_users), sequences.train_lengths)
    others_of_user = np.bincount(
        users[sequences.items != np.repeat(last, sequences.train_lengths)] if len(users) else [],
        minlength=sequences.n_users,
    )
    able = torch.from_numpy(np.flatnonzero(others_of_user > 0))
    count = min(max(1, round(share * len(sequences.items))), len(able), PAIRS_AT_MOST) if share > 0 else 0
    chosen = able[torch.randperm(len(able), generator=generator)[:count]].sort().values
    others = torch.randint(max(1, sequences.n_items), (count, RANDOM_ITEMS), generator=generator)
    return HeldOutPairs(chosen, torch.from_numpy(last)[chosen] - 1, others)


def link_auc(user_vectors: Tensor, item_vectors: Tensor, pairs: HeldOutPairs) -> float:
    """Probability that a held-out pair scores above a pair of its user with a random item; a tie counts half.

    Args:
        user_vectors: float32[H, d], row h is the vector of user pairs.users[h].
        item_vectors: float32[I, d].
    """
    wins = 0.0
    for start in range(0, len(pairs.users), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        items, others = pairs.items[part].to(item_vectors.device), pairs.others[part].to(item_vectors.device)
        users = user_vectors[part]
        true = (users * item_vectors[items]).sum(dim=1, keepdim=True)  # [H, 1]
        random = torch.bmm(item_vectors[others], users[:, :, None]).squeeze(2)  # [H, n]
        wins += float((true > random).sum()) + 0.5 * float((true == random).sum())
    return wins / pairs.others.numel()
