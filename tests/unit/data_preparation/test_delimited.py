import math
from pathlib import Path

import pyarrow as pa
import pytest

from components.data_preparation.delimited import numbers, split_rows
from components.data_preparation.source_files import SourceRows, read_blocks
from components.foundation.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4.0),
        ("4.5", 4.5),
        ("4.", 4.0),
        (".5", 0.5),
        ("-1e2", -100.0),
        ("+3", 3.0),
        ("1e999", math.inf),
        (" 4", 4.0),
        ("4,5", 4.5),
        ("-4,50", -4.5),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert numbers(pa.array([text])).to_pylist() == [value]


@pytest.mark.parametrize("text", ["", "nan", "inf", "four", "1,234", "1,2,3", "0x10", "1_0", "."])
def test_texts_that_are_no_numbers(text: str) -> None:
    (value,) = numbers(pa.array([text])).to_pylist()
    assert math.isnan(value)


def rows(folder: Path, text: str) -> SourceRows:
    (folder / "rows").write_text(text)
    (block,) = read_blocks(folder / "rows", "utf-8")
    return block


def test_rows_with_another_number_of_fields_are_refused(tmp_path: Path) -> None:
    refusals, columns = split_rows(rows(tmp_path, "a,b\nc\nd,e,f\n,\n"), ",", ["x", "y"])
    assert refusals.accepted.tolist() == [0, 3]
    assert {name: column.to_pylist() for name, column in columns.items()} == {"x": ["a", ""], "y": ["b", ""]}
    found = refusals.table("rows").to_pylist()
    assert [(row["source_line"], row["reason"], row["raw"]) for row in found] == [
        (2, "too few fields, expected 2", "c"),
        (3, "too many fields, expected 2", "d,e,f"),
    ]


def test_quoted_fields(tmp_path: Path) -> None:
    text = '1,"American President, The",Comedy\n2,plain,Drama\n3,"say ""hi""",\n4,"open,Drama\n'
    refusals, columns = split_rows(rows(tmp_path, text), ",", ["id", "title", "genre"], quoted=True)
    assert columns["title"].to_pylist() == ["American President, The", "plain", 'say "hi"']
    assert refusals.table("rows")["reason"].to_pylist() == ["unbalanced quotes"]


def test_a_file_without_one_good_row(tmp_path: Path) -> None:
    block = rows(tmp_path, "user;item\n1;2\n")
    with pytest.raises(InputError, match=r"no row has the 2 fields x,y.*separator ','; line 1 begins 'user;item'"):
        split_rows(block, ",", ["x", "y"])
