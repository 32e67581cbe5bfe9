from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data_preparation.timestamps import INT64_MAX, INT64_MIN, seconds

NEW_YEAR = 1_704_067_200  # 2024-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("-99", -99),
        ("978824351", 978824351),
        ("978824351.0", 978824351),
        ("9.78824351E8", 978824351),
        ("1.9", 1),
        ("100000000000", 10**11),  # the last that are seconds
        ("1704067200123", NEW_YEAR),
        ("1704067200123456", NEW_YEAR),
        ("1.704067200123E12", NEW_YEAR),
        ("9" * 40, INT64_MAX),
        ("-" + "9" * 40, INT64_MIN),
        ("1e400", INT64_MAX),
        ("2024-01-01", NEW_YEAR),
        ("2024-01-01T00:00", NEW_YEAR),
        ("2024-01-01 00:00:07", NEW_YEAR + 7),
        ("2024-01-01T00:00:07.25Z", NEW_YEAR + 7),
        ("2024-01-01T08:00:00+08:00", NEW_YEAR),
        ("2023-12-31 19:00:00-0500", NEW_YEAR),
        ("2024-02-29", NEW_YEAR + 59 * 86_400),
        ("1969-12-31", -86_400),
        ("2023-02-29", None),
        ("2024-13-01", None),
        ("2024-00-10", None),
        ("2024-01-00", None),
        ("2024-01-01T24:00:00", None),
        ("60000-01-01", None),
        ("", None),
        (" 1 ", 1),
        ("08/12/2014", None),  # may be of August or of December
        ("2024/1/1 0:00", NEW_YEAR),
        ("2024.01.01 00:00:07", NEW_YEAR + 7),
        ("2024/13/1", None),
        ("1704067200123456789", NEW_YEAR),
        ("20240101000007", NEW_YEAR + 7),
        ("20240101000007.0", NEW_YEAR + 7),
        ("20240101246060", 20240101246),  # no time of a day, so milliseconds of the year 2611
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("yesterday", None),
    ],
)
def test_texts(text: str, value: int | None) -> None:
    assert seconds([text, "5", None]).to_pylist() == [value, 5, None]
    assert seconds([text]).to_pylist() == [value]


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 4, 14 * 4))
def test_every_iso_date_with_a_zone(moment: datetime, quarters: int) -> None:
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=15 * quarters)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert seconds([moment.isoformat()]).to_pylist() == [expected]


@given(st.lists(st.one_of(st.none(), st.text(), st.integers().map(str), st.floats().map(repr))))
def test_any_text_is_a_time_or_null(texts: list[str | None]) -> None:
    texts = [text if text is None else text.encode(errors="replace").decode() for text in texts]
    assert len(seconds(texts)) == len(texts)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([NEW_YEAR, NEW_YEAR * 1_000, None], pa.int64()), [NEW_YEAR, NEW_YEAR, None]),
        (pa.array([2**64 - 1], pa.uint64()), [INT64_MAX // 10**9]),
        (pa.array([5], pa.int32()), [5]),
        (pa.array([5.7, float("nan"), float("inf")]), [5, None, INT64_MAX]),
        (pa.array([date(2024, 1, 1), None]), [NEW_YEAR, None]),
        (pa.array([datetime(2024, 1, 1)], pa.timestamp("ns")), [NEW_YEAR]),
        (pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Asia/Shanghai")), [NEW_YEAR]),
        (pa.array([True]), [None]),
        (pa.array([], pa.string()), []),
    ],
)
def test_arrow_columns(column: pa.Array, values: list[int | None]) -> None:
    assert seconds(column).to_pylist() == values
