"""Daily: train the ranker variants, compare them, register them, release the served one to Triton."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.fusion_ranker.component import evaluate_rankers, train_rankers
from components.model_registry.component import register_ranker
from components.ranker_release.component import build_item_index, release_ranker
from components.text_encoding.component import encode_items
from pipelines.running.placement import Cluster, place


class FusionRankerOutputs(NamedTuple):
    """Outputs of the pipeline `fusion-ranker`, for the pipelines that follow it in a run."""

    version: str
    ranking_report: dsl.Artifact
    registry_report: dsl.Artifact
    release_report: dsl.Artifact


def define_fusion_ranker(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    @dsl.pipeline(name="fusion-ranker", description="Daily: a ranker fused with rationales, released to Triton.")
    def fusion_ranker(
        prepared: dsl.Input[dsl.Dataset],
        matches: dsl.Input[dsl.Dataset],
        rationale_embeddings: dsl.Input[dsl.Dataset],
        ranking: dict,
        serving: dict,
        seed: int,
        generation: str,
        encoder_version: str,
        collection: str,
        prompt: str,
        slot: str,
    ) -> FusionRankerOutputs:
        encode = place(encode_items(prepared=prepared, rationale_embeddings=rationale_embeddings), cluster)
        train = place(
            train_rankers(
                prepared=prepared,
                matches=matches,
                rationale_embeddings=rationale_embeddings,
                item_text_embeddings=encode.outputs["item_text_embeddings"],
                section=ranking,
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
        register = place(
            register_ranker(
                rankers=train.outputs["rankers"],
                evaluation=evaluate.outputs["evaluation"],
                prepared=prepared,
                generation=generation,
                encoder_version=encoder_version,
                collection=collection,
                prompt=prompt,
                slot=slot,
            ),
            cluster,
            uses_outside_state=True,
        )
        index = place(
            build_item_index(
                rankers=train.outputs["rankers"], version=register.outputs["Output"], generation=generation
            ),
            cluster,
            uses_outside_state=True,
        )
        release = place(
            release_ranker(
                rankers=train.outputs["rankers"],
                prepared=prepared,
                version=register.outputs["Output"],
                item_collection=index.outputs["Output"],
                slot=slot,
                generation=generation,
                serving=serving,
            ),
            cluster,
            uses_outside_state=True,
        )
        return FusionRankerOutputs(
            version=register.outputs["Output"],
            ranking_report=evaluate.outputs["report"],
            registry_report=register.outputs["report"],
            release_report=release.outputs["report"],
        )

    return fusion_ranker
