import os
from pathlib import Path

import pytest

from components.contracts.errors import InputError
from components.data_preparation.source_files import find_file, read_rows


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
    assert rows.lines == lines
    assert not rows.damaged.any()


def test_damaged_rows_are_marked_and_escaped(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"good\nnot\xe9utf\ncontrol\x01\n\xc3\xa9\n")
    rows = read_rows(tmp_path / "rows", "utf-8")
    assert rows.damaged.tolist() == [False, True, True, False]
    assert rows.lines == ["good", "not\\xe9utf", "control\x01", "é"]


def test_every_byte_is_a_letter_in_latin_1(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"Mis\xe9rables\n")
    assert read_rows(tmp_path / "rows", "iso-8859-1").lines == ["Misérables"]


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
