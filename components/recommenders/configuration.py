"""What a ranker is and how it is trained, as configurations. Imports no torch."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from components.contracts.ranking_signature import HISTORY_LENGTH, RATIONALE, RATIONALES_PER_USER, USER_INPUTS
from components.foundation.errors import InputError
from components.recommenders.backbones.registry import backbone_entry

# Rankers that are compared: the columns of the paper's Table 2, and a control.
ITEM_TEXT_VARIANTS = ("item_features", "reland", "reland_shuffled")
FUSION_VARIANTS = ("reland", "reland_shuffled")
VARIANTS = ("id_only", *ITEM_TEXT_VARIANTS)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train; equal for all variants that are to be compared.

    Attributes:
        epochs: passes over the training data at most.
        minimum_steps_per_epoch: optimizer steps that an epoch has at least, by passing over the data several times: a
            few hundred users would otherwise be trained for a few dozen steps.
        batch_size: windows of users' histories in a step.
        learning_rate: of Adam, at its highest; it rises over the first 4% of the steps and falls to zero at the last.
        gradient_norm: length to which a longer gradient is cut.
        evaluate_every: epochs between two evaluations on the validation items; the best weights are kept.
        patience: evaluations without a better NDCG@10 after which training stops.
        seed: of everything random.

    Raises:
        InputError: a field is of another type than its default, or outside its range.
    """

    epochs: int = 12
    minimum_steps_per_epoch: int = 33
    batch_size: int = 128
    learning_rate: float = 2e-3
    gradient_norm: float = 5.0
    evaluate_every: int = 1
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "minimum_steps_per_epoch", "batch_size", "evaluate_every", "patience"):
            check_whole(name, getattr(self, name), 1)
        check_whole("seed", self.seed, 0)
        for name in ("learning_rate", "gradient_norm"):
            check_number(name, getattr(self, name), above=0)


@dataclass(frozen=True)
class BackboneConfig:
    """What a backbone is made of.

    Attributes:
        embedding_dimension: components of an item's vector and of a user's.
        layers: number of layers of the network.
        heads: attention heads of each layer, for sasrec; their number must divide the dimension.
        dropout: share of the components that training drops, 0 or more and below 1.

    Raises:
        InputError: a field is of another type than its default, or outside its range.
    """

    embedding_dimension: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("embedding_dimension", "layers", "heads"):
            check_whole(name, getattr(self, name), 1)
        check_number("dropout", self.dropout, least=0, below=1)


def check_backbone(name: str, config: BackboneConfig) -> None:
    """Refuse a backbone that is none, and settings that it does not read.

    Raises:
        InputError: there is no backbone of this name, a setting that it does not read has a value of its own, or two
            settings do not fit each other.
    """
    entry = backbone_entry(name)
    for field in dataclasses.fields(BackboneConfig):
        value = getattr(config, field.name)
        if field.name not in entry.settings and value != field.default:
            raise InputError(
                f"{field.name} {value}: backbone {name} has no {field.name}, it reads {', '.join(entry.settings)}"
            )
    if "heads" in entry.settings and config.embedding_dimension % config.heads:
        raise InputError(
            f"heads {config.heads}: expected a divisor of embedding_dimension, which is {config.embedding_dimension}"
        )


@dataclass(frozen=True, kw_only=True)
class RankerConfig(BackboneConfig):
    """What a ranker is, as kept in its `config.json`.

    Attributes:
        variant: one of `VARIANTS`.
        items: number of items, numbered from 1.
        text_encoder: name of the encoder of the item texts and rationales.
        text_dimension: components of its vectors.
        backbone: name of a backbone (`backbones.registry`).
        rationales_per_user: K.
        history_length: items of a history at most.
        pool: collection that the users were matched in whose rationales it was trained on: serving gives it no others.

    Raises:
        InputError: an unknown variant or backbone, or a field that is out of its range.
    """

    variant: str
    items: int
    text_encoder: str
    text_dimension: int
    backbone: str = "sasrec"
    rationales_per_user: int = RATIONALES_PER_USER
    history_length: int = HISTORY_LENGTH
    pool: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in VARIANTS:
            raise InputError(f"variant {self.variant!r}: unknown variant, expected one of {', '.join(VARIANTS)}")
        for name in ("items", "text_dimension", "rationales_per_user", "history_length"):
            check_whole(name, getattr(self, name), 1)
        check_backbone(self.backbone, self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the ranker is given of a user (`contracts.ranking_signature`): equal for all variants of a backbone."""
        declared = {*backbone_entry(self.backbone).inputs, RATIONALE}
        return tuple(name for name in USER_INPUTS if name in declared)

    def description(self) -> dict[str, Any]:
        """What `config.json` holds: the fields and, for serving, the `inputs` that follow from them."""
        return {**dataclasses.asdict(self), "inputs": list(self.inputs)}


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise InputError unless `value` is a whole number, `least` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} {value!r}: expected a whole number, {least} or more")


def check_number(
    name: str, value: Any, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> None:
    """Raise InputError unless `value` is a finite number, `least` or more, over `above` and under `below`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and least <= value and above < value < below:
        return
    limits = [f"{least} or more"] if least > -math.inf else []
    limits += [f"above {above}"] if above > -math.inf else []
    limits += [f"below {below}"] if below < math.inf else []
    raise InputError(f"{name} {value!r}: expected a number, {' and '.join(limits)}")
