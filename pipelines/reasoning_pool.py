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
        seeds: dict,
        rationales: dict,
        seed: int,
        generation: str,
    ) -> ReasoningPoolOutputs:
        embed = place(embed_users(prepared=prepared, encoder=encoder), cluster)
        sample = place(
            sample_seeds(
                prepared=prepared,
                embeddings=embed.outputs["embeddings"],
                section=seeds,
                rationales=rationales,
                seed=seed,
            ),
            cluster,
            uses_outside_state=True,
        )
        tune = place_with_model(
            tune_model(prepared=prepared, rationales=rationales, seed=seed),
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
                section=rationales,
            ),
            cluster,
            uses_outside_state=True,  # settings say how many days a prompt includes and what it calls the items
        )
        wording = place(register_prompt(requests=prompts.outputs["requests"]), cluster, uses_outside_state=True)
        with dsl.ParallelFor(prompts.outputs["Output"], parallelism=PARTITIONS) as shard:
            generate = place_with_model(
                generate_rationales(
                    requests=prompts.outputs["requests"],
                    prepared=prepared,
                    tuned=tune.outputs["tuned"],
                    section=rationales,
                    shard=shard,
                ),
                cluster,
            )
        validate = place(
            validate_rationales(
                requests=prompts.outputs["requests"],
                responses=dsl.Collected(generate.outputs["responses"]),
                prepared=prepared,
                section=rationales,
            ),
            cluster,
            uses_outside_state=True,  # settings hold the rules for texts and the prices of calls
        )
        encode = place(encode_rationales(rationales=validate.outputs["rationales"], section=rationales), cluster)
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
