"""Which rationale each user was matched to, as rows of one table of embeddings."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RationaleAssignments:
    """Rationale embeddings by user, without a copy for every user.

    Attributes:
        embeddings: float32[R + 1, t]; row 0 is zero and stands for "no rationale".
        rows: int64[U, K]; row of each user's K rationales.
    """

    embeddings: Tensor
    rows: Tensor

    def of_users(self, users: Tensor) -> Tensor:
        """float32[B, K, t] for users int64[B]."""
        return self.embeddings[self.rows[users]]

    def shuffled(self, seed: int) -> "RationaleAssignments":
        """The control: the same rationales, dealt to random users."""
        order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(seed))
        return RationaleAssignments(self.embeddings, self.rows[order])
