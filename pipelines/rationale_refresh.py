"""Daily: embed every user, match each to the most similar seed user, push the features."""

from typing import NamedTuple

from kfp import dsl

from components.behavior_encoder.component import embed_users
from components.feature_push.component import push_features
from components.reasoning_pool.component import match_users
from pipelines.placement import place


class RationaleRefreshOutputs(NamedTuple):
    embeddings: dsl.Dataset
    matches: dsl.Dataset
    slot: str
    matching_report: dsl.Artifact
    features_report: dsl.Artifact


@dsl.pipeline(name="rationale-refresh", description="Daily: every user's rationale, matched and pushed to Feast.")
def rationale_refresh(
    prepared: dsl.Input[dsl.Dataset],
    encoder: dsl.Input[dsl.Model],
    encoder_version: str,
    rationales: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    collection: str,
    generation: str,
) -> RationaleRefreshOutputs:
    embed = place(embed_users(prepared=prepared, encoder=encoder))
    match = place(
        match_users(embeddings=embed.outputs["embeddings"], collection=collection, encoder_version=encoder_version),
        uses_outside_state=True,
    )
    push = place(
        push_features(
            matches=match.outputs["matches"],
            rationales=rationales,
            rationale_embeddings=rationale_embeddings,
            embeddings=embed.outputs["embeddings"],
            prepared=prepared,
            encoder_version=encoder_version,
            generation=generation,
        ),
        uses_outside_state=True,
    )
    return RationaleRefreshOutputs(
        embeddings=embed.outputs["embeddings"],
        matches=match.outputs["matches"],
        slot=push.outputs["Output"],
        matching_report=match.outputs["report"],
        features_report=push.outputs["report"],
    )
