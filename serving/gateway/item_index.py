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


class ItemIndex(Protocol):
    """Searches the items of one ranker version."""

    async def search(self, vector: np.ndarray, count: int) -> list[str]:
        """The ids of at most `count` items, nearest first, to `vector` float32[e]."""


class ExactIndex:
    """Compares with every item."""

    def __init__(self, catalogue: Catalogue):
        self._catalogue = catalogue

    async def search(self, vector: np.ndarray, count: int) -> list[str]:
        products = self._catalogue.item_vectors @ vector
        count = min(count, len(products))
        nearest = np.argpartition(-products, count - 1)[:count] if count else np.empty(0, np.int64)
        nearest = nearest[np.argsort(-products[nearest], kind="stable")]
        return [self._catalogue.item_ids[row] for row in nearest]


class MilvusIndex:
    """Asks a collection of a Milvus server; time limits are the caller's, who cancels.

    A server answers from collections that are loaded, and Milvus Lite forgets at its end which were. So a search that
    fails has the collection loaded, beside the requests: it may take longer than one may wait.
    """

    def __init__(self, client: "AsyncMilvusClient", collection: str):
        self._client = client
        self._collection = collection
        self._loading: asyncio.Task[None] | None = None

    async def search(self, vector: np.ndarray, count: int) -> list[str]:
        from pymilvus import MilvusException

        try:
            (found,) = await self._client.search(
                self._collection,
                [vector.tolist()],
                limit=count,
                anns_field="vector",
                search_params={"metric_type": "IP"},
                output_fields=["item_id"],
            )
        except MilvusException:
            if self._loading is None or self._loading.done():
                self._loading = asyncio.create_task(self._load())
            raise
        return [hit["entity"]["item_id"] for hit in found]

    async def _load(self) -> None:
        with contextlib.suppress(Exception):  # a search will fail again, and try again
            await self._client.load_collection(self._collection)
