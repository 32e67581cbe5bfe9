"""Settings of the classic recommenders. Imports neither torch nor scipy.

The defaults are those with the best NDCG@10 on the validation items of MovieLens 1M and Amazon Beauty together, seen
items masked.
"""

from dataclasses import dataclass

from components.foundation.checks import check_number, check_whole


@dataclass(frozen=True)
class PopularitySettings:
    """Popularity has nothing to set."""


@dataclass(frozen=True)
class ItemKNNSettings:
    """What `item_knn` is made of.

    Attributes:
        neighbours: most similar items that are kept of each item.
        window: visits after an item within which another item counts as following it; 0: two items count together where
            a user has both, in any order and at any distance, as in the papers on item-based recommendation.
        shrinkage: is added to the divisor of every similarity, so that few common visits make no strong neighbours.
        decay: weight of a visit of the history relative to the visit after it, above 0 and at most 1 (all alike).

    Raises:
        InputError: a field is of another type than its default, or outside its range.
    """

    neighbours: int = 200
    window: int = 10
    shrinkage: float = 100.0
    decay: float = 0.7

    def __post_init__(self) -> None:
        check_whole("neighbours", self.neighbours, 1)
        check_whole("window", self.window, 0)
        check_number("shrinkage", self.shrinkage, least=0)
        check_number("decay", self.decay, above=0, most=1)


@dataclass(frozen=True)
class UserKNNSettings:
    """What `user_knn` is made of.

    Attributes:
        neighbours: most similar users whose visits are recommended.
        shrinkage: is added to the divisor of every similarity, so that few common items make no near neighbours.
        decay: weight of a visit of the history relative to the visit after it, above 0 and at most 1 (all alike).

    Raises:
        InputError: a field is of another type than its default, or outside its range.
    """

    neighbours: int = 60
    shrinkage: float = 1.0
    decay: float = 0.7

    def __post_init__(self) -> None:
        check_whole("neighbours", self.neighbours, 1)
        check_number("shrinkage", self.shrinkage, least=0)
        check_number("decay", self.decay, above=0, most=1)


@dataclass(frozen=True)
class ALSSettings:
    """What `als` is made of.

    Attributes:
        factors: components of an item's and of a user's vector.
        regularization: weight of the squared length of the vectors in the loss.
        confidence: weight of a visit; what was not visited has weight 1.
        iterations: passes over users and items.
        decay: weight of a visit of the history relative to the visit after it, above 0 and at most 1 (all alike), when
            a user's vector is computed; training counts all visits alike.

    Raises:
        InputError: a field is of another type than its default, or outside its range.
    """

    factors: int = 256
    regularization: float = 0.01
    confidence: float = 10.0
    iterations: int = 15
    decay: float = 0.6

    def __post_init__(self) -> None:
        check_whole("factors", self.factors, 1)
        check_number("regularization", self.regularization, above=0)
        check_number("confidence", self.confidence, above=0)
        check_whole("iterations", self.iterations, 1)
        check_number("decay", self.decay, above=0, most=1)
