"""The classic recommenders by name. A module is imported when its recommender is fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from components.foundation.configuration import read_dataclass
from components.foundation.errors import InputError
from components.recommenders.classics.configuration import (
    ALSSettings,
    ItemKNNSettings,
    PopularitySettings,
    UserKNNSettings,
)

if TYPE_CHECKING:
    from components.recommenders.classics.contract import ClassicRecommender
    from components.recommenders.interaction_sequences import InteractionSequences


@dataclass(frozen=True)
class ClassicEntry:
    """One classic recommender.

    Attributes:
        module: in this folder.
        class_name: of the recommender in it, a `ClassicRecommender`.
        settings: the dataclass of its settings.
    """

    module: str
    class_name: str
    settings: type


CLASSICS = {
    "popularity": ClassicEntry("popularity", "Popularity", PopularitySettings),
    "item_knn": ClassicEntry("item_knn", "ItemKNN", ItemKNNSettings),
    "user_knn": ClassicEntry("user_knn", "UserKNN", UserKNNSettings),
    "als": ClassicEntry("als", "ALS", ALSSettings),
}


def check_classic(name: str) -> None:
    """Raise InputError unless there is a classic recommender of this name."""
    if name not in CLASSICS:
        raise InputError(f"classic {name!r}: unknown recommender, expected one of {', '.join(CLASSICS)}")


def fit_classic(
    name: str, sequences: "InteractionSequences", settings: Mapping[str, Any] | None = None, seed: int = 0
) -> "ClassicRecommender":
    """Fit a classic recommender on the training visits of some sequences.

    Args:
        settings: what is not named has its default.

    Raises:
        InputError: there is no classic recommender of this name, or a setting is unknown or not allowed.
    """
    check_classic(name)
    entry = CLASSICS[name]
    values: Any = read_dataclass(entry.settings, settings or {}, name)
    recommender = getattr(import_module(f"components.recommenders.classics.{entry.module}"), entry.class_name)
    return recommender(sequences, values, seed)
