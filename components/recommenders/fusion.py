"""The fusion layer: how a rationale enters a ranker (Eq. 4 and 5, section 3.2.2)."""

import torch
from torch import Tensor, nn


class AttentionFusion(nn.Module):
    """e'_u = alpha_0 e_u + sum_k alpha_k z_k, alpha = softmax([e_u . W, z_1 . W, ..., z_K . W]).

    z_k = Linear(TextEncoder(r_k)); with K = 1 this is Eq. 5. A rationale that is a zero row is absent: its alpha is
    exactly 0, and a user without any rationale keeps e_u. W starts at zero, so training starts from equal weights.
    """

    def __init__(self, dimension: int, text_dimension: int):
        super().__init__()
        self.linear = nn.Linear(text_dimension, dimension)
        self.attention = nn.Parameter(torch.zeros(dimension))

    def forward(self, user: Tensor, rationale: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse.

        Args:
            user: float32[B, T, d], e_u at each of T positions.
            rationale: float32[B, K, t], TextEncoder(r_u).

        Returns:
            e'_u float32[B, T, d] and alpha float32[B, T, K + 1].
        """
        projected = self.linear(rationale)[:, None].expand(-1, user.shape[1], -1, -1)  # [B, T, K, d]
        choices = torch.cat([user[:, :, None], projected], dim=2)  # [B, T, K + 1, d]
        logits = choices @ self.attention  # [B, T, K + 1]
        absent = (rationale == 0).all(dim=-1)[:, None].expand(-1, user.shape[1], -1)  # [B, T, K]
        logits = torch.cat([logits[:, :, :1], logits[:, :, 1:].masked_fill(absent, float("-inf"))], dim=2)
        weights = torch.softmax(logits, dim=-1)
        return (weights[..., None] * choices).sum(dim=2), weights
