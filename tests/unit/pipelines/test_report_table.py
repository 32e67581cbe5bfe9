from pipelines.report_table import shown_p_value


def test_a_small_p_value_is_not_shown_as_zero() -> None:
    assert [shown_p_value(p) for p in (1.0, 0.0314, 0.001)] == ["p = 1.000", "p = 0.031", "p = 0.001"]
    assert [shown_p_value(p) for p in (0.00099, 1e-300, 0.0)] == ["p < 0.001"] * 3
