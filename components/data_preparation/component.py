"""Step "prepare data" of every pipeline that starts from interaction logs."""

from kfp import dsl

from components.contracts.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def prepare_data(
    dataset: str,
    data_dir: str,
    seed: int,
    minimum_interactions: int,
    splits: str,
    validate_from: str,
    test_from: str,
    previous: str,
    prepared: dsl.Output[dsl.Dataset],
    truth: dsl.Output[dsl.Artifact],
    statistics: dsl.Output[dsl.HTML],
    validation: dsl.Output[dsl.HTML],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Validate, k-core filter and split a data set.

    See `preparation.configure` for an empty `data_dir`, `splits.parse_splits` for the three parameters of the splits.
    `previous` is the prepared folder that the data set is added to, empty where there is none.
    `truth` is that of a simulated market, which no step that learns is given; an empty folder where data are real.
    """
    import shutil
    from pathlib import Path

    from components.contracts.artifacts import STATISTICS_PAGE_FILE, VALIDATION_PAGE_FILE
    from components.data_preparation.preparation import configure, prepare
    from components.data_preparation.splits import parse_splits
    from components.foundation.files import write_json
    from components.foundation.settings import load_settings

    asked = parse_splits(splits, validate_from, test_from)
    config = configure(dataset, data_dir, seed, minimum_interactions, load_settings(), asked, previous)
    Path(truth.path).mkdir(parents=True, exist_ok=True)
    write_json(Path(report.path), prepare(config, Path(prepared.path), Path(truth.path)))
    # Copies of their own, for the pages that Kubeflow shows.
    shutil.copyfile(Path(prepared.path) / STATISTICS_PAGE_FILE, statistics.path)
    shutil.copyfile(Path(prepared.path) / VALIDATION_PAGE_FILE, validation.path)
