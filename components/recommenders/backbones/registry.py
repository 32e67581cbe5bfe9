"""The backbones of rankers by name, and what each of them reads. Imports no torch: a network is imported when built."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from components.foundation.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from components.recommenders.backbones.contract import CollaborativeBackbone, SequenceBackbone

# What a ranker can be trained by; each backbone names those that make sense for it.
CROSS_ENTROPY, SAMPLED_SOFTMAX, BPR, LOGISTIC = OBJECTIVES = ("cross_entropy", "sampled_softmax", "bpr", "logistic")

# A collaborative backbone's input: the user's number in the training data. It is none of
# `contracts.ranking_signature.USER_INPUTS`: a ranker that reads it cannot be released.
USER = "user"


@dataclass(frozen=True)
class BackboneEntry:
    """One backbone of rankers.

    Attributes:
        module: in this folder.
        class_name: of the network in it, a `SequenceBackbone`, or a `CollaborativeBackbone` where it reads `USER`.
        inputs: what it reads of a user, names of `contracts.ranking_signature.USER_INPUTS`. A released ranker has these
            inputs, and the gateway sends no other. Or `USER` alone.
        settings: the fields of `BackboneConfig` that it reads, arguments of the network by the same names.
        objectives: by which it can be trained, of `OBJECTIVES`.
        draws_same_targets_together: whether its training has DuoRec's contrastive regularisation
            (`objectives.same_target`), weighted by `TrainingConfig.auxiliary_weight`.
        vectors: how many vectors of `embedding_dimension` components it learns of an item, and of a user.
    """

    module: str
    class_name: str
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    objectives: tuple[str, ...]
    draws_same_targets_together: bool = False
    vectors: int = 1

    @property
    def is_collaborative(self) -> bool:
        """Whether it knows users by their numbers and no others, so that its rankers are compared but not released."""
        return self.inputs == (USER,)


_HISTORY = ("history",)
_SOFTMAX = (CROSS_ENTROPY, SAMPLED_SOFTMAX)
_PAIRS = (BPR, LOGISTIC)
_LAYERED = ("embedding_dimension", "layers", "dropout")
_ATTENTION = ("embedding_dimension", "layers", "heads", "dropout")

BACKBONES = {
    "duorec": BackboneEntry("sasrec", "SASRec", _HISTORY, _ATTENTION, _SOFTMAX, draws_same_targets_together=True),
    "gru4rec": BackboneEntry("gru4rec", "GRU4Rec", _HISTORY, _LAYERED, _SOFTMAX),
    "lightgcn": BackboneEntry("lightgcn", "LightGCNBackbone", (USER,), ("embedding_dimension", "layers"), _PAIRS),
    "neumf": BackboneEntry("neumf", "NeuMF", (USER,), _LAYERED, _PAIRS, vectors=2),
    "ngcf": BackboneEntry("ngcf", "NGCF", (USER,), _LAYERED, _PAIRS),
    "sasrec": BackboneEntry("sasrec", "SASRec", _HISTORY, _ATTENTION, _SOFTMAX),
}


def backbone_entry(name: str) -> BackboneEntry:
    """The entry of a backbone.

    Raises:
        InputError: there is no backbone of this name.
    """
    if name not in BACKBONES:
        raise InputError(f"backbone {name!r}: unknown backbone, expected one of {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]


def build_backbone(name: str, settings: Mapping[str, Any], length: int) -> "SequenceBackbone":
    """An untrained network for histories of at most `length` items.

    Args:
        settings: the fields of a `BackboneConfig`, of which the backbone gets those that it reads.

    Raises:
        InputError: there is no backbone of this name, or it reads no history.
    """
    check_reads_history(name)
    return _network(name)(**_settings_of(name, settings), length=length)


def build_collaborative_backbone(
    name: str, settings: Mapping[str, Any], users: int, items: int, pairs: "Tensor"
) -> "CollaborativeBackbone":
    """An untrained network for these users and items, `pairs` int64[2, M] the training visits.

    Args:
        settings: as of `build_backbone`.

    Raises:
        InputError: there is no backbone of this name.
        ValueError: it is not collaborative.
    """
    if not backbone_entry(name).is_collaborative:
        raise ValueError(f"backbone {name} is not collaborative")
    return _network(name)(**_settings_of(name, settings), users=users, items=items, pairs=pairs)


def check_reads_history(name: str) -> None:
    """Refuse a backbone whose rankers cannot be released.

    Raises:
        InputError: there is no backbone of this name, or it reads no history.
    """
    if backbone_entry(name).is_collaborative:
        released = ", ".join(each for each, entry in BACKBONES.items() if not entry.is_collaborative)
        raise InputError(
            f"backbone {name}: knows the users of its training by their numbers and nobody else, so it can be compared "
            f"but not released; expected one of {released}"
        )


def _network(name: str) -> Any:
    entry = backbone_entry(name)
    return getattr(import_module(f"components.recommenders.backbones.{entry.module}"), entry.class_name)


def _settings_of(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {setting: settings[setting] for setting in backbone_entry(name).settings}
