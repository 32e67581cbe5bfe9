from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serving.experiment.interleaving import FIRST, NO_ITEM, NO_TEAM, SECOND, credit, interleave, preference

DRAFTS = 4_000


def drafted(first, second, seed=0):
    """Lists and teams, as one tuple of (item, team) a list, of `DRAFTS` drafts of two rankings."""
    rankings = [np.tile(np.array(ranking, np.int64), (DRAFTS, 1)) for ranking in (first, second)]
    lists = interleave(*rankings, np.random.default_rng(seed))
    return [tuple(zip(*row, strict=True)) for row in zip(lists.items.tolist(), lists.team.tolist(), strict=True)]


def test_the_four_drafts_of_two_rankings_by_hand():
    """Of 1 2 3 and 2 3 4: who begins a round is tossed; 2 is the first's second choice and is gone by then."""
    counts = Counter(drafted([1, 2, 3], [2, 3, 4]))
    assert set(counts) == {
        ((1, FIRST), (2, SECOND), (3, FIRST)),
        ((1, FIRST), (2, SECOND), (3, SECOND)),
        ((2, SECOND), (1, FIRST), (3, FIRST)),
        ((2, SECOND), (1, FIRST), (3, SECOND)),
    }
    # Each has probability 1/4: a standard deviation of sqrt(4000 * 3/16) = 27.
    assert all(abs(count - DRAFTS / 4) < 4 * 27.4 for count in counts.values())


def test_a_list_ends_when_a_ranking_has_nothing_to_add():
    """Of 1 and 1 2: after the 1 the first ranking is at its end, whoever drafted it."""
    assert set(drafted([1, NO_ITEM], [1, 2])) == {
        ((1, FIRST), (NO_ITEM, NO_TEAM)),
        ((1, SECOND), (NO_ITEM, NO_TEAM)),
    }
    assert set(drafted([NO_ITEM, NO_ITEM], [1, 2])) == {((NO_ITEM, NO_TEAM), (NO_ITEM, NO_TEAM))}


def test_rankings_that_differ_in_shape():
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        interleave(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.int64), np.random.default_rng(0))


rankings = st.integers(1, 6).flatmap(
    lambda length: st.lists(
        st.tuples(*2 * [st.permutations(range(8)).map(lambda order: order[:length])]), min_size=1, max_size=5
    )
)


@given(rankings, st.integers(0, 2**32))
def test_any_two_full_rankings_fill_the_list_fairly(pairs, seed):
    first, second = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    lists = interleave(first, second, np.random.default_rng(seed))
    for row in range(len(first)):
        items, team = lists.items[row].tolist(), lists.team[row].tolist()
        assert len(set(items)) == len(items) and NO_ITEM not in items
        assert abs(team.count(FIRST) - team.count(SECOND)) <= 1
        for slot, (item, whose) in enumerate(zip(items, team, strict=True)):
            ranking = (first, second)[whose][row].tolist()
            assert item == next(better for better in ranking if better not in items[:slot])


def test_credit_and_preference_by_hand():
    team = np.array([[FIRST, SECOND, FIRST], [SECOND, FIRST, NO_TEAM], [SECOND, FIRST, SECOND], [FIRST, SECOND, FIRST]])
    clicked = np.array([[True, True, True], [True, False, False], [False, False, False], [True, False, False]])
    credits = credit(team, clicked)
    assert credits.tolist() == [1, -1, 0, 1]
    # User 7 has +1 - 1 = 0, user 8 nothing, user 9 +1.
    found = preference(np.array([7, 7, 8, 9]), credits)
    assert (found.first, found.second, found.undecided, found.share, found.p_value) == (1, 0, 2, 1.0, 1.0)

    # 8 of 10: P(at least 8 or at most 2 of 10 tosses) = 2 * (45 + 10 + 1) / 1024.
    found = preference(np.arange(10), np.array([3] * 8 + [-1] * 2))
    assert (found.first, found.second, found.share) == (8, 2, 0.8)
    assert found.p_value == pytest.approx(112 / 1024)
    assert found.low == pytest.approx(0.4439, abs=1e-4) and found.high == pytest.approx(0.9748, abs=1e-4)

    nobody = preference(np.arange(3), np.zeros(3, np.int64))
    assert (nobody.undecided, nobody.share, nobody.low, nobody.high, nobody.p_value) == (3, 0.5, 0.0, 1.0, 1.0)


@given(arrays(np.int64, st.integers(1, 30), elements=st.integers(-3, 3)))
def test_the_order_of_the_rankings_does_not_matter(credits):
    users = np.arange(len(credits)) % 7
    one, other = preference(users, credits), preference(users, -credits)
    assert (one.first, one.second) == (other.second, other.first)
    assert one.p_value == pytest.approx(other.p_value) and one.low == pytest.approx(1 - other.high)
