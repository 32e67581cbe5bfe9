"""What is said of lists and of groups of users, worked by hand."""

import numpy as np
import pytest

from components.recommenders.evaluation import Ranks
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.metrics import detailed_metrics, list_metrics, user_groups


def test_lists_by_hand() -> None:
    # Five items with 10, 5, 1, 1, 3 visits; four lists of two, the last with one item only.
    visits = np.array([10, 5, 1, 1, 3])
    lists = np.array([[1, 2], [1, 3], [1, 2], [1, 0]])
    found = list_metrics(lists, visits)
    assert found["coverage@2"] == pytest.approx(3 / 5)
    # Items are recommended 0, 0, 1, 2, 4 times: 2 (1·0 + 2·0 + 3·1 + 4·2 + 5·4) / (5 · 7) - 6 / 5.
    assert found["gini@2"] == pytest.approx(62 / 35 - 6 / 5)
    # The tail is the four items with the fewest visits: 2, 3, 4, 5.
    assert found["tail_share@2"] == pytest.approx(3 / 7)
    assert found["mean_popularity@2"] == pytest.approx((4 * 10 + 2 * 5 + 1) / 7)


def test_equal_shares_have_a_gini_of_0_and_empty_lists_nothing() -> None:
    assert list_metrics(np.array([[1], [2]]), np.array([1, 1]))["gini@1"] == pytest.approx(0.0)
    assert set(list_metrics(np.zeros((2, 3), int), np.array([1, 1])).values()) == {0.0}


def test_levels_are_quartiles_of_activity_and_few_counts_the_validation_item() -> None:
    groups = user_groups(np.array([1, 2, 3, 4, 5, 6, 7, 8]))
    assert {name: np.flatnonzero(chosen).tolist() for name, chosen in groups.items()} == {
        "L1": [0, 1],
        "L2": [2, 3],
        "L3": [4, 5],
        "L4": [6, 7],
        "<= 7 interactions": [0, 1, 2, 3, 4, 5],
    }


def test_a_group_without_users_is_left_out() -> None:
    sequences = InteractionSequences(
        user_ids=["a", "b"],
        item_ids=["x", "y"],
        items=np.array([1, 2] * 10),
        offsets=np.array([0, 10, 20]),
        train_lengths=np.array([8, 8]),
    )
    found = detailed_metrics(Ranks(np.array([0, 1]), lists=np.array([[2], [1]])), sequences)
    assert set(found["groups"]) == {"L1"}
    assert found["groups"]["L1"] == {"users": 2, "hr@10": 1.0, "ndcg@10": pytest.approx((1 + 1 / np.log2(3)) / 2)}
    assert found["hr@5"] == 1.0 and found["mrr@10"] == pytest.approx(0.75) and found["coverage@1"] == 1.0
