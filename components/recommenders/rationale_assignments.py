"""Which rationale each user was matched to, as rows of one table of embeddings."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from components.recommenders.variants import CONSTANT, MATCHED, NOISE, SEED_CATEGORIES, SHUFFLED


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
