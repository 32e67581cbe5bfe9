"""What stands for an item: the rows of the table that histories are read from and users are multiplied with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ItemEncoder(nn.Module):
    """E_I = ItemEncoder(I, F) (section 2): an ID embedding, or Linear([ID embedding, f_item]) with item texts.

    Row 0 is the padding item. `text` float32[I + 1, t] is given, not trained.
    """

    text: Tensor | None

    def __init__(self, items: int, dimension: int, text: Tensor | None):
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(items + 1, dimension) * 0.02)
        self.register_buffer("text", text)
        self.combine = None if text is None else nn.Linear(dimension + text.shape[1], dimension)

    def forward(self) -> Tensor:
        """The item table float32[I + 1, d]."""
        if self.combine is None or self.text is None:
            return self.embedding
        return self.combine(torch.cat([self.embedding, self.text], dim=1))


class FrozenTextItemEncoder(nn.Module):
    """An item's text, standardised and frozen, beside learned components in the directions that texts leave free.

    After AlphaFuse (SIGIR 2025): of the principal components of all texts the first n are kept, each scaled to the
    variance of a learned component at its start, so that no direction outweighs the others; the learned vector stands
    in the null space of what was kept, which in the basis of the components is d - n columns of its own. Here n is half
    of d, or the dimension of the texts where that is less. Row 0 is the padding item.
    """

    text: Tensor

    def __init__(self, items: int, dimension: int, text: Tensor):
        super().__init__()
        kept = min(dimension // 2, text.shape[1])
        self.register_buffer("text", principal_components(text, kept, whiten=True) * _SCALE)
        self.embedding = nn.Parameter(torch.randn(items + 1, dimension - kept) * _SCALE)

    def forward(self) -> Tensor:
        """The item table float32[I + 1, d]."""
        return torch.cat([self.text, self.embedding], dim=1)


class LateText(nn.Module):
    """g(n) cos(text_i, q_u): how alike an item's text is to those of the user's last items, times a learned gate.

    q_u is the mean of the texts of the last `RECENT` items with learned weights, one for each place; g is learned for
    each octave of the length n of the history, since texts say the more the less is known of a user. Texts are their
    principal components, of length 1, so the cosine is a product that is added to that of the learned vectors when
    both are put side by side.
    """

    RECENT = 5
    COMPONENTS = 128
    _OCTAVES = 9  # histories of up to 2^8 items and more
    _FIRST_GATE = 5.0

    text: Tensor

    def __init__(self, text: Tensor):
        """`text` float32[I + 1, t], row 0 zero."""
        super().__init__()
        components = principal_components(text, min(self.COMPONENTS, text.shape[1]), whiten=False)
        self.register_buffer("text", F.normalize(components, dim=1))
        self.gate = nn.Parameter(torch.full((self._OCTAVES,), self._FIRST_GATE))
        self.recency = nn.Parameter(torch.zeros(self.RECENT))

    def forward(self, history: Tensor) -> Tensor:
        """g(n) q_u after each item of histories int64[B, T]: float32[B, T, m]."""
        length = history.shape[1]
        texts = F.embedding(history, self.text)
        weights = torch.softmax(self.recency, dim=0)
        query = torch.zeros_like(texts)
        for back in range(min(self.RECENT, length)):
            query = query + weights[back] * F.pad(texts, (0, 0, back, 0))[:, :length]
        octave = torch.arange(1, length + 1, device=history.device).log2().long().clamp(max=self._OCTAVES - 1)
        return F.normalize(query, dim=2) * self.gate[octave][:, None]


_SCALE = 0.02  # of a learned component at its start


def principal_components(text: Tensor, count: int, whiten: bool) -> Tensor:
    """The first principal components of rows 1 .. I of a table of texts: float32[I + 1, count], row 0 zero.

    Args:
        text: float32[I + 1, t].
        whiten: whether each component gets variance 1, but for those in which the texts do not differ.
    """
    components = torch.zeros(len(text), count)
    rows = text[1:].double()
    if not rows.any():  # a ranker that is being read, whose texts come with its weights
        return components
    centred = rows - rows.mean(dim=0)
    values, directions = torch.linalg.eigh(centred.T @ centred / len(rows))
    values, directions = values.flip(0)[:count], directions.flip(1)[:, :count]
    # The sign of a direction is arbitrary and differs between machines: its largest entry is positive.
    largest = directions.abs().argmax(dim=0)
    directions = directions * directions[largest, torch.arange(count)].sign()
    scale = torch.ones_like(values)
    if whiten:
        scale = torch.where(values > values[0] * 1e-9, values.clamp(min=1e-30).rsqrt(), 0.0)
    components[1:] = (centred @ directions * scale).float()
    return components
