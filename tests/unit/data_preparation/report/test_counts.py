import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.data_preparation.report.counts import CountDistribution, doubling_bins, rank_curve, share_curve


def distribution(counts: list[int]) -> CountDistribution:
    values, holders = np.unique(counts, return_counts=True)
    return CountDistribution(values[::-1], holders[::-1])


def test_curves_by_hand() -> None:
    # Six holders with 4, 2, 2, 1, 1, 1 interactions, 11 in all.
    six = distribution([4, 2, 2, 1, 1, 1])
    assert six.total == 6
    assert rank_curve(six, 100) == [[1, 4], [2, 2], [3, 2], [4, 1], [5, 1], [6, 1]]
    # 1% of 6 is one holder, 50% are three, 51% are four.
    assert share_curve(six, [1, 50, 51, 100]) == [[1, 36.36], [50, 72.73], [51, 81.82], [100, 100]]
    assert doubling_bins(six) == [(1, 1, 3), (2, 3, 2), (4, 7, 1)]
    assert [six.below(count) for count in (1, 2, 4, 5)] == [0, 3, 5, 6]


def test_a_percentage_that_is_not_exact_in_binary_is_not_rounded_up() -> None:
    # 7 / 100 * 100 is 7.000000000000001: still seven holders.
    assert share_curve(distribution([1] * 100), [7.0]) == [[7, 7]]


def test_empty_bins_lie_between_the_fewest_and_the_most_only() -> None:
    assert doubling_bins(distribution([5, 40])) == [(4, 7, 1), (8, 15, 0), (16, 31, 0), (32, 63, 1)]


def test_a_curve_is_thinned_evenly_and_keeps_both_ends() -> None:
    curve = rank_curve(distribution(list(range(1, 100_001))), 50)
    assert len(curve) <= 50
    assert curve[0] == [1, 100_000]
    assert curve[-1] == [100_000, 1]
    assert all(rank + count == 100_001 for rank, count in curve)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.floats(0.1, 100))
def test_the_summary_gives_what_the_whole_list_gives(counts: list[int], percent: float) -> None:
    ordered = sorted(counts, reverse=True)
    summary = distribution(counts)
    assert rank_curve(summary, 10_000) == [[rank, count] for rank, count in enumerate(ordered, start=1)]
    top = math.ceil(percent / 100 * len(ordered) - 1e-9)
    expected = 100 * sum(ordered[:top]) / sum(ordered)
    assert abs(share_curve(summary, [percent])[0][1] - expected) <= 0.0051
    assert sum(holders for _, _, holders in doubling_bins(summary)) == len(counts)
