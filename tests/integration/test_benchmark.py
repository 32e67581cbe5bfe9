"""`reland benchmark` on the simulator: real features, every cell in a process of the pool, ended and gone on with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.foundation.mlflow_client import open_registry
from components.foundation.settings import Settings
from reland.studies.benchmark_log import EXPERIMENT

pytestmark = pytest.mark.slow

GRID = """
[benchmark]
classics = "popularity,als"
variants = "item_features,reland,reland_shuffled,reland@few"
ranker_seeds = "0,1"

[benchmark.model]
layers = 1

[benchmark.training]
epochs = 1

[data_sets.market.data]
dataset = "simulator:150"

[data_sets.market.features.few.seeds]
seed_fraction = 0.05
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "grid.toml").write_text(GRID)
    return folder


def start(folder: Path, *options: str) -> subprocess.Popen:
    arguments = ["benchmark", "--grid", str(folder / "grid.toml"), "--output", str(folder / "output"), *options]
    code = "from reland.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RELAND_HOME": str(folder / "home")},
    )


@pytest.fixture(scope="module")
def results(folder) -> dict:
    """After a benchmark that was terminated when its first cell was done, and called again."""
    process = start(folder)
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if line.startswith("market/sasrec/item_features/0:"):
            break
    assert told[-1].startswith("market/sasrec/item_features/0: recbole ndcg@10 0."), told
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error.splitlines()[-1]) == (130, "reland: interrupted")
    first = (folder / "output" / "cells" / "market" / "sasrec" / "item_features" / "0.json").read_bytes()

    process = start(folder, "--json", "--jobs", "2")
    output, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    assert "benchmark: 10 cells, 3 of them done before" in error
    assert "market prepare-data" not in error and "market@few prepare-data" not in error
    assert (folder / "output" / "cells" / "market" / "sasrec" / "item_features" / "0.json").read_bytes() == first
    return json.loads(output)


def test_every_cell_is_in_the_table_and_compared_with_what_it_has_to_beat(results) -> None:
    assert results["cells"] == {"done": 10, "failed": {}, "not_run": []}
    for protocol in ("recbole", "open"):
        content = results["protocols"][protocol]
        assert [(row["backbone"], row["variant"]) for row in content["table"]] == [
            ("popularity", "id_only"),
            ("als", "id_only"),
            ("sasrec", "item_features"),
            ("sasrec", "reland"),
            ("sasrec", "reland_shuffled"),
            ("sasrec", "reland@few"),
        ]
        assert [row["metrics"]["ndcg@10"]["seeds"] for row in content["table"]] == [1, 1, 2, 2, 2, 2]
        assert [(one["variant"], one["against"]) for one in content["comparisons"]] == [
            ("reland", "item_features"),
            ("reland", "reland_shuffled"),
            ("reland_shuffled", "item_features"),
            ("reland@few", "reland"),
            ("reland@few", "item_features"),
        ]
    # Under `open`, what a user had is no candidate: no target falls behind where it was.
    rows = {name: content["table"][2]["metrics"] for name, content in results["protocols"].items()}
    assert rows["recbole"]["ndcg@10"]["mean"] < rows["open"]["ndcg@10"]["mean"]
    assert results["costs"]["market"]["methods"]["reland"]["calls"] > 0


def test_the_files_say_the_same(results, folder) -> None:
    output = folder / "output"
    assert json.loads((output / "results.json").read_text()) == results
    assert "Does the language model pay?" in (output / "benchmark.html").read_text()
    assert not list((output / "checkpoints").iterdir())


def test_each_cell_is_a_run_in_mlflow(results, folder) -> None:
    client = open_registry(Settings(home=folder / "home"))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = {run.info.run_name: run.data for run in client.search_runs([experiment.experiment_id])}
    assert len(runs) == 10
    logged = runs["market/sasrec/reland@few/1"]
    assert (logged.tags["seed"], logged.params["variant"], logged.params["training.epochs"]) == ("1", "reland@few", "1")
    cell = json.loads((folder / "output" / "cells" / "market" / "sasrec" / "reland@few" / "1.json").read_text())
    assert logged.metrics["open.ndcg_at_10"] == cell["test"]["open"]["ndcg@10"]
    assert logged.metrics["valid.ndcg_at_10"] == cell["curve"][-1][1]


def test_without_a_job_what_is_there_is_compared(results, folder) -> None:
    (folder / "other.toml").write_text(GRID.replace('"0,1"', '"0,1,2"'))
    arguments = ["--grid", str(folder / "other.toml"), "--output", str(folder / "output"), "--jobs", "0", "--json"]
    code = "from reland.main import main; main()"
    process = subprocess.run([sys.executable, "-c", code, "benchmark", *arguments], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    again = json.loads(process.stdout)
    assert again["cells"]["done"] == 10 and len(again["cells"]["not_run"]) == 4
    assert again["protocols"] == results["protocols"]


def test_a_cell_of_another_setting_is_run_again_and_an_unknown_file_is_refused(results, folder) -> None:
    path = folder / "output" / "cells" / "market" / "sasrec" / "item_features" / "0.json"
    content = json.loads(path.read_text())
    content["configuration"]["training"]["epochs"] = 2
    path.write_text(json.dumps(content))
    process = start(folder)
    output, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "benchmark: 10 cells, 9 of them done before" in output
    path.write_text("[]")
    process = start(folder)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2
    assert error == f"reland: {path}: not a result of a benchmark; remove it to run the cell again\n"


def test_a_fault_of_the_features_is_told_before_anything_is_made(folder) -> None:
    (folder / "grid.toml").write_text(GRID.replace("0.05", "5.0"))
    process = start(folder)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error.startswith("reland: data_sets.market@few: ") and "seed_fraction" in error and error.count("\n") == 1
