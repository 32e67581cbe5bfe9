"""The vector store: Milvus Lite in a file of RELAND_HOME, or the Milvus server that the settings name."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.foundation.errors import EnvironmentFaultError, write_failure
from components.foundation.settings import Settings

if TYPE_CHECKING:
    from pymilvus import MilvusClient
    from pymilvus.milvus_client.index import IndexParams

LITE_FILE = "reland.db"
SERVER_FILE = "server.txt"  # the address of the server that has the file open, while `reland serve` runs one
INSERT_BATCH = 1_000

# FLAT compares with every vector, so it is exact. Milvus Lite, 75,000 × 64 on 2 cores, batches of 1,000: FLAT 907
# queries/s, HNSW 8,058 at recall 0.999 with 16 s to build.
# HNSW is built by several threads: above this size, equal runs may differ in a few answers.
EXACT_UP_TO = 10_000


def milvus_folder(settings: Settings) -> Path:
    """Where Milvus Lite's file is."""
    return settings.home / "milvus"


@contextmanager
def connect_milvus(settings: Settings) -> Iterator["MilvusClient"]:
    """A client that is closed when the block ends.

    Only one process at a time can open the file of Milvus Lite. While `reland serve` holds it, the client connects to
    the server that `reland serve` runs over it.

    Raises:
        EnvironmentFaultError: nothing answers at `RELAND_MILVUS_URI`, or the file cannot be opened.
    """
    from pymilvus import MilvusClient, MilvusException

    uri = settings.milvus_uri
    if not uri:
        folder = milvus_folder(settings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_failure(f"{folder}: cannot be made ({error.strerror}), see RELAND_HOME", error) from error
        uri = _running_server(folder) or str(folder / LITE_FILE)
    try:
        client = MilvusClient(uri=uri)
    except (MilvusException, OSError) as error:
        raise EnvironmentFaultError(f"{uri}: Milvus does not open it ({error}), see RELAND_MILVUS_URI") from error
    try:
        yield client
    finally:
        client.close()


def _running_server(folder: Path) -> str | None:
    """The address of the server that `reland serve` runs over the file; None where it does not answer."""
    try:
        address = (folder / SERVER_FILE).read_text(encoding="utf-8").strip()
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=1.0):
            return address
    except (OSError, ValueError):
        return None


def collection_name(alias: str, generation: str) -> str:
    """The collection of a generation behind an alias, in the characters that Milvus allows."""
    return f"{alias}_{re.sub(r'[^A-Za-z0-9_]', '_', generation)}"


def index_parameters(n_rows: int, metric: str) -> "IndexParams":
    """An index of the field `vector`: FLAT up to `EXACT_UP_TO` rows, HNSW above; `metric` is COSINE or IP."""
    from pymilvus import MilvusClient

    parameters = MilvusClient.prepare_index_params()
    if n_rows <= EXACT_UP_TO:
        parameters.add_index("vector", index_type="FLAT", metric_type=metric)
    else:
        graph = {"M": 16, "efConstruction": 200}
        parameters.add_index("vector", index_type="HNSW", metric_type=metric, params=graph)
    return parameters


def fill_collection(client: "MilvusClient", name: str, rows: list[dict[str, object]], metric: str) -> int:
    """Insert `rows` into an empty collection, index its field `vector` and load it.

    Returns:
        the number of rows that Milvus counts.

    Raises:
        RuntimeError: Milvus counts another number of rows than were inserted.
    """
    for start in range(0, len(rows), INSERT_BATCH):
        client.insert(name, rows[start : start + INSERT_BATCH])
    client.flush(name)
    # After the rows: an index made before them is built in the background, and searches are slow meanwhile.
    client.create_index(name, index_parameters(len(rows), metric))
    client.load_collection(name)
    size = int(client.query(name, output_fields=["count(*)"])[0]["count(*)"])
    if size != len(rows):
        raise RuntimeError(f"Milvus holds {size} rows of {name}, {len(rows)} were inserted")
    return size


def collection_of_alias(client: "MilvusClient", alias: str) -> str | None:
    """The collection that an alias names; None where there is no such alias."""
    # describe_alias logs a traceback where there is no alias yet, so every collection is asked for its aliases.
    for name in client.list_collections():
        if alias in client.list_aliases(name)["aliases"]:
            return name
    return None


def switch_alias(client: "MilvusClient", name: str, alias: str) -> None:
    """Point `alias` at the collection `name`, at once for every reader."""
    if collection_of_alias(client, alias) is None:
        client.create_alias(name, alias)
    else:
        client.alter_alias(name, alias)
