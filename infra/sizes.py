"""`python -m infra.sizes`: what a cluster needs for 1, 10 and 100 million users, as the table of infra/README.md.

Bytes are counted from what is stored; what depends on a team's own traffic, prompts and machines is a named
assumption, to be replaced by measured values.
"""

import math
from dataclasses import dataclass

DIMENSION = 64  # of behavior embeddings and of item vectors, float32
TEXT_DIMENSION = 384
FLOAT = 4  # bytes
GIB = 2**30

# Measured (tests/integration/gateway/test_sizes.py, Redis 7.0): a user with both slots full, each with 50 visits to
# items with ids of 10 characters; a rationale with 384 numbers and a text of 300 characters.
REDIS_USER_BYTES = 2_256
REDIS_RATIONALE_BYTES = 2_656
REDIS_ROOM = 1.25 / 0.75  # fragmentation, and a quarter of the memory for rewriting the append-only file
REDIS_NODE_GIB = 64  # what one node of a Redis Cluster holds at most, so that it starts again within minutes

HNSW_LINKS = 2 * 16 * 4  # bytes a vector: M = 16, both directions, on the lowest layer
RATIONALE_TEXT_BYTES = 2_000
MILVUS_ROOM = 2.0  # the previous generation stays loaded until the next one serves

# Assumptions.
ACTIVE_SHARE = 0.3  # of the users, on a day
LISTS_A_DAY = 10  # of an active user
PEAK = 3.0  # the busiest hour, of the mean
LISTS_A_SECOND_OF_A_GATEWAY = 100  # one replica, one core, 200 candidates
LISTS_A_SECOND_OF_TRITON = 1_000  # one replica with a GPU
EXPOSURE_BYTES = 400  # a row of the log, compressed
EXPOSURE_DAYS = 30
TOKENS_A_RATIONALE = 1_000  # prompt and answer
TOKENS_A_SECOND_OF_A_GPU = 2_500  # RELAND_GPU_TOKENS_PER_SECOND
SPARE = 1.5  # factor on the busiest hour, so that one replica may be down


@dataclass(frozen=True)
class Size:
    """A number of users, items and seed users."""

    users: int
    items: int
    seed_share: float

    @property
    def seeds(self) -> int:
        """Number of seed users."""
        return round(self.users * self.seed_share)

    @property
    def lists_a_second(self) -> float:
        """Recommendation lists a second in the busiest hour."""
        return self.users * ACTIVE_SHARE * LISTS_A_DAY / 86_400 * PEAK


SIZES = (Size(1_000_000, 200_000, 0.1), Size(10_000_000, 1_000_000, 0.01), Size(100_000_000, 5_000_000, 0.00075))


def redis_gib(size: Size) -> float:
    """Memory of the online store."""
    return (size.users * REDIS_USER_BYTES + size.seeds * REDIS_RATIONALE_BYTES) * REDIS_ROOM / GIB


def milvus_gib(size: Size) -> float:
    """Memory of the query nodes: the pool's and the items' vectors with their graphs, and the texts of the pool."""
    vectors = (size.seeds + size.items) * (DIMENSION * FLOAT + HNSW_LINKS)
    return (vectors + size.seeds * RATIONALE_TEXT_BYTES) * MILVUS_ROOM / GIB


def embeddings_gib(size: Size) -> float:
    """The artifact of the daily refresh: one vector for each user."""
    return size.users * DIMENSION * FLOAT / GIB


def exposures_gib(size: Size) -> float:
    """The log of exposures under RELAND_HOME."""
    return size.users * ACTIVE_SHARE * LISTS_A_DAY * EXPOSURE_BYTES * EXPOSURE_DAYS / GIB


def gateways(size: Size) -> int:
    """Replicas of the gateway."""
    return max(2, math.ceil(size.lists_a_second * SPARE / LISTS_A_SECOND_OF_A_GATEWAY))


def tritons(size: Size) -> int:
    """Replicas of Triton."""
    return max(2, math.ceil(size.lists_a_second * SPARE / LISTS_A_SECOND_OF_TRITON))


def gpu_hours(size: Size, share: float | None = None) -> float:
    """GPU-hours of a weekly run in which every seed user is new; the answers of those who stay are in the ledger."""
    seeds = size.seeds if share is None else size.users * share
    return seeds * TOKENS_A_RATIONALE / TOKENS_A_SECOND_OF_A_GPU / 3_600


def table() -> str:
    """The table, in Markdown."""
    rows = {
        "seed users": [f"{size.seeds:,} ({size.seed_share:.3%})" for size in SIZES],
        "Redis, memory": [f"{redis_gib(size):,.1f} GiB" for size in SIZES],
        "Redis, nodes": [f"{math.ceil(redis_gib(size) / REDIS_NODE_GIB):,}" for size in SIZES],
        "Milvus query nodes, memory": [f"{milvus_gib(size):,.2f} GiB" for size in SIZES],
        "vectors of all users, a day": [f"{embeddings_gib(size):,.1f} GiB" for size in SIZES],
        "exposures, 30 days": [f"{exposures_gib(size):,.0f} GiB" for size in SIZES],
        "lists a second, busiest hour": [f"{size.lists_a_second:,.0f}" for size in SIZES],
        "gateway replicas": [f"{gateways(size):,}" for size in SIZES],
        "Triton replicas (a GPU each)": [f"{tritons(size):,}" for size in SIZES],
        "GPU-hours a week": [f"{gpu_hours(size):,.1f}" for size in SIZES],
        "GPU-hours with 0.075% seed users": [f"{gpu_hours(size, 0.00075):,.1f}" for size in SIZES],
        "GPU-hours with 10% seed users": [f"{gpu_hours(size, 0.1):,.0f}" for size in SIZES],
    }
    head = "| | " + " | ".join(f"{size.users // 1_000_000:,} million users" for size in SIZES) + " |"
    lines = [head, "|---" + "|---:" * len(SIZES) + "|"]
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
