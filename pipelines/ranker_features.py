"""On demand: everything that rankers are trained on, without a ranker. Benchmarks begin with it."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.text_encoding.component import encode_items
from pipelines.behavior_encoder import define_behavior_encoder
from pipelines.configuration import DATA, ENCODER, RATIONALES, SEEDS
from pipelines.generation import begin_generation
from pipelines.rationale_refresh import define_rationale_refresh
from pipelines.reasoning_pool import define_reasoning_pool
from pipelines.running.placement import Cluster, place


class RankerFeatures(NamedTuple):
    """What a ranker is trained on, and what its rationales cost."""

    prepared: dsl.Dataset
    matches: dsl.Dataset
    rationale_embeddings: dsl.Dataset
    item_text_embeddings: dsl.Dataset
    generation_report: dsl.Artifact


def define_ranker_features(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""
    behavior_encoder = define_behavior_encoder(cluster)
    reasoning_pool = define_reasoning_pool(cluster)
    rationale_refresh = define_rationale_refresh(cluster)

    @dsl.pipeline(name="ranker-features", description="Interaction logs to all that rankers are trained on.")
    def ranker_features(
        data: dict = DATA,
        encoder: dict = ENCODER,
        seeds: dict = SEEDS,
        rationales: dict = RATIONALES,
        seed: int = 0,
        generation: str = "",
    ) -> RankerFeatures:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True).output
        monthly = behavior_encoder(data=data, encoder=encoder, seed=seed, generation=begun)
        pool = reasoning_pool(
            prepared=monthly.outputs["prepared"],
            encoder=monthly.outputs["encoder"],
            encoder_version=monthly.outputs["encoder_version"],
            seeds=seeds,
            rationales=rationales,
            seed=seed,
            generation=begun,
        )
        refresh = rationale_refresh(
            prepared=monthly.outputs["prepared"],
            encoder=monthly.outputs["encoder"],
            encoder_version=monthly.outputs["encoder_version"],
            rationales=pool.outputs["rationales"],
            rationale_embeddings=pool.outputs["rationale_embeddings"],
            collection=pool.outputs["collection"],
            prompt=pool.outputs["prompt"],
            generation=begun,
        )
        encode = place(
            encode_items(
                prepared=monthly.outputs["prepared"], rationale_embeddings=pool.outputs["rationale_embeddings"]
            ),
            cluster,
        )
        return RankerFeatures(
            prepared=monthly.outputs["prepared"],
            matches=refresh.outputs["matches"],
            rationale_embeddings=pool.outputs["rationale_embeddings"],
            item_text_embeddings=encode.outputs["item_text_embeddings"],
            generation_report=pool.outputs["generation_report"],
        )

    return ranker_features
