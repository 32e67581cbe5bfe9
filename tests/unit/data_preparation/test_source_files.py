import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.data_preparation import source_files
from components.data_preparation.source_files import (
    BLOCK_BYTES,
    LONGEST_RAW,
    LONGEST_ROW,
    Refusals,
    SourceRows,
    find_file,
    most_match,
    peek,
    read_blocks,
)
from components.foundation.errors import InputError


def read_rows(path: Path, encoding: str) -> SourceRows:
    (rows,) = read_blocks(path, encoding)
    return rows


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb", ["a", "b"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\nb\r", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\n\n", ["a", ""]),  # only the line end after the last row makes no row
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"a\rb\n", ["a\rb"]),
        ("a\x85b\u2028c\n".encode(), ["a\x85b\u2028c"]),
    ],
)
def test_rows_end_at_line_feeds(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    (tmp_path / "rows").write_bytes(content)
    rows = read_rows(tmp_path / "rows", "utf-8")
    assert rows.lines.to_pylist() == lines
    assert not rows.damaged.any()


def test_damaged_rows_are_marked_and_escaped(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"good\nnot\xe9utf\ncontrol\x01\n\xc3\xa9\n")
    rows = read_rows(tmp_path / "rows", "utf-8")
    assert rows.damaged.tolist() == [False, True, True, False]
    assert rows.lines.to_pylist() == ["good", "not\\xe9utf", "control\x01", "é"]


def test_every_byte_is_a_letter_in_latin_1(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"Mis\xe9rables\n")
    assert read_rows(tmp_path / "rows", "iso-8859-1").lines.to_pylist() == ["Misérables"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        read_rows(tmp_path / "pipe", "utf-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"a")
    (tmp_path / "rows").chmod(0)
    with pytest.raises(InputError, match="rows: not readable"):
        read_rows(tmp_path / "rows", "utf-8")


def test_the_first_name_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    assert find_file(tmp_path, "a", "b") == tmp_path / "b"
    (tmp_path / "a").touch()
    assert find_file(tmp_path, "a", "b") == tmp_path / "a"
    with pytest.raises(InputError, match=r"c: no such file \(nor d\)"):
        find_file(tmp_path, "c", "d")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_blocks_hold_whole_rows_and_go_on_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(source_files, "BLOCK_BYTES", 10)
    lines = [f"row {number}" * (number % 3) for number in range(41)]
    (tmp_path / "rows").write_bytes(pack("\r\n".join(lines).encode()))
    blocks = list(read_blocks(tmp_path / "rows", "utf-8"))
    assert len(blocks) > 10
    assert [line for block in blocks for line in block.lines.to_pylist()] == lines
    assert [block.first_line for block in blocks] == [1 + sum(map(len, blocks[:index])) for index in range(len(blocks))]
    assert [block.is_first for block in blocks] == [True] + [False] * (len(blocks) - 1)
    with_header = list(read_blocks(tmp_path / "rows", "utf-8", header=True))
    assert with_header[0].first_line == 2
    assert [line for block in with_header for line in block.lines.to_pylist()] == lines[1:]


def test_a_row_too_long_costs_that_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "BLOCK_BYTES", 64)
    monkeypatch.setattr(source_files, "LONGEST_ROW", 30)
    lines = ["a", "b" * 30, "c" * 31, "d", "e" * 1_000, "f", "g" * 100]
    (tmp_path / "rows").write_text("\n".join(lines))
    blocks = list(read_blocks(tmp_path / "rows", "utf-8"))
    found = [line for block in blocks for line in block.lines.to_pylist()]
    assert [line[:31] for line in found] == [line[:31] for line in lines]
    assert [bool(long) for block in blocks for long in block.too_long] == [len(line) > 30 for line in lines]
    refused = [row for block in blocks for row in Refusals(block).table("rows").to_pylist()]
    assert [row["source_line"] for row in refused] == [3, 5, 7]


def test_a_real_row_too_long(tmp_path: Path) -> None:
    with (tmp_path / "rows").open("wb") as file:
        file.write(b"first\n")
        for _ in range((LONGEST_ROW + BLOCK_BYTES) // 2**20):
            file.write(b"x" * 2**20)
        file.write(b"\nlast\n")
    refused = [row for rows in read_blocks(tmp_path / "rows", "utf-8") for row in Refusals(rows).table("f").to_pylist()]
    assert refused == [
        {"file": "f", "source_line": 2, "reason": "row is longer than 16 MiB", "raw": "x" * LONGEST_RAW + "…"}
    ]


def test_raw_text_is_cut(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("é" * LONGEST_RAW + "\n" + "é" * (LONGEST_RAW + 1) + "\nshort\n")
    assert read_rows(tmp_path / "rows", "utf-8").raw.to_pylist() == [
        "é" * LONGEST_RAW,
        "é" * LONGEST_RAW + "…",
        "short",
    ]


def test_a_peek_is_short_and_never_raises(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    assert peek(path) == [] == peek(tmp_path)
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\n\xff\nthree")
    assert peek(path) == ["one", "two", "", "three"]
    assert peek(path, count=1) == ["one"]
    path.write_bytes(gzip.compress(b"one\ntwo\n" * 100_000)[:-8])
    assert peek(path, count=2) == ["one", "two"]
    path.write_bytes(b"\x1f\x8b no gzip")
    assert peek(path) == []


def test_most_rows_decide() -> None:
    assert most_match(["1,2", "3,4", "?"], "[0-9],[0-9]")
    assert not most_match(["1,2", "?", "?"], "[0-9],[0-9]")
    assert not most_match([], ".*")
