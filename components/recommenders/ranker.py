"""A ranker of one variant: item encoder, backbone and, for `reland`, the fusion layer, behind one signature."""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from components.contracts.artifacts import CONFIG_FILE, WEIGHTS_FILE
from components.foundation.errors import InputError, RelandError
from components.foundation.files import read_json, replacing_file, write_json
from components.recommenders.backbones.registry import build_backbone
from components.recommenders.configuration import FUSION_VARIANTS, ITEM_TEXT_VARIANTS, RankerConfig
from components.recommenders.fusion import AttentionFusion


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


class Ranker(nn.Module):
    """Scores y_ui = e_i . e'_u (section 2); e'_u is e_u of the backbone, fused with the rationale in `reland`."""

    def __init__(self, config: RankerConfig, item_text: Tensor | None):
        """`item_text` float32[items + 1, t], row 0 zero; only for the variants that read item texts."""
        super().__init__()
        self.config = config
        uses_text = config.variant in ITEM_TEXT_VARIANTS
        if uses_text and item_text is None:
            raise ValueError(f"variant {config.variant} reads item texts, none are given")
        self.item_encoder = ItemEncoder(config.items, config.embedding_dimension, item_text if uses_text else None)
        self.backbone = build_backbone(config.backbone, dataclasses.asdict(config), config.history_length)
        self.fusion = (
            AttentionFusion(config.embedding_dimension, config.text_dimension)
            if config.variant in FUSION_VARIANTS
            else None
        )

    @property
    def reads_rationales(self) -> bool:
        """Whether a rationale changes anything: other rankers need not be given one."""
        return self.fusion is not None

    def user_states(self, table: Tensor, history: Tensor, rationale: Tensor | None) -> tuple[Tensor, Tensor]:
        """e'_u after each item of a history.

        Args:
            table: float32[I + 1, d], `item_encoder()`.
            history: int64[B, T], oldest first, 0-padded at the end.
            rationale: float32[B, K, t]; None where the ranker reads none.

        Returns:
            float32[B, T, d] and the fusion weights float32[B, T, K + 1].
        """
        # F.embedding and not table[history]: the gradient of indexing is summed by racing threads.
        states = self.backbone(F.embedding(history, table))
        if self.fusion is not None:
            if rationale is None:
                raise ValueError(f"variant {self.config.variant} reads rationales, none are given")
            return self.fusion(states, rationale)
        own = torch.ones_like(states[:, :, :1])
        return states, F.pad(own, (0, self.config.rationales_per_user))

    def current_user(self, table: Tensor, history: Tensor, rationale: Tensor | None) -> tuple[Tensor, Tensor]:
        """e'_u float32[B, d] after the whole history, and its fusion weights float32[B, K + 1]."""
        states, weights = self.user_states(table, history, rationale)
        last = ((history > 0).sum(dim=1) - 1).clamp(min=0)
        return _at(states, last), _at(weights, last)

    def forward(self, history: Tensor, rationale: Tensor | None, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Scores float32[B, C] and fusion weights float32[B, K + 1]; inputs as in `contracts.ranking_signature`."""
        table = self.item_encoder()
        user, weights = self.current_user(table, history, rationale)
        scores = (table[candidates] * user[:, None]).sum(dim=-1)
        return scores, weights


def _at(values: Tensor, position: Tensor) -> Tensor:
    """values[b, position[b]]: float32[B, T, n], int64[B] -> float32[B, n]; written so that an exporter keeps B free."""
    return values.gather(1, position[:, None, None].expand(-1, 1, values.shape[2])).squeeze(1)


def save_ranker(ranker: Ranker, directory: Path) -> None:
    """Write weights and configuration into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with replacing_file(directory / WEIGHTS_FILE) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in ranker.state_dict().items()}, temporary)
    write_json(directory / CONFIG_FILE, ranker.config.description())


def load_ranker(directory: Path) -> Ranker:
    """Read a ranker back, ready to score.

    Raises:
        InputError: a file is missing, unreadable, or weights and configuration do not fit each other.
    """
    try:
        described = read_json(directory / CONFIG_FILE)
        inputs = described.pop("inputs")
        config = RankerConfig(**described)
        if inputs != list(config.inputs):
            raise ValueError(f"inputs {inputs}, a {config.backbone} of variant {config.variant} has {config.inputs}")
        weights = load_file(directory / WEIGHTS_FILE)
        text = torch.zeros_like(weights["item_encoder.text"]) if "item_encoder.text" in weights else None
        ranker = Ranker(config, text)
        ranker.load_state_dict(weights)
    except RelandError:
        raise
    except Exception as error:
        raise InputError(f"{directory}: not a ranker ({error})") from error
    return ranker.eval()
