"""A ranker of one variant: item encoder, backbone and what texts add to them, behind one signature."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from components.contracts.artifacts import CONFIG_FILE, WEIGHTS_FILE
from components.foundation.errors import InputError, RelandError
from components.foundation.files import read_json, replacing_file, write_json
from components.recommenders.backbones.registry import build_backbone
from components.recommenders.configuration import RankerConfig
from components.recommenders.fusion import AttentionFusion
from components.recommenders.item_encoders import build_item_encoder, rows_of
from components.recommenders.late_text import LateText, PoolAttention, late_components
from components.recommenders.rationale_assignments import PoolTexts
from components.recommenders.variants import ALIGNMENT, variant_named

if TYPE_CHECKING:
    from components.recommenders.collaborative_ranker import CollaborativeRanker


class Ranker(nn.Module):
    """Scores y_ui = e_i . e'_u (section 2); e'_u is e_u of the backbone and what the variant adds to it.

    With a late text score, e_i is the item's learned vector and its text side by side, and e'_u likewise the user's and
    the query by the texts of the last items: the product is the sum of both scores.
    """

    def __init__(self, config: RankerConfig, item_text: Tensor | None, pool: PoolTexts | None = None):
        """An untrained ranker.

        Args:
            item_text: float32[items + 1, t], row 0 zero; for the variants that read item texts.
            pool: for the variants that read the whole pool.

        Raises:
            ValueError: the variant reads what is not given.
        """
        super().__init__()
        self.config = config
        variant = variant_named(config.variant)
        dimension = config.embedding_dimension
        self.late_text: LateText | None = None
        self.pool_attention: PoolAttention | None = None
        if item_text is not None and variant.late_text:
            components = late_components(item_text)
            self.late_text = LateText(F.normalize(components.of(item_text), dim=1))
            if variant.pool:
                if pool is None:
                    raise ValueError(f"variant {config.variant} reads the pool, none is given")
                self.pool_attention = PoolAttention(*(F.normalize(components.of(part), dim=1) for part in pool))
        self.item_encoder = build_item_encoder(config, dimension, item_text)
        self.backbone = build_backbone(config.backbone, dataclasses.asdict(config), config.history_length)
        self.fusion = AttentionFusion(dimension, config.text_dimension) if variant.fused else None
        # Brings a rationale to where users are, for the loss that aligns them; scores do not read it.
        self.alignment = nn.Linear(config.text_dimension, dimension) if variant.auxiliary == ALIGNMENT else None

    @property
    def reads_rationales(self) -> bool:
        """Whether a rationale changes anything: other rankers need not be given one."""
        return self.fusion is not None

    @property
    def texts(self) -> list[Tensor]:
        """The texts that the ranker was given, in the form it reads them; none of them is trained."""
        parts = {**dict(self.named_buffers())}
        return [parts[name] for name in sorted(parts)]

    def item_table(self, items: Tensor | None = None) -> Tensor:
        """The items as they are multiplied with users: float32[I + 1, D], row 0 is padding.

        Its first d columns are what the backbone reads of an item; D is more than d with a late text score alone.

        Args:
            items: int64[n], which rows are wanted; None: all.
        """
        table = self.item_encoder(items)
        return table if self.late_text is None else torch.cat([table, rows_of(self.late_text.text, items)], dim=1)

    def user_states(
        self,
        table: Tensor,
        history: Tensor,
        rationale: Tensor | None,
        own: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """e'_u after each item of a history.

        Args:
            table: float32[I + 1, D], `item_table()`, or rows of it.
            history: int64[B, T], oldest first, 0-padded at the end.
            rationale: float32[B, K, t]; None where the ranker reads none.
            own: int64[B], the row of the pool that is about the user, which is not borrowed from; None in use.
            rows: int64[B, T], where in `table` the items of `history` are; None: it has all items.

        Returns:
            float32[B, T, D] and the fusion weights float32[B, T, K + 1].
        """
        states = self.backbone(rows_of(table[:, : self.config.embedding_dimension], history if rows is None else rows))
        weights = F.pad(torch.ones_like(states[:, :, :1]), (0, self.config.rationales_per_user))
        if self.fusion is not None:
            if rationale is None:
                raise ValueError(f"variant {self.config.variant} reads rationales, none are given")
            states, weights = self.fusion(states, rationale)
        if self.late_text is not None:
            query = self.late_text(history)
            if self.pool_attention is not None:
                query = query + self.pool_attention(self.late_text.text, history, own)
            states = torch.cat([states, query], dim=2)
        return states, weights

    def backbone_vector(self, table: Tensor, rows: Tensor) -> Tensor:
        """e_u of the backbone alone after the whole history, float32[B, d]; `table` and `rows` as in `user_states`."""
        return last_states(self.backbone(rows_of(table[:, : self.config.embedding_dimension], rows)), rows)

    def current_user(self, table: Tensor, history: Tensor, rationale: Tensor | None) -> tuple[Tensor, Tensor]:
        """e'_u float32[B, D] after the whole history, and its fusion weights float32[B, K + 1]."""
        states, weights = self.user_states(table, history, rationale)
        return last_states(states, history), last_states(weights, history)

    def forward(self, history: Tensor, rationale: Tensor | None, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Scores float32[B, C] and fusion weights float32[B, K + 1]; inputs as in `contracts.ranking_signature`."""
        table = self.item_table()
        user, weights = self.current_user(table, history, rationale)
        scores = (table[candidates] * user[:, None]).sum(dim=-1)
        return scores, weights


def last_states(values: Tensor, history: Tensor) -> Tensor:
    """float32[B, T, n] after each item of histories int64[B, T] -> float32[B, n] after the last one.

    Written so that an exporter keeps B free.
    """
    position = ((history > 0).sum(dim=1) - 1).clamp(min=0)
    return values.gather(1, position[:, None, None].expand(-1, 1, values.shape[2])).squeeze(1)


def save_ranker(ranker: "Ranker | CollaborativeRanker", directory: Path) -> None:
    """Write weights and configuration into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with replacing_file(directory / WEIGHTS_FILE) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in ranker.state_dict().items()}, temporary)
    write_json(directory / CONFIG_FILE, ranker.config.description())


def read_ranker_files(directory: Path) -> tuple[RankerConfig, dict[str, Tensor]]:
    """Configuration and weights of a ranker.

    Raises:
        InputError: a file is missing or unreadable.
    """
    try:
        described = read_json(directory / CONFIG_FILE)
        inputs = described.pop("inputs")
        config = RankerConfig(**described)
        if inputs != list(config.inputs):
            raise ValueError(f"inputs {inputs}, a {config.backbone} of variant {config.variant} has {config.inputs}")
        return config, load_file(directory / WEIGHTS_FILE)
    except RelandError:
        raise
    except Exception as error:
        raise InputError(f"{directory}: not a ranker ({error})") from error


def load_ranker(directory: Path) -> Ranker:
    """Read a ranker back, ready to score.

    Raises:
        InputError: a file is missing, unreadable, or weights and configuration do not fit each other.
    """
    config, weights = read_ranker_files(directory)
    try:
        # Texts come with the weights: the ranker is made with empty ones.
        reads_texts = variant_named(config.variant).reads_item_texts
        size = len(weights["pool_attention.keys"]) if "pool_attention.keys" in weights else 0
        empty = torch.zeros(size, config.text_dimension)
        text = torch.zeros(config.items + 1, config.text_dimension) if reads_texts else None
        ranker = Ranker(config, text, PoolTexts(empty, empty))
        ranker.load_state_dict(weights)
    except RelandError:
        raise
    except Exception as error:
        raise InputError(f"{directory}: not a ranker ({error})") from error
    return ranker.eval()
