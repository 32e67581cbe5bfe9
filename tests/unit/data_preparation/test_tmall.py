from pathlib import Path

from components.data_preparation.adapters.tmall import Tmall


def test_columns_in_another_order_and_the_other_name_of_the_seller(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "action_type,time_stamp,brand_id,merchant_id,cat_id,item_id,user_id\n2,1111,2661.0,2882,833.0,i1,u1\n"
    )
    layout = Tmall().recognise(tmp_path)
    assert layout is not None
    (batch,) = Tmall().interactions(layout)
    (row,) = batch.table.to_pylist()
    assert (row["user_id"], row["item_id"], row["behavior"], row["timestamp"]) == ("u1", "i1", "purchase", 1415664000)
    assert batch.described_items is not None
    (item,) = batch.described_items.to_pylist()
    assert (item["brand"], item["categories"]) == ("brand 2661", ["category 833", "merchant 2882"])


def test_a_folder_of_two_logs_is_not_guessed_at(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type\n")
    assert Tmall().recognise(tmp_path) is None
    assert Tmall().recognise(tmp_path / "a.csv") is not None
