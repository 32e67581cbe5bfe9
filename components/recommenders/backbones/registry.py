"""The backbones of rankers by name, and what each of them reads. Imports no torch: a network is imported when built."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from components.foundation.errors import InputError

if TYPE_CHECKING:
    from components.recommenders.backbones.contract import SequenceBackbone


@dataclass(frozen=True)
class BackboneEntry:
    """One backbone of rankers.

    Attributes:
        module: in this folder.
        class_name: of the network in it, a `SequenceBackbone`.
        inputs: what it reads of a user, names of `contracts.ranking_signature.USER_INPUTS`. A released ranker has these
            inputs, and the gateway sends no other.
        settings: the fields of `BackboneConfig` that it reads, arguments of the network by the same names.
        draws_same_targets_together: whether its training has DuoRec's contrastive regularisation
            (`objectives.same_target`), weighted by `TrainingConfig.auxiliary_weight`.
    """

    module: str
    class_name: str
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    draws_same_targets_together: bool = False


_SELF_ATTENTION = ("embedding_dimension", "layers", "heads", "dropout")
BACKBONES = {
    "duorec": BackboneEntry("sasrec", "SASRec", ("history",), _SELF_ATTENTION, draws_same_targets_together=True),
    "gru4rec": BackboneEntry("gru4rec", "GRU4Rec", ("history",), ("embedding_dimension", "layers", "dropout")),
    "sasrec": BackboneEntry("sasrec", "SASRec", ("history",), _SELF_ATTENTION),
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
        InputError: there is no backbone of this name.
    """
    entry = backbone_entry(name)
    network = getattr(import_module(f"components.recommenders.backbones.{entry.module}"), entry.class_name)
    return network(**{setting: settings[setting] for setting in entry.settings}, length=length)
