"""Similarities, neighbours and decay, worked by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from components.recommenders.classics.configuration import ItemKNNSettings, UserKNNSettings
from components.recommenders.classics.item_knn import ItemKNN, item_similarities
from components.recommenders.classics.user_knn import UserKNN
from components.recommenders.classics.visits import keep_largest, weighted_histories
from components.recommenders.interaction_sequences import InteractionSequences

HELD_OUT = [4, 4]  # of every user; training never sees item 4


def sequences_of(*training: list[int]) -> InteractionSequences:
    histories = [np.array(visits + HELD_OUT) for visits in training]
    lengths = np.array([len(history) for history in histories])
    return InteractionSequences(
        user_ids=[f"u{user}" for user in range(len(histories))],
        item_ids=["a", "b", "c", "d"],
        items=np.concatenate(histories),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths - 2,
    )


def test_cosine_of_items_by_hand() -> None:
    # a: users 0, 1, 2; b: 0, 1; c: 2. A second visit of one user counts once.
    settings = ItemKNNSettings(window=0, shrinkage=0.0, decay=1.0)
    found = item_similarities(sequences_of([1, 2, 1], [2, 1], [1, 3]), settings).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 / np.sqrt(3 * 2)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    shrunk = item_similarities(sequences_of([1, 2, 1], [2, 1], [1, 3]), ItemKNNSettings(window=0, shrinkage=2.0))
    assert shrunk.toarray()[0, 1] == pytest.approx(2 / (np.sqrt(6) + 2))


def test_what_follows_counts_by_its_distance() -> None:
    # a b c: b follows a at 1, c follows b at 1 and a at 2. a c: c follows a at 1. Visits: a 2, b 1, c 2.
    found = item_similarities(sequences_of([1, 2, 3], [1, 3]), ItemKNNSettings(window=2, shrinkage=1.0)).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = 1 / (np.sqrt(2 * 1) + 1)
    expected[0, 2] = (1 / 2 + 1) / (np.sqrt(2 * 2) + 1)
    expected[1, 2] = 1 / (np.sqrt(1 * 2) + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    alone = item_similarities(sequences_of([1, 2, 3], [1, 3]), ItemKNNSettings(window=2, shrinkage=1.0, neighbours=1))
    expected[0, 1] = 0  # of a's two neighbours the more similar one is kept
    np.testing.assert_allclose(alone.toarray(), expected, rtol=1e-6)


def test_older_visits_count_less() -> None:
    sequences = sequences_of([1, 2, 1, 3])
    weights = weighted_histories(sequences, np.array([0, 0]), np.array([4, 2]), decay=0.5).toarray()
    np.testing.assert_allclose(weights, [[0.125 + 0.5, 0.25, 1.0, 0.0], [0.5, 1.0, 0.0, 0.0]])
    recommender = ItemKNN(sequences_of([1, 2], [1, 2], [3, 2]), ItemKNNSettings(window=1, shrinkage=0.0, decay=0.5), 0)
    # a -> b: 2 / sqrt(2 * 3), c -> b: 1 / sqrt(1 * 3); the history c, b, whose b is followed by nothing.
    found = recommender.score(np.array([2]), np.array([2]))
    np.testing.assert_allclose(found, [[0, 0.5 / np.sqrt(3), 0, 0]], rtol=1e-6)


def test_users_alike_by_hand() -> None:
    sequences = sequences_of([1, 2], [1, 3], [2, 3, 3], [3])
    recommender = UserKNN(sequences, UserKNNSettings(neighbours=2, shrinkage=0.0, decay=1.0), 0)
    # To user 0 (a, b): user 1 (a, c) 1 / 2, user 2 (b, c twice) 1 / (sqrt 2 sqrt 5); user 3 has nothing in common.
    second = 1 / np.sqrt(10)
    expected = [0.5, second, 0.5 + 2 * second, 0]
    np.testing.assert_allclose(recommender.score(np.array([0]), np.array([2])), [expected], rtol=1e-6)
    nearest = UserKNN(sequences, UserKNNSettings(neighbours=1, shrinkage=0.0, decay=1.0), 0)
    np.testing.assert_allclose(nearest.score(np.array([0]), np.array([2])), [[0.5, 0, 0.5, 0]], rtol=1e-6)


def test_the_largest_of_each_row_are_kept_and_of_equal_ones_the_first() -> None:
    matrix = csr_array(np.array([[3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 5.0]]))
    expected = [[3.0, 0.0, 2.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]]
    assert np.array_equal(keep_largest(matrix, 2).toarray(), expected)
