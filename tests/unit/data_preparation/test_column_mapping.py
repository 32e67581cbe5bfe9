from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE
from components.data_preparation.adapters.registry import detect
from components.data_preparation.column_mapping import NO_MAPPING, ColumnMapping
from components.data_preparation.configuration import DataSection
from components.data_preparation.preparation import configure, prepare
from components.foundation.errors import InputError
from components.foundation.settings import Settings

COLUMNS = "user_id=customer,item_id=sku,timestamp=bought_at"


def test_pairs_are_read_with_white_space_around_them() -> None:
    mapping = ColumnMapping.parse(" user_id = customer ,item_id=a=b", "0=click, add = to cart =cart")
    assert mapping.columns == {"user_id": "customer", "item_id": "a=b"}
    assert mapping.behaviors == {"0": "click", "add = to cart": "cart"}
    assert mapping and not ColumnMapping.parse("", " ")


@pytest.mark.parametrize(
    ("columns", "behaviors", "message"),
    [
        ("customer", "", "columns 'customer': 'customer' is no pair, expected entries like item_id=sku"),
        ("user_id=", "", "'user_id=' is no pair"),
        ("user_id=a,", "", "'' is no pair"),
        ("user=a", "", "'user' is none of the platform's columns, user_id, item_id, timestamp, behavior"),
        ("user_id=a,user_id=b", "", "'user_id' is there twice"),
        ("user_id=a,item_id=a", "", "the column 'a' is given two meanings"),
        ("", "0", "behaviors '0': '0' is no pair, expected entries like 2=purchase"),
        ("", "0=look", "'look' is no behavior, expected one of search, click"),
        ("", "0=click,0=cart", "'0' is there twice"),
    ],
)
def test_mappings_at_fault(columns: str, behaviors: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ColumnMapping.parse(columns, behaviors)


def test_a_column_is_known_by_its_mapping_else_by_its_name_in_any_spelling() -> None:
    assert NO_MAPPING.resolve(["USER_ID", "itemId", "time stamp"], ("user_id", "item_id", "timestamp", "query")) == {
        "user_id": "USER_ID",
        "item_id": "itemId",
        "timestamp": "time stamp",
    }
    assert NO_MAPPING.resolve(["User_ID", "userId"], ("user_id",)) == {}  # which of the two?
    mapping = ColumnMapping({"user_id": "customer"})
    assert mapping.rename(["user_id", "customer"], ("user_id",)) == ["user_id (not read)", "user_id"]
    assert mapping.rename(["user_id"], ("user_id",)) == ["user_id (not read)"]


def rows(folder: Path, separator: str, names: tuple[str, ...]) -> list[str]:
    purchases = [(f"c{user}", f"s{item}", f"2024-01-0{item + 1} 08:0{user}") for user in range(4) for item in range(4)]
    return [separator.join(names), *(separator.join(purchase) for purchase in purchases)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_log_with_names_of_its_own(tmp_path: Path, separator: str) -> None:
    lines = rows(tmp_path, separator, ("customer", "sku", "bought_at"))
    (tmp_path / "orders.csv").write_text("\n".join(lines))
    (tmp_path / "items.csv").write_text("sku,title\ns0,Lamp\ns1,Chair\n")
    for source in (tmp_path, tmp_path / "orders.csv"):
        adapter, layout = detect(source, ColumnMapping.parse(COLUMNS, ""))
        (batch,) = adapter.interactions(layout)
        assert (adapter.name, batch.rows_read, len(batch.refused)) == ("named-columns", 16, 0)
        first = batch.table.slice(0, 1).to_pylist()[0]
        assert (first["user_id"], first["item_id"], first["timestamp"]) == ("c0", "s0", 1704096000)
        assert first["behavior"] == "click"
        (batch,) = adapter.items(layout)
        assert batch.table["title"].to_pylist() == ["Lamp", "Chair"]


def test_behaviors_by_their_numbers_in_text_and_in_parquet(tmp_path: Path) -> None:
    numbers = [(user + item) % 3 for user in range(4) for item in range(4)]
    lines = rows(tmp_path, ",", ("customer", "sku", "bought_at"))
    header, *others = lines
    text = [f"{line},{number}" for line, number in zip(others, numbers, strict=True)]
    (tmp_path / "orders.csv").write_text("\n".join([f"{header},action_type", *text]))
    fields = [line.split(",") for line in others]
    columns = {name: [row[place] for row in fields] for place, name in enumerate(header.split(","))}
    pq.write_table(pa.table(columns | {"action_type": numbers}), tmp_path / "orders.parquet")
    tables = []
    for name in ("orders.csv", "orders.parquet"):
        data = DataSection(
            str(tmp_path / name),
            columns=f"{COLUMNS},behavior=action_type",
            behaviors="0=click,1=cart,2=purchase",
            minimum_interactions=2,
        )
        config = configure(data, 0, Settings(home=tmp_path))
        prepare(config, tmp_path / f"out {name}")
        tables.append(pq.read_table(tmp_path / f"out {name}" / INTERACTIONS_FILE))
    assert tables[0].drop(["sequence"]).equals(tables[1].drop(["sequence"]))
    assert tables[0]["behavior"].to_pylist()[:4] == ["click", "cart", "purchase", "click"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": "user_id=buyer,item_id=sku,timestamp=bought_at"}, "has no column 'buyer'; it has customer, sku"),
        (
            {"columns": "user_id=customer"},
            "no column is named for item_id and timestamp; --columns user_id=customer,it",
        ),
        ({"columns": COLUMNS, "dataset": "ml-1m"}, "dataset ml-1m has columns of its own"),
        ({"behaviors": "0=click"}, "line 1 names the columns|no column is named for user_id"),
    ],
)
def test_mappings_that_do_not_fit_the_file(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    (tmp_path / "orders.csv").write_text("\n".join(rows(tmp_path, ";", ("customer", "sku", "bought_at"))))
    data = DataSection(**{"dataset": str(tmp_path / "orders.csv"), "minimum_interactions": 2} | changes)
    with pytest.raises(InputError, match=message):
        configure(data, 0, Settings(home=tmp_path))


def test_meanings_of_behaviors_that_no_column_holds(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("\n".join(rows(tmp_path, ",", ("customer", "sku", "bought_at"))))
    dataset = str(tmp_path / "orders.csv")
    data = DataSection(dataset, columns=COLUMNS, behaviors="0=click", minimum_interactions=2)
    config = configure(data, 0, Settings(home=tmp_path))
    with pytest.raises(InputError, match="behaviors are given meanings and no column holds them"):
        prepare(config, tmp_path / "out")
