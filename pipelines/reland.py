"""On demand: the whole chain, composed of the four pipelines that run at their own cadence."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.text_encoding.models import PACKAGED_MODEL
from pipelines.behavior_encoder import define_behavior_encoder
from pipelines.fusion_ranker import define_fusion_ranker
from pipelines.generation import begin_generation
from pipelines.rationale_refresh import define_rationale_refresh
from pipelines.reasoning_pool import define_reasoning_pool
from pipelines.running.placement import Cluster, place
from pipelines.summary import summarize


def define_reland(cluster: Cluster) -> BaseComponent:
    """The pipeline, for such a cluster."""
    behavior_encoder = define_behavior_encoder(cluster)
    reasoning_pool = define_reasoning_pool(cluster)
    rationale_refresh = define_rationale_refresh(cluster)
    fusion_ranker = define_fusion_ranker(cluster)

    @dsl.pipeline(name="reland", description="Interaction logs to a released ranker, every step of RELAND.")
    def reland(
        dataset: str = "simulator",
        data_dir: str = "",
        minimum_interactions: int = 5,
        splits: str = "leave_one_out",
        validate_from: str = "",
        test_from: str = "",
        previous: str = "",
        encoder: str = "lightgcn",
        seed_fraction: float = 0.1,
        seed_policy: str = "adaptive",
        clusters: int = 0,
        previous_seeds: str = "",
        rationale_engine: str = "template",
        recorded_rationales: str = "",
        language_model: str = "",
        prompt_version: str = "",
        shards: int = 1,
        attempts: int = 2,
        max_calls: int = 0,
        max_tokens: int = 0,
        max_cost: float = 0.0,
        text_encoder: str = PACKAGED_MODEL,
        variants: str = "id_only,reland",
        epochs: int = 12,
        seed: int = 0,
        generation: str = "",
    ) -> dsl.Artifact:
        """See `pipelines.parameters` for what the parameters mean, and `begin_generation` for the last."""
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True).output
        monthly = behavior_encoder(
            dataset=dataset,
            data_dir=data_dir,
            minimum_interactions=minimum_interactions,
            splits=splits,
            validate_from=validate_from,
            test_from=test_from,
            previous=previous,
            encoder=encoder,
            seed=seed,
            generation=begun,
        )
        pool = reasoning_pool(
            prepared=monthly.outputs["prepared"],
            encoder=monthly.outputs["encoder"],
            encoder_version=monthly.outputs["encoder_version"],
            seed_fraction=seed_fraction,
            seed_policy=seed_policy,
            clusters=clusters,
            previous_seeds=previous_seeds,
            language_model=language_model,
            prompt_version=prompt_version,
            rationale_engine=rationale_engine,
            recorded_rationales=recorded_rationales,
            shards=shards,
            attempts=attempts,
            max_calls=max_calls,
            max_tokens=max_tokens,
            max_cost=max_cost,
            text_encoder=text_encoder,
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
            text_encoder=text_encoder,
            variants=variants,
            epochs=epochs,
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
