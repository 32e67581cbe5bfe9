"""Weekly: choose seed users, have the language model reason about them, fill a new reasoning pool."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.behavior_encoder.component import embed_users
from components.language_model.ledger import PARTITIONS
from components.llm_tuning.component import tune_model
from components.model_registry.component import register_language_model, register_pool
from components.rationale_generation.component import (
    build_prompts,
    generate_rationales,
    register_prompt,
    validate_rationales,
)
from components.reasoning_pool.component import build_pool
from components.seed_sampling.component import sample_seeds
from components.text_encoding.component import encode_rationales
from pipelines.running.placement import Cluster, place, place_with_model


class ReasoningPoolOutputs(NamedTuple):
    """Outputs of the pipeline `reasoning-pool`, for the pipelines that follow it in a run."""

    rationales: dsl.Dataset
    rationale_embeddings: dsl.Dataset
    collection: str
    prompt: str
    seeds_report: dsl.Artifact
    language_model_report: dsl.Artifact
    prompt_report: dsl.Artifact
    generation_report: dsl.Artifact
    pool_report: dsl.Artifact


def define_reasoning_pool(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    @dsl.pipeline(name="reasoning-pool", description="Weekly: seed users to a Milvus collection of rationales.")
    def reasoning_pool(
        prepared: dsl.Input[dsl.Dataset],
        encoder: dsl.Input[dsl.Model],
        encoder_version: str,
        seed_fraction: float,
        seed_policy: str,
        clusters: int,
        previous_seeds: str,
        language_model: str,
        prompt_version: str,
        rationale_engine: str,
        recorded_rationales: str,
        shards: int,
        attempts: int,
        max_calls: int,
        max_tokens: int,
        max_cost: float,
        text_encoder: str,
        seed: int,
        generation: str,
    ) -> ReasoningPoolOutputs:
        embed = place(embed_users(prepared=prepared, encoder=encoder), cluster)
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
            cluster,
            uses_outside_state=True,
        )
        tune = place_with_model(
            tune_model(
                prepared=prepared,
                language_model=language_model,
                rationale_engine=rationale_engine,
                prompt_version=prompt_version,
                seed=seed,
            ),
            cluster,
        )
        register = place(
            register_language_model(tuned=tune.outputs["tuned"], generation=generation),
            cluster,
            uses_outside_state=True,
        )
        prompts = place(
            build_prompts(
                prepared=prepared,
                seeds=sample.outputs["seeds"],
                tuned=tune.outputs["tuned"],
                language_model=language_model,
                prompt_version=prompt_version,
                engine=rationale_engine,
                recorded_rationales=recorded_rationales,
                shards=shards,
            ),
            cluster,
            uses_outside_state=True,  # settings say how many days a prompt tells of and what it calls the items
        )
        wording = place(register_prompt(requests=prompts.outputs["requests"]), cluster, uses_outside_state=True)
        with dsl.ParallelFor(prompts.outputs["Output"], parallelism=PARTITIONS) as shard:
            generate = place_with_model(
                generate_rationales(
                    requests=prompts.outputs["requests"],
                    prepared=prepared,
                    tuned=tune.outputs["tuned"],
                    engine=rationale_engine,
                    recorded_rationales=recorded_rationales,
                    shard=shard,
                    shards=shards,
                    attempts=attempts,
                    max_calls=max_calls,
                    max_tokens=max_tokens,
                    max_cost=max_cost,
                ),
                cluster,
            )
        validate = place(
            validate_rationales(
                requests=prompts.outputs["requests"],
                responses=dsl.Collected(generate.outputs["responses"]),
                prepared=prepared,
                engine=rationale_engine,
            ),
            cluster,
            uses_outside_state=True,  # settings say what may be said, and what calls cost
        )
        encode = place(encode_rationales(rationales=validate.outputs["rationales"], text_encoder=text_encoder), cluster)
        pool = place(
            build_pool(
                rationales=validate.outputs["rationales"],
                embeddings=embed.outputs["embeddings"],
                encoder_version=encoder_version,
                generation=generation,
            ),
            cluster,
            uses_outside_state=True,
        )
        place(
            register_pool(
                prepared=prepared,
                encoder=encoder,
                rationales=validate.outputs["rationales"],
                rationale_embeddings=encode.outputs["rationale_embeddings"],
                encoder_version=encoder_version,
                collection=pool.outputs["Output"],
                prompt=wording.outputs["Output"],
                generation=generation,
            ),
            cluster,
            uses_outside_state=True,
        )
        return ReasoningPoolOutputs(
            rationales=validate.outputs["rationales"],
            rationale_embeddings=encode.outputs["rationale_embeddings"],
            collection=pool.outputs["Output"],
            prompt=wording.outputs["Output"],
            seeds_report=sample.outputs["report"],
            language_model_report=register.outputs["report"],
            prompt_report=wording.outputs["report"],
            generation_report=validate.outputs["report"],
            pool_report=pool.outputs["report"],
        )

    return reasoning_pool
