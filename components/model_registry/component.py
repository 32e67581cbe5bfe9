"""Steps: register what a pipeline makes, and find what the pipeline before it registered."""

from typing import NamedTuple

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def register_encoder(
    prepared: dsl.Input[dsl.Dataset],
    encoder: dsl.Input[dsl.Model],
    generation: str,
    report: dsl.Output[dsl.Artifact],
) -> str:
    """Register the encoder in MLflow as `reland-behavior-encoder`, with the lineage it brings; returns its version."""
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE
    from components.contracts.lineage import lineage_of
    from components.foundation.files import read_json, write_json
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.model_registry.register import register_encoder_version

    folder = Path(encoder.path)
    description = read_json(folder / CONFIG_FILE)
    tags = {registry.TAG_GENERATION: generation, **lineage_of(description)}
    version = register_encoder_version(load_settings(), folder, tags, prepared.uri, encoder.uri)
    say(f"registered {registry.ENCODER_MODEL} version {version} as {registry.CHAMPION}")
    # The summary of a run has one registered model, the ranker.
    content = {
        "model": registry.ENCODER_MODEL,
        "version": version,
        "name": description["encoder"],
        "metrics": read_json(folder / METRICS_FILE),
    }
    write_json(Path(report.path), {"encoder": content})
    return version


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def register_language_model(tuned: dsl.Input[dsl.Model], generation: str, report: dsl.Output[dsl.Artifact]) -> str:
    """Register a language model that was trained here as `reland-language-model`, by its lineage; returns its version.

    A model that was not trained here is not registered; its version is then empty.
    """
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.artifacts import METRICS_FILE, TUNING_FILE
    from components.contracts.language_model import read_language_model
    from components.contracts.lineage import lineage_of
    from components.foundation.files import read_json, write_json
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.model_registry.register import register_language_model_version

    folder = Path(tuned.path)
    version = ""
    metrics = {}
    if (folder / TUNING_FILE).exists():
        tags = {registry.TAG_GENERATION: generation, **lineage_of(read_json(folder / TUNING_FILE))}
        version = register_language_model_version(load_settings(), folder, tags)
        say(f"registered {registry.LANGUAGE_MODEL} version {version} as {registry.CHAMPION}")
        metrics = read_json(folder / METRICS_FILE)
    content = {
        "name": read_language_model(folder).name,
        "model": registry.LANGUAGE_MODEL if version else None,
        "version": version or None,
        "metrics": metrics,
    }
    write_json(Path(report.path), {"language_model": content})
    return version


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def register_ranker(
    rankers: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    prepared: dsl.Input[dsl.Dataset],
    generation: str,
    encoder_version: str,
    collection: str,
    prompt: str,
    slot: str,
    report: dsl.Output[dsl.Artifact],
) -> str:
    """Register the ranker's variants in MLflow as one version of `reland-ranker`; returns the version."""
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.fingerprint import data_fingerprint
    from components.foundation import mlflow_client
    from components.foundation.files import write_json
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.model_registry.register import register_ranker_version

    tags = {
        registry.TAG_GENERATION: generation,
        registry.TAG_FINGERPRINT: data_fingerprint(Path(prepared.path)),
        registry.TAG_ENCODER: encoder_version,
        registry.TAG_COLLECTION: collection,
        registry.TAG_PROMPT_URI: prompt,
        registry.TAG_SLOT: slot,
    }
    settings = load_settings()
    parent = registry.champion_tag(mlflow_client.open_registry(settings), registry.TAG_GENERATION)
    version = register_ranker_version(settings, Path(rankers.path), Path(evaluation.path), tags)
    say(f"registered {registry.RANKER_MODEL} version {version}")
    # The alias is reported by the step that sets it, the release.
    write_json(
        Path(report.path),
        {"registry": {"model": registry.RANKER_MODEL, "version": version, "parent_generation": parent}},
    )
    return version


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def register_pool(
    prepared: dsl.Input[dsl.Dataset],
    encoder: dsl.Input[dsl.Model],
    rationales: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    encoder_version: str,
    collection: str,
    prompt: str,
    generation: str,
) -> str:
    """Register where the pool of a generation is, for the pipelines that run more often; returns its version."""
    from components.contracts import registry
    from components.contracts.handover import PoolRecord
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.model_registry.register import register_record_version

    record = PoolRecord(
        prepared=prepared.uri,
        encoder=encoder.uri,
        encoder_version=encoder_version,
        rationales=rationales.uri,
        rationale_embeddings=rationale_embeddings.uri,
        collection=collection,
        prompt=prompt,
    )
    version = register_record_version(load_settings(), record, {registry.TAG_GENERATION: generation})
    say(f"registered {registry.POOL_MODEL} version {version}: the collection {collection}")
    return version


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def register_features(
    prepared: dsl.Input[dsl.Dataset],
    encoder: dsl.Input[dsl.Model],
    rationales: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    matches: dsl.Input[dsl.Dataset],
    encoder_version: str,
    collection: str,
    prompt: str,
    slot: str,
    generation: str,
) -> str:
    """Register where the features of a refresh are and which slot they were pushed to; returns their version."""
    from components.contracts import registry
    from components.contracts.handover import FeaturesRecord
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.model_registry.register import register_record_version

    record = FeaturesRecord(
        prepared=prepared.uri,
        encoder=encoder.uri,
        encoder_version=encoder_version,
        rationales=rationales.uri,
        rationale_embeddings=rationale_embeddings.uri,
        collection=collection,
        prompt=prompt,
        matches=matches.uri,
        slot=slot,
    )
    version = register_record_version(load_settings(), record, {registry.TAG_GENERATION: generation})
    say(f"registered {registry.FEATURES_MODEL} version {version}: the slot {slot}")
    return version


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def find_encoder() -> NamedTuple(  # type: ignore[valid-type]  # as kfp reads the outputs' names
    "Record", [("prepared", str), ("encoder", str), ("encoder_version", str)]
):
    """The newest behavior encoder, and the data it was trained on: URIs and the version."""
    from components.contracts.handover import EncoderRecord, latest
    from components.foundation.mlflow_client import open_registry
    from components.foundation.progress import say
    from components.foundation.settings import load_settings

    record = latest(open_registry(load_settings()), EncoderRecord)
    say(f"behavior encoder version {record.encoder_version}")
    return (record.prepared, record.encoder, record.encoder_version)


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def find_pool() -> NamedTuple(  # type: ignore[valid-type]
    "Record",
    [
        ("prepared", str),
        ("encoder", str),
        ("encoder_version", str),
        ("rationales", str),
        ("rationale_embeddings", str),
        ("collection", str),
        ("prompt", str),
    ],
):
    """The newest reasoning pool, and the encoder and data it was made with: URIs, and names in the registry."""
    import dataclasses

    from components.contracts.handover import PoolRecord, latest
    from components.foundation.mlflow_client import open_registry
    from components.foundation.progress import say
    from components.foundation.settings import load_settings

    record = latest(open_registry(load_settings()), PoolRecord)
    say(f"reasoning pool {record.collection}, behavior encoder version {record.encoder_version}")
    return dataclasses.astuple(record)


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def find_features() -> NamedTuple(  # type: ignore[valid-type]
    "Record",
    [
        ("prepared", str),
        ("encoder", str),
        ("encoder_version", str),
        ("rationales", str),
        ("rationale_embeddings", str),
        ("collection", str),
        ("prompt", str),
        ("matches", str),
        ("slot", str),
    ],
):
    """The newest refresh, and all that it was made with: URIs, and names in the registry."""
    import dataclasses

    from components.contracts.handover import FeaturesRecord, latest
    from components.foundation.mlflow_client import open_registry
    from components.foundation.progress import say
    from components.foundation.settings import load_settings

    record = latest(open_registry(load_settings()), FeaturesRecord)
    say(f"features of {record.collection} in the slot {record.slot}")
    return dataclasses.astuple(record)
