"""Pipeline steps: the cells of a benchmark on the features of a run, each trained alone, and what they say together."""

from kfp import dsl

from components.contracts.images import RANKER


@dsl.component(base_image=RANKER, install_kfp_package=False)
def list_cells(section: dict) -> list:
    """Names of the cells, in the order in which they are run.

    Args:
        section: the section `benchmark` of a grid.
    """
    from components.ranking_benchmark.grid import parse_grid
    from components.ranking_benchmark.results import RUN

    return [cell.name for cell in parse_grid({"benchmark": section, "data_sets": {RUN: {}}}).cells()]


@dsl.component(base_image=RANKER, install_kfp_package=False)
def run_one_cell(
    prepared: dsl.Input[dsl.Dataset],
    matches: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    item_text_embeddings: dsl.Input[dsl.Dataset],
    section: dict,
    name: str,
    result: dsl.Output[dsl.Artifact],
) -> None:
    """Train and evaluate the ranker of one cell.

    Args:
        section: the section `benchmark` of a grid.
        name: of the cell.
    """
    from pathlib import Path

    from components.ranking_benchmark.cell import run_cell
    from components.ranking_benchmark.grid import parse_grid
    from components.ranking_benchmark.results import RUN
    from components.recommenders.ranker_inputs import read_ranker_inputs

    cells = {cell.name: cell for cell in parse_grid({"benchmark": section, "data_sets": {RUN: {}}}).cells()}
    inputs = read_ranker_inputs(
        Path(prepared.path), Path(matches.path), Path(rationale_embeddings.path), Path(item_text_embeddings.path)
    )
    folder = Path(result.path)
    run_cell(cells[name], inputs, RUN, folder, folder / "checkpoints")


@dsl.component(base_image=RANKER, install_kfp_package=False)
def compare_cells(
    results: dsl.Input[list[dsl.Artifact]],
    section: dict,
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """The table and the comparisons of all cells, as JSON and as a page.

    Args:
        section: the section `benchmark` of a grid.
    """
    from pathlib import Path

    from components.foundation.files import write_json
    from components.ranking_benchmark.grid import parse_grid
    from components.ranking_benchmark.page import render
    from components.ranking_benchmark.results import RUN, collect

    grid = parse_grid({"benchmark": section, "data_sets": {RUN: {}}})
    measured = collect(grid, {RUN: RUN}, [Path(result.path) for result in results], {}, "the pipeline benchmark")
    for protocol, content in measured["protocols"].items():
        for row in content["table"]:
            for name in ("hr@10", "ndcg@10"):
                metrics.log_metric(
                    f"{protocol} {row['backbone']} {row['variant']} {name}", row["metrics"][name]["mean"]
                )
    write_json(Path(report.path), {"benchmark": measured})
    Path(page.path).write_text(render(measured), encoding="utf-8")
