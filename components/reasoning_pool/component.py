"""KFP components of the reasoning pool: the collection of a generation, and the matching of every user."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.POOL, install_kfp_package=False)
def build_pool(
    rationales: dsl.Input[dsl.Dataset],
    embeddings: dsl.Input[dsl.Dataset],
    encoder_version: str,
    generation: str,
    report: dsl.Output[dsl.Artifact],
) -> str:
    """Build the Milvus collection of a generation and switch the alias to it; returns the collection's name."""
    from pathlib import Path

    from components.foundation.files import write_json
    from components.foundation.milvus import connect_milvus
    from components.foundation.settings import load_settings
    from components.reasoning_pool.pool import build_collection

    with connect_milvus(load_settings()) as client:
        name, size = build_collection(client, Path(rationales.path), Path(embeddings.path), generation, encoder_version)
    write_json(Path(report.path), {"pool": {"collection": name, "size": size, "encoder_version": encoder_version}})
    return name


@dsl.component(base_image=images.POOL, install_kfp_package=False)
def match_users(
    embeddings: dsl.Input[dsl.Dataset],
    collection: str,
    encoder_version: str,
    matches: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Match every user with the most similar seed user (Eq. 3)."""
    from pathlib import Path

    from components.contracts.artifacts import LINEAGE_FILE, MATCHES_FILE
    from components.contracts.tables import MATCHES, write_table
    from components.foundation.files import write_json
    from components.foundation.milvus import connect_milvus
    from components.foundation.settings import load_settings
    from components.reasoning_pool.matching import match_all_users

    with connect_milvus(load_settings()) as client:
        table, content = match_all_users(client, Path(embeddings.path), collection, encoder_version)
    write_table(table, Path(matches.path) / MATCHES_FILE, MATCHES)
    lineage = {"encoder_version": encoder_version, "collection": collection}
    write_json(Path(matches.path) / LINEAGE_FILE, lineage)
    write_json(Path(report.path), content)
