"""The vectors of an encoder that keeps one for each user: in memory after training, in its file after loading."""

import numpy as np
from torch import Tensor

from components.behavior_encoder.encoder import Weights

USER_VECTORS = "user_vectors"


class UserVectors:
    """float32[U, d]; `rows` reads no more of a file than the range that holds them."""

    def __init__(self, source: Tensor | Weights):
        self._source = source

    @classmethod
    def open(cls, weights: Weights, users: int, dimension: int) -> "UserVectors":
        """Those of a saved encoder.

        Raises:
            InputError: the file holds no table of this shape.
        """
        weights.check(USER_VECTORS, (users, dimension))
        return cls(weights)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """The vectors in rows int64[n]: float32[n, d]."""
        if isinstance(self._source, Weights):
            return self._source.rows(USER_VECTORS, rows)
        return self._source.numpy()[rows]

    def all(self) -> Tensor:
        """The whole table, float32[U, d]; read from the file where it is not in memory."""
        return self._source.all()[USER_VECTORS] if isinstance(self._source, Weights) else self._source
