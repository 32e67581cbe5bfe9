"""What stands for an item: the rows of the table that histories are read from and users are multiplied with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.recommenders.configuration import RankerConfig
from components.recommenders.text_components import PrincipalComponents
from components.recommenders.variants import IDS_AND_TEXT, TEXT_AND_IDS, variant_named

_SCALE = 0.02  # of a learned component at its start


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

    def forward(self, items: Tensor | None = None) -> Tensor:
        """Rows of the item table, float32[n, d] for int64[n]; of all items, float32[I + 1, d], where none are named."""
        learned = rows_of(self.embedding, items)
        if self.combine is None or self.text is None:
            return learned
        return self.combine(torch.cat([learned, rows_of(self.text, items)], dim=1))


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
        components = PrincipalComponents(text[1:], kept, whiten=True).of(text[1:])
        self.register_buffer("text", F.pad(components, (0, 0, 1, 0)) * _SCALE)
        self.embedding = nn.Parameter(torch.randn(items + 1, dimension - kept) * _SCALE)

    def forward(self, items: Tensor | None = None) -> Tensor:
        """Rows of the item table, float32[n, d] for int64[n]; of all items, float32[I + 1, d], where none are named."""
        return torch.cat([rows_of(self.text, items), rows_of(self.embedding, items)], dim=1)


def rows_of(table: Tensor, items: Tensor | None) -> Tensor:
    """Some rows of a table, or all of them."""
    # F.embedding and not table[items]: the gradient of indexing is summed by racing threads.
    return table if items is None else F.embedding(items, table)


def build_item_encoder(
    config: RankerConfig, dimension: int, text: Tensor | None
) -> ItemEncoder | FrozenTextItemEncoder:
    """What stands for an item in the variant of `config`, with `dimension` components.

    Args:
        text: float32[items + 1, t], row 0 zero; for the variants that read item texts.

    Raises:
        ValueError: the variant reads item texts, none are given.
    """
    variant = variant_named(config.variant)
    if text is None and variant.reads_item_texts:
        raise ValueError(f"variant {config.variant} reads item texts, none are given")
    if variant.items == TEXT_AND_IDS and text is not None:
        return FrozenTextItemEncoder(config.items, dimension, text)
    return ItemEncoder(config.items, dimension, text if variant.items == IDS_AND_TEXT else None)
