"""Scores by what others visited after the items of a history, worked by hand."""

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.serving import SIMILAR_ITEMS, SIMILAR_ITEMS_FILE
from components.contracts.tables import write_table
from components.foundation.errors import InputError
from components.fusion_ranker.variants import write_similar_items
from components.recommenders.classics.configuration import ItemKNNSettings
from components.recommenders.classics.item_knn import ItemKNN
from components.recommenders.interaction_sequences import InteractionSequences
from serving.gateway.similar_items import read_similar_items

INDEX_OF = {"a": 1, "b": 2, "c": 3}


@pytest.fixture
def write(tmp_path):
    def written(rows: list[tuple[str, list[str], list[float]]]):
        names = SIMILAR_ITEMS.names
        table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], SIMILAR_ITEMS)
        write_table(table, tmp_path / SIMILAR_ITEMS_FILE, SIMILAR_ITEMS)
        return tmp_path

    return written


def test_older_items_of_a_history_count_less(write) -> None:
    folder = write([("a", ["b", "c"], [0.5, 0.25]), ("b", ["c"], [1.0]), ("c", [], [])])
    similar = read_similar_items(folder, INDEX_OF)
    assert similar is not None
    np.testing.assert_allclose(similar.scores([1]), [0, 0, 0.5, 0.25])
    # b is the last; a before it has 0.7 of its weight.
    np.testing.assert_allclose(similar.scores([1, 2]), [0, 0, 0.35, 0.175 + 1.0])
    assert not similar.scores([3]).any()


def test_it_scores_as_the_recommender_that_is_compared(tmp_path) -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(5, 15, 30)
    sequences = InteractionSequences(
        user_ids=[f"u{user:02d}" for user in range(30)],
        item_ids=[f"i{item:02d}" for item in range(1, 21)],
        items=generator.integers(1, 21, lengths.sum()),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths - 2,
    )
    write_similar_items(sequences, tmp_path)
    similar = read_similar_items(tmp_path, {item: number for number, item in enumerate(sequences.item_ids, start=1)})
    assert similar is not None
    expected = ItemKNN(sequences, ItemKNNSettings(neighbours=50), 0).score(np.arange(30), sequences.train_lengths)
    for user in range(30):
        history = sequences.items[sequences.offsets[user] : sequences.offsets[user] + sequences.train_lengths[user]]
        np.testing.assert_allclose(similar.scores(history.tolist())[1:], expected[user], rtol=1e-5, atol=1e-7)


def test_a_version_without_the_file_has_no_such_step(tmp_path) -> None:
    assert read_similar_items(tmp_path, INDEX_OF) is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", [], []), ("b", [], [])], "expected the items of item_index.parquet in their order"),
        ([("a", ["d"], [1.0]), ("b", [], []), ("c", [], [])], "names an item that item_index.parquet does not hold"),
        ([("a", ["b"], []), ("b", [], []), ("c", [], [])], "expected a similarity for each neighbour"),
    ],
)
def test_a_file_that_is_wrong_is_refused(write, rows, message) -> None:
    with pytest.raises(InputError, match=message):
        read_similar_items(write(rows), INDEX_OF)
