"""The reasoning pool P = {(m_s, r_s)} (3.1.2) as a Milvus collection, one for each generation, behind one alias."""

from pathlib import Path

import numpy as np
from pymilvus import DataType, MilvusClient

from components.contracts.artifacts import RATIONALES_FILE
from components.contracts.tables import IDENTIFIER_BYTES, RATIONALES, read_table, read_vectors
from components.foundation.errors import ConflictError, InputError
from components.foundation.milvus import collection_name, collection_of_alias, fill_collection, switch_alias
from components.foundation.progress import say

ALIAS = "reland_pool"
TEXT_BYTES = 65_535  # the longest VARCHAR of Milvus


def build_collection(
    client: MilvusClient, rationales: Path, embeddings: Path, generation: str, encoder_version: str
) -> tuple[str, int]:
    """Make the collection of a generation from rationales and the seed users' embeddings; switch the alias to it last.

    A failure before the switch leaves the pool in use as it was. A collection of that name to which the alias does not
    point was left by a failed attempt and is dropped.

    Args:
        encoder_version: the registered version of the encoder that the embeddings come from; it is stored in every row.

    Returns:
        The name of the collection and the number of its seed users.

    Raises:
        InputError: a seed user has no embedding.
        ConflictError: the generation is in use already.
    """
    name = collection_name(ALIAS, generation)
    rows, dimension = _pool_rows(rationales, embeddings, encoder_version)
    if collection_of_alias(client, ALIAS) == name:
        raise ConflictError(f"generation {generation!r}: its pool {name} is in use already, take another generation id")
    if client.has_collection(name):
        client.drop_collection(name)
    say(f"building the pool {name}: {len(rows)} seed users, {dimension} dimensions")
    _create_collection(client, name, dimension)
    size = fill_collection(client, name, rows, "COSINE")
    switch_alias(client, name, ALIAS)
    say(f"the alias {ALIAS} is now {name}")
    return name, size


def encoder_version_of(client: MilvusClient, name: str) -> str:
    """Version of the encoder whose vectors a collection holds; the collection must be loaded."""
    return str(client.query(name, output_fields=["encoder_version"], limit=1)[0]["encoder_version"])


def _create_collection(client: MilvusClient, name: str, dimension: int) -> None:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("seed_user_id", DataType.VARCHAR, max_length=IDENTIFIER_BYTES, is_primary=True)
    schema.add_field("rationale_id", DataType.VARCHAR, max_length=IDENTIFIER_BYTES)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    # One value for all rows: Milvus Lite keeps neither a description nor properties of a collection.
    schema.add_field("encoder_version", DataType.VARCHAR, max_length=IDENTIFIER_BYTES)
    schema.add_field("preference_summary", DataType.VARCHAR, max_length=TEXT_BYTES)
    schema.add_field("recommendation", DataType.VARCHAR, max_length=TEXT_BYTES)
    # Strong consistency: with a server's default, rows just inserted may be missing from counts and searches.
    client.create_collection(name, schema=schema, consistency_level="Strong")


def _pool_rows(rationales: Path, embeddings: Path, encoder_version: str) -> tuple[list[dict[str, object]], int]:
    """The rows of the pool by seed user id, and the dimension of their vectors."""
    columns = ["seed_user_id", "rationale_id", "preference_summary", "recommendation"]
    table = read_table(rationales / RATIONALES_FILE, RATIONALES, columns).sort_by("seed_user_id")
    users, matrix = read_vectors(embeddings, "user_id")
    row_of = {user: row for row, user in enumerate(users)}
    rows: list[dict[str, object]] = []
    for entry in table.to_pylist():
        row = row_of.get(entry["seed_user_id"])
        if row is None:
            raise InputError(f"{embeddings}: no embedding of the seed user {entry['seed_user_id']!r}")
        vector = matrix[row].astype(np.float32).tolist()
        rows.append({**entry, "vector": vector, "encoder_version": encoder_version})
    if not rows:
        raise InputError(f"{rationales}: no rationale, so there is no pool to build")
    return rows, matrix.shape[1]
