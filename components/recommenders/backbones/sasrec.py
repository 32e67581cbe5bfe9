"""SASRec (Kang & McAuley, ICDM 2018): self-attention over a user's recent items."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.recommenders.backbones.contract import SequenceBackbone


class SASRec(SequenceBackbone):
    """Causal transformer encoder, layer norm before each sub-layer.

    Sequences are padded at the *end*. Attention looks back only, so no real position ever sees padding and no padding
    mask is needed; a batch may be cut to its longest sequence without changing a result.

    Differs from the original: GELU instead of ReLU, layer norm before instead of after (it converges in fewer epochs).
    """

    def __init__(self, embedding_dimension: int, layers: int, heads: int, dropout: float, length: int):
        super().__init__()
        self.position = nn.Parameter(torch.randn(length, embedding_dimension) * 0.02)
        self.blocks = nn.ModuleList(_Block(embedding_dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(embedding_dimension)
        self.dropout = nn.Dropout(dropout)

    def forward(self, item_embeddings: Tensor) -> Tensor:
        """float32[B, T, d] item embeddings, oldest first -> float32[B, T, d]: e_u after each of the T items."""
        states = self.dropout(item_embeddings + self.position[: item_embeddings.shape[1]])
        for block in self.blocks:
            states = block(states)
        return self.norm(states)


class _Block(nn.Module):
    def __init__(self, dimension: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dimension)
        self.query_key_value = nn.Linear(dimension, 3 * dimension)
        self.attention_out = nn.Linear(dimension, dimension)
        self.feed_forward_norm = nn.LayerNorm(dimension)
        self.feed_forward_in = nn.Linear(dimension, 4 * dimension)
        self.feed_forward_out = nn.Linear(4 * dimension, dimension)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dimension = x.shape
        # [B, T, 3d] -> three of [B, heads, T, d / heads]
        query, key, value = (
            part.reshape(batch, length, self.heads, dimension // self.heads).transpose(1, 2)
            for part in self.query_key_value(self.attention_norm(x)).chunk(3, dim=-1)
        )
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        attended = attended.transpose(1, 2).reshape(batch, length, dimension)
        x = x + self.dropout(self.attention_out(attended))
        hidden = F.gelu(self.feed_forward_in(self.feed_forward_norm(x)))
        return x + self.dropout(self.feed_forward_out(hidden))
