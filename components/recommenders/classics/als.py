"""Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren & Volinsky, ICDM 2008).

The factorisation is the package `implicit`'s. A user's vector is computed from the history when the user is scored, as
the exact solution of the user's own least squares (the paper's equation 4), so that visits after training count too.
"""

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from components.recommenders.classics.configuration import ALSSettings
from components.recommenders.classics.contract import ClassicRecommender
from components.recommenders.classics.visits import training_visits, weighted_histories
from components.recommenders.interaction_sequences import InteractionSequences


class ALS(ClassicRecommender):
    """Scores an item by the product of its vector and the user's.

    All of it runs in one thread, without which sums are added in another order each time.
    """

    def __init__(self, sequences: InteractionSequences, settings: ALSSettings, seed: int):
        self._sequences = sequences
        self._decay = settings.decay
        with threadpool_limits(1, "blas"):
            self._model = AlternatingLeastSquares(
                factors=settings.factors,
                regularization=settings.regularization,
                alpha=settings.confidence,
                iterations=settings.iterations,
                num_threads=1,
                random_state=seed,
                use_gpu=False,
            )
            self._model.fit(csr_matrix(training_visits(sequences)), show_progress=False)

    def score(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Vectors of the histories times those of all items."""
        histories = csr_matrix(weighted_histories(self._sequences, users, ends, self._decay))
        with threadpool_limits(1, "blas"):
            vectors = self._model.recalculate_user(np.arange(len(users)), histories)
            return vectors @ self._model.item_factors.T
