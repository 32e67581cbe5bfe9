"""Texts that enter a ranker late: as a score of their own, added to the one of the learned vectors.

Concatenated with learned vectors, texts are drowned by them; as a similarity with a learned gate they are worth most to
users of whom little is known.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.recommenders.text_components import PrincipalComponents
from components.recommenders.variants import RECENT

COMPONENTS = 128
_OCTAVES = 9  # histories of up to 2^8 items and more


class LateText(nn.Module):
    """g(n) cos(text_i, q_u): how alike an item's text is to those of the user's last items, times a learned gate.

    q_u is the mean of the texts of the last `RECENT` items with learned weights, one for each place; g is learned for
    each octave of the length n of the history, since texts say the more the less is known of a user. Texts are their
    principal components, of length 1, so the cosine is a product that is added to that of the learned vectors when
    both are put side by side.
    """

    text: Tensor

    def __init__(self, text: Tensor):
        """`text` float32[I + 1, m], `late_components`, row 0 zero."""
        super().__init__()
        self.register_buffer("text", text)
        self.gate = nn.Parameter(torch.full((_OCTAVES,), 5.0))
        self.recency = nn.Parameter(torch.zeros(RECENT))

    def forward(self, history: Tensor) -> Tensor:
        """g(n) q_u after each item of histories int64[B, T]: float32[B, T, m]."""
        query = recent_mean(self.text, history, torch.softmax(self.recency, dim=0))
        return F.normalize(query, dim=2) * by_octave(self.gate, history)


class PoolAttention(nn.Module):
    """g(n) cos(text_i, b_u): what the pool recommends to seed users whose last items were like the user's.

    b_u = sum_s softmax_s(tau cos(q_u, k_s)) v_s over all seed users s of the pool, with k_s the mean text of the last
    items of the seed user and v_s its rationale. So a user borrows from whom the user resembles *now*, not over a whole
    past (Eq. 3), from several seed users, and again after every event, without a call to anything. tau and the gate g,
    for each octave of the length n of the history, are learned.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor):
        """`keys` and `values` float32[S, m], texts in the components of the items'; rows of length 1, or zero."""
        super().__init__()
        self.register_buffer("keys", keys)
        self.register_buffer("values", values)
        self.gate = nn.Parameter(torch.full((_OCTAVES,), 1.0))
        self.sharpness = nn.Parameter(torch.tensor(3.0))  # log of tau

    def forward(self, text: Tensor, history: Tensor, own: Tensor | None) -> Tensor:
        """g(n) b_u after each item of histories: float32[B, T, m].

        Args:
            text: float32[I + 1, m].
            history: int64[B, T].
            own: int64[B], the row of the pool that is about the user himself, -1 where there is none; it is not
                borrowed from. In training it would tell what comes next: it was written with that in view.
        """
        query = F.normalize(recent_mean(text, history, torch.full((RECENT,), 1 / RECENT, device=text.device)), dim=2)
        scores = query @ self.keys.T * self.sharpness.exp()
        if own is not None:
            rows = torch.arange(len(self.keys), device=own.device)
            scores = scores.masked_fill((own[:, None] == rows)[:, None], -torch.inf)
        borrowed = torch.softmax(scores, dim=2) @ self.values
        return F.normalize(borrowed, dim=2) * by_octave(self.gate, history)


def late_components(text: Tensor) -> PrincipalComponents:
    """The components that texts enter late in, fitted to those of the items, float32[I + 1, t] with row 0 zero."""
    return PrincipalComponents(text[1:], min(COMPONENTS, text.shape[1]))


def recent_mean(text: Tensor, history: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the texts of the last items after each item of histories: float32[B, T, m].

    Args:
        text: float32[I + 1, m].
        history: int64[B, T], oldest first.
        weights: float32[n], of the last item, the one before it, and so on.
    """
    length = history.shape[1]
    texts = F.embedding(history, text)
    total = torch.zeros_like(texts)
    for back in range(min(len(weights), length)):
        total = total + weights[back] * F.pad(texts, (0, 0, back, 0))[:, :length]
    return total


def by_octave(values: Tensor, history: Tensor) -> Tensor:
    """values[o(t)] after the t-th item, o(t) = floor(log2 t): float32[T, 1] for float32[O] and int64[B, T]."""
    length = history.shape[1]
    octave = torch.arange(1, length + 1, device=history.device).log2().long().clamp(max=len(values) - 1)
    return values[octave][:, None]
