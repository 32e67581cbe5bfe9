"""KFP component of the seed sampling step."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.POOL, install_kfp_package=False)
def sample_seeds(
    prepared: dsl.Input[dsl.Dataset],
    embeddings: dsl.Input[dsl.Dataset],
    seed_fraction: float,
    seed_policy: str,
    clusters: int,
    previous_seeds: str,
    recorded_rationales: str,
    seed: int,
    seeds: dsl.Output[dsl.Dataset],
    diagnostics: dsl.Output[dsl.HTML],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Choose the users the language model reasons about (3.1.1), or those of a file of recorded rationales.

    Args:
        seed_policy: a name of `policies.POLICIES`.
        clusters: K; 0 is 5% of the users.
        previous_seeds: last week's table of seeds, of whom as many stay as still fit; empty is a new sampling.
        recorded_rationales: file of recorded rationales; empty leaves the choice to the policy.
    """
    import shutil
    from pathlib import Path

    from components.contracts.artifacts import SEEDS_PAGE_FILE
    from components.foundation.files import write_json
    from components.seed_sampling.seed_users import SamplingConfig, sample_seed_users

    recorded = Path(recorded_rationales) if recorded_rationales else None
    previous = Path(previous_seeds) if previous_seeds else None
    config = SamplingConfig(seed_fraction, clusters, recorded, seed, seed_policy, previous)
    content = sample_seed_users(Path(prepared.path), Path(embeddings.path), config, Path(seeds.path))
    write_json(Path(report.path), content)
    # A copy of its own, for the page that Kubeflow shows.
    shutil.copyfile(Path(seeds.path) / SEEDS_PAGE_FILE, diagnostics.path)
