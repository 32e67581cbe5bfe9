"""Which rationale each user was matched to, as rows of one table of embeddings."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.variants import (
    CONSTANT,
    MATCHED,
    NOISE,
    POOL_HISTORIES,
    POOL_RATIONALES,
    POOL_SHUFFLED,
    RECENT,
    SEED_CATEGORIES,
    SHUFFLED,
)


class PoolTexts(NamedTuple):
    """What a ranker that reads the whole pool is given: a row for each rationale whose seed user is known.

    Attributes:
        keys: float32[R, t], the mean text of the last items of the seed user.
        values: float32[R, t], the text of the rationale, or of what a control has in its place.
    """

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class RationaleAssignments:
    """Rationale embeddings by user, without a copy for every user.

    Attributes:
        embeddings: float32[R + 1, t]; row 0 is zero and stands for "no rationale".
        rows: int64[U, K]; row of each user's K rationales.
        seed_users: int64[R + 1]; the user about whom each rationale was written, from 0; -1 where there is none.
        seed_categories: float32[R + 1, c]; shares of the categories in the training items of that user. None where the
            items have no categories.
    """

    embeddings: Tensor
    rows: Tensor
    seed_users: Tensor | None = None
    seed_categories: Tensor | None = None

    def of_users(self, users: Tensor) -> Tensor:
        """float32[B, K, t] for users int64[B]."""
        return self.embeddings[self.rows[users]]

    def seeds_of(self, users: Tensor) -> Tensor:
        """The seed user of each user's best rationale, int64[B] from 0, -1 where there is none.

        Raises:
            ValueError: the seed users are not known.
        """
        if self.seed_users is None:
            raise ValueError("the seed users of these rationales are not known")
        return self.seed_users[self.rows[users, 0]]

    def own_rows(self, users: Tensor) -> Tensor:
        """The row of the pool (from 0, as in `pool`) that is about each user: int64[B], -1 where there is none."""
        if self.seed_users is None:
            return torch.full((len(users),), -1)
        row_of = torch.full((len(self.rows),), -1)
        seeds = self.seed_users[1:][self.seed_users[1:] >= 0]
        row_of[seeds] = torch.arange(len(seeds))
        return row_of[users]

    def pool(self, source: str, item_text: Tensor, sequences: InteractionSequences, seed: int) -> PoolTexts:
        """The whole pool, for the variants that read it, or a control in its place (`variants.POOL_SOURCES`).

        Args:
            item_text: float32[I + 1, t], row 0 zero.

        Raises:
            ValueError: an unknown source, or the seed users are not known.
        """
        if self.seed_users is None:
            raise ValueError("the seed users of these rationales are not known")
        matched = self.seed_users[1:] >= 0
        users = self.seed_users[1:][matched].numpy()
        ends = sequences.train_lengths[users]
        keys = _mean_text(item_text, sequences.recent_items(users, ends, RECENT))
        values = self.embeddings[1:][matched]
        if source == POOL_SHUFFLED:
            values = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))]
        elif source == POOL_HISTORIES:
            values = _mean_text(item_text, sequences.recent_items(users, ends, int(ends.max())))
        elif source != POOL_RATIONALES:
            raise ValueError(f"{source!r} is no source of a pool")
        return PoolTexts(keys, values)

    def from_source(self, source: str, seed: int) -> "RationaleAssignments":
        """What a variant is given: the matched rationales, or a control in their place (`variants.RATIONALE_SOURCES`).

        A control leaves a user without a rationale where the user has none.

        Raises:
            ValueError: an unknown source, or the categories of the seed users are not known.
        """
        if source in ("", MATCHED):
            return self
        generator = torch.Generator().manual_seed(seed)
        if source == SHUFFLED:
            return replace(self, rows=self.rows[torch.randperm(len(self.rows), generator=generator)])
        lengths = self.embeddings.norm(dim=1, keepdim=True)
        if source == NOISE:
            noise = torch.randn(self.embeddings.shape, generator=generator)
            return replace(self, embeddings=F.normalize(noise, dim=1) * lengths)
        if source == CONSTANT:
            mean = self.embeddings[1:].mean(dim=0, keepdim=True)
            return replace(self, embeddings=F.normalize(mean, dim=1) * lengths)
        if source == SEED_CATEGORIES:
            if self.seed_categories is None:
                raise ValueError("the categories of the seed users are not known")
            # As many components as a rationale has, by a random projection, which keeps the distances between them.
            projection = torch.randn(
                self.seed_categories.shape[1], self.embeddings.shape[1], generator=torch.Generator().manual_seed(0)
            )
            return replace(self, embeddings=F.normalize(self.seed_categories @ projection, dim=1) * lengths)
        raise ValueError(f"{source!r} is no source of rationales")


def _mean_text(item_text: Tensor, items: np.ndarray) -> Tensor:
    """Mean text of items int64[B, n], 0 for none: float32[B, t]."""
    rows = torch.from_numpy(items)
    count = (rows > 0).sum(dim=1, keepdim=True).clamp(min=1)
    # One column after the other: histories are long, texts are wide.
    total = torch.zeros(len(rows), item_text.shape[1])
    for column in range(rows.shape[1]):
        total += item_text[rows[:, column]]
    return total / count
