"""The registration steps over the real MLflow (SQLite)."""

import json
from pathlib import Path

import pytest

from components.contracts import registry
from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE
from components.contracts.handover import EncoderRecord, FeaturesRecord, PoolRecord, latest
from components.foundation import mlflow_client
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.model_registry.register import (
    register_encoder_version,
    register_ranker_version,
    register_record_version,
)
from components.prompting.catalogue import Catalogue
from components.prompting.history import condense
from components.prompting.prompt_registry import register_template
from components.prompting.prompt_template import read_template
from components.prompting.prompts import build_request
from components.rationale_generation.component import register_prompt
from components.rationale_generation.request_building import SeedRequests, write_seed_requests

TAGS = {registry.TAG_GENERATION: "one", registry.TAG_FINGERPRINT: "f" * 64, registry.TAG_SLOT: "blue"}


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    return Settings()


@pytest.fixture
def rankers(tmp_path) -> Path:
    for variant in ("id_only", "reland"):
        folder = tmp_path / "rankers" / variant
        folder.mkdir(parents=True)
        config = {"variant": variant, "backbone": "sasrec", "text_encoder": "tiny", "items": 3, "layers": [1, 2]}
        (folder / CONFIG_FILE).write_text(json.dumps(config))
        (folder / METRICS_FILE).write_text(json.dumps({"ndcg@10": 0.25, "curve": [0.1, 0.25]}))
        (folder / "weights.safetensors").write_bytes(b"weights")
    return tmp_path / "rankers"


@pytest.fixture
def evaluation(tmp_path) -> Path:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    metrics = {"id_only": {"hr@10": 0.2, "ndcg@10": 0.1}, "reland": {"hr@10": 0.5, "ndcg@10": 0.3}}
    (folder / METRICS_FILE).write_text(json.dumps({"protocol": "leave-one-out", "variants": metrics}))
    return folder


def test_the_first_released_ranker_is_champion_and_later_ones_are_candidates(settings, rankers, evaluation):
    client = mlflow_client.open_registry(settings)
    assert mlflow_client.aliases(client, registry.RANKER_MODEL) == {}
    assert registry.champion_tag(client, registry.TAG_SLOT) is None

    assert register_ranker_version(settings, rankers, evaluation, TAGS) == "1"
    assert mlflow_client.aliases(client, registry.RANKER_MODEL) == {}  # registered, not yet released
    assert registry.point_ranker_alias(client, "1") == "champion"
    second = TAGS | {registry.TAG_SLOT: "green"}
    for version in ("2", "3"):
        assert register_ranker_version(settings, rankers, evaluation, second) == version
        assert registry.point_ranker_alias(client, version) == "candidate"

    assert mlflow_client.aliases(client, registry.RANKER_MODEL) == {"champion": "1", "candidate": "3"}
    assert registry.champion_tag(client, registry.TAG_SLOT) == "blue"
    champion = client.get_model_version(registry.RANKER_MODEL, "1")
    assert champion.tags == TAGS | {registry.TAG_TEXT_ENCODER: "tiny"}

    run = client.get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {
        "id_only/validation/ndcg_at_10": 0.25,
        "id_only/test/hr_at_10": 0.2,
        "id_only/test/ndcg_at_10": 0.1,
        "reland/validation/ndcg_at_10": 0.25,
        "reland/test/hr_at_10": 0.5,
        "reland/test/ndcg_at_10": 0.3,
    }
    assert run.data.params["reland/backbone"] == "sasrec"
    downloaded = Path(client.download_artifacts(champion.run_id, "model/reland/weights.safetensors"))
    assert downloaded.read_bytes() == b"weights"


def test_a_template_is_registered_once_for_each_wording(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    template = read_template("numbered-v1")
    assert register_template(settings, template) == "prompts:/reland-numbered-v1/1"
    assert register_template(settings, template) == "prompts:/reland-numbered-v1/1"
    assert register_template(settings, read_template("numbered-v1", "films")) == "prompts:/reland-numbered-v1/2"
    assert register_template(settings, template) == "prompts:/reland-numbered-v1/1"
    assert register_template(settings, read_template("direct-v1")) == "prompts:/reland-direct-v1/1"

    client = mlflow_client.open_registry(settings)
    assert {prompt.name for prompt in client.search_prompts()} == {"reland-numbered-v1", "reland-direct-v1"}
    registered = client.load_prompt("prompts:/reland-numbered-v1/1")
    document = '{"history": []}'
    assert registered.format(document=document) == [
        {"role": "system", "content": template.system},
        {"role": "user", "content": document},
    ]
    assert registered.response_format == template.answer_schema()
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}  # nothing is written where the step runs

    request = build_request(condense([]), template, Catalogue({}), "m")
    asked = SeedRequests([request], {"ann": "one"}, template.version, {"one": 9})
    write_seed_requests(asked, tmp_path / "requests")
    uri = register_prompt.python_func(_artifact(tmp_path / "requests"), _artifact(tmp_path / "report.json"))
    assert uri == "prompts:/reland-numbered-v1/1"
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "prompt": {"version": "numbered-v1", "registered": "prompts:/reland-numbered-v1/1"}
    }


def test_the_newest_encoder_is_champion(settings, rankers):
    for version in ("1", "2"):
        uris = (f"s3://bucket/prepared-{version}", f"s3://bucket/encoder-{version}")
        assert register_encoder_version(settings, rankers / "reland", TAGS, *uris) == version
    client = mlflow_client.open_registry(settings)
    assert mlflow_client.aliases(client, registry.ENCODER_MODEL) == {"champion": "2"}
    assert latest(client, EncoderRecord) == EncoderRecord("s3://bucket/prepared-2", "s3://bucket/encoder-2", "2")


def test_a_record_of_features_names_all_that_it_was_made_with_and_is_found_by_its_alias(settings):
    client = mlflow_client.open_registry(settings)
    for kind, pipeline in ((EncoderRecord, "behavior-encoder"), (PoolRecord, "reasoning-pool")):
        with pytest.raises(InputError, match=f"registry: {kind.model} has no version yet, run the pipeline {pipeline}"):
            latest(client, kind)
    records = [FeaturesRecord(*(f"{name}-{day}" for name in "abcdefghi")) for day in (1, 2)]
    for version, record in zip(("1", "2"), records, strict=True):
        assert register_record_version(settings, record, TAGS) == version
    assert latest(client, FeaturesRecord) == records[1]
    assert client.get_model_version(registry.FEATURES_MODEL, "2").tags["generation"] == TAGS["generation"]
    with pytest.raises(InputError, match="reland-reasoning-pool has no version yet"):
        latest(client, PoolRecord)

    # A version that was registered before versions said where things are.
    client.delete_model_version_tag(registry.FEATURES_MODEL, "2", "handover.slot")
    with pytest.raises(InputError, match=r"version 2 does not say its slot, run the pipeline rationale-re"):
        latest(client, FeaturesRecord)


def test_a_failure_on_the_way_leaves_aliases_and_versions_as_they_were(settings, rankers, evaluation):
    client = mlflow_client.open_registry(settings)
    registry.point_ranker_alias(client, register_ranker_version(settings, rankers, evaluation, TAGS))

    (rankers / "id_only" / METRICS_FILE).write_text("{")
    with pytest.raises(InputError, match=METRICS_FILE):
        register_ranker_version(settings, rankers, evaluation, TAGS)

    # The artifact store fails after the run has begun: a folder's place is taken by a file.
    (rankers / "id_only" / METRICS_FILE).write_text("{}")
    experiment = mlflow_client.experiment_id(client, settings, registry.RANKER_MODEL)
    artifacts = settings.home / "mlflow" / "artifacts"
    artifacts.rename(artifacts.with_name("moved"))
    artifacts.write_text("")
    with pytest.raises(OSError):
        register_ranker_version(settings, rankers, evaluation, TAGS)

    assert mlflow_client.aliases(client, registry.RANKER_MODEL) == {"champion": "1"}
    assert len(client.search_model_versions(f"name = '{registry.RANKER_MODEL}'")) == 1
    assert sorted(run.info.status for run in client.search_runs([experiment])) == ["FAILED", "FINISHED"]


def test_the_steps_report_what_they_registered(settings, rankers, evaluation, tmp_path):
    from components.contracts.fingerprint import data_fingerprint
    from components.model_registry.component import register_encoder, register_ranker

    prepared = tmp_path / "prepared"
    prepared.mkdir()
    for name in ("interactions.parquet", "items.parquet"):
        (prepared / name).write_bytes(name.encode())

    encoder = tmp_path / "encoder"
    encoder.mkdir()
    lineage = {"data_fingerprint": "f" * 64, "git_revision": "a" * 40}  # of the training, wherever that was
    (encoder / CONFIG_FILE).write_text(json.dumps({"encoder": "lightgcn", "config": {"steps": 200}, **lineage}))
    (encoder / METRICS_FILE).write_text(json.dumps({"link_auc": 0.75}))
    encoder_version = register_encoder.python_func(
        prepared=_artifact(prepared),
        encoder=_artifact(encoder),
        generation="one",
        report=_artifact(tmp_path / "encoder.json"),
    )
    version = register_ranker.python_func(
        rankers=_artifact(rankers),
        evaluation=_artifact(evaluation),
        prepared=_artifact(prepared),
        generation="one",
        encoder_version=encoder_version,
        collection="pool_one",
        prompt="prompts:/reland-recommendation-v1/1",
        slot="blue",
        report=_artifact(tmp_path / "ranker.json"),
    )

    assert (encoder_version, version) == ("1", "1")
    assert json.loads((tmp_path / "encoder.json").read_text()) == {
        "encoder": {
            "model": "reland-behavior-encoder",
            "version": "1",
            "name": "lightgcn",
            "metrics": {"link_auc": 0.75},
        }
    }
    trained = mlflow_client.open_registry(settings).get_model_version(registry.ENCODER_MODEL, encoder_version)
    assert trained.tags == {
        "generation": "one",
        "handover.prepared": str(prepared),
        "handover.encoder": str(encoder),
        "handover.encoder_version": "1",
        **lineage,
    }
    run = mlflow_client.open_registry(settings).get_run(trained.run_id).data
    assert run.params == {"encoder": "lightgcn", "config/steps": "200", **lineage} and run.metrics == {"link_auc": 0.75}
    assert json.loads((tmp_path / "ranker.json").read_text()) == {
        "registry": {"model": "reland-ranker", "version": "1", "parent_generation": None}
    }
    registered = mlflow_client.open_registry(settings).get_model_version(registry.RANKER_MODEL, version)
    assert registered.tags == {
        "generation": "one",
        "data_fingerprint": data_fingerprint(prepared),
        "encoder_version": "1",
        "prompt": "prompts:/reland-recommendation-v1/1",
        "milvus_collection": "pool_one",
        "feast_slot": "blue",
        "text_encoder": "tiny",
    }


def test_a_language_model_is_registered_with_what_it_was_trained_on(settings, tmp_path):
    from components.contracts.language_model import LanguageModel, write_language_model
    from components.model_registry.component import register_language_model

    tuned = tmp_path / "tuned"
    tuned.mkdir()
    (tuned / "model.safetensors").write_bytes(b"weights")

    def register() -> tuple[str, dict]:
        version = register_language_model.python_func(
            tuned=_artifact(tuned), generation="one", report=_artifact(tmp_path / "report.json")
        )
        return version, json.loads((tmp_path / "report.json").read_text())["language_model"]

    write_language_model(tuned, LanguageModel(name="someone's/model"))
    assert register() == ("", {"name": "someone's/model", "model": None, "version": None, "metrics": {}})

    write_language_model(tuned, LanguageModel(name="reland-scratch-1", weights=str(tuned)))
    lineage = {"data_fingerprint": "f" * 64, "git_revision": "a" * 40}
    tuning = {"kind": "scratch", "base": "", "prompt_version": "numbered-v1", "config": {"training": {"seed": 3}}}
    metrics = {"after": {"valid": 1.0, "category_hit@1": 0.5}}
    (tuned / "tuning.json").write_text(json.dumps(tuning | lineage))
    (tuned / METRICS_FILE).write_text(json.dumps(metrics))
    expected = {"name": "reland-scratch-1", "model": "reland-language-model", "version": "1", "metrics": metrics}
    assert register() == ("1", expected)

    client = mlflow_client.open_registry(settings)
    assert mlflow_client.aliases(client, registry.LANGUAGE_MODEL) == {"champion": "1"}
    version = client.get_model_version(registry.LANGUAGE_MODEL, "1")
    assert version.tags == {"generation": "one", "prompt_version": "numbered-v1", "base_model": "", **lineage}
    run = client.get_run(version.run_id).data
    assert run.params["config/training/seed"] == "3" and run.metrics["after/category_hit_at_1"] == 0.5
    assert Path(client.download_artifacts(version.run_id, "model/model.safetensors")).read_bytes() == b"weights"


def _artifact(path: Path):
    from kfp import dsl

    artifact = dsl.Artifact(uri=str(path))
    artifact.path = str(path)
    return artifact
