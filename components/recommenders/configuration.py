"""How a ranker is trained and what its backbone is made of, as configurations. Imports no torch."""

from dataclasses import dataclass

from components.foundation.errors import InputError

# Rankers that are compared: the columns of the paper's Table 2, and a control.
ITEM_TEXT_VARIANTS = ("item_features", "reland", "reland_shuffled")
FUSION_VARIANTS = ("reland", "reland_shuffled")
VARIANTS = ("id_only", *ITEM_TEXT_VARIANTS)


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train; equal for all variants that are to be compared.

    Attributes:
        epochs: passes over the training data, equal for every variant.
        minimum_steps_per_epoch: optimizer steps that an epoch has at least, by passing over the data several times: a
            few hundred users would otherwise be trained for a few dozen steps.
        batch_size: windows of a user's history in a step.
        learning_rate: of Adam.
        gradient_norm: length to which a longer gradient is cut.
        evaluations: looks at the validation items, evenly spread; the best one is kept.
        seed: of everything random.
    """

    epochs: int = 12
    minimum_steps_per_epoch: int = 33
    batch_size: int = 128
    learning_rate: float = 2e-3
    gradient_norm: float = 5.0
    evaluations: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "minimum_steps_per_epoch", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: expected at least 1")
        for name in ("learning_rate", "gradient_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name)}: expected a number above 0")


@dataclass(frozen=True)
class BackboneConfig:
    """What a backbone is made of.

    Attributes:
        embedding_dimension: components of an item's vector.
        layers: of self-attention.
        heads: of each layer; a divisor of the dimension.
        dropout: share of the components that training drops, 0 or more and below 1.
    """

    embedding_dimension: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("embedding_dimension", "layers", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: expected at least 1")
        if self.embedding_dimension % self.heads:
            raise InputError(
                f"heads {self.heads}: expected a divisor of embedding_dimension, which is {self.embedding_dimension}"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout {self.dropout}: expected a share, 0 or more and below 1")
