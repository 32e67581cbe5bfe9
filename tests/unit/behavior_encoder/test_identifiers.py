from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.behavior_encoder.identifiers import Identifiers
from components.foundation.errors import InputError


@settings(deadline=None)
@given(st.sets(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_positions_are_those_in_the_sorted_list(known: set[str], asked: list[str]) -> None:
    ids = sorted(known)
    expected = [ids.index(value) if value in known else -1 for value in asked]
    assert Identifiers(ids).positions(asked).tolist() == expected


def test_a_file_of_ids(tmp_path: Path) -> None:
    for ids in ([], ["a"], ["a", "b", "é"]):
        Identifiers(ids).write(tmp_path / "ids.arrow")
        found = Identifiers.read(tmp_path / "ids.arrow")
        assert found.equals(ids) and len(found) == len(ids) and found.digest() == Identifiers(ids).digest()
    assert not found.equals(["a", "b", "e"]) and found.digest() != Identifiers(["a", "bé"]).digest()


def test_no_file_of_ids(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.arrow: no such file"):
        Identifiers.read(tmp_path / "none.arrow")
    (tmp_path / "text.arrow").write_text("a")
    with pytest.raises(InputError, match=r"text.arrow: not a file of ids"):
        Identifiers.read(tmp_path / "text.arrow")
