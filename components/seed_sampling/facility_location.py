"""Facility location: the seed users that, together, everybody is most similar to.

The coverage of a set of seeds is f(S) = Σ_u max(0, max_{s ∈ S} cos(m_u, m_s)), the sum over the users of how similar
the seed is that they would be matched to (Eq. 3). It is monotone and submodular, so the greedy choice of B seeds has at
least (1 - 1/e) = 63% of the coverage of the best B seeds there are (Nemhauser, Wolsey and Fisher, 1978).

Lazy evaluation (Minoux, 1978): what a candidate adds can only shrink as S grows, so a candidate whose gain, as computed
some picks ago, is below what another adds now need not be computed again. The picks are those of plain greedy.
"""

import heapq
from collections.abc import Iterator

import numpy as np

BLOCK = 256  # candidates whose similarities to all users are held at once in the first pass
WIDEST = 32  # stale candidates brought up to date at once


def lazy_greedy(users: np.ndarray, candidates: np.ndarray) -> Iterator[tuple[int, float]]:
    """Candidates in the order in which greedy picks them, each with what it adds to f; ties to the lower index.

    The order does not depend on how many are taken, so the first n of more seeds are the n seeds.

    Args:
        users: unit rows that f sums over, float32[n, d].
        candidates: unit rows that can be picked, float32[m, d].
    """
    covered = np.zeros(len(users), np.float32)  # of each user: the similarity to its seed so far
    transposed = np.ascontiguousarray(users.T)

    def gains(chosen: list[int]) -> list[float]:
        added = candidates[chosen] @ transposed  # [len(chosen), n]
        added -= covered
        return np.maximum(added, 0, out=added).sum(axis=1).tolist()

    heap = []
    for start in range(0, len(candidates), BLOCK):
        block = list(range(start, min(start + BLOCK, len(candidates))))
        heap += [(-gain, candidate, 0) for gain, candidate in zip(gains(block), block, strict=True)]
    heapq.heapify(heap)
    picked = 0
    while heap:
        width = 1
        while heap[0][2] < picked:  # the first is stale: some, ever more, of the first are computed again
            stale: list[int] = []
            while heap and heap[0][2] < picked and len(stale) < width:
                stale.append(heapq.heappop(heap)[1])
            for gain, candidate in zip(gains(stale), stale, strict=True):
                heapq.heappush(heap, (-gain, candidate, picked))
            width = min(2 * width, WIDEST)
        gain, candidate, _ = heapq.heappop(heap)
        yield candidate, -gain
        np.maximum(covered, candidates[candidate] @ transposed, out=covered)
        picked += 1
