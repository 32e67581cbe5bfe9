"""The parts as runs of their own, as schedules start them: each finds in the registry what the one before it left."""

import contextlib
import json

import pytest

from components.contracts import registry
from components.contracts.handover import FeaturesRecord, PoolRecord, latest
from components.contracts.serving import read_rollout, rollout_file
from components.foundation import mlflow_client
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from pipelines.catalogue import define_pipelines
from pipelines.running.local import run_pipeline
from pipelines.running.placement import LAPTOP
from pipelines.running.run_log import RunLog


@pytest.fixture(scope="module")
def run(tmp_path_factory, triton_environment):
    """`run(pipeline, **arguments)` returns the lines of progress; `run.settings` are those of one RELAND_HOME."""
    home = tmp_path_factory.mktemp("standalone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAND_HOME", str(home))

        def invoke(pipeline: str, **arguments) -> list[str]:
            heard: list[str] = []
            log = RunLog(home / "log.txt", lambda step, message: heard.append(f"{step}: {message}"))
            with contextlib.closing(log):
                run_pipeline(define_pipelines(LAPTOP)[pipeline], arguments, invoke.settings, log)
            return heard

        invoke.settings = Settings()
        yield invoke


@pytest.mark.services
def test_monthly_weekly_and_daily_runs_find_each_other(run):
    with pytest.raises(
        InputError, match="reland-reasoning-pool has no version yet, run the pipeline reasoning-pool first"
    ):
        run("rationale-refresh")

    client = mlflow_client.open_registry(run.settings)
    run("behavior-encoder", data={"dataset": "simulator:300"})
    run("reasoning-pool")
    first = latest(client, PoolRecord)
    assert first.encoder_version == "1"

    # A new encoder takes effect with the next pool: a refresh matches with the encoder of the pool there is.
    run("behavior-encoder", data={"dataset": "simulator:300"}, seed=1)
    run("rationale-refresh", generation="g1")
    features = latest(client, FeaturesRecord)
    assert (features.encoder_version, features.collection, features.slot) == ("1", first.collection, "blue")

    run("fusion-ranker", ranking={"training": {"epochs": 1}})
    assert registry.champion_tag(client, registry.TAG_COLLECTION) == first.collection
    assert registry.champion_tag(client, registry.TAG_PROMPT_URI) == first.prompt
    (arm,) = read_rollout(rollout_file(run.settings)).arms
    assert (str(arm.version), arm.slot) == ("1", "blue")

    run("benchmark", benchmark={"variants": "item_features,reland", "ranker_seeds": "0,1", "training": {"epochs": 1}})
    (path,) = run.settings.home.glob("pipelines/benchmark-*/compare-cells/report")
    measured = json.loads(path.read_text())["benchmark"]
    assert measured["cells"] == {"done": 4, "failed": {}, "not_run": []}
    (compared,) = measured["protocols"]["recbole"]["comparisons"]
    assert (compared["variant"], compared["against"], compared["seeds"]) == ("reland", "item_features", 2)
