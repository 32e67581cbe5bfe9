import pyarrow as pa

from components.data_preparation.adapters.profiles import attributes, attributes_by_name


def pairs(column: pa.Array) -> list[list[tuple]]:
    return [[tuple(pair.values()) for pair in row] for row in column.to_pylist()]


def test_what_is_empty_is_no_attribute() -> None:
    # Names that mean something to Polars, too.
    columns = {"*": pa.array([" 1 ", "", None, "\u20033"]), "^.*$": pa.array(["F", "M", " ", None], pa.large_string())}
    assert pairs(attributes(columns, 4)) == [[("*", "1"), ("^.*$", "F")], [("^.*$", "M")], [], [("*", "3")]]


def test_no_columns_and_no_rows() -> None:
    assert pairs(attributes({}, 2)) == [[], []]
    assert len(attributes({"age": pa.array([], pa.string())}, 0)) == 0


def test_rows_that_name_their_attribute() -> None:
    names, values = pa.array([" age", None, "", "zip"]), pa.array(["1 ", "2", "3", ""])
    assert pairs(attributes_by_name(names, values)) == [[("age", "1")], [(None, "2")], [("", "3")], []]
