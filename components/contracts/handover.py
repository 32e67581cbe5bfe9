"""What pipelines that run at their own cadence hand each other: the registered version that an alias names.

A version's tags say where the artifacts lie (URIs of the object store, or paths on a laptop) and what they were made
with. A record names everything that the next pipeline needs, including what earlier pipelines made: users are matched
with the encoder that the pool was built with, not with a newer one, so a new encoder takes effect with the next pool
and never halfway.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from components.contracts.registry import CHAMPION, ENCODER_MODEL, FEATURES_MODEL, POOL_MODEL
from components.foundation.errors import InputError
from components.foundation.mlflow_client import aliases

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class EncoderRecord:
    """What the pipeline `behavior-encoder` registers.

    Attributes:
        prepared: URI of the prepared data.
        encoder: URI of the encoder that was trained on them.
        encoder_version: its version in the registry.
    """

    model: ClassVar[str] = ENCODER_MODEL
    pipeline: ClassVar[str] = "behavior-encoder"

    prepared: str
    encoder: str
    encoder_version: str


@dataclass(frozen=True)
class PoolRecord(EncoderRecord):
    """What the pipeline `reasoning-pool` registers.

    Attributes:
        rationales: URI of the table of rationales.
        rationale_embeddings: URI of their vectors.
        collection: the Milvus collection.
        prompt: URI of the prompt's version in the registry.
    """

    model: ClassVar[str] = POOL_MODEL
    pipeline: ClassVar[str] = "reasoning-pool"

    rationales: str
    rationale_embeddings: str
    collection: str
    prompt: str


@dataclass(frozen=True)
class FeaturesRecord(PoolRecord):
    """What the pipeline `rationale-refresh` registers.

    Attributes:
        matches: URI of the table of matches.
        slot: slot of the feature store that they were pushed to.
    """

    model: ClassVar[str] = FEATURES_MODEL
    pipeline: ClassVar[str] = "rationale-refresh"

    matches: str
    slot: str


Record = TypeVar("Record", bound=EncoderRecord)

_TAG_PREFIX = "handover."


def hand_over(client: "MlflowClient", record: EncoderRecord, version: str) -> None:
    """Write the record into the tags of a registered version, then point the alias `champion` at it."""
    for name, value in dataclasses.asdict(record).items():
        client.set_model_version_tag(record.model, version, f"{_TAG_PREFIX}{name}", value)
    client.set_registered_model_alias(record.model, CHAMPION, version)


def latest(client: "MlflowClient", kind: type[Record]) -> Record:
    """The record of the version that the alias `champion` names, which is the newest of its kind.

    Raises:
        InputError: there is none yet, or it was registered before records were kept; the message names the pipeline
            to run.
    """
    version = aliases(client, kind.model).get(CHAMPION)
    if version is None:
        raise InputError(f"registry: {kind.model} has no version yet, run the pipeline {kind.pipeline} first")
    tags = client.get_model_version(kind.model, version).tags
    names = [field.name for field in dataclasses.fields(kind)]
    values = {name: tags[f"{_TAG_PREFIX}{name}"] for name in names if f"{_TAG_PREFIX}{name}" in tags}
    if missing := [name for name in names if name not in values]:
        raise InputError(
            f"registry: {kind.model} version {version} does not say its {', '.join(missing)}, "
            f"run the pipeline {kind.pipeline} again"
        )
    return kind(**values)
