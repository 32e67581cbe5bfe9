"""KFP component of the seed sampling step."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.POOL, install_kfp_package=False)
def sample_seeds(
    prepared: dsl.Input[dsl.Dataset],
    embeddings: dsl.Input[dsl.Dataset],
    seed_fraction: float,
    clusters: int,
    recorded_rationales: str,
    seed: int,
    seeds: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Choose the users the language model reasons about (3.1.1), or those of a file of recorded rationales.

    Args:
        clusters: K; 0 is 5% of the users.
        recorded_rationales: file of recorded rationales; empty is adaptive sampling.
    """
    from pathlib import Path

    from components.contracts.artifacts import SEEDS_FILE
    from components.contracts.files import write_json
    from components.contracts.tables import SEEDS, write_table
    from components.seed_sampling.seed_users import SamplingConfig, select_seed_users

    recorded = Path(recorded_rationales) if recorded_rationales else None
    config = SamplingConfig(seed_fraction, clusters, recorded, seed)
    table, content = select_seed_users(Path(prepared.path), Path(embeddings.path), config)
    write_table(table, Path(seeds.path) / SEEDS_FILE, SEEDS)
    write_json(Path(report.path), content)
