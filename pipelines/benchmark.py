"""On demand: the variants of the ranker compared over several seeds, on the features of the newest refresh.

Nothing is registered and nothing released. Encoder, pool and matching are those of the refresh, so the table shows how
much the ranker's own random seed changes the results.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.fusion_ranker.component import compare_seeds, evaluate_rankers, train_rankers
from components.fusion_ranker.configuration import RankingSection
from components.model_registry.component import find_features
from components.recommenders.variants import VARIANTS
from components.text_encoding.component import encode_items
from pipelines.running.placement import Cluster, place
from pipelines.standalone import imported

SEEDS_AT_A_TIME = 8


def define_benchmark(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    @dsl.pipeline(name="benchmark", description="The paper's table: variants of the ranker over seeds.")
    def benchmark(
        ranking: dict = RankingSection(variants=",".join(VARIANTS)).values(),  # noqa: B008, written into the definition
        ranker_seeds: list[int] = [0, 1, 2],  # noqa: B006, likewise
    ) -> dsl.Artifact:
        newest = place(find_features(), cluster, uses_outside_state=True).outputs
        prepared = imported(newest["prepared"], dsl.Dataset)
        matches = imported(newest["matches"], dsl.Dataset)
        rationale_embeddings = imported(newest["rationale_embeddings"], dsl.Dataset)
        encode = place(encode_items(prepared=prepared, rationale_embeddings=rationale_embeddings), cluster)
        with dsl.ParallelFor(ranker_seeds, parallelism=SEEDS_AT_A_TIME) as seed:
            train = place(
                train_rankers(
                    prepared=prepared,
                    matches=matches,
                    rationale_embeddings=rationale_embeddings,
                    item_text_embeddings=encode.outputs["item_text_embeddings"],
                    section=ranking,
                    seed=seed,
                ),
                cluster,
            )
            evaluate = place(
                evaluate_rankers(
                    rankers=train.outputs["rankers"],
                    prepared=prepared,
                    matches=matches,
                    rationale_embeddings=rationale_embeddings,
                    item_text_embeddings=encode.outputs["item_text_embeddings"],
                    seed=seed,
                ),
                cluster,
            )
        compare = place(compare_seeds(evaluations=dsl.Collected(evaluate.outputs["evaluation"])), cluster)
        return compare.outputs["report"]

    return benchmark
