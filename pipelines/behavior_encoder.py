"""Monthly: prepare the interaction logs, train the behavior encoder, register it."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.behavior_encoder.component import train_encoder
from components.data_preparation.component import prepare_data
from components.model_registry.component import register_encoder
from pipelines.running.placement import Cluster, place


class BehaviorEncoderOutputs(NamedTuple):
    """Outputs of the pipeline `behavior-encoder`, for the pipelines that follow it in a run."""

    prepared: dsl.Dataset
    encoder: dsl.Model
    encoder_version: str
    data_report: dsl.Artifact
    encoder_report: dsl.Artifact


def define_behavior_encoder(cluster: Cluster) -> BaseComponent:
    """Define the pipeline for `cluster`."""

    @dsl.pipeline(name="behavior-encoder", description="Monthly: interaction logs to a registered behavior encoder.")
    def behavior_encoder(
        data: dict,
        encoder: dict,
        seed: int,
        generation: str,
    ) -> BehaviorEncoderOutputs:
        prepare = place(
            prepare_data(data=data, seed=seed),
            cluster,
            uses_outside_state=True,
        )
        train = place(
            train_encoder(prepared=prepare.outputs["prepared"], section=encoder, seed=seed),
            cluster,
            uses_outside_state=True,
        )
        register = place(
            register_encoder(
                prepared=prepare.outputs["prepared"], encoder=train.outputs["encoder"], generation=generation
            ),
            cluster,
            uses_outside_state=True,
        )
        return BehaviorEncoderOutputs(
            prepared=prepare.outputs["prepared"],
            encoder=train.outputs["encoder"],
            encoder_version=register.outputs["Output"],
            data_report=prepare.outputs["report"],
            encoder_report=register.outputs["report"],
        )

    return behavior_encoder
