"""Pipeline steps: train the behavior encoder, and embed every user with it."""

from kfp import dsl

from components.contracts.images import ENCODER


@dsl.component(base_image=ENCODER, install_kfp_package=False)
def train_encoder(prepared: dsl.Input[dsl.Dataset], seed: int, encoder: dsl.Output[dsl.Model]) -> None:
    from pathlib import Path

    from components.behavior_encoder.inference import save_encoder
    from components.behavior_encoder.training import EncoderConfig, train_encoder
    from components.recommenders.interaction_sequences import read_sequences

    sequences = read_sequences(Path(prepared.path))
    save_encoder(train_encoder(sequences, EncoderConfig(seed=seed)), sequences, Path(encoder.path))


@dsl.component(base_image=ENCODER, install_kfp_package=False)
def embed_users(
    prepared: dsl.Input[dsl.Dataset], encoder: dsl.Input[dsl.Model], embeddings: dsl.Output[dsl.Dataset]
) -> None:
    from pathlib import Path

    from components.behavior_encoder.inference import embed_users
    from components.contracts.progress import say
    from components.recommenders.interaction_sequences import read_sequences

    sequences = read_sequences(Path(prepared.path))
    dimension = embed_users(Path(encoder.path), sequences, Path(embeddings.path))
    say(f"embedded {sequences.n_users} users in {dimension} dimensions")
