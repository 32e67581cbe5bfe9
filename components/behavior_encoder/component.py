"""Pipeline steps: train a behavior encoder, and embed every user with it."""

from kfp import dsl

from components.contracts.images import ENCODER


@dsl.component(base_image=ENCODER, install_kfp_package=False)
def train_encoder(prepared: dsl.Input[dsl.Dataset], section: dict, seed: int, encoder: dsl.Output[dsl.Model]) -> None:
    """Train the encoder of that name, or take the one that `behavior_encoder.train` has trained into that folder.

    Args:
        section: the section `encoder` of the run's configuration.
    """
    from pathlib import Path

    from components.behavior_encoder.configuration import EncoderSection
    from components.behavior_encoder.encoders import ENCODERS, configured_encoder, take_encoder
    from components.recommenders.training.processes import TrainingResources, default_device

    chosen = EncoderSection.read(section)
    if chosen.encoder not in ENCODERS:
        take_encoder(Path(chosen.encoder), Path(prepared.path), Path(encoder.path))
        return
    untrained = configured_encoder(chosen.encoder, chosen.settings, seed)
    untrained.fit(Path(prepared.path), TrainingResources(device=default_device()))
    untrained.save(Path(encoder.path))


@dsl.component(base_image=ENCODER, install_kfp_package=False)
def embed_users(
    prepared: dsl.Input[dsl.Dataset], encoder: dsl.Input[dsl.Model], embeddings: dsl.Output[dsl.Dataset]
) -> None:
    """Embed every user of a data set with a trained encoder."""
    from pathlib import Path

    from components.behavior_encoder.encoders import load_encoder
    from components.behavior_encoder.inference import embed_users

    embed_users(load_encoder(Path(encoder.path)), Path(prepared.path), Path(embeddings.path))
