from pathlib import Path

import pytest

from components.data_preparation.adapters.recbole import RecBole
from components.foundation.errors import InputError

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


def test_the_parts_of_a_benchmark_are_all_read_and_items_are_of_the_same_name(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"toys.{part}.inter").write_text(f"{HEADER}u1\ti-{part}\t5\n")
    for name in ("toys.item", "other.item"):
        (tmp_path / name).write_text("item_id:token\ni1\n")
    layout = RecBole().recognise(tmp_path)
    assert layout is not None
    assert [path.name for path in layout.items] == ["toys.item"]
    batches = list(RecBole().interactions(layout))
    # In this order: it breaks ties, and what is tested must not come before what it is predicted from.
    assert [(batch.file, batch.table["item_id"].to_pylist()) for batch in batches] == [
        (f"toys.{part}.inter", [f"i-{part}"]) for part in ("train", "valid", "test")
    ]


def test_sessions_stand_for_users_only_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text("session_id:token\t" + HEADER + "s1\tu1\ti1\t5\n")
    layout = RecBole().recognise(tmp_path)
    assert layout is not None
    (batch,) = RecBole().interactions(layout)
    assert batch.table["user_id"].to_pylist() == ["u1"]
    assert batch.table["behavior"].to_pylist() == ["click"]


def test_interactions_without_times_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text("user_id:token\titem_id:token\nu1\ti1\n")
    layout = RecBole().recognise(tmp_path)
    assert layout is not None
    with pytest.raises(InputError, match="line 1 names no column timestamp; it names 'user_id, item_id'"):
        list(RecBole().interactions(layout))


@pytest.mark.parametrize("content", ["user_id\titem_id\n1\t2\n", "user_id:token,item_id:token\n", "", "a:token\n"])
def test_what_has_no_typed_columns_is_not_recognised(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.inter").write_text(content)
    assert RecBole().recognise(tmp_path) is None


def test_a_label_of_0_is_no_behavior(tmp_path: Path) -> None:
    lines = [f"u1\ti1\t5\t{label}\n" for label in ("1", "0", "1.0", "0.0", "?")]
    (tmp_path / "a.inter").write_text(HEADER.replace("\n", "\tlabel:float\n") + "".join(lines))
    layout = RecBole().recognise(tmp_path)
    assert layout is not None
    (batch,) = RecBole().interactions(layout)
    assert batch.table["behavior"].to_pylist() == ["click", None, "click", None, None]


def test_interactions_tell_the_category_and_brand_of_their_items(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text(HEADER.replace("\n", "\tcategory_id:token\n") + "u1\ti1\t5\t833\n")
    layout = RecBole().recognise(tmp_path)
    assert layout is not None
    (batch,) = RecBole().interactions(layout)
    assert batch.described_items is not None
    (item,) = batch.described_items.to_pylist()
    assert (item["item_id"], item["brand"], item["categories"]) == ("i1", "", ["category 833"])


def test_profiles_with_a_column_named_twice(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text(HEADER + "u1\ti1\t5\n")
    (tmp_path / "a.user").write_text("user_id:token\tage:token\tage:float\nu1\t7\t8\n")
    layout = RecBole().recognise(tmp_path)
    assert layout is not None
    with pytest.raises(InputError, match=r"a\.user: line 1 names the column age twice"):
        list(RecBole().users(layout))
