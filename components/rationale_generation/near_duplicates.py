"""Texts that say nearly the same, found by MinHash (Broder 1997)."""

from datasketch import MinHash, MinHashLSH

from components.prompting.instructions import words

SHINGLE = 3  # words
SIMILARITY = 0.9  # Jaccard similarity of the sets of shingles
_LOOKED_AT = 0.75  # an estimate of 64 values is off by 0.1 at times
_PERMUTATIONS = 64
_SEED = 1


def count_near_duplicates(texts: list[str]) -> int:
    """How many of the texts are nearly the same as one before them: nine tenths of all runs of three words are shared.

    MinHash finds the pairs to look at; whether they are that similar is counted, not estimated.
    """
    index = MinHashLSH(threshold=_LOOKED_AT, num_perm=_PERMUTATIONS)
    kept: dict[int, frozenset[str]] = {}
    seen: set[frozenset[str]] = set()
    for text in texts:
        shingles = _shingles(text)
        if shingles in seen:
            continue
        seen.add(shingles)
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)
        sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
        if not any(_similarity(shingles, kept[key]) >= SIMILARITY for key in index.query(sketch)):
            kept[len(kept)] = shingles
            index.insert(len(kept) - 1, sketch)
    return len(texts) - len(kept)


def _shingles(text: str) -> frozenset[str]:
    listed = words(text)
    return frozenset(" ".join(listed[start : start + SHINGLE]) for start in range(max(1, len(listed) - SHINGLE + 1)))


def _similarity(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)
