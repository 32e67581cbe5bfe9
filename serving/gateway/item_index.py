"""The candidates of a user: the items whose vectors have the largest inner product with the user's.

Two ways to search. `MilvusIndex` asks a Milvus server, where the catalogue may be of any size; `ExactIndex` compares
with every item in this process, which is exact, needs no server, and costs I × e multiplications: the rung below.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from serving.gateway.catalogue import Catalogue

if TYPE_CHECKING:
    from pymilvus import AsyncMilvusClient

MILVUS_LIMIT = 16_384  # results of one search that a server gives
RENEW_SECONDS = 5.0  # for one attempt to connect and load


class ItemIndex(Protocol):
    """Searches the items of one ranker version."""

    async def search(self, vector: np.ndarray, count: int) -> list[str]:
        """The ids of at most `count` items, nearest first, to `vector` float32[e]."""


class ExactIndex:
    """Compares with every item."""

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue

    async def search(self, vector: np.ndarray, count: int) -> list[str]:
        """The items nearest to a user's vector, best first."""
        products = self._catalogue.item_vectors @ vector
        count = min(count, len(products))
        nearest = np.argpartition(-products, count - 1)[:count] if count else np.empty(0, np.int64)
        nearest = nearest[np.argsort(-products[nearest], kind="stable")]
        return [self._catalogue.item_ids[row] for row in nearest]


class MilvusIndex:
    """Asks a collection of a Milvus server; time limits are the caller's, who cancels.

    After a search that failed or was cancelled, a new connection is made and the collection loaded on it, beside the
    requests, because either may take longer than a request waits. A server answers from collections that are loaded,
    and Milvus Lite forgets at its end which were; the connection of a search that was cancelled while the client
    library (pymilvus 3.0) restored it does not come back; and gRPC reaches a server that was gone for long only after
    a long pause.
    """

    def __init__(self, uri: str, collection: str):
        self._uri = uri
        self.collection = collection
        self._client = self._connect()
        self._renewing: asyncio.Task[None] | None = None

    def _connect(self) -> "AsyncMilvusClient":
        from pymilvus import AsyncMilvusClient

        return AsyncMilvusClient(uri=self._uri, dedicated=True)  # of its own, not one that others share

    async def search(self, vector: np.ndarray, count: int) -> list[str]:
        """The items nearest to a user's vector, best first."""
        try:
            (found,) = await self._client.search(
                self.collection,
                [vector.tolist()],
                limit=min(count, MILVUS_LIMIT),
                anns_field="vector",
                search_params={"metric_type": "IP"},
                output_fields=["item_id"],
            )
        except BaseException:
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._renew())
            raise
        return [hit["entity"]["item_id"] for hit in found]

    async def _renew(self) -> None:
        client = self._connect()
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                await client.load_collection(self.collection)
        except Exception:  # the next search that fails tries again
            await _close(client)
        else:
            client, self._client = self._client, client
            await _close(client)

    async def close(self) -> None:
        """Let go of the connection to Milvus."""
        if self._renewing is not None:
            self._renewing.cancel()
        await _close(self._client)


async def _close(client: "AsyncMilvusClient") -> None:
    with contextlib.suppress(Exception):  # of a server that is gone
        await client.close()
