"""The candidate index: the ranker's item vectors as a Milvus collection, one for each version, behind an alias.

Where the backbone scores by a product, as those here do, the items nearest to a user's vector by inner product are
those that the ranker would put first, so candidates cost no ranking. The gateway's exact index reads the same vectors
from the version's folder in the model repository.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from components.contracts.serving import ITEM_VECTORS_FILE, item_collection
from components.contracts.tables import IDENTIFIER_BYTES, read_table, vector_dimension, vectors
from components.foundation.milvus import collection_name, collection_of_alias, fill_collection, switch_alias
from components.foundation.progress import say

if TYPE_CHECKING:
    from pymilvus import MilvusClient


def build_index(client: "MilvusClient", ranker: Path, version: int, generation: str, used: set[int]) -> str:
    """Fill the collection of a version and point its alias at it last; drop those of versions that nobody uses.

    A step that is run again finds the collection of its generation behind the alias and leaves it; one that the alias
    does not name is what a dead attempt left, and is made anew.

    Args:
        ranker: folder of the variant that is served.
        used: versions whose collections stay.

    Returns:
        the alias, by which the version's items are searched.

    Raises:
        InputError: the ranker has no item vectors.
    """
    path = ranker / ITEM_VECTORS_FILE
    dimension = vector_dimension(path)
    rows = read_table(path, vectors("item_id", dimension)).to_pylist()
    alias = item_collection(version)
    name = collection_name(alias, generation)
    if collection_of_alias(client, alias) == name:
        say(f"the item index {alias} is there already")
        return alias
    if client.has_collection(name):
        client.drop_collection(name)
    say(f"building the item index {alias}: {len(rows)} items, {dimension} dimensions")
    _create_collection(client, name, dimension)
    fill_collection(client, name, rows, "IP")
    switch_alias(client, name, alias)
    _drop_unused(client, {item_collection(other) for other in used | {version}}, name)
    return alias


def _create_collection(client: "MilvusClient", name: str, dimension: int) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("item_id", DataType.VARCHAR, max_length=IDENTIFIER_BYTES, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    # Strong: a server's default may not yet find what has just been inserted.
    client.create_collection(name, schema=schema, consistency_level="Strong")


def _drop_unused(client: "MilvusClient", kept: set[str], new: str) -> None:
    """Drop the item collections that no alias in `kept` names."""
    prefix = item_collection(0).removesuffix("0")
    for name in sorted(client.list_collections()):
        if not name.startswith(prefix) or name == new:
            continue
        aliases = client.list_aliases(name)["aliases"]
        if not kept & set(aliases):
            for alias in aliases:
                client.drop_alias(alias)
            client.drop_collection(name)
            say(f"dropped the item index {name}")
