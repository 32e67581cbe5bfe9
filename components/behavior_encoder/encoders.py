"""The behavior encoders by name. A class is imported when it is asked for: a network brings its own libraries."""

import dataclasses
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from components.contracts.errors import InputError

if TYPE_CHECKING:
    from components.behavior_encoder.encoder import BehaviorEncoder

# name -> module of this folder and class in it
ENCODERS = {
    "gat": ("gat_encoder", "GATEncoder"),
    "lightgcn": ("lightgcn_encoder", "LightGCNEncoder"),
    "sasrec": ("sasrec_encoder", "SASRecEncoder"),
}


def check_encoder(name: str) -> None:
    """Raise InputError unless `name` is one of `ENCODERS`."""
    if name not in ENCODERS:
        raise InputError(f"--encoder {name!r}: unknown encoder, known are {', '.join(sorted(ENCODERS))}")


def encoder_class(name: str) -> type["BehaviorEncoder"]:
    """The class of an encoder.

    Raises:
        InputError: there is no encoder of this name.
    """
    check_encoder(name)
    module, class_name = ENCODERS[name]
    return getattr(import_module(f"components.behavior_encoder.{module}"), class_name)


def new_encoder(name: str, seed: int) -> "BehaviorEncoder":
    """An untrained encoder of the default configuration.

    Raises:
        InputError: there is no encoder of this name.
    """
    kind = encoder_class(name)
    return kind(dataclasses.replace(kind.config_type(), seed=seed))


def load_encoder(folder: Path) -> "BehaviorEncoder":
    """Read a saved encoder, of whatever kind it is.

    Raises:
        InputError: the folder holds no readable encoder of a kind that is known here.
    """
    from components.behavior_encoder.encoder import read_description

    name = str(read_description(folder)["encoder"])
    if name not in ENCODERS:
        raise InputError(f"{folder}: encoder {name!r} is not known, known are {', '.join(sorted(ENCODERS))}")
    return encoder_class(name).load(folder)
