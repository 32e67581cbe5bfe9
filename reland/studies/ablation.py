"""A version of the ranker without the rationales: what an experiment measures RELAND against.

Every run trains the variant `id_only` beside `reland`, of the same signature. Released as a version of its own it can
be an arm, and users of the two arms then differ in nothing but the rationales: their history, their candidates' source
and their gateway are the same.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from components.contracts.artifacts import CONFIG_FILE, ITEM_INDEX_FILE
from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.registry import CHAMPION, RANKER_MODEL, TAG_GENERATION, TAG_SLOT
from components.contracts.serving import POPULAR_ITEMS_FILE
from components.contracts.tables import ITEM_INDEX, read_table
from components.foundation.errors import InputError
from components.foundation.mlflow_client import aliases, open_registry
from components.foundation.progress import say
from components.foundation.settings import Settings
from reland.generations.finding import Generation

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG_VARIANT = "served_variant"  # of a registered version that serves another variant than `reland`
ABLATED, SERVED = "id_only", "reland"


def release_ablation(settings: Settings, generation: Generation) -> int:
    """Release the champion's variant `id_only` as a version, beside whatever is served; returns the version.

    It is registered with the champion's files, which hold both variants, and its tags, so a rollout finds its
    generation and slot as those of any version. If it was released before, that version is returned.

    Args:
        generation: the champion's.

    Raises:
        InputError: there is no champion, or the variant is not among the run's rankers.
        ServedScoresDifferError: Triton's answers are not PyTorch's.
    """
    from components.foundation.milvus import connect_milvus
    from components.ranker_release.arms import versions_in_use
    from components.ranker_release.item_index import build_index
    from components.ranker_release.release import release
    from feature_repo.store import open_feature_store

    client = open_registry(settings)
    champion = aliases(client, RANKER_MODEL).get(CHAMPION)
    if champion is None:
        raise InputError(f"{RANKER_MODEL}: no champion in the registry, `reland run` makes one")
    tags = client.get_model_version(RANKER_MODEL, champion).tags
    version = _registered(client, tags[TAG_GENERATION]) or _register(client, champion, tags)
    if (settings.resolved_model_repository / MODEL_NAME / str(version)).exists():  # which a release writes last
        return version
    with tempfile.TemporaryDirectory(prefix="reland-ablation-") as temporary:
        rankers = Path(temporary)
        _ablate(generation.rankers, rankers)
        used = versions_in_use(settings, client) | {int(champion)}
        with connect_milvus(settings) as milvus:
            build_index(milvus, rankers / SERVED, version, tags[TAG_GENERATION], used)
        released = release(
            settings,
            rankers,
            generation.prepared,
            open_feature_store(settings),
            tags[TAG_SLOT],
            version,
            used,
        )
    say(f"released {ABLATED} as version {version}; the repository serves the versions {released.served_versions}")
    return version


def _registered(client: "MlflowClient", generation: str) -> int | None:
    """The version that an earlier call registered for this generation."""
    for version in client.search_model_versions(f"name = '{RANKER_MODEL}'"):
        if (version.tags.get(TAG_GENERATION), version.tags.get(TAG_VARIANT)) == (generation, ABLATED):
            return int(version.version)
    return None


def _register(client: "MlflowClient", champion: str, tags: dict[str, str]) -> int:
    source = client.get_model_version(RANKER_MODEL, champion)
    assert source.source is not None, "a ranker is registered with its artifact"
    tags = tags | {TAG_VARIANT: ABLATED}
    return int(client.create_model_version(RANKER_MODEL, source.source, source.run_id, tags=tags).version)


def _ablate(rankers: Path, folder: Path) -> None:
    """Lay out the ablated variant as a release expects the one that it serves, and as the step below it once more.

    Raises:
        InputError: the variant is not there.
    """
    from components.fusion_ranker.variants import write_candidate_vectors
    from components.recommenders.ranker import load_ranker

    if not (rankers / ABLATED / CONFIG_FILE).exists():
        raise InputError(f"{rankers / ABLATED / CONFIG_FILE}: no such file, expected a run with the variant {ABLATED}")
    for name in (SERVED, ABLATED):
        shutil.copytree(rankers / ABLATED, folder / name)
    served = folder / SERVED
    item_ids = read_table(served / ITEM_INDEX_FILE, ITEM_INDEX).sort_by("index")["item_id"].to_pylist()
    write_candidate_vectors(load_ranker(rankers / ABLATED), item_ids, served)
    shutil.copyfile(rankers / SERVED / POPULAR_ITEMS_FILE, served / POPULAR_ITEMS_FILE)
