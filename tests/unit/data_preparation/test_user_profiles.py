from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from components.data_preparation.staging import STAGED_USERS
from components.data_preparation.user_profiles import counting_profiles, later_profiles, profile_references, profiles_of

Row = tuple[int, int, str, dict[str, str]]  # file, line, user, attributes


def staged(connection: ibis.BaseBackend, folder: Path, rows: list[Row]) -> ir.Table:
    table = pa.Table.from_pylist(
        [
            {
                "user_id": user,
                "attributes": [{"attribute": name, "value": value} for name, value in attributes.items()],
                "source_line": line,
                "raw": user,
                "file_order": file,
            }
            for file, line, user, attributes in rows
        ],
        schema=STAGED_USERS,
    )
    pq.write_table(table, folder / "users.parquet")
    return connection.read_parquet(folder / "users.parquet")


def users(connection: ibis.BaseBackend, folder: Path, *names: str) -> ir.Table:
    pq.write_table(pa.table({"user_id": names}), folder / "some.parquet")
    return connection.read_parquet(folder / "some.parquet")


def test_a_row_that_repeats_an_attribute_counts_as_a_whole_or_not_at_all(
    connection: ibis.BaseBackend, tmp_path: Path
) -> None:
    rows = staged(
        connection,
        tmp_path,
        [
            (3, 1, "a", {"age": "9"}),  # of a later file, which replaces what an earlier one says
            (2, 7, "a", {"age": "1", "city": "Oslo"}),
            (2, 8, "a", {"sex": "F"}),  # another attribute of the same user
            (2, 9, "a", {"zip": "1", "city": "Oslo"}),  # equal, and yet a duplicate
            (2, 10, "b", {"age": "1"}),
            (2, 11, "b", {}),
            (2, 12, "b", {}),
        ],
    )
    later = later_profiles(rows)
    found = later.order_by(["file_order", "source_line"]).to_pyarrow()
    assert list(zip(found["file_order"].to_pylist(), found["source_line"].to_pylist(), strict=True)) == [(2, 9)]
    kept = rows.anti_join(later, ["file_order", "source_line"])
    assert [
        tuple(row.values()) for row in profiles_of(users(connection, tmp_path, "b", "a"), kept).to_pyarrow().to_pylist()
    ] == [
        ("a", "age", "9"),
        ("a", "city", "Oslo"),
        ("a", "sex", "F"),
        ("b", "age", "1"),
    ]


def test_rows_that_later_files_replace_are_not_kept(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    rows = staged(
        connection,
        tmp_path,
        [
            (2, 1, "a", {"age": "1"}),  # all of it is said anew
            (2, 2, "b", {"age": "1", "city": "Oslo"}),  # the city is not
            (2, 3, "c", {}),
            (3, 1, "a", {"age": "2", "city": "Ulm"}),
            (3, 2, "b", {"age": "2"}),
            (3, 3, "c", {}),  # a user of whom is known that nothing is
            (3, 4, "c", {}),
        ],
    )
    kept = counting_profiles(rows)
    found = kept.order_by(["file_order", "source_line"]).to_pyarrow()
    lines = list(zip(found["file_order"].to_pylist(), found["source_line"].to_pylist(), strict=True))
    assert lines == [(2, 2), (3, 1), (3, 2), (3, 3)]
    assert [
        tuple(row.values())
        for row in profiles_of(users(connection, tmp_path, "a", "b", "c"), kept).to_pyarrow().to_pylist()
    ] == [("a", "age", "2"), ("a", "city", "Ulm"), ("b", "age", "2"), ("b", "city", "Oslo")]


def test_profiles_of_strangers_are_counted_and_left_out(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    rows = staged(connection, tmp_path, [(0, 1, "a", {"x": "1"}), (0, 2, "z", {"x": "1"}), (0, 3, "z", {"y": "1"})])
    some = users(connection, tmp_path, "a", "b", "c")
    assert profile_references(some, rows) == {"users_without_profile": 2, "profiles_without_interactions": 1}
    assert profiles_of(some, rows).to_pyarrow().to_pylist() == [{"user_id": "a", "attribute": "x", "value": "1"}]
