"""GRU4Rec (Hidasi et al., ICLR 2016): a recurrent network over a user's recent items."""

from torch import Tensor, nn

from components.recommenders.backbones.contract import SequenceBackbone


class GRU4Rec(SequenceBackbone):
    """Gated recurrent units h_t = GRU(dropout(x_t), h_(t-1)) from h_0 = 0, and e_u = W h_t + b.

    Differs from the original: trained on users' whole histories by cross entropy over all items, as the other backbones
    are, instead of on sessions by a pairwise loss over the items of a batch (what the improved GRU4Rec of Hidasi &
    Karatzoglou, CIKM 2018, gains by better losses); d units in each layer.
    """

    def __init__(self, embedding_dimension: int, layers: int, dropout: float, length: int):
        """`length` bounds nothing here: a recurrent network has no parameters of positions."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.units = nn.GRU(
            embedding_dimension,
            embedding_dimension,
            layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,  # between layers
        )
        self.out = nn.Linear(embedding_dimension, embedding_dimension)

    def forward(self, item_embeddings: Tensor) -> Tensor:
        """float32[B, T, d] item embeddings, oldest first -> float32[B, T, d]: e_u after each of the T items."""
        states, _ = self.units(self.dropout(item_embeddings))
        return self.out(states)
