from collections.abc import Callable
from pathlib import Path

from components.data_preparation.adapters.movielens_1m import MovieLens1M
from components.data_preparation.validation import INTERACTION_SCHEMA, validate


def test_real_files_are_accepted_whole(real_data: Callable[[str], Path]) -> None:
    adapter = MovieLens1M()
    layout = adapter.recognise(real_data("ml-1m"))
    assert layout == adapter.expect(real_data("ml-1m"))
    assert sum(len(batch.table) for batch in adapter.items(layout)) == 3_883
    accepted = [validate(batch, INTERACTION_SCHEMA)[0] for batch in adapter.interactions(layout)]
    assert sum(map(len, accepted)) == 1_000_209
