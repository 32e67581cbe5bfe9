import math

import pyarrow as pa
import pytest

from components.data_preparation.delimited import INT64_MAX, integers, numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("978824351", 978824351),
        ("-1", -1),
        ("-99", -1),
        ("9" * 18, int("9" * 18)),
        ("9" * 19, INT64_MAX),
        ("9" * 40, INT64_MAX),
        ("", None),
        (" 1", None),
        ("+1", None),
        ("1.0", None),
        ("1e3", None),
        ("٣", None),
    ],
)
def test_integers(text: str, value: int | None) -> None:
    assert integers(pa.chunked_array([["5", text]])).to_pylist() == [5, value]


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4.0), ("4.5", 4.5), ("4.", 4.0), (".5", 0.5), ("-1e2", -100.0), ("+3", 3.0), ("1e999", math.inf)],
)
def test_numbers(text: str, value: float) -> None:
    assert numbers(pa.chunked_array([[text]])).to_pylist() == [value]


@pytest.mark.parametrize("text", ["", " 4", "nan", "inf", "four", "4,5", "0x10", "1_0", "."])
def test_texts_that_are_no_numbers(text: str) -> None:
    (value,) = numbers(pa.chunked_array([[text]])).to_pylist()
    assert math.isnan(value)
