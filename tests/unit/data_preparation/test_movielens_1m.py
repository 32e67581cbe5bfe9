from collections.abc import Callable
from pathlib import Path

from components.data_preparation.adapters.movielens_1m import read


def test_a_small_release(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n1::661::3::978302109\n")
    (tmp_path / "movies.dat").write_bytes(
        b"1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
        b"73::Mis\xe9rables, Les (1995)::Drama|Musical\n"
        b"74::Untold (1996)::\n"
    )
    raw = read(tmp_path)
    assert raw.interactions.to_pylist()[1] == {
        "user_id": "1",
        "item_id": "661",
        "timestamp": 978302109,
        "behavior": "rating",
        "value": 3.0,
        "query": None,
        "scene": None,
        "sequence": 2,
    }
    assert raw.items["title"].to_pylist()[1] == "Misérables, Les (1995)"
    assert raw.items["categories"].to_pylist() == [["Drama"], ["Drama", "Musical"], []]
    assert set(raw.items["brand"].to_pylist()) == set(raw.items["description"].to_pylist()) == {""}
    assert raw.rows_read == {"ratings.dat": 2, "movies.dat": 3}


def test_real_movies_are_all_accepted(real_data: Callable[[str], Path]) -> None:
    raw = read(real_data("ml-1m"))
    assert len(raw.items) == 3883
    assert len(raw.interactions) == 1_000_209
    assert len(raw.rejected) == 0
