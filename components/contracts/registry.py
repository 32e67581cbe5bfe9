"""What the steps share about the model registry: its names, and which feature slot is live.

The tags of a version of `reland-ranker` are the registry's part of a generation's manifest; `TAG_SLOT` says which of
the two slots of user features the version was trained with and is served from.
"""

from typing import TYPE_CHECKING

from components.foundation.mlflow_client import aliases

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENCODER_MODEL = "reland-behavior-encoder"
RANKER_MODEL = "reland-ranker"
LANGUAGE_MODEL = "reland-language-model"  # language models that this platform trained
# not models: versions whose tags say where artifacts lie (`contracts.handover`)
POOL_MODEL = "reland-reasoning-pool"
FEATURES_MODEL = "reland-user-features"

CHAMPION = "champion"  # the version that serves
CANDIDATE = "candidate"  # the version that a rollout or the gate may promote

TAG_GENERATION = "generation"
TAG_FINGERPRINT = "data_fingerprint"
TAG_ENCODER = "encoder_version"
TAG_REVISION = "git_revision"  # of the code that trained an encoder; absent where the code is no git checkout
TAG_PROMPT_URI = "prompt"  # URI, in MLflow, of the prompt version that the rationales were generated with
TAG_COLLECTION = "milvus_collection"
TAG_SLOT = "feast_slot"
TAG_TEXT_ENCODER = "text_encoder"
TAG_PROMPT = "prompt_version"
TAG_BASE = "base_model"  # of a language model; empty where it was trained from scratch

SLOTS = ("blue", "green")


def champion_tag(client: "MlflowClient", tag: str) -> str | None:
    """A tag of the champion ranker, such as the slot of user features it is served from; None without a champion."""
    version = aliases(client, RANKER_MODEL).get(CHAMPION)
    return None if version is None else client.get_model_version(RANKER_MODEL, version).tags.get(tag)


def point_ranker_alias(client: "MlflowClient", version: str) -> str:
    """Point an alias at a released ranker, as the last act of a generation; returns the alias.

    It is `champion` where there is none yet, else `candidate`: only a rollout or the promotion gate moves `champion`
    once it is set.
    """
    alias = CANDIDATE if CHAMPION in aliases(client, RANKER_MODEL) else CHAMPION
    client.set_registered_model_alias(RANKER_MODEL, alias, version)
    return alias


def free_slot(used: str | None) -> str:
    """The slot that a new generation may overwrite: not the one `used` by the champion; blue without a champion."""
    return SLOTS[1] if used == SLOTS[0] else SLOTS[0]
