"""The compiled pipelines: what a Kubeflow cluster is given."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from components.foundation.settings import Settings
from pipelines.catalogue import define_pipelines
from pipelines.running.compilation import compile_pipelines
from pipelines.running.placement import LAPTOP, Cluster, ModelNodes

FEATURE_REPO = Path(__file__).parents[4] / "feature_repo"
PIPELINES = (
    "reland",
    "behavior-encoder",
    "reasoning-pool",
    "rationale-refresh",
    "fusion-ranker",
    "benchmark",
    "rollout",
)
OUTSIDE_STATE = {
    *("prepare-data", "train-encoder", "register-encoder", "sample-seeds", "build-pool", "match-users"),
    *("push-features", "register-ranker", "release-ranker", "build-prompts", "build-item-index"),
    *("begin-generation", "find-encoder", "find-pool", "find-features", "register-pool", "register-features"),
    *("tune-model", "register-language-model", "register-prompt", "generate-rationales", "validate-rationales"),
    *("start-rollout", "ramp-rollout", "watch-rollout", "watch-rollout-2", "promote-rollout"),
}
WITH_MODEL = {"exec-tune-model", "exec-generate-rationales"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    paths = compile_pipelines(tmp_path_factory.mktemp("compiled"), define_pipelines(LAPTOP))
    return {path.stem: list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)) for path in paths}


def tasks_of(document):
    dags = [document["root"]["dag"], *(c["dag"] for c in document["components"].values() if "dag" in c)]
    return [task for dag in dags for task in dag["tasks"].values()]


def steps_of(document):
    """The executors but for importers, which run in no container."""
    executors = document["deploymentSpec"]["executors"]
    return {name: executor for name, executor in executors.items() if "importer" not in executor}


def test_the_chain_is_composed_of_the_four(compiled):
    assert set(compiled) == set(PIPELINES)
    root = compiled["reland"][0]["root"]["dag"]["tasks"]
    assert set(root) == {
        "begin-generation",
        "behavior-encoder",
        "reasoning-pool",
        "rationale-refresh",
        "fusion-ranker",
        "summarize",
    }
    assert root["fusion-ranker"]["dependentTasks"] == [
        "begin-generation",
        "behavior-encoder",
        "rationale-refresh",
        "reasoning-pool",
    ]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_has_an_image_of_the_platform_and_installs_nothing(compiled, name):
    executors = steps_of(compiled[name][0])
    assert executors
    for executor in executors.values():
        assert executor["container"]["image"].startswith("reland/")
        assert "pip install" not in " ".join(executor["container"]["command"])


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_gets_the_settings(compiled, name):
    spec, platform = compiled[name]
    deployed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(deployed) == set(steps_of(spec))
    for executor in deployed.values():
        (config_map,) = executor["configMapAsEnv"]
        assert config_map["configMapName"] == "reland-settings"
        names = {pair["envVar"] for pair in config_map["keyToEnv"]}
        fields = {f"RELAND_{name.upper()}": field for name, field in Settings.model_fields.items()}
        # A step answers no requests and submits no pipelines: it is not told how to.
        fields = {
            name: field for name, field in fields.items() if not name.startswith(("RELAND_GATEWAY", "RELAND_KFP"))
        }
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
        for spec, _ in compiled.values()
        for task in tasks_of(spec)
        if "iteratorPolicy" not in task and "triggerPolicy" not in task  # a loop or a condition is no step
    }
    assert {name for name, is_cached in cached.items() if not is_cached} == OUTSIDE_STATE


# A rollout is of one version, which has to be said.
@pytest.mark.parametrize("name", sorted(set(PIPELINES) - {"rollout"}))
def test_every_parameter_has_a_default_and_no_artifact_is_asked_for(compiled, name):
    """So a run can be submitted, and a schedule made, by the pipeline's name alone."""
    inputs = compiled[name][0]["root"]["inputDefinitions"]
    assert set(inputs) == {"parameters"}
    assert all(parameter["isOptional"] for parameter in inputs["parameters"].values())


def test_compiling_twice_gives_the_same_bytes(compiled, tmp_path):
    for path in compile_pipelines(tmp_path, define_pipelines(LAPTOP)):
        assert list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)) == compiled[path.stem]


def test_no_step_asks_for_an_accelerator_or_a_volume_unless_it_is_told_to(compiled):
    for spec, platform in compiled.values():
        for executor in steps_of(spec).values():
            assert "resources" not in executor["container"] and "env" not in executor["container"]
        for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            assert set(executor) == {"configMapAsEnv", "secretAsEnv"}


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """The files of all pipelines, compiled for a cluster that has everything."""
    models = ModelNodes("nvidia.com/gpu", 2, {"pool": "gpu", "zone": "a"}, "nvidia.com/gpu", "reland-models")
    return compile_pipelines(
        tmp_path_factory.mktemp("placed"),
        define_pipelines(Cluster(models, "reland-home", "registry.example.org/team", 2)),
    )


@pytest.mark.slow
def test_only_steps_that_load_a_language_model_are_placed_on_its_nodes(placed):
    asked = set()
    for path in placed:
        spec, platform = yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
        deployed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for executor, content in steps_of(spec).items():
            accelerator = content["container"].get("resources", {}).get("accelerator", {})
            volumes = {volume["constant"]: volume["mountPath"] for volume in deployed[executor].get("pvcMount", [])}
            if executor not in WITH_MODEL:
                assert not accelerator and not {"nodeSelector", "tolerations"} & set(deployed[executor])
                assert "reland-models" not in volumes
                continue
            asked.add(executor)
            assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "2")
            assert {"name": "HF_HOME", "value": "/reland/models/huggingface"} in content["container"]["env"]
            assert deployed[executor]["nodeSelector"]["labels"] == {"pool": "gpu", "zone": "a"}
            assert deployed[executor]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
            assert volumes == {"reland-models": "/reland/models", "reland-home": "/reland/home"}
    assert asked == WITH_MODEL


def test_images_are_pulled_from_the_registry_and_those_of_the_models_nodes_have_what_a_gpu_needs(compiled, placed):
    for path in placed:
        here = steps_of(compiled[path.stem][0])
        for executor, content in steps_of(next(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))).items():
            variant = "-cuda" if executor in WITH_MODEL else ""
            image = here[executor]["container"]["image"]
            assert content["container"]["image"] == f"registry.example.org/team/{image}{variant}"


@pytest.mark.slow
def test_what_is_kept_beside_artifacts_is_on_the_volume_of_the_home(placed):
    for path in placed:
        spec, platform = yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
        for executor, content in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
            volumes = {volume["constant"]: volume["mountPath"] for volume in content.get("pvcMount", [])}
            home = {"name": "RELAND_HOME", "value": "/reland/home"}
            environment = spec["deploymentSpec"]["executors"][executor]["container"].get("env", [])
            keeps = executor.removeprefix("exec-") in OUTSIDE_STATE
            assert (volumes.get("reland-home") == "/reland/home") == keeps == (home in environment), executor


def test_every_step_is_tried_again_on_a_cluster_and_on_a_laptop_none_is(compiled, placed):
    for path in placed:
        spec, _ = yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
        steps = {f"comp-{name.removeprefix('exec-')}" for name in steps_of(spec)}
        for task in tasks_of(spec):
            if task["componentRef"]["name"] in steps:
                assert task["retryPolicy"] == {
                    "maxRetryCount": 2,
                    "backoffDuration": "60s",
                    "backoffFactor": 2.0,
                    "backoffMaxDuration": "600s",
                }
        assert not [task for task in tasks_of(compiled[path.stem][0]) if "retryPolicy" in task]


@pytest.mark.slow
def test_a_definition_is_small_enough_for_the_cluster_with_all_that_can_be_asked_for(placed):
    sizes = {path.stem: path.stat().st_size for path in placed}
    assert max(sizes.values()) < 256 * 1024, sizes


def test_no_fan_out_is_wider_than_64(compiled):
    loops = {
        (name, task["taskInfo"]["name"]): task["iteratorPolicy"]["parallelismLimit"]
        for name, (spec, _) in compiled.items()
        for task in tasks_of(spec)
        if "parameterIterator" in task
    }
    assert sorted(loops.values()) == [8, 64, 64]  # of `benchmark`, and the shards of `reasoning-pool`, alone or nested
