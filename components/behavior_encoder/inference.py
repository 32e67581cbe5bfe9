"""Whole-base inference: a vector m_u for every user, read out of a trained encoder."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from components.behavior_encoder.training import TrainedEncoder, encoder_configuration, users_digest
from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from components.contracts.errors import InputError
from components.contracts.files import read_json, replacing_file, write_json
from components.contracts.tables import write_vectors
from components.recommenders.interaction_sequences import InteractionSequences

# `weights.safetensors` of an encoder: vectors after propagation, rows in the order of the sorted ids
USER_VECTORS = "user_vectors"
ITEM_VECTORS = "item_vectors"


def save_encoder(trained: TrainedEncoder, sequences: InteractionSequences, directory: Path) -> None:
    """Write weights, configuration and metrics of an encoder into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with replacing_file(directory / WEIGHTS_FILE) as temporary:
        save_file(
            {USER_VECTORS: trained.user_vectors.contiguous(), ITEM_VECTORS: trained.item_vectors.contiguous()},
            temporary,
        )
    write_json(directory / CONFIG_FILE, encoder_configuration(trained, sequences))
    write_json(directory / METRICS_FILE, trained.metrics)


def embed_users(encoder: Path, sequences: InteractionSequences, output: Path) -> int:
    """Write the behavior embedding of every user; returns d.

    LightGCN is transductive: it knows the users it was trained with and no others.

    Raises:
        InputError: the encoder is unreadable or was trained on other users.
    """
    configuration = read_json(encoder / CONFIG_FILE)
    try:
        vectors = load_file(encoder / WEIGHTS_FILE)[USER_VECTORS].numpy()
    except Exception as error:
        raise InputError(f"{encoder / WEIGHTS_FILE}: not an encoder's weights ({error})") from error
    if configuration["users"] != sequences.n_users or len(vectors) != sequences.n_users:
        raise InputError(
            f"{encoder}: trained with {configuration['users']} users, the prepared data has {sequences.n_users}"
        )
    if configuration.get("user_ids_sha256") != users_digest(sequences):
        raise InputError(f"{encoder}: trained with other users than the prepared data has")
    write_vectors(output, "user_id", sequences.user_ids, vectors)
    return int(vectors.shape[1])
