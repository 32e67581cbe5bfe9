"""Steps: register the behavior encoder, register the ranker."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.RANKER, install_kfp_package=False)
def register_encoder(encoder: dsl.Input[dsl.Model], generation: str, report: dsl.Output[dsl.Artifact]) -> str:
    """Register the encoder in MLflow as `reland-behavior-encoder`, with the lineage it brings; returns its version."""
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE
    from components.contracts.files import read_json, write_json
    from components.contracts.lineage import lineage_of
    from components.contracts.progress import say
    from components.contracts.settings import load_settings
    from components.model_registry.register import register_encoder_version

    folder = Path(encoder.path)
    description = read_json(folder / CONFIG_FILE)
    tags = {registry.TAG_GENERATION: generation, **lineage_of(description)}
    version = register_encoder_version(load_settings(), folder, tags)
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
def register_ranker(
    rankers: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    prepared: dsl.Input[dsl.Dataset],
    generation: str,
    encoder_version: str,
    collection: str,
    slot: str,
    report: dsl.Output[dsl.Artifact],
) -> str:
    """Register the ranker's variants in MLflow as one version of `reland-ranker`; returns the version."""
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.files import write_json
    from components.contracts.fingerprint import data_fingerprint
    from components.contracts.progress import say
    from components.contracts.settings import load_settings
    from components.model_registry.register import register_ranker_version

    tags = {
        registry.TAG_GENERATION: generation,
        registry.TAG_FINGERPRINT: data_fingerprint(Path(prepared.path)),
        registry.TAG_ENCODER: encoder_version,
        registry.TAG_COLLECTION: collection,
        registry.TAG_SLOT: slot,
    }
    settings = load_settings()
    parent = registry.champion_tag(registry.open_registry(settings), registry.TAG_GENERATION)
    version = register_ranker_version(settings, Path(rankers.path), Path(evaluation.path), tags)
    say(f"registered {registry.RANKER_MODEL} version {version}")
    # The alias is reported by the step that sets it, the release.
    write_json(
        Path(report.path),
        {"registry": {"model": registry.RANKER_MODEL, "version": version, "parent_generation": parent}},
    )
    return version
