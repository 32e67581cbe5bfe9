"""On demand: the variants of the ranker compared over several seeds, on the features of the newest refresh.

Nothing is registered and nothing released. The seeds of encoder, pool and matching are those of the refresh: what is
told is how much the ranker's own seed moves the table.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.fusion_ranker.component import compare_seeds, evaluate_rankers, train_rankers
from components.model_registry.component import find_features
from components.text_encoding.component import encode_items
from components.text_encoding.models import PACKAGED_MODEL
from pipelines.running.placement import Cluster, place
from pipelines.standalone import imported

SEEDS_AT_A_TIME = 8


def define_benchmark(cluster: Cluster) -> BaseComponent:
    """The pipeline, for such a cluster."""

    @dsl.pipeline(name="benchmark", description="The paper's table: variants of the ranker over seeds.")
    def benchmark(
        text_encoder: str = PACKAGED_MODEL,
        variants: str = "id_only,item_features,reland,reland_shuffled",
        epochs: int = 12,
        seeds: list = [0, 1, 2],  # noqa: B006, as a default of a pipeline is written into its definition
    ) -> dsl.Artifact:
        found = place(find_features(), cluster, uses_outside_state=True).outputs
        prepared = imported(found["prepared"], dsl.Dataset)
        matches = imported(found["matches"], dsl.Dataset)
        rationale_embeddings = imported(found["rationale_embeddings"], dsl.Dataset)
        encode = place(encode_items(text_encoder=text_encoder, prepared=prepared), cluster)
        with dsl.ParallelFor(seeds, parallelism=SEEDS_AT_A_TIME) as seed:
            train = place(
                train_rankers(
                    prepared=prepared,
                    matches=matches,
                    rationale_embeddings=rationale_embeddings,
                    item_text_embeddings=encode.outputs["item_text_embeddings"],
                    variants=variants,
                    epochs=epochs,
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
