"""What a ranker is and how it is trained, as configurations. Imports no torch."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from components.contracts.ranking_signature import HISTORY_LENGTH, RATIONALE, RATIONALES_PER_USER, USER_INPUTS
from components.foundation.checks import check_choice, check_number, check_whole
from components.foundation.errors import InputError
from components.recommenders.backbones.registry import CROSS_ENTROPY, OBJECTIVES, USER, backbone_entry
from components.recommenders.variants import variant_named

# What is no candidate when a ranker is evaluated. Under `recbole`, as RecBole 1.2.1 evaluates sequential models, every
# item is a candidate; under `open`, as most public code does, what the user had before the target is none.
RECBOLE, OPEN = PROTOCOLS = ("recbole", "open")
NEGATIVE_SAMPLINGS = ("uniform", "popularity")
SCHEDULES = ("constant", "decay")


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train; equal for all variants that are to be compared.

    Attributes:
        objective: what the next item is predicted by: cross_entropy over all items, or sampled_softmax over a sample;
            what a user's items are told from others by: bpr in pairs, or logistic one by one.
        negatives: items in the sample of sampled_softmax; a catalogue with no more items than that is taken whole.
        negative_sampling: how it is drawn: uniform, or by popularity, whose probability is subtracted from the scores.
        auxiliary_weight: of the loss beside the objective, in the variants that have one and in duorec.
        weight_decay: factor of the squared length of the vectors that a batch of bpr or logistic has learned.
        epochs: passes over the training data at most.
        minimum_steps_per_epoch: optimizer steps that an epoch has at least, by passing over the data several times: a
            few hundred users would otherwise be trained for a few dozen steps.
        batch_size: windows of users' histories in a step.
        learning_rate: of Adam, at its highest; it rises over the first 100 steps, or 4% of them where they are fewer.
        schedule: what it does then: stays constant, or decays to zero at the last step of `epochs`.
        gradient_norm: length to which a longer gradient is cut.
        evaluate_every: epochs between two evaluations on the validation items; the best weights are kept.
        patience: evaluations without a better NDCG@10 after which training stops.
        protocol: which items are candidates when a ranker is evaluated: recbole (all), or open (those not seen yet).
        validation_users: users of whom an evaluation during training ranks the validation item, drawn once; 0: all.
        seed: of everything random.

    Raises:
        InputError: a field is of another type than its default, or outside its range.
    """

    objective: str = CROSS_ENTROPY
    negatives: int = 1024
    negative_sampling: str = "uniform"
    auxiliary_weight: float = 0.1
    weight_decay: float = 1e-5
    epochs: int = 12
    minimum_steps_per_epoch: int = 33
    batch_size: int = 128
    learning_rate: float = 2e-3
    schedule: str = "decay"
    gradient_norm: float = 5.0
    evaluate_every: int = 1
    patience: int = 10
    protocol: str = RECBOLE
    validation_users: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("objective", self.objective, OBJECTIVES)
        check_choice("negative_sampling", self.negative_sampling, NEGATIVE_SAMPLINGS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("protocol", self.protocol, PROTOCOLS)
        check_whole("validation_users", self.validation_users, 0)
        for name in ("auxiliary_weight", "weight_decay"):
            check_number(name, getattr(self, name), least=0)
        for name in ("negatives", "epochs", "minimum_steps_per_epoch", "batch_size", "evaluate_every", "patience"):
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
        heads: attention heads of each layer, for sasrec and duorec; their number must divide the dimension.
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


def check_objective(name: str, config: TrainingConfig) -> None:
    """Refuse an objective by which a backbone cannot be trained.

    Raises:
        InputError: there is no backbone of this name, or it has not this objective.
    """
    objectives = backbone_entry(name).objectives
    if config.objective not in objectives:
        raise InputError(
            f"objective {config.objective}: backbone {name} is not trained by it, expected {' or '.join(objectives)}"
        )


def check_variant(backbone: str, variant: str) -> None:
    """Refuse a variant that reads what the backbone is not given.

    Raises:
        InputError: there is no backbone or variant of this name, or the two do not go together.
    """
    entry, late_text = backbone_entry(backbone), variant_named(variant).late_text
    if entry.is_collaborative and late_text:
        raise InputError(f"variant {variant}: reads the last items of a history, backbone {backbone} reads no history")


@dataclass(frozen=True, kw_only=True)
class RankerConfig(BackboneConfig):
    """What a ranker is, as kept in its `config.json`.

    Attributes:
        variant: name of a variant (`variants.VARIANTS`).
        items: number of items, numbered from 1.
        text_encoder: name of the encoder of the item texts and rationales.
        text_dimension: components of its vectors.
        backbone: name of a backbone (`backbones.registry`).
        rationales_per_user: K.
        history_length: items of a history at most.
        pool: collection that the users were matched in whose rationales it was trained on: serving gives it no others.
        users: number of users of the training, for a backbone that knows them by their numbers; 0 for others.

    Raises:
        InputError: an unknown variant or backbone, two that do not go together, or a field that is out of its range.
    """

    variant: str
    items: int
    text_encoder: str
    text_dimension: int
    backbone: str = "sasrec"
    rationales_per_user: int = RATIONALES_PER_USER
    history_length: int = HISTORY_LENGTH
    pool: str = ""
    users: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_variant(self.backbone, self.variant)
        check_whole("users", self.users, 1 if backbone_entry(self.backbone).is_collaborative else 0)
        for name in ("items", "text_dimension", "rationales_per_user", "history_length"):
            check_whole(name, getattr(self, name), 1)
        check_backbone(self.backbone, self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the ranker is given of a user (`contracts.ranking_signature`): equal for all variants of a backbone."""
        declared = {*backbone_entry(self.backbone).inputs, RATIONALE}
        return tuple(name for name in (USER, *USER_INPUTS) if name in declared)

    def description(self) -> dict[str, Any]:
        """What `config.json` holds: the fields and, for serving, the `inputs` that follow from them."""
        return {**dataclasses.asdict(self), "inputs": list(self.inputs)}
