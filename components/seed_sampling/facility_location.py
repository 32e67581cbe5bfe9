"""Facility location: the set of seed users to which all users are most similar.

The coverage of a set of seeds is f(S) = Σ_u max(0, max_{s ∈ S} cos(m_u, m_s)), the sum over the users of the
similarity to the seed that they would be matched to (Eq. 3). It is monotone and submodular, so the greedy choice of B
seeds has at least (1 - 1/e) = 63% of the coverage of the best B seeds (Nemhauser, Wolsey and Fisher, 1978).

Lazy evaluation (Minoux, 1978): what a candidate adds can only shrink as S grows, so a candidate whose gain, as computed
some picks ago, is below what another adds now need not be computed again. The picks are those of plain greedy.

Even so, time grows with the square of the users. A large base is divided at random into parts, as GreeDi divides it
(Mirzasoleiman et al., 2013): in each round every part picks the one of its users who adds most to the coverage of
that part, and then every part counts the picks of all parts as seeds (in GreeDi the parts run independently). So time
grows with the users times the size of a part. The bound of 63% holds with one part; with several it does not.
"""

import heapq
from collections.abc import Iterator

import numpy as np

BLOCK = 256  # candidates whose similarities to all users are held at once in the first pass
WIDEST = 32  # stale candidates recomputed at once


class LazyGreedy:
    """Greedy choice among users, for their own coverage."""

    def __init__(self, unit: np.ndarray):
        """Compute what every user would add alone; unit rows, float32[n, d]."""
        self.unit = unit
        self._transposed = np.ascontiguousarray(unit.T)
        self._covered = np.zeros(len(unit), np.float32)  # of each user: the similarity to its seed so far
        self._coverings = 0
        self._heap: list[tuple[float, int, int]] = []  # -gain, candidate, after how many coverings it was computed
        for start in range(0, len(unit), BLOCK):
            self._compute(list(range(start, min(start + BLOCK, len(unit)))))

    def pick(self) -> tuple[int, float] | None:
        """The user who adds most to f, and how much; ties to the lower index. None when everybody is picked."""
        heap, width = self._heap, 1
        # While the candidate at the top is stale, recompute those at the top, more of them each time.
        while heap and heap[0][2] < self._coverings:
            stale: list[int] = []
            while heap and heap[0][2] < self._coverings and len(stale) < width:
                stale.append(heapq.heappop(heap)[1])
            self._compute(stale)
            width = min(2 * width, WIDEST)
        if not heap:
            return None
        gain, candidate, _ = heapq.heappop(heap)
        return candidate, -gain

    def cover(self, seeds: np.ndarray) -> None:
        """Add seeds to S, unit float32[m, d]; they need not be among these users."""
        for start in range(0, len(seeds), BLOCK):
            similarity = seeds[start : start + BLOCK] @ self._transposed
            np.maximum(self._covered, similarity.max(axis=0), out=self._covered)
        self._coverings += 1

    def _compute(self, candidates: list[int]) -> None:
        added = self.unit[candidates] @ self._transposed  # [len(candidates), n]
        added -= self._covered
        gains = np.maximum(added, 0, out=added).sum(axis=1).tolist()
        for gain, candidate in zip(gains, candidates, strict=True):
            heapq.heappush(self._heap, (-gain, candidate, self._coverings))


def greedy_order(unit: np.ndarray, largest_part: int, seed: int) -> Iterator[int]:
    """All users, int in [0, n), in the order in which they are picked.

    The order does not depend on how many are taken, so a larger choice begins with the smaller one.

    Args:
        unit: unit rows, float32[n, d].
        largest_part: users of a part at most; where n is no more, `seed` decides nothing.
        seed: of the division into parts.
    """
    shuffled = np.random.default_rng(seed).permutation(len(unit))
    members = [np.sort(part) for part in np.array_split(shuffled, -(-len(unit) // largest_part))]
    parts = [LazyGreedy(unit[part]) for part in members]
    while True:
        picks = [(part, greedy.pick()) for part, greedy in zip(members, parts, strict=True)]
        chosen = [int(part[pick[0]]) for part, pick in picks if pick is not None]
        if not chosen:
            return
        yield from chosen
        for greedy in parts:
            greedy.cover(unit[chosen])
