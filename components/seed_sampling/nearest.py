"""Which seed user each user would be matched to: s = argmax cos(m_u, m_s) (Eq. 3), exactly."""

import faiss
import numpy as np


def nearest_seeds(users: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row of `users`, unit float32[n, d], its similarity to the nearest row of `seeds`, unit float32[B, d].

    Returns:
        The similarities, float32[n] within [-1, 1], and the nearest rows, int64[n]. A zero row, a user
        without a vector, has similarity 0 to every seed.
    """
    index = faiss.IndexFlatIP(seeds.shape[1])
    index.add(seeds)
    similarity, row = index.search(users, 1)
    return np.clip(similarity[:, 0], -1, 1), row[:, 0]
