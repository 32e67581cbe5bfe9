"""The four parts of the chain as pipelines of their own, to be submitted and scheduled.

A part takes artifacts, which no submitted run can be given. So each of these finds in the registry what the pipeline
before it left (`components.contracts.handover`), imports it, and runs the part.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.pipeline_channel import PipelineArtifactChannel, PipelineParameterChannel

from components.model_registry.component import find_encoder, find_features, find_pool
from components.text_encoding.models import PACKAGED_MODEL
from pipelines.behavior_encoder import define_behavior_encoder
from pipelines.fusion_ranker import define_fusion_ranker
from pipelines.generation import begin_generation
from pipelines.rationale_refresh import define_rationale_refresh
from pipelines.reasoning_pool import define_reasoning_pool
from pipelines.running.placement import Cluster, place


def define_standalone(cluster: Cluster) -> list[BaseComponent]:
    """`behavior-encoder`, `reasoning-pool`, `rationale-refresh` and `fusion-ranker`, in the order in which each needs
    the one before it. Their parameters are explained in `pipelines.parameters`.
    """
    encoder_part = define_behavior_encoder(cluster)
    pool_part = define_reasoning_pool(cluster)
    refresh_part = define_rationale_refresh(cluster)
    ranker_part = define_fusion_ranker(cluster)

    @dsl.pipeline(name="behavior-encoder", description="Monthly: interaction logs to a registered behavior encoder.")
    def behavior_encoder(
        dataset: str = "simulator",
        data_dir: str = "",
        minimum_interactions: int = 5,
        splits: str = "leave_one_out",
        validate_from: str = "",
        test_from: str = "",
        previous: str = "",
        encoder: str = "lightgcn",
        seed: int = 0,
        generation: str = "",
    ) -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        encoder_part(
            dataset=dataset,
            data_dir=data_dir,
            minimum_interactions=minimum_interactions,
            splits=splits,
            validate_from=validate_from,
            test_from=test_from,
            previous=previous,
            encoder=encoder,
            seed=seed,
            generation=begun.output,
        )

    @dsl.pipeline(name="reasoning-pool", description="Weekly: the newest encoder to a new pool of rationales.")
    def reasoning_pool(
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
        seed: int = 0,
        generation: str = "",
    ) -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        found = place(find_encoder(), cluster, uses_outside_state=True).outputs
        pool_part(
            prepared=imported(found["prepared"], dsl.Dataset),
            encoder=imported(found["encoder"], dsl.Model),
            encoder_version=found["encoder_version"],
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
            generation=begun.output,
        )

    @dsl.pipeline(name="rationale-refresh", description="Daily: every user's rationale of the newest pool, pushed.")
    def rationale_refresh(generation: str = "") -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        found = place(find_pool(), cluster, uses_outside_state=True).outputs
        refresh_part(
            prepared=imported(found["prepared"], dsl.Dataset),
            encoder=imported(found["encoder"], dsl.Model),
            encoder_version=found["encoder_version"],
            rationales=imported(found["rationales"], dsl.Dataset),
            rationale_embeddings=imported(found["rationale_embeddings"], dsl.Dataset),
            collection=found["collection"],
            prompt=found["prompt"],
            generation=begun.output,
        )

    @dsl.pipeline(name="fusion-ranker", description="Daily: a ranker fused with the newest features, released.")
    def fusion_ranker(
        text_encoder: str = PACKAGED_MODEL,
        variants: str = "id_only,reland",
        epochs: int = 12,
        seed: int = 0,
        generation: str = "",
    ) -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        found = place(find_features(), cluster, uses_outside_state=True).outputs
        ranker_part(
            prepared=imported(found["prepared"], dsl.Dataset),
            matches=imported(found["matches"], dsl.Dataset),
            rationale_embeddings=imported(found["rationale_embeddings"], dsl.Dataset),
            text_encoder=text_encoder,
            variants=variants,
            epochs=epochs,
            seed=seed,
            generation=begun.output,
            encoder_version=found["encoder_version"],
            collection=found["collection"],
            prompt=found["prompt"],
            slot=found["slot"],
        )

    return [behavior_encoder, reasoning_pool, rationale_refresh, fusion_ranker]


def imported(uri: PipelineParameterChannel, kind: type[dsl.Artifact]) -> PipelineArtifactChannel:
    """An artifact that lies somewhere already, as one of this run."""
    return dsl.importer(artifact_uri=uri, artifact_class=kind).output
