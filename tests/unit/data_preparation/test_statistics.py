from collections.abc import Callable

import ibis.expr.types as ir
import pytest

from components.data_preparation.statistics import span, statistics


def test_figures_by_hand(raw_interactions: Callable[[list[tuple[str, str, int]]], ir.Table]) -> None:
    # 3 users × 4 items, 12 pairs but for (c, w): 11 of 12 pairs; (a, x) twice makes 12 rows.
    rows = [(user, item, 10 + 5 * (user == "b")) for user in "abc" for item in "wxyz" if (user, item) != ("c", "w")]
    rows += [("a", "x", 30), ("a", "w", 31)]
    rejected = {"f": {"late": 1, "early": 1}, "g": {"late": 1}}
    figures = statistics(raw_interactions(rows), 1, rejected)
    assert figures == {
        "users": 3,
        "items": 4,
        "interactions": 13,
        "interactions_per_user": pytest.approx(4.33),
        "sparsity_percent": pytest.approx(8.33),
        "interactions_by_behavior": {"click": 13},
        "first_timestamp": 10,
        "last_timestamp": 31,
        "items_without_metadata": 1,
        "rejected_by_file_and_reason": {"f": {"early": 1, "late": 1}, "g": {"late": 1}},
    }


def test_the_span_is_in_days_of_utc(raw_interactions: Callable[[list[tuple[str, str, int]]], ir.Table]) -> None:
    rows = [("a", "x", 86_399), ("a", "y", 1_704_067_199), ("a", "z", 86_400)]
    assert span(raw_interactions(rows)) == {"first": "1970-01-01", "last": "2023-12-31"}
