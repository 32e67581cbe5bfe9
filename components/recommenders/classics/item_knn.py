"""Item-based nearest neighbours: who has this is recommended what others had with it, or next.

The frame is Sarwar et al. (WWW 2001) and Deshpande & Karypis (TOIS 2004): each item keeps its most similar items, and a
candidate is scored by the sum of its similarities to the items of the history. Three parts are from later work:
shrinkage of similarities with little support (as in Ferrari Dacrema et al., RecSys 2019), counts of what follows within
a few visits, by the inverse of the distance (the sequential rules of Ludewig & Jannach, UMUAI 2018), and the decay of
older visits (the same). With `window` 0, `shrinkage` 0 and `decay` 1 it is Deshpande & Karypis' recommender with cosine
similarity.
"""

import numpy as np
from scipy.sparse import csr_array

from components.recommenders.classics.configuration import ItemKNNSettings
from components.recommenders.classics.contract import ClassicRecommender
from components.recommenders.classics.visits import keep_largest, training_visits, weighted_histories
from components.recommenders.interaction_sequences import InteractionSequences


def item_similarities(sequences: InteractionSequences, settings: ItemKNNSettings) -> csr_array:
    """Similarity of the nearest neighbours of every item: float32[I, I], row and column i the item of index i + 1.

    Entry (i, j) is c_ij / (sqrt(n_i n_j) + shrinkage). With a window, c_ij is the sum of 1 / distance over the training
    visits of j that follow one of i within it, and n counts an item's training visits; with window 0, c_ij counts the
    users who have both and n those who have the item, so that the quotient without shrinkage is a cosine.
    """
    if settings.window:
        together, visits = _following(sequences, settings.window)
    else:
        together, visits = _in_common(sequences)
    together = together.tocoo()
    is_other = together.row != together.col
    rows, columns = together.row[is_other], together.col[is_other]
    values = together.data[is_other] / (np.sqrt(visits[rows] * visits[columns]) + settings.shrinkage)
    similarities = csr_array((values.astype(np.float32), (rows, columns)), shape=together.shape)
    return keep_largest(similarities, settings.neighbours)


class ItemKNN(ClassicRecommender):
    """Scores an item by the sum of its similarities to the items of the history, the older ones weighted less.

    An item that is no neighbour of any item of the history scores 0.
    """

    def __init__(self, sequences: InteractionSequences, settings: ItemKNNSettings, seed: int):
        self._sequences = sequences
        self._decay = settings.decay
        self._similarities = item_similarities(sequences, settings)

    def score(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The history of each user times the similarities of its items."""
        histories = weighted_histories(self._sequences, users, ends, self._decay)
        return (histories @ self._similarities).toarray()


def _following(sequences: InteractionSequences, window: int) -> tuple[csr_array, np.ndarray]:
    """Sum of 1 / distance over the pairs of visits of a user at most `window` apart, and the visits of each item."""
    users, items = sequences.training_pairs()
    items = items - 1
    shape = (sequences.n_items, sequences.n_items)
    counts = csr_array(shape, dtype=np.float64)
    for distance in range(1, window + 1):
        is_same_user = users[distance:] == users[:-distance]
        first, second = items[:-distance][is_same_user], items[distance:][is_same_user]
        counts = counts + csr_array((np.full(len(first), 1 / distance), (first, second)), shape=shape)
    return counts, np.bincount(items, minlength=sequences.n_items).astype(np.float64)


def _in_common(sequences: InteractionSequences) -> tuple[csr_array, np.ndarray]:
    """How many users have both of two items, and how many have each item."""
    has = training_visits(sequences).astype(np.float64)
    has.sum_duplicates()
    has.data[:] = 1
    return (has.T @ has).tocsr(), has.sum(axis=0)
