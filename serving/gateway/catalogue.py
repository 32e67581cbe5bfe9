"""What the gateway knows of the items of one ranker version, from the files beside its `model.onnx`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.contracts.artifacts import CONFIG_FILE, ITEM_INDEX_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH, user_inputs_of
from components.contracts.serving import ITEM_VECTORS_FILE, POPULAR_ITEMS, POPULAR_ITEMS_FILE
from components.contracts.tables import ITEM_INDEX, read_table, vector_dimension, vectors
from components.foundation.errors import InputError
from components.foundation.files import read_json
from serving.gateway.similar_items import SimilarItems, read_similar_items


@dataclass(frozen=True)
class Catalogue:
    """The items of a ranker version and the sizes of its inputs.

    Attributes:
        index_of: the ranker's own number of each item, from 1.
        item_vectors: float32[I, e], the items in the order of their numbers: what `reland_user_vector` compares with.
        item_ids: in the order of their numbers.
        popular: item ids, most visited first.
        visits: training visits of each item.
        similar: what others visited after each item; None where the version was released before that was kept.
        pool: the one whose rationales the ranker was trained on.
        inputs: what the models are given of a user (`contracts.ranking_signature`).
    """

    index_of: dict[str, int]
    item_ids: list[str]
    item_vectors: np.ndarray
    popular: list[str]
    visits: dict[str, int]
    inputs: tuple[str, ...]
    rationales_per_user: int
    text_encoder: str
    text_dimension: int
    pool: str = ""
    similar: SimilarItems | None = None

    def similar_scores(self, history: list[str]) -> np.ndarray | None:
        """float32[I + 1] by item number, what others visited after the items of a history; None where nothing is known.

        Items that nobody visited after them score 0.
        """
        known = [self.index_of[item] for item in history if item in self.index_of][-HISTORY_LENGTH:]
        if self.similar is None or not known:
            return None
        scores = self.similar.scores(known)
        return scores if scores.any() else None

    def history(self, items: list[str]) -> np.ndarray:
        """int64[1, HISTORY_LENGTH]: the last of the items that the ranker knows, oldest first, 0-padded at the end."""
        known = [self.index_of[item] for item in items if item in self.index_of][-HISTORY_LENGTH:]
        history = np.zeros((1, HISTORY_LENGTH), np.int64)
        history[0, : len(known)] = known
        return history


def read_catalogue(folder: Path) -> Catalogue:
    """Read what `RANKER_FILES` of a version's folder say.

    Raises:
        InputError: a file is missing or wrong, or two of them do not speak of the same items.
    """
    configuration = read_json(folder / CONFIG_FILE)
    index = read_table(folder / ITEM_INDEX_FILE, ITEM_INDEX).sort_by("index")
    item_ids = index["item_id"].to_pylist()
    if index["index"].to_pylist() != list(range(1, len(item_ids) + 1)):
        raise InputError(f"{folder / ITEM_INDEX_FILE}: expected the numbers from 1 without a gap")
    path = folder / ITEM_VECTORS_FILE
    dimension = vector_dimension(path)
    table = read_table(path, vectors("item_id", dimension)).combine_chunks()
    if table["item_id"].to_pylist() != item_ids:
        raise InputError(f"{path}: expected the items of {ITEM_INDEX_FILE} in their order")
    popular = read_table(folder / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    visits = dict(zip(popular["item_id"].to_pylist(), popular["visits"].to_pylist(), strict=True))
    if set(visits) != set(item_ids):
        raise InputError(f"{folder / POPULAR_ITEMS_FILE}: expected the items of {ITEM_INDEX_FILE}")
    flat = [chunk.flatten().to_numpy() for chunk in table["vector"].chunks]
    try:
        return Catalogue(
            index_of={item_id: number for number, item_id in enumerate(item_ids, start=1)},
            item_ids=item_ids,
            item_vectors=np.concatenate([np.empty(0, np.float32), *flat]).reshape(-1, dimension),
            popular=list(visits),
            visits=visits,
            inputs=user_inputs_of(configuration),
            rationales_per_user=configuration["rationales_per_user"],
            text_encoder=configuration["text_encoder"],
            text_dimension=configuration["text_dimension"],
            pool=configuration["pool"],
            similar=read_similar_items(folder, {item: number for number, item in enumerate(item_ids, start=1)}),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG_FILE}: lacks {error}, expected the configuration of a ranker") from error
    except ValueError as error:
        raise InputError(f"{folder / CONFIG_FILE}: {error}") from error
