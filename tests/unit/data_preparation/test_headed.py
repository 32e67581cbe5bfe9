from pathlib import Path

import pytest

from components.data_preparation.headed import header, read_headed
from components.foundation.errors import InputError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "log.csv"
    path.write_bytes(content)
    return path


def test_columns_stand_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path, b'\xef\xbb\xbf "b" ,more,a\r\n1,2,3\r\n4,5,6\r\n')
    assert header(path, ",") == ["b", "more", "a"]
    ((refusals, fields),) = read_headed(path, ("a", "b"))
    assert fields["a"].to_pylist() == ["3", "6"]
    assert fields["b"].to_pylist() == ["1", "4"]
    assert refusals.rows.first_line == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,c\n1,2\n", "line 1 names no column b; it names 'a, c'"),
        (b"1,2\n3,4\n", "line 1 names no column a and no column b; it names '1, 2'"),
        (b"a,b,a\n1,2,3\n", "line 1 names the column a twice"),
        (b"a,b\n1\n", "no row has the 2 fields a,b"),
        (b"", "the file is empty"),
    ],
)
def test_a_header_that_does_not_serve(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_headed(path, ("a", "b")))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_told_as_such_and_has_no_header(tmp_path: Path) -> None:
    assert header(tmp_path / "absent", ",") == []
    assert header(tmp_path, ",") == []
    with pytest.raises(InputError, match="absent: no such file"):
        list(read_headed(tmp_path / "absent", ("a",)))
