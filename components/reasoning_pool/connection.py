"""Where the pool is kept: Milvus Lite in a file of RELAND_HOME, or the Milvus server that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymilvus import MilvusClient, MilvusException

from components.contracts.errors import InputError
from components.contracts.settings import Settings

LITE_FILE = "reland.db"


@contextmanager
def connect_milvus(settings: Settings) -> Iterator[MilvusClient]:
    """A client that is closed when the block ends; Milvus Lite lets one process at a time have its file.

    Raises:
        InputError: nothing answers at `RELAND_MILVUS_URI`, or the file cannot be opened.
    """
    uri = settings.milvus_uri
    if not uri:
        folder = settings.home / "milvus"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror}), see RELAND_HOME") from error
        uri = str(folder / LITE_FILE)
    try:
        client = MilvusClient(uri=uri)
    except (MilvusException, OSError) as error:
        raise InputError(f"{uri}: Milvus does not open it ({error}), see RELAND_MILVUS_URI") from error
    try:
        yield client
    finally:
        client.close()
