"""A ranker that knows its users by their numbers: item encoder, collaborative backbone and fusion of rationales.

It is for comparisons and cannot be released (`backbones.registry.check_reads_history`): a user who came after the
training has no vector here, and one who has been there since would be served by what was known then.
"""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from components.foundation.errors import InputError, RelandError
from components.recommenders.backbones.registry import backbone_entry, build_collaborative_backbone
from components.recommenders.configuration import RankerConfig
from components.recommenders.fusion import AttentionFusion
from components.recommenders.item_encoders import build_item_encoder
from components.recommenders.ranker import read_ranker_files
from components.recommenders.variants import ALIGNMENT, variant_named

_PAIRS = "backbone.pairs"


class CollaborativeRanker(nn.Module):
    """Scores a user and an item by e'_u and e_i; e'_u is e_u of the backbone and what the variant adds to it."""

    def __init__(self, config: RankerConfig, item_text: Tensor | None, pairs: Tensor):
        """An untrained ranker.

        Args:
            item_text: float32[items + 1, t], row 0 zero; for the variants that read item texts.
            pairs: int64[2, M], users (from 0) and items (from 1) of the training visits.

        Raises:
            ValueError: the variant reads texts that are not given, or the backbone is not collaborative.
        """
        super().__init__()
        self.config = config
        variant = variant_named(config.variant)
        width = config.embedding_dimension * backbone_entry(config.backbone).vectors
        self.item_encoder = build_item_encoder(config, width, item_text)
        self.backbone = build_collaborative_backbone(
            config.backbone, dataclasses.asdict(config), config.users, config.items, pairs
        )
        dimension = self.backbone.dimension
        self.fusion = AttentionFusion(dimension, config.text_dimension) if variant.fused else None
        # Brings a rationale to where users are, for the loss that aligns them; scores do not read it.
        self.alignment = nn.Linear(config.text_dimension, dimension) if variant.auxiliary == ALIGNMENT else None

    @property
    def reads_rationales(self) -> bool:
        """Whether a rationale changes anything: other rankers need not be given one."""
        return self.fusion is not None

    @property
    def texts(self) -> list[Tensor]:
        """What the ranker was given, texts and pairs, in the form it reads them; none of it is trained."""
        parts = {**dict(self.named_buffers())}
        return [parts[name] for name in sorted(parts)]

    def vectors(self) -> tuple[Tensor, Tensor]:
        """e_u of all users float32[U, D] and e_i of all items float32[I + 1, D], row 0 is padding."""
        return self.backbone(self.item_encoder())

    def fused(self, users: Tensor, rationale: Tensor | None) -> Tensor:
        """e'_u float32[B, D] of e_u float32[B, D] and rationales float32[B, K, t]; None where the ranker reads none."""
        if self.fusion is None:
            return users
        if rationale is None:
            raise ValueError(f"variant {self.config.variant} reads rationales, none are given")
        return self.fusion(users[:, None], rationale)[0][:, 0]


def load_collaborative_ranker(directory: Path) -> CollaborativeRanker:
    """Read a ranker back that `ranker.save_ranker` has written.

    Raises:
        InputError: as `ranker.load_ranker`.
    """
    config, weights = read_ranker_files(directory)
    try:
        text = torch.zeros(config.items + 1, config.text_dimension)
        pairs = weights.get(_PAIRS, torch.zeros(2, 0, dtype=torch.int64))
        ranker = CollaborativeRanker(config, text if variant_named(config.variant).reads_item_texts else None, pairs)
        ranker.load_state_dict(weights)
    except RelandError:
        raise
    except Exception as error:
        raise InputError(f"{directory}: not a ranker ({error})") from error
    return ranker.eval()
