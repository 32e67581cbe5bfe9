"""The behavior encoders by name. A class is imported on first use, since a network brings its own libraries."""

import dataclasses
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from components.contracts.fingerprint import data_fingerprint
from components.contracts.registry import TAG_FINGERPRINT
from components.foundation.configuration import read_dataclass
from components.foundation.errors import InputError
from components.foundation.progress import say

if TYPE_CHECKING:
    from components.behavior_encoder.encoder import BehaviorEncoder

# name -> module of this folder and class in it
ENCODERS = {
    "gat": ("gat_encoder", "GATEncoder"),
    "lightgcn": ("lightgcn_encoder", "LightGCNEncoder"),
    "sasrec": ("sasrec_encoder", "SASRecEncoder"),
}


def check_encoder(name_or_folder: str, settings: Mapping[str, Any]) -> None:
    """Check what can be checked without reading the data.

    Raises:
        InputError: it is neither one of `ENCODERS` nor looks like the folder of a trained one, or it does not take such
            settings.
    """
    if name_or_folder in ENCODERS:
        if settings:  # what reads them brings torch
            configured_encoder(name_or_folder, settings, seed=0)
        return
    if settings:
        raise InputError(f"encoder.settings: {name_or_folder} is trained already, so it takes no settings")
    if not Path(name_or_folder).is_dir():
        _unknown(name_or_folder)
    from components.behavior_encoder.encoder import read_description

    read_description(Path(name_or_folder))


def encoder_class(name: str) -> type["BehaviorEncoder"]:
    """The class of an encoder.

    Raises:
        InputError: there is no encoder of this name.
    """
    if name not in ENCODERS:
        _unknown(name)
    module, class_name = ENCODERS[name]
    return getattr(import_module(f"components.behavior_encoder.{module}"), class_name)


def configured_encoder(name: str, settings: Mapping[str, Any], seed: int) -> "BehaviorEncoder":
    """An untrained encoder, its default configuration changed by `settings`.

    Raises:
        InputError: there is no encoder of this name, or it has no such setting, or not with this value.
    """
    kind = encoder_class(name)
    return kind(dataclasses.replace(read_dataclass(kind.config_type, settings, "encoder.settings"), seed=seed))


def load_encoder(folder: Path) -> "BehaviorEncoder":
    """Read a saved encoder, of whatever kind it is.

    Raises:
        InputError: the folder holds no readable encoder, or one that `ENCODERS` does not have.
    """
    from components.behavior_encoder.encoder import read_description

    name = str(read_description(folder)["encoder"])
    if name not in ENCODERS:
        raise InputError(f"{folder}: encoder {name!r} is not known, expected one of {', '.join(sorted(ENCODERS))}")
    return encoder_class(name).load(folder)


def take_encoder(folder: Path, prepared: Path, output: Path) -> None:
    """Copy an encoder that was trained elsewhere, on several machines for one, to where this run keeps its own.

    Raises:
        InputError: the folder holds no readable encoder, or one that was trained on other data than `prepared`.
    """
    encoder = load_encoder(folder)
    trained_on, data = encoder.lineage[TAG_FINGERPRINT], data_fingerprint(prepared)
    if trained_on != data:
        raise InputError(
            f"encoder {folder}: trained on other data (fingerprint {trained_on[:12]}) than this run has prepared "
            f"({data[:12]}); train on what `reland prepare` writes with the options of the run"
        )
    shutil.copytree(folder, output, dirs_exist_ok=True)
    say(f"took {encoder.name} from {folder}, trained on the data of this run")


def _unknown(name: str) -> NoReturn:
    names = ", ".join(sorted(ENCODERS))
    raise InputError(f"encoder {name!r}: unknown encoder, expected one of {names}, or the folder of a trained one")
