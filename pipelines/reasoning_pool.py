"""Weekly: choose seed users, have the language model reason about them, fill a new reasoning pool."""

from typing import NamedTuple

from kfp import dsl

from components.behavior_encoder.component import embed_users
from components.rationale_generation.component import build_prompts, generate_rationales, validate_rationales
from components.reasoning_pool.component import build_pool
from components.seed_sampling.component import sample_seeds
from components.text_encoding.component import encode_rationales
from pipelines.placement import place


class ReasoningPoolOutputs(NamedTuple):
    rationales: dsl.Dataset
    rationale_embeddings: dsl.Dataset
    collection: str
    seeds_report: dsl.Artifact
    generation_report: dsl.Artifact
    pool_report: dsl.Artifact


@dsl.pipeline(name="reasoning-pool", description="Weekly: seed users to a Milvus collection of rationales.")
def reasoning_pool(
    prepared: dsl.Input[dsl.Dataset],
    encoder: dsl.Input[dsl.Model],
    encoder_version: str,
    seed_fraction: float,
    seed_policy: str,
    clusters: int,
    previous_seeds: str,
    prompt_version: str,
    rationale_engine: str,
    recorded_rationales: str,
    text_encoder: str,
    seed: int,
    generation: str,
) -> ReasoningPoolOutputs:
    embed = place(embed_users(prepared=prepared, encoder=encoder))
    sample = place(
        sample_seeds(
            prepared=prepared,
            embeddings=embed.outputs["embeddings"],
            seed_fraction=seed_fraction,
            seed_policy=seed_policy,
            clusters=clusters,
            previous_seeds=previous_seeds,
            recorded_rationales=recorded_rationales,
            seed=seed,
        ),
        uses_outside_state=True,
    )
    prompts = place(
        build_prompts(
            prepared=prepared,
            seeds=sample.outputs["seeds"],
            prompt_version=prompt_version,
            engine=rationale_engine,
            recorded_rationales=recorded_rationales,
        )
    )
    generate = place(
        generate_rationales(
            requests=prompts.outputs["requests"],
            prepared=prepared,
            engine=rationale_engine,
            recorded_rationales=recorded_rationales,
        )
    )
    validate = place(
        validate_rationales(
            requests=prompts.outputs["requests"],
            responses=generate.outputs["responses"],
            prepared=prepared,
            engine=rationale_engine,
        )
    )
    encode = place(encode_rationales(text_encoder=text_encoder, rationales=validate.outputs["rationales"]))
    pool = place(
        build_pool(
            rationales=validate.outputs["rationales"],
            embeddings=embed.outputs["embeddings"],
            encoder_version=encoder_version,
            generation=generation,
        ),
        uses_outside_state=True,
    )
    return ReasoningPoolOutputs(
        rationales=validate.outputs["rationales"],
        rationale_embeddings=encode.outputs["rationale_embeddings"],
        collection=pool.outputs["Output"],
        seeds_report=sample.outputs["report"],
        generation_report=validate.outputs["report"],
        pool_report=pool.outputs["report"],
    )
