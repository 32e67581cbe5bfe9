"""The compiled pipelines: what a Kubeflow cluster is given."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from components.contracts.settings import Settings
from pipelines.compilation import compile_pipelines
from pipelines.placement import ModelNodes

FEATURE_REPO = Path(__file__).parents[3] / "feature_repo"
PIPELINES = ("reland", "behavior-encoder", "reasoning-pool", "rationale-refresh", "fusion-ranker", "rollout")
OUTSIDE_STATE = {
    *("prepare-data", "train-encoder", "register-encoder", "sample-seeds", "build-pool", "match-users"),
    *("push-features", "register-ranker", "release-ranker", "build-prompts", "build-item-index"),
    *("tune-model", "register-language-model", "register-prompt", "generate-rationales", "validate-rationales"),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    paths = compile_pipelines(tmp_path_factory.mktemp("compiled"), ModelNodes())
    return {path.stem: list(yaml.safe_load_all(path.read_text())) for path in paths}


def tasks_of(document):
    dags = [document["root"]["dag"], *(c["dag"] for c in document["components"].values() if "dag" in c)]
    return [task for dag in dags for task in dag["tasks"].values()]


def test_the_chain_is_composed_of_the_four(compiled):
    assert set(compiled) == set(PIPELINES)
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
        fields = {f"RELAND_{name.upper()}": field for name, field in Settings.model_fields.items()}
        secrets = {name for name, field in fields.items() if field.annotation is SecretStr}
        assert names == set(fields) - secrets
        (secret,) = executor["secretAsEnv"]
        assert secret["secretName"] == "reland-secrets" and secret["optional"] and config_map["optional"]
        # All that a configuration of the feature store reads reaches the pods.
        configurations = "".join(path.read_text() for path in FEATURE_REPO.glob("feature_store.*.yaml"))
        read = set(re.findall(r"\$\{(\w+)\}", configurations))
        assert {pair["envVar"] for pair in secret["keyToEnv"]} == read | secrets


def test_steps_that_read_or_write_more_than_artifacts_are_never_answered_from_the_cache(compiled):
    cached = {
        task["taskInfo"]["name"]: "enableCache" in task.get("cachingOptions", {})
        for task in tasks_of(compiled["reland"][0])
        if "iteratorPolicy" not in task  # a loop is no step
    }
    assert {name for name, is_cached in cached.items() if not is_cached} == OUTSIDE_STATE


def test_the_definition_is_small_enough_for_the_cluster(compiled):
    assert len(yaml.safe_dump_all(compiled["reland"]).encode()) < 256 * 1024


def test_compiling_twice_gives_the_same_bytes(compiled, tmp_path):
    for path in compile_pipelines(tmp_path, ModelNodes()):
        assert list(yaml.safe_load_all(path.read_text())) == compiled[path.stem]


def test_no_step_asks_for_an_accelerator_or_a_volume_unless_it_is_told_to(compiled):
    for spec, platform in compiled.values():
        for executor in spec["deploymentSpec"]["executors"].values():
            assert "resources" not in executor["container"] and "env" not in executor["container"]
        for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            assert set(executor) == {"configMapAsEnv", "secretAsEnv"}


@pytest.mark.parametrize("name", ["reland", "reasoning-pool"])
def test_only_steps_that_load_a_language_model_are_placed_on_its_nodes(tmp_path, name):
    nodes = ModelNodes("nvidia.com/gpu", 2, {"pool": "gpu", "zone": "a"}, "nvidia.com/gpu", "reland-models")
    compile_pipelines(tmp_path, nodes)
    spec, platform = yaml.safe_load_all((tmp_path / f"{name}.yaml").read_text())
    with_model = {"exec-tune-model", "exec-generate-rationales"}
    for executor, content in spec["deploymentSpec"]["executors"].items():
        accelerator = content["container"].get("resources", {}).get("accelerator", {})
        if executor not in with_model:
            assert not accelerator
            continue
        assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "2")
        assert content["container"]["env"] == [{"name": "HF_HOME", "value": "/reland/models/huggingface"}]
    for executor, content in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        if executor not in with_model:
            assert set(content) == {"configMapAsEnv", "secretAsEnv"}
            continue
        assert content["nodeSelector"]["labels"] == {"pool": "gpu", "zone": "a"}
        assert content["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
        (volume,) = content["pvcMount"]
        assert (volume["constant"], volume["mountPath"]) == ("reland-models", "/reland/models")


def test_shards_run_side_by_side_and_not_more_than_there_are_parts_of_the_ledger(compiled):
    (loop,) = [task for task in tasks_of(compiled["reasoning-pool"][0]) if "parameterIterator" in task]
    assert loop["iteratorPolicy"] == {"parallelismLimit": 64}
