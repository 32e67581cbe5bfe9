"""KFP components of the text encoding."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def encode_rationales(
    section: dict, rationales: dsl.Input[dsl.Dataset], rationale_embeddings: dsl.Output[dsl.Dataset]
) -> None:
    """TextEncoder(r_u) of Eq. 4 for every rationale.

    Args:
        section: the section `rationales` of the run's configuration.
    """
    from pathlib import Path

    from components.language_model.configuration import RationalesSection
    from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
    from components.text_encoding.tables import encode_rationale_table

    encoder = SentenceTransformerEncoder(RationalesSection.read(section).text_encoder)
    encode_rationale_table(encoder, Path(rationales.path), Path(rationale_embeddings.path))


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def encode_items(
    prepared: dsl.Input[dsl.Dataset],
    rationale_embeddings: dsl.Input[dsl.Dataset],
    item_text_embeddings: dsl.Output[dsl.Dataset],
) -> None:
    """f_item of the variant `item_features`: the text embedding of every item, by the encoder of the rationales."""
    from pathlib import Path

    from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
    from components.text_encoding.tables import encode_item_table, encoder_model

    encoder = SentenceTransformerEncoder(encoder_model(Path(rationale_embeddings.path)))
    encode_item_table(encoder, Path(prepared.path), Path(item_text_embeddings.path))
