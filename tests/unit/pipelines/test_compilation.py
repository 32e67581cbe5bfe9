"""The compiled pipelines: what a Kubeflow cluster is given."""

import re
from pathlib import Path

import pytest
import yaml

from components.contracts.settings import Settings
from pipelines.compilation import PIPELINES, compile_pipelines

FEATURE_REPO = Path(__file__).parents[3] / "feature_repo"
OUTSIDE_STATE = {
    *("prepare-data", "register-encoder", "sample-seeds", "build-pool", "match-users", "push-features"),
    *("register-ranker", "build-item-index", "release-ranker"),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    paths = compile_pipelines(tmp_path_factory.mktemp("compiled"))
    return {path.stem: list(yaml.safe_load_all(path.read_text())) for path in paths}


def tasks_of(document):
    dags = [document["root"]["dag"], *(c["dag"] for c in document["components"].values() if "dag" in c)]
    return [task for dag in dags for task in dag["tasks"].values()]


def test_the_chain_is_composed_of_the_four(compiled):
    assert set(compiled) == {"reland", "behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker"}
    root = compiled["reland"][0]["root"]["dag"]["tasks"]
    assert set(root) == {"behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker", "summarize"}
    assert root["fusion-ranker"]["dependentTasks"] == ["behavior-encoder", "rationale-refresh", "reasoning-pool"]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_has_an_image_of_the_platform_and_installs_nothing(compiled, name):
    executors = compiled[name][0]["deploymentSpec"]["executors"]
    assert executors
    for executor in executors.values():
        assert executor["container"]["image"].startswith("reland/")
        assert "pip install" not in " ".join(executor["container"]["command"])


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_gets_the_settings(compiled, name):
    spec, platform = compiled[name]
    deployed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(deployed) == set(spec["deploymentSpec"]["executors"])
    for executor in deployed.values():
        (config_map,) = executor["configMapAsEnv"]
        assert config_map["configMapName"] == "reland-settings"
        names = {pair["envVar"] for pair in config_map["keyToEnv"]}
        assert names == {f"RELAND_{field.upper()}" for field in Settings.model_fields}
        (secret,) = executor["secretAsEnv"]
        assert secret["secretName"] == "reland-secrets" and secret["optional"] and config_map["optional"]
        # All that a configuration of the feature store reads reaches the pods.
        configurations = "".join(path.read_text() for path in FEATURE_REPO.glob("feature_store.*.yaml"))
        assert {pair["envVar"] for pair in secret["keyToEnv"]} == set(re.findall(r"\$\{(\w+)\}", configurations))


def test_steps_that_read_or_write_more_than_artifacts_are_never_answered_from_the_cache(compiled):
    cached = {
        task["taskInfo"]["name"]: "enableCache" in task.get("cachingOptions", {})
        for task in tasks_of(compiled["reland"][0])
    }
    assert {name for name, is_cached in cached.items() if not is_cached} == OUTSIDE_STATE


def test_the_definition_is_small_enough_for_the_cluster(compiled):
    assert len(yaml.safe_dump_all(compiled["reland"]).encode()) < 256 * 1024


def test_compiling_twice_gives_the_same_bytes(compiled, tmp_path):
    for path in compile_pipelines(tmp_path):
        assert list(yaml.safe_load_all(path.read_text())) == compiled[path.stem]
