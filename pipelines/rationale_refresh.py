"""Daily: embed every user, match each to the most similar seed user, push the features."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.behavior_encoder.component import embed_users
from components.feature_push.component import push_features
from components.model_registry.component import register_features
from components.reasoning_pool.component import match_users
from pipelines.running.placement import Cluster, place


class RationaleRefreshOutputs(NamedTuple):
    """Outputs of the pipeline `rationale-refresh`, for the pipelines that follow it in a run."""

    matches: dsl.Dataset
    slot: str
    matching_report: dsl.Artifact
    features_report: dsl.Artifact


def define_rationale_refresh(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    @dsl.pipeline(name="rationale-refresh", description="Daily: every user's rationale, matched and pushed to Feast.")
    def rationale_refresh(
        prepared: dsl.Input[dsl.Dataset],
        encoder: dsl.Input[dsl.Model],
        encoder_version: str,
        rationales: dsl.Input[dsl.Dataset],
        rationale_embeddings: dsl.Input[dsl.Dataset],
        collection: str,
        prompt: str,
        generation: str,
    ) -> RationaleRefreshOutputs:
        embed = place(embed_users(prepared=prepared, encoder=encoder), cluster)
        match = place(
            match_users(embeddings=embed.outputs["embeddings"], collection=collection, encoder_version=encoder_version),
            cluster,
            uses_outside_state=True,
        )
        push = place(
            push_features(
                matches=match.outputs["matches"],
                rationales=rationales,
                rationale_embeddings=rationale_embeddings,
                prepared=prepared,
                generation=generation,
            ),
            cluster,
            uses_outside_state=True,
        )
        place(
            register_features(
                prepared=prepared,
                encoder=encoder,
                rationales=rationales,
                rationale_embeddings=rationale_embeddings,
                matches=match.outputs["matches"],
                encoder_version=encoder_version,
                collection=collection,
                prompt=prompt,
                slot=push.outputs["Output"],
                generation=generation,
            ),
            cluster,
            uses_outside_state=True,
        )
        return RationaleRefreshOutputs(
            matches=match.outputs["matches"],
            slot=push.outputs["Output"],
            matching_report=match.outputs["report"],
            features_report=push.outputs["report"],
        )

    return rationale_refresh
