from collections.abc import Callable

import pyarrow as pa
import pytest

from components.contracts.tables import REJECTED
from components.data_preparation.filtering import k_core_split
from components.data_preparation.statistics import statistics


def test_figures_by_hand(raw_interactions: Callable[[list[tuple[str, str, int]]], pa.Table]) -> None:
    # 3 users × 4 items, 12 pairs but for (c, w): 11 of 12 pairs; (a, x) twice makes 12 rows.
    rows = [(user, item, 10 + 5 * (user == "b")) for user in "abc" for item in "wxyz" if (user, item) != ("c", "w")]
    rows += [("a", "x", 30), ("a", "w", 31)]
    rejected = pa.table([["f", "f", "g"], [1, 2, 3], ["late", "early", "late"], ["", "", ""]], schema=REJECTED)
    figures = statistics(k_core_split(raw_interactions(rows), 3), 1, rejected)
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
