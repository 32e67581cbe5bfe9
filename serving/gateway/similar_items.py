"""What others visited after the items of a history: scores that need no model (`recommenders.classics.item_knn`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from components.contracts.artifacts import ITEM_INDEX_FILE
from components.contracts.serving import SIMILAR_ITEMS, SIMILAR_ITEMS_FILE
from components.contracts.tables import read_table
from components.foundation.errors import InputError
from components.recommenders.classics.configuration import ItemKNNSettings

_DECAY = ItemKNNSettings().decay


@dataclass(frozen=True)
class SimilarItems:
    """The neighbours of every item, as compressed rows; items by their numbers from 1, as the ranker has them.

    Attributes:
        offsets: int64[I + 1]; the neighbours of item i are from offsets[i - 1] to offsets[i].
        neighbours: int64[N], item numbers.
        similarities: float32[N].
    """

    offsets: np.ndarray
    neighbours: np.ndarray
    similarities: np.ndarray

    def scores(self, history: Sequence[int]) -> np.ndarray:
        """float32[I + 1] by item number: similarities to the items of the history, the older ones weighted less.

        Args:
            history: item numbers, oldest first.
        """
        total = np.zeros(len(self.offsets), np.float32)
        for age, item in enumerate(reversed(history)):
            row = slice(self.offsets[item - 1], self.offsets[item])
            np.add.at(total, self.neighbours[row], self.similarities[row] * np.float32(_DECAY**age))
        return total


def read_similar_items(folder: Path, index_of: Mapping[str, int]) -> SimilarItems | None:
    """The neighbours of a version's items; None where it was released before there were any.

    Raises:
        InputError: the file is wrong, or speaks of other items than `index_of`.
    """
    path = folder / SIMILAR_ITEMS_FILE
    if not path.exists():
        return None
    table = read_table(path, SIMILAR_ITEMS).combine_chunks()
    if table["item_id"].to_pylist() != list(index_of):
        raise InputError(f"{path}: expected the items of {ITEM_INDEX_FILE} in their order")
    lengths = pc.list_value_length(table["neighbours"]).to_numpy()
    if not np.array_equal(lengths, pc.list_value_length(table["similarities"]).to_numpy()):
        raise InputError(f"{path}: expected a similarity for each neighbour")
    numbers = [index_of.get(item) for item in pc.list_flatten(table["neighbours"]).to_pylist()]
    if None in numbers:
        raise InputError(f"{path}: names an item that {ITEM_INDEX_FILE} does not hold")
    return SimilarItems(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array(numbers, np.int64),
        pc.list_flatten(table["similarities"]).to_numpy().astype(np.float32),
    )
