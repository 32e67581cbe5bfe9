"""Losses beside the objective, through which rationales teach a ranker that needs none when it serves."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TEMPERATURE = 0.2


def contrastive_loss(users: Tensor, partners: Tensor, partner_ids: Tensor) -> Tensor:
    """InfoNCE (van den Oord et al., 2018): each user's vector against its partner's and those of the others' partners.

    Mean over the batch of -log softmax_j(cos(u_i, p_j) / 0.2) at j = i. Users who share a partner are no negatives of
    each other.

    Args:
        users: float32[B, d].
        partners: float32[B, d], what each user is drawn to.
        partner_ids: int64[B], equal where the partners are.
    """
    scores = F.normalize(users, dim=1) @ F.normalize(partners, dim=1).T / _TEMPERATURE
    own = torch.eye(len(users), dtype=torch.bool, device=users.device)
    same = (partner_ids[:, None] == partner_ids) & ~own
    return F.cross_entropy(scores.masked_fill(same, -torch.inf), torch.arange(len(users), device=users.device))
