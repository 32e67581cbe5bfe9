"""Which texts of a table are encoded, and under which key."""

from pathlib import Path

from components.contracts.artifacts import CONFIG_FILE, ITEMS_FILE, RATIONALES_FILE
from components.contracts.tables import ITEMS, RATIONALES, read_table, write_vectors
from components.foundation.errors import InputError
from components.foundation.files import read_json, write_json
from components.text_encoding.encoder import TextEncoder, encode_texts


def encode_rationale_table(encoder: TextEncoder, rationales: Path, output: Path) -> None:
    """Vectors of the texts (3.2.2), one for each `rationale_id`, which seed users may share."""
    table = read_table(rationales / RATIONALES_FILE, RATIONALES, ["rationale_id", "encoded_text"])
    text_of_id = dict(zip(table["rationale_id"].to_pylist(), table["encoded_text"].to_pylist(), strict=True))
    _encode(encoder, "rationale_id", text_of_id, output)


def encode_item_table(encoder: TextEncoder, prepared: Path, output: Path) -> None:
    """Vectors of title, brand and categories, one for each item; an item that has none of them gets a zero vector."""
    columns = ["item_id", "title", "brand", "categories"]
    rows = read_table(prepared / ITEMS_FILE, ITEMS, columns).to_pylist()
    _encode(encoder, "item_id", {row["item_id"]: item_text(**row) for row in rows}, output)


def encoder_model(embeddings: Path) -> str:
    """The model that made such vectors, to encode other texts with it.

    Raises:
        InputError: the folder does not say it.
    """
    content = read_json(embeddings / CONFIG_FILE)
    if not isinstance(content, dict) or "model" not in content:
        raise InputError(f"{embeddings / CONFIG_FILE}: does not say the model of the text encoder")
    return str(content["model"])


def item_text(title: str, brand: str, categories: list[str], **_: object) -> str:
    """`Title. Brand. Category, category`, without the parts that are empty."""
    parts = (" ".join(part.split()) for part in (title, brand, ", ".join(categories)))
    return ". ".join(part for part in parts if part)


def _encode(encoder: TextEncoder, key: str, text_of_key: dict[str, str], output: Path) -> None:
    write_vectors(output, key, list(text_of_key), encode_texts(encoder, list(text_of_key.values())))
    write_json(
        output / CONFIG_FILE, {"text_encoder": encoder.name, "model": encoder.model, "dimension": encoder.dimension}
    )
