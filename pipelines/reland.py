"""On demand: the whole chain, composed of the four pipelines that run at their own cadence."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from pipelines.behavior_encoder import define_behavior_encoder
from pipelines.configuration import DATA, ENCODER, RANKING, RATIONALES, SEEDS, SERVING
from pipelines.fusion_ranker import define_fusion_ranker
from pipelines.generation import begin_generation
from pipelines.rationale_refresh import define_rationale_refresh
from pipelines.reasoning_pool import define_reasoning_pool
from pipelines.running.placement import Cluster, place
from pipelines.summary import summarize


def define_reland(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""
    behavior_encoder = define_behavior_encoder(cluster)
    reasoning_pool = define_reasoning_pool(cluster)
    rationale_refresh = define_rationale_refresh(cluster)
    fusion_ranker = define_fusion_ranker(cluster)

    @dsl.pipeline(name="reland", description="Interaction logs to a released ranker, every step of RELAND.")
    def reland(
        data: dict = DATA,
        encoder: dict = ENCODER,
        seeds: dict = SEEDS,
        rationales: dict = RATIONALES,
        ranking: dict = RANKING,
        serving: dict = SERVING,
        seed: int = 0,
        generation: str = "",
    ) -> dsl.Artifact:
        """`pipelines.configuration` documents the parameters, `begin_generation` the last one."""
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True).output
        monthly = behavior_encoder(
            data=data,
            encoder=encoder,
            seed=seed,
            generation=begun,
        )
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
        ranker = fusion_ranker(
            prepared=monthly.outputs["prepared"],
            matches=refresh.outputs["matches"],
            rationale_embeddings=pool.outputs["rationale_embeddings"],
            ranking=ranking,
            serving=serving,
            seed=seed,
            generation=begun,
            encoder_version=monthly.outputs["encoder_version"],
            collection=pool.outputs["collection"],
            prompt=pool.outputs["prompt"],
            slot=refresh.outputs["slot"],
        )
        summary = place(
            summarize(
                generation=begun,
                prepared=monthly.outputs["prepared"],
                rationale_embeddings=pool.outputs["rationale_embeddings"],
                data_report=monthly.outputs["data_report"],
                encoder_report=monthly.outputs["encoder_report"],
                seeds_report=pool.outputs["seeds_report"],
                language_model_report=pool.outputs["language_model_report"],
                prompt_report=pool.outputs["prompt_report"],
                generation_report=pool.outputs["generation_report"],
                pool_report=pool.outputs["pool_report"],
                matching_report=refresh.outputs["matching_report"],
                features_report=refresh.outputs["features_report"],
                ranking_report=ranker.outputs["ranking_report"],
                registry_report=ranker.outputs["registry_report"],
                release_report=ranker.outputs["release_report"],
            ),
            cluster,
        )
        return summary.outputs["summary"]

    return reland
