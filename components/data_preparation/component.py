"""Step "prepare data" of every pipeline that starts from interaction logs."""

from kfp import dsl

from components.contracts.images import DATA


@dsl.component(base_image=DATA, install_kfp_package=False)
def prepare_data(
    data: dict,
    seed: int,
    prepared: dsl.Output[dsl.Dataset],
    truth: dsl.Output[dsl.Artifact],
    statistics: dsl.Output[dsl.HTML],
    validation: dsl.Output[dsl.HTML],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Validate, k-core filter and split a data set.

    Args:
        data: the section `data` of the run's configuration.
        truth: that of a simulated market, which no step that learns is given; an empty folder where data are real.
    """
    import shutil
    from pathlib import Path

    from components.contracts.artifacts import STATISTICS_PAGE_FILE, VALIDATION_PAGE_FILE
    from components.data_preparation.configuration import DataSection
    from components.data_preparation.preparation import configure, prepare
    from components.foundation.files import write_json
    from components.foundation.settings import load_settings

    config = configure(DataSection.read(data), seed, load_settings())
    Path(truth.path).mkdir(parents=True, exist_ok=True)
    write_json(Path(report.path), prepare(config, Path(prepared.path), Path(truth.path)))
    # Copies of their own, for the pages that Kubeflow shows.
    shutil.copyfile(Path(prepared.path) / STATISTICS_PAGE_FILE, statistics.path)
    shutil.copyfile(Path(prepared.path) / VALIDATION_PAGE_FILE, validation.path)
