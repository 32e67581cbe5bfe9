"""Moments in whole seconds since 1970, whatever a log writes them as."""

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Numbers above these are no seconds (10^11 is the year 5138): milliseconds, microseconds, nanoseconds.
MILLISECONDS_ABOVE = 10**11
MICROSECONDS_ABOVE = 10**14
NANOSECONDS_ABOVE = 10**17
# Digits of a moment written without separators, yyyymmddHHMMSS; as milliseconds they would lie after the year 2594.
FIRST_DIGITS, LAST_DIGITS = 1970_01_01_00_00_00, 2100_12_31_23_59_59
# Likewise yyyymmdd and yyyymmddHH, which are seconds as well: see `days_as_seconds`.
FIRST_DAY, LAST_DAY = 1970_01_01, 2100_12_31

FORMS = (
    "seconds, milliseconds, microseconds or nanoseconds since 1970, ISO 8601 (2014-12-08, 2014-12-08T06:05:00Z), "
    "2014/12/8 6:05, 20141208 or 20141208060500; not 08/12/2014, which may be of two months, nor 8.12.2014: write the "
    "year first"
)

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INTEGER = r"^-?[0-9]{1,18}$"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# ISO 8601, and what spreadsheets make of it: slashes or dots, and no leading zeros.
ISO_8601 = (
    r"^(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})"
    r"(?:[T ] ?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]+)?)?"
    r" ?(?:Z|z|UTC|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})?)?)?$"
)


def seconds(column: pa.Array | pa.ChunkedArray | list[str | None]) -> pa.ChunkedArray:
    """Times as int64 seconds, null where one is unreadable.

    Args:
        column: a list is one of texts; an Arrow column is of any of these types.
            Integers: seconds; above 10^11 milliseconds, above 10^14 microseconds, above 10^17 nanoseconds; or the
            digits yyyymmddHHMMSS.
            Floats: likewise; the fraction is dropped.
            Text, white space around it dropped: an integer or a decimal number, as above; an ISO 8601 date or date and
            time ("2017-11-25", "2017-11-25T08:30:00Z", "2017-11-25 08:30:00.5+08:00"), in UTC where it names no zone;
            the same with slashes or dots and without leading zeros ("2014/12/8 6:05"). Dates that begin with a day or
            a month are not read: no single row says which of the two it is.
            Arrow dates and timestamps: UTC where they name no zone.

    A number beyond int64 becomes the nearest int64, to distinguish it from text that is no number.
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


def days_as_seconds(interactions: ir.Table) -> ir.Table:
    """The timestamps of each file whose every timestamp is a day (20141208) or an hour (2014120806) as seconds.

    Both could be seconds as well, of 1970 or of after 2033. That all of a file's are the digits of a day decides.

    Args:
        interactions: with `timestamp` and `file_order`, as staged.
    """
    times, columns = interactions.timestamp, interactions.columns
    by_file = interactions.group_by("file_order").agg(
        are_days=_is_day(times).all(), are_hours=(_is_day(times // 100) & (times % 100 <= 23)).all()
    )
    forms = {name: by_file.filter(by_file[name]).file_order.execute().tolist() for name in ("are_days", "are_hours")}
    if not any(forms.values()):
        return interactions
    moment = ibis.cases(
        (interactions.file_order.isin(forms["are_days"]), 86_400 * _day_number(times)),
        (interactions.file_order.isin(forms["are_hours"]), 86_400 * _day_number(times // 100) + 3_600 * (times % 100)),
        else_=times,
    )
    return interactions.mutate(timestamp=moment.cast("int64")).select(columns)


def _is_day(digits: ir.IntegerValue) -> ir.BooleanValue:
    """Whether yyyymmdd is a day that exists."""
    month, day = digits // 100 % 100, digits % 100
    first = digits - day + 1
    next_month = ibis.ifelse(month == 12, first + 8_900, first + 100)
    length = _day_number(next_month) - _day_number(first)
    return digits.between(FIRST_DAY, LAST_DAY) & month.between(1, 12) & (day >= 1) & (day <= length)


def _day_number(digits: ir.IntegerValue) -> ir.IntegerValue:
    """Days from 1970-01-01 to yyyymmdd, by arithmetic that every engine has; of what is no day, any number.

    The year begins in March, so that the day that some years add is its last (H. Hinnant, `days_from_civil`).
    """
    month = digits // 100 % 100
    year = digits // 10_000 - ibis.ifelse(month <= 2, 1, 0)
    months = (month + 9) % 12
    day_of_year = (153 * months + 2) // 5 + digits % 100 - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719_468


def _of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = pc.utf8_trim_whitespace(column)
    is_integer = pc.and_(pc.ascii_is_decimal(column), pc.less_equal(pc.binary_length(column), 18))
    if pc.all(is_integer, min_count=0).as_py():
        return _scaled(column.cast(pa.int64()))
    is_integer = pc.match_substring_regex(column, INTEGER)
    values = _scaled(_cast_where(column, is_integer, pa.int64()))
    is_number = pc.and_not(pc.match_substring_regex(column, NUMBER), is_integer)
    values = pc.coalesce(values, _of_floats(_cast_where(column, is_number, pa.float64())))
    if values.null_count > column.null_count:
        values = pc.coalesce(values, _of_iso_8601(column))
    return values


def _cast_where(column: pa.ChunkedArray, condition: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pc.if_else(condition, column, pa.scalar(None, column.type)).cast(kind)


def _scaled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    largest = pc.max(values).as_py()
    if largest is None or largest <= MILLISECONDS_ABOVE:
        return values
    moments = values
    for above, divisor in (
        (MILLISECONDS_ABOVE, 1_000),
        (MICROSECONDS_ABOVE, 1_000_000),
        (NANOSECONDS_ABOVE, 1_000_000_000),
    ):
        moments = pc.if_else(pc.greater(values, above), pc.divide(values, divisor), moments)
    may_be_digits = pc.and_(pc.greater_equal(values, FIRST_DIGITS), pc.less_equal(values, LAST_DIGITS))
    if not pc.any(may_be_digits).as_py():
        return moments
    digits = _cast_where(values.cast(pa.large_string()), may_be_digits, pa.large_string())
    written = pc.replace_substring_regex(digits, r"^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$", r"\1-\2-\3 \4:\5:\6")
    return pc.coalesce(_of_iso_8601(written), moments)


def _clipped(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.min_element_wise(values, pa.scalar(INT64_MAX, pa.uint64())).cast(pa.int64())


def _of_floats(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = np.floor(values.cast(pa.float64()).to_numpy())  # nulls become NaN
    with np.errstate(invalid="ignore"):
        beyond = np.where(numbers >= 2.0**63, INT64_MAX, np.where(numbers < -(2.0**63), INT64_MIN, 0))
        whole = np.where(beyond != 0, beyond, np.nan_to_num(np.where(beyond != 0, 0, numbers)).astype(np.int64))
    moments = pa.chunked_array([pa.array(whole, pa.int64(), mask=np.isnan(numbers))])
    return pc.if_else(pa.array(beyond == 0), _scaled(moments), moments)


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
