from collections.abc import Callable

import ibis.expr.types as ir

from components.data_preparation.statistics import span


def test_the_span_is_in_days_of_utc(raw_interactions: Callable[[list[tuple[str, str, int]]], ir.Table]) -> None:
    rows = [("a", "x", 86_399), ("a", "y", 1_704_067_199), ("a", "z", 86_400)]
    assert span(raw_interactions(rows)) == {"first": "1970-01-01", "last": "2023-12-31"}
