"""Step: release the ranker to Triton."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def release_ranker(
    rankers: dsl.Input[dsl.Model],
    prepared: dsl.Input[dsl.Dataset],
    embeddings: dsl.Input[dsl.Dataset],
    version: str,
    slot: str,
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Try the variant `reland` on a real Triton, add it to the model repository, and point its alias at it last."""
    from pathlib import Path

    from components.contracts import registry
    from components.contracts.files import write_json
    from components.contracts.progress import say
    from components.contracts.settings import load_settings
    from components.ranker_release.release import parse_version, release, report_of
    from feature_repo.store import open_feature_store

    settings = load_settings()
    client = registry.open_registry(settings)
    # Served beside the new version: what an alias of the registry points at.
    served = registry.aliases(client, registry.RANKER_MODEL).values()
    released = release(
        settings,
        Path(rankers.path) / "reland",
        Path(prepared.path),
        Path(embeddings.path),
        open_feature_store(settings),
        slot,
        parse_version(version),
        {int(aliased) for aliased in served},
    )
    say(
        f"released version {released.version}: Triton's scores are PyTorch's within {released.largest_difference:.1e}; "
        f"the repository serves the versions {released.served_versions}"
    )
    alias = registry.point_ranker_alias(client, version)
    say(f"{registry.RANKER_MODEL} version {version} is now {alias}")
    write_json(Path(report.path), {"registry": {"alias": alias}, **report_of(released)})
