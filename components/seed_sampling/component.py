"""KFP component of the seed sampling step."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.POOL, install_kfp_package=False)
def sample_seeds(
    prepared: dsl.Input[dsl.Dataset],
    embeddings: dsl.Input[dsl.Dataset],
    section: dict,
    rationales: dict,
    seed: int,
    seeds: dsl.Output[dsl.Dataset],
    diagnostics: dsl.Output[dsl.HTML],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Choose the users the language model reasons about (3.1.1), or those of a file of recorded rationales.

    Args:
        section: the section `seeds` of the run's configuration.
        rationales: its section `rationales`, which may name a file of recorded rationales with users of its own.
    """
    import shutil
    from pathlib import Path

    from components.contracts.artifacts import SEEDS_PAGE_FILE
    from components.foundation.files import write_json
    from components.language_model.configuration import RationalesSection
    from components.seed_sampling.configuration import SeedsSection
    from components.seed_sampling.seed_users import sample_seed_users

    recorded = RationalesSection.read(rationales).recorded_rationales
    content = sample_seed_users(
        Path(prepared.path),
        Path(embeddings.path),
        SeedsSection.read(section),
        Path(seeds.path),
        seed=seed,
        recorded_rationales=Path(recorded) if recorded else None,
    )
    write_json(Path(report.path), content)
    # A copy of its own, for the page that Kubeflow shows.
    shutil.copyfile(Path(seeds.path) / SEEDS_PAGE_FILE, diagnostics.path)
