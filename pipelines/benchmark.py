"""On demand: rankers compared over backbones, variants and seeds, on the features of the newest refresh.

Nothing is registered and nothing released. Encoder, pool and matching are those of the refresh, so the table shows how
much the ranker's own random seed changes the results. Several data sets, and features made for the purpose, are what
`reland benchmark` compares, by the same cells.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.model_registry.component import find_features
from components.ranking_benchmark.component import compare_cells, list_cells, run_one_cell
from components.ranking_benchmark.grid import BenchmarkSection
from components.text_encoding.component import encode_items
from pipelines.running.placement import Cluster, place
from pipelines.standalone import imported

CELLS_AT_A_TIME = 8


def define_benchmark(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    @dsl.pipeline(name="benchmark", description="The paper's table: backbones and variants of the ranker over seeds.")
    def benchmark(benchmark: dict = BenchmarkSection().values()) -> dsl.Artifact:  # noqa: B008, written into it
        newest = place(find_features(), cluster, uses_outside_state=True).outputs
        features = {
            "prepared": imported(newest["prepared"], dsl.Dataset),
            "matches": imported(newest["matches"], dsl.Dataset),
            "rationale_embeddings": imported(newest["rationale_embeddings"], dsl.Dataset),
        }
        encode = place(
            encode_items(prepared=features["prepared"], rationale_embeddings=features["rationale_embeddings"]), cluster
        )
        cells = place(list_cells(section=benchmark), cluster)
        with dsl.ParallelFor(cells.output, parallelism=CELLS_AT_A_TIME) as name:
            cell = place(
                run_one_cell(
                    **features,
                    item_text_embeddings=encode.outputs["item_text_embeddings"],
                    section=benchmark,
                    name=name,
                ),
                cluster,
            )
        compare = place(compare_cells(results=dsl.Collected(cell.outputs["result"]), section=benchmark), cluster)
        return compare.outputs["report"]

    return benchmark
