"""Matching: r_u = r_s with s = argmax cos(m_u, m_s) over the seed users (Eq. 3)."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pymilvus import MilvusClient

from components.contracts.tables import MATCHES, read_vectors
from components.foundation.errors import InputError
from components.foundation.progress import say
from components.reasoning_pool.pool import encoder_version_of

SEARCH_BATCH = 1_000
PROGRESS_SECONDS = 5
# HNSW looks at 64 candidates a query; FLAT does not read it.
SEARCH_PARAMETERS = {"metric_type": "COSINE", "params": {"ef": 64}}


def match_all_users(
    client: MilvusClient, embeddings: Path, collection: str, encoder_version: str
) -> tuple[pa.Table, dict[str, Any]]:
    """Give every user the rationale of the most similar seed user.

    The cosine of a zero vector, a user without known behavior, is not defined. Such a user gets the seed user with the
    lowest id, with similarity 0.

    Args:
        encoder_version: the registered version of the encoder that the embeddings come from; vectors of two encoders
            have nothing to do with each other, so the pool must hold those of the same one.

    Returns:
        A table of schema `MATCHES`, sorted by user id, with rank 1 alone; and the report for `summary.json`.

    Raises:
        InputError: there is no such collection, its vectors have another length than the users', or come from another
            version of the encoder.
    """
    users, matrix = read_vectors(embeddings, "user_id")
    if not users:
        raise InputError(f"{embeddings}: no users")
    if not client.has_collection(collection):
        raise InputError(f"Milvus has no collection {collection!r}")
    dimension = _vector_length(client, collection)
    if dimension != matrix.shape[1]:
        raise InputError(
            f"{embeddings}: vectors of {matrix.shape[1]} numbers, "
            f"those of the seed users in {collection} have {dimension}"
        )
    client.load_collection(collection)
    if (stored_version := encoder_version_of(client, collection)) != encoder_version:
        raise InputError(
            f"{collection}: holds vectors of encoder version {stored_version!r}, the users' are of {encoder_version!r}"
        )
    say(f"matching {len(users)} users with the seed users in {collection}")
    with_vector = np.flatnonzero(matrix.any(axis=1))
    hits = dict(zip(with_vector.tolist(), _search(client, collection, matrix[with_vector]), strict=True))
    if len(with_vector) < len(users):
        first = _lowest_seed_user(client, collection)
        say(f"{len(users) - len(with_vector)} users have a zero vector; they get the rationale of one seed user")
        hits |= {row: first for row in range(len(users)) if row not in hits}

    similarity = np.array([hits[row]["similarity"] for row in range(len(users))], np.float32)
    columns = [
        pa.array(users, pa.string()),
        pa.array([hits[row]["rationale_id"] for row in range(len(users))], pa.string()),
        pa.array([hits[row]["seed_user_id"] for row in range(len(users))], pa.string()),
        pa.array(similarity),
        pa.array(np.ones(len(users), np.int32)),
    ]
    matches = pa.table(columns, schema=MATCHES)
    report = {
        "users": len(users),
        "encoder_version": encoder_version,
        "coverage": len(with_vector) / len(users),  # a user without a vector is not covered: any rationale may be wrong
        "similarity_p50": round(float(np.percentile(similarity, 50)), 6),
        "similarity_p05": round(float(np.percentile(similarity, 5)), 6),
    }
    say(f"{matches.num_rows} users matched, median similarity {report['similarity_p50']:.3f}")
    return matches, {"matching": report}


def _vector_length(client: MilvusClient, collection: str) -> int:
    fields = client.describe_collection(collection)["fields"]
    return next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")


def _search(client: MilvusClient, collection: str, queries: np.ndarray) -> list[dict[str, Any]]:
    """The nearest seed user to each row of float32[n, d]."""
    hits: list[dict[str, Any]] = []
    last_report = time.monotonic()
    for start in range(0, len(queries), SEARCH_BATCH):
        results = client.search(
            collection,
            queries[start : start + SEARCH_BATCH],
            anns_field="vector",
            limit=1,
            output_fields=["seed_user_id", "rationale_id"],
            search_params=SEARCH_PARAMETERS,
        )
        for nearest in results:
            entity = nearest[0]["entity"]
            similarity = float(np.clip(nearest[0]["distance"], -1, 1))  # rounding may exceed 1
            hits.append({**entity, "similarity": similarity})
        if time.monotonic() - last_report > PROGRESS_SECONDS:
            say(f"matched {len(hits)} of {len(queries)} users")
            last_report = time.monotonic()
    return hits


def _lowest_seed_user(client: MilvusClient, collection: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    iterator = client.query_iterator(collection, output_fields=["seed_user_id", "rationale_id"])
    while batch := iterator.next():
        rows += batch
    iterator.close()
    lowest = min(rows, key=lambda row: row["seed_user_id"])
    return {"seed_user_id": lowest["seed_user_id"], "rationale_id": lowest["rationale_id"], "similarity": 0.0}
