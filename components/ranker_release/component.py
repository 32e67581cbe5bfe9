"""Steps: put the ranker's items into the candidate index, and release the ranker to Triton."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def build_item_index(rankers: dsl.Input[dsl.Model], version: str, generation: str) -> str:
    """Fill the Milvus collection in which candidates are searched for this version; returns the name to search by."""
    from pathlib import Path

    from components.foundation import mlflow_client
    from components.foundation.milvus import connect_milvus
    from components.foundation.settings import load_settings
    from components.ranker_release.arms import parse_version, version_to_go_back_to, versions_in_use
    from components.ranker_release.item_index import build_index

    settings = load_settings()
    used = versions_in_use(settings, mlflow_client.open_registry(settings)) | version_to_go_back_to(settings)
    with connect_milvus(settings) as client:
        return build_index(client, Path(rankers.path) / "reland", parse_version(version), generation, used)


@dsl.component(base_image=images.TRITON, install_kfp_package=False)
def release_ranker(
    rankers: dsl.Input[dsl.Model],
    prepared: dsl.Input[dsl.Dataset],
    version: str,
    item_collection: str,
    slot: str,
    generation: str,
    serving: dict,
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Try the models on a real Triton, add them to the model repository, and point the alias at the version last.

    The first release also makes the record of arms, with one arm; its candidates are searched in `item_collection`.

    Args:
        serving: the section `serving` of the run's configuration.
    """
    from pathlib import Path

    from components.contracts import registry
    from components.foundation import mlflow_client
    from components.foundation.files import write_json
    from components.foundation.progress import say
    from components.foundation.settings import load_settings
    from components.ranker_release.arms import parse_version, versions_in_use, write_first_rollout
    from components.ranker_release.configuration import ServingSection
    from components.ranker_release.release import release, report_of
    from feature_repo.store import open_feature_store

    settings = load_settings()
    client = mlflow_client.open_registry(settings)
    released = release(
        settings,
        Path(rankers.path),
        Path(prepared.path),
        open_feature_store(settings),
        slot,
        parse_version(version),
        versions_in_use(settings, client),
        ServingSection.read(serving),
    )
    say(
        f"released version {released.version}: Triton's answers are PyTorch's within "
        f"{released.largest_difference:.1e}; the repository serves the versions {released.served_versions}"
    )
    if write_first_rollout(settings, released.version, generation, slot, item_collection):
        say(f"all users are served by version {released.version}: the first record of arms")
    alias = registry.point_ranker_alias(client, version)
    say(f"{registry.RANKER_MODEL} version {version} is now {alias}")
    write_json(Path(report.path), {"registry": {"alias": alias}, **report_of(released)})
