"""On demand: the whole chain, composed of the four pipelines that run at their own cadence."""

from kfp import dsl

from pipelines.behavior_encoder import behavior_encoder
from pipelines.fusion_ranker import fusion_ranker
from pipelines.placement import place
from pipelines.rationale_refresh import rationale_refresh
from pipelines.reasoning_pool import reasoning_pool
from pipelines.summary import summarize


@dsl.pipeline(name="reland", description="Interaction logs to a released ranker, every step of RELAND.")
def reland(
    generation: str,
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
    prompt_version: str = "recommendation-v1",
    rationale_engine: str = "template",
    recorded_rationales: str = "",
    text_encoder: str = "all-MiniLM-L6-v2",
    variants: str = "id_only,reland",
    epochs: int = 12,
    seed: int = 0,
) -> dsl.Artifact:
    """See `pipelines.parameters` for what the parameters mean."""
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
        generation=generation,
    )
    pool = reasoning_pool(
        prepared=monthly.outputs["prepared"],
        encoder=monthly.outputs["encoder"],
        encoder_version=monthly.outputs["encoder_version"],
        seed_fraction=seed_fraction,
        seed_policy=seed_policy,
        clusters=clusters,
        previous_seeds=previous_seeds,
        prompt_version=prompt_version,
        rationale_engine=rationale_engine,
        recorded_rationales=recorded_rationales,
        text_encoder=text_encoder,
        seed=seed,
        generation=generation,
    )
    refresh = rationale_refresh(
        prepared=monthly.outputs["prepared"],
        encoder=monthly.outputs["encoder"],
        encoder_version=monthly.outputs["encoder_version"],
        rationales=pool.outputs["rationales"],
        rationale_embeddings=pool.outputs["rationale_embeddings"],
        collection=pool.outputs["collection"],
        generation=generation,
    )
    ranker = fusion_ranker(
        prepared=monthly.outputs["prepared"],
        embeddings=refresh.outputs["embeddings"],
        matches=refresh.outputs["matches"],
        rationale_embeddings=pool.outputs["rationale_embeddings"],
        text_encoder=text_encoder,
        variants=variants,
        epochs=epochs,
        seed=seed,
        generation=generation,
        encoder_version=monthly.outputs["encoder_version"],
        collection=pool.outputs["collection"],
        slot=refresh.outputs["slot"],
    )
    summary = place(
        summarize(
            generation=generation,
            prompt_version=prompt_version,
            prepared=monthly.outputs["prepared"],
            rationale_embeddings=pool.outputs["rationale_embeddings"],
            data_report=monthly.outputs["data_report"],
            encoder_report=monthly.outputs["encoder_report"],
            seeds_report=pool.outputs["seeds_report"],
            generation_report=pool.outputs["generation_report"],
            pool_report=pool.outputs["pool_report"],
            matching_report=refresh.outputs["matching_report"],
            features_report=refresh.outputs["features_report"],
            ranking_report=ranker.outputs["ranking_report"],
            registry_report=ranker.outputs["registry_report"],
            release_report=ranker.outputs["release_report"],
        )
    )
    return summary.outputs["summary"]
