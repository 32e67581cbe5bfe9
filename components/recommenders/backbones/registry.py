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
        objectives: by which it can be trained, of `OBJECTIVES`.
        same_target: whether training draws histories together that are followed by the same item
            (`objectives.same_target`).
    """

    module: str
    class_name: str
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    objectives: tuple[str, ...]
    same_target: bool = False


# What a ranker can be trained by; each backbone names those that make sense for it.
CROSS_ENTROPY, SAMPLED_SOFTMAX = OBJECTIVES = ("cross_entropy", "sampled_softmax")

_SOFTMAX = (CROSS_ENTROPY, SAMPLED_SOFTMAX)
_SELF_ATTENTION = ("embedding_dimension", "layers", "heads", "dropout")

BACKBONES = {
    # The network is SASRec's: DuoRec (Qiu et al., WSDM 2022) is another way to train it.
    "duorec": BackboneEntry("sasrec", "SASRec", ("history",), _SELF_ATTENTION, _SOFTMAX, same_target=True),
    "gru4rec": BackboneEntry(
        "gru4rec", "GRU4Rec", ("history",), ("embedding_dimension", "layers", "dropout"), _SOFTMAX
    ),
    "sasrec": BackboneEntry("sasrec", "SASRec", ("history",), _SELF_ATTENTION, _SOFTMAX),
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
