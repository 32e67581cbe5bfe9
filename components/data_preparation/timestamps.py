"""Moments in whole seconds since 1970, whatever a log writes them as."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Numbers above these are no seconds (10^11 is the year 5138): milliseconds, microseconds.
MILLISECONDS_ABOVE = 10**11
MICROSECONDS_ABOVE = 10**14

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INTEGER = r"^-?[0-9]{1,18}$"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
ISO_8601 = (
    r"^(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]+)?)?"
    r" ?(?:Z|z|UTC|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})?)?)?$"
)


def seconds(column: pa.Array | pa.ChunkedArray | list[str | None]) -> pa.ChunkedArray:
    """Times as int64 seconds, null where one is unreadable.

    Args:
        column: a list is one of texts; an Arrow column is of any of these types.
            Integers: seconds; above 10^11 milliseconds, above 10^14 microseconds.
            Floats: likewise; the fraction is dropped.
            Text: an integer or a decimal number, as above; an ISO 8601 date or date and time ("2017-11-25",
            "2017-11-25T08:30:00Z", "2017-11-25 08:30:00.5+08:00"), in UTC where it names no zone.
            Arrow dates and timestamps: UTC where they name no zone.

    A number beyond int64 becomes the nearest int64, so that it is told apart from what is no number.
    """
    if isinstance(column, list):
        column = pa.array(column, pa.large_string())
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(column)
    if pa.types.is_integer(kind):
        return _scaled(column.cast(pa.int64(), safe=False) if kind != pa.uint64() else _clipped(column))
    if pa.types.is_floating(kind):
        return _of_floats(column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        return column.cast(pa.timestamp("s", zone), safe=False).cast(pa.int64())
    return pa.chunked_array([pa.nulls(len(column), pa.int64())])


def _of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    is_integer = pc.and_(pc.ascii_is_decimal(column), pc.less_equal(pc.binary_length(column), 18))
    if pc.all(is_integer, min_count=0).as_py():
        return _scaled(column.cast(pa.int64()))
    is_integer = pc.match_substring_regex(column, INTEGER)
    found = _scaled(_cast_where(column, is_integer, pa.int64()))
    is_number = pc.and_not(pc.match_substring_regex(column, NUMBER), is_integer)
    found = pc.coalesce(found, _of_floats(_cast_where(column, is_number, pa.float64())))
    if found.null_count > column.null_count:
        found = pc.coalesce(found, _of_iso_8601(column))
    return found


def _cast_where(column: pa.ChunkedArray, condition: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pc.if_else(condition, column, pa.scalar(None, column.type)).cast(kind)


def _scaled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    largest = pc.max(values).as_py()
    if largest is None or largest <= MILLISECONDS_ABOVE:
        return values
    seconds_of_milliseconds = pc.if_else(pc.greater(values, MILLISECONDS_ABOVE), pc.divide(values, 1_000), values)
    return pc.if_else(pc.greater(values, MICROSECONDS_ABOVE), pc.divide(values, 1_000_000), seconds_of_milliseconds)


def _clipped(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.min_element_wise(values, pa.scalar(INT64_MAX, pa.uint64())).cast(pa.int64())


def _of_floats(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = values.cast(pa.float64()).to_numpy()  # nulls become NaN
    with np.errstate(invalid="ignore"):
        numbers = np.where(numbers > MICROSECONDS_ABOVE, numbers / 1e6, numbers)
        numbers = np.where(numbers > MILLISECONDS_ABOVE, numbers / 1e3, numbers)
        numbers = np.floor(numbers)
        clipped = np.where(numbers >= 2.0**63, INT64_MAX, np.where(numbers < -(2.0**63), INT64_MIN, 0))
        whole = np.where(clipped != 0, clipped, np.nan_to_num(np.where(clipped != 0, 0, numbers)).astype(np.int64))
    return pa.chunked_array([pa.array(whole, pa.int64(), mask=np.isnan(numbers))])


def _of_iso_8601(column: pa.ChunkedArray) -> pa.ChunkedArray:
    parts = pc.extract_regex(column.cast(pa.large_string()), ISO_8601).combine_chunks()
    matched = parts.is_valid().to_numpy(zero_copy_only=False)

    def part(name: str) -> np.ndarray:
        texts = pc.struct_field(parts, name)
        return pc.fill_null(pc.if_else(pc.equal(texts, ""), "0", texts), "0").cast(pa.int64()).to_numpy()

    year, month, day = part("year"), part("month"), part("day")
    hour, minute, second = part("hour"), part("minute"), part("second")
    zone = 3_600 * part("zone_hour") + 60 * part("zone_minute")
    east = pc.fill_null(pc.not_equal(pc.struct_field(parts, "sign"), "-"), True).to_numpy(zero_copy_only=False)

    in_range = matched & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 60)
    months = 12 * (year - 1970) + np.where(in_range, month - 1, 0)
    first_of_month = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    first_of_next = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    exists = in_range & (day <= first_of_next - first_of_month)
    moment = 86_400 * (first_of_month + day - 1) + 3_600 * hour + 60 * minute + second - np.where(east, zone, -zone)
    return pa.chunked_array([pa.array(moment, pa.int64(), mask=~exists)])
