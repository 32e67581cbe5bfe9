"""Which results of before are of a cell."""

import json

import pytest

from components.foundation.errors import InputError
from components.ranking_benchmark.cell import SCHEMA, result_of, write_failure
from components.ranking_benchmark.grid import parse_grid

(CELL,) = parse_grid({"benchmark": {"variants": "reland", "ranker_seeds": "0"}, "data_sets": {"a": {}}}).cells()


@pytest.fixture
def write(tmp_path):
    def written(**changes) -> None:
        path = tmp_path / f"{CELL.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"schema": SCHEMA, "configuration": CELL.configuration(), "features": "f"}
        path.write_text(json.dumps(content | changes))

    return written


def test_a_result_of_the_same_settings_and_features_is_kept(write, tmp_path) -> None:
    assert result_of(CELL, "f", tmp_path) is None
    write()
    assert result_of(CELL, "f", tmp_path) is not None
    assert result_of(CELL, "g", tmp_path) is None


@pytest.mark.parametrize("part", ["model", "training"])
def test_a_setting_that_came_later_had_its_default(write, tmp_path, part) -> None:
    configuration = CELL.configuration()
    older = {"model": "dropout", "training": "patience"}[part]
    del configuration[part][older]
    write(configuration=configuration)
    assert result_of(CELL, "f", tmp_path) is not None
    configuration[part][older] = 0.75
    write(configuration=configuration)
    assert result_of(CELL, "f", tmp_path) is None


def test_a_failure_is_run_again_and_another_file_refused(write, tmp_path) -> None:
    write_failure(CELL, "f", tmp_path, "loss is not finite")
    assert result_of(CELL, "f", tmp_path) is None
    write(schema="another")
    with pytest.raises(InputError, match="not a result of a benchmark; remove it to run the cell again"):
        result_of(CELL, "f", tmp_path)
