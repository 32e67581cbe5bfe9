"""The four parts of the chain as pipelines of their own, to be submitted and scheduled.

A part takes artifacts as inputs, which cannot be given to a submitted run. So each of these pipelines finds in the
registry what the pipeline before it registered (`components.contracts.handover`), imports it, and runs the part.
"""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.pipeline_channel import PipelineArtifactChannel, PipelineParameterChannel

from components.model_registry.component import find_encoder, find_features, find_pool
from pipelines.behavior_encoder import define_behavior_encoder
from pipelines.configuration import DATA, ENCODER, RANKING, RATIONALES, SEEDS, SERVING
from pipelines.fusion_ranker import define_fusion_ranker
from pipelines.generation import begin_generation
from pipelines.rationale_refresh import define_rationale_refresh
from pipelines.reasoning_pool import define_reasoning_pool
from pipelines.running.placement import Cluster, place


def define_standalone(cluster: Cluster) -> list[BaseComponent]:
    """Define `behavior-encoder`, `reasoning-pool`, `rationale-refresh` and `fusion-ranker` for `cluster`.

    Each needs what the one before it registered. `pipelines.configuration` documents their parameters.
    """
    encoder_part = define_behavior_encoder(cluster)
    pool_part = define_reasoning_pool(cluster)
    refresh_part = define_rationale_refresh(cluster)
    ranker_part = define_fusion_ranker(cluster)

    @dsl.pipeline(name="behavior-encoder", description="Monthly: interaction logs to a registered behavior encoder.")
    def behavior_encoder(
        data: dict = DATA,
        encoder: dict = ENCODER,
        seed: int = 0,
        generation: str = "",
    ) -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        encoder_part(
            data=data,
            encoder=encoder,
            seed=seed,
            generation=begun.output,
        )

    @dsl.pipeline(name="reasoning-pool", description="Weekly: the newest encoder to a new pool of rationales.")
    def reasoning_pool(
        seeds: dict = SEEDS,
        rationales: dict = RATIONALES,
        seed: int = 0,
        generation: str = "",
    ) -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        newest = place(find_encoder(), cluster, uses_outside_state=True).outputs
        pool_part(
            prepared=imported(newest["prepared"], dsl.Dataset),
            encoder=imported(newest["encoder"], dsl.Model),
            encoder_version=newest["encoder_version"],
            seeds=seeds,
            rationales=rationales,
            seed=seed,
            generation=begun.output,
        )

    @dsl.pipeline(name="rationale-refresh", description="Daily: every user's rationale of the newest pool, pushed.")
    def rationale_refresh(generation: str = "") -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        newest = place(find_pool(), cluster, uses_outside_state=True).outputs
        refresh_part(
            prepared=imported(newest["prepared"], dsl.Dataset),
            encoder=imported(newest["encoder"], dsl.Model),
            encoder_version=newest["encoder_version"],
            rationales=imported(newest["rationales"], dsl.Dataset),
            rationale_embeddings=imported(newest["rationale_embeddings"], dsl.Dataset),
            collection=newest["collection"],
            prompt=newest["prompt"],
            generation=begun.output,
        )

    @dsl.pipeline(name="fusion-ranker", description="Daily: a ranker fused with the newest features, released.")
    def fusion_ranker(
        ranking: dict = RANKING,
        serving: dict = SERVING,
        seed: int = 0,
        generation: str = "",
    ) -> None:
        begun = place(begin_generation(generation=generation), cluster, uses_outside_state=True)
        newest = place(find_features(), cluster, uses_outside_state=True).outputs
        ranker_part(
            prepared=imported(newest["prepared"], dsl.Dataset),
            matches=imported(newest["matches"], dsl.Dataset),
            rationale_embeddings=imported(newest["rationale_embeddings"], dsl.Dataset),
            ranking=ranking,
            serving=serving,
            seed=seed,
            generation=begun.output,
            encoder_version=newest["encoder_version"],
            collection=newest["collection"],
            prompt=newest["prompt"],
            slot=newest["slot"],
        )

    return [behavior_encoder, reasoning_pool, rationale_refresh, fusion_ranker]


def imported(uri: PipelineParameterChannel, kind: type[dsl.Artifact]) -> PipelineArtifactChannel:
    """Import an existing artifact into this run."""
    return dsl.importer(artifact_uri=uri, artifact_class=kind).output
