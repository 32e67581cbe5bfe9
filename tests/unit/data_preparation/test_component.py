import json
from pathlib import Path

import pytest
from kfp import dsl

from components.contracts.artifacts import INTERACTIONS_FILE
from components.contracts.tables import interactions_schema, read_table
from components.data_preparation.component import prepare_data
from components.foundation.errors import InputError
from components.marketplace.truth import load_truth


def run(tmp_path: Path, dataset: str, data_dir: str, splits: str = "leave_one_out") -> tuple[Path, Path]:
    prepared, report = tmp_path / "prepared", tmp_path / "report"
    prepare_data.python_func(
        data={"dataset": dataset, "data_dir": data_dir, "splits": splits, "minimum_interactions": 5.0},
        seed=1,
        prepared=dsl.Dataset(uri=str(prepared)),
        truth=dsl.Artifact(uri=str(tmp_path / "truth")),
        statistics=dsl.HTML(uri=str(tmp_path / "statistics.html")),
        validation=dsl.HTML(uri=str(tmp_path / "validation.html")),
        report=dsl.Artifact(uri=str(report)),
    )
    return prepared, report


def test_the_step_moves_artifacts(tmp_path: Path) -> None:
    prepared, report = run(tmp_path, "simulator", "", "leave_one_out,time")
    for page in ("statistics.html", "validation.html"):
        assert (tmp_path / page).read_bytes() == (prepared / page).read_bytes()
    core = json.loads(report.read_text())["dataset"]["after_k_core"]
    assert (
        len(read_table(prepared / INTERACTIONS_FILE, interactions_schema(["leave_one_out", "time"])))
        == core["interactions"]
    )


def test_the_truth_of_the_simulator_is_an_artifact_of_its_own(tmp_path: Path) -> None:
    prepared, _ = run(tmp_path, "simulator:200", "")
    truth = load_truth(tmp_path / "truth")
    interactions = read_table(prepared / INTERACTIONS_FILE, interactions_schema(["leave_one_out"]))
    assert len(truth.user_index(interactions["user_id"])) == len(truth.item_index(interactions["item_id"]))
    assert truth.users_on(truth.config.days - 1) == 200
    assert not list(prepared.rglob("truth*")) + list(prepared.rglob("config.json"))  # where the steps that learn read


def test_the_setting_finds_the_files_and_limits_rejection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAND_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RELAND_MAX_REJECTED", "0.5")
    rows = [f"{user}::{movie}::3::{movie}" for user in range(5) for movie in range(5)] + ["1::2"] * 25
    (tmp_path / "ratings.dat").write_text("\n".join(rows))
    (tmp_path / "movies.dat").write_text("1::Title::Drama")
    _, report = run(tmp_path, "ml-1m", "")
    assert not list((tmp_path / "truth").iterdir())  # nobody knows it
    assert json.loads(report.read_text())["dataset"]["rejected"] == 25
    monkeypatch.setenv("RELAND_MAX_REJECTED", "0.49")
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match=r"RELAND_MAX_REJECTED=0\.49.*home/stopped/validation\.html"):
        run(tmp_path, "ml-1m", "")
    assert "<b>The run was stopped.</b>" in (tmp_path / "home" / "stopped" / "validation.html").read_text()
