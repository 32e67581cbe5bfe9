"""KFP components of the text encoding."""

from kfp import dsl

from components.contracts import images


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def encode_rationales(
    text_encoder: str, rationales: dsl.Input[dsl.Dataset], rationale_embeddings: dsl.Output[dsl.Dataset]
) -> None:
    """TextEncoder(r_u) of Eq. 4 for every rationale."""
    from pathlib import Path

    from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
    from components.text_encoding.tables import encode_rationale_table

    encoder = SentenceTransformerEncoder(text_encoder)
    encode_rationale_table(encoder, Path(rationales.path), Path(rationale_embeddings.path))


@dsl.component(base_image=images.GENERATION, install_kfp_package=False)
def encode_items(
    text_encoder: str, prepared: dsl.Input[dsl.Dataset], item_text_embeddings: dsl.Output[dsl.Dataset]
) -> None:
    """f_item of the variant `item_features`: the text embedding of every item."""
    from pathlib import Path

    from components.text_encoding.sentence_transformer import SentenceTransformerEncoder
    from components.text_encoding.tables import encode_item_table

    encode_item_table(SentenceTransformerEncoder(text_encoder), Path(prepared.path), Path(item_text_embeddings.path))
