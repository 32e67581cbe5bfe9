"""Dueling Bandit Gradient Descent: the weights of a blend of scores learn from which of two blends users prefer.

Each step tries a random direction: the blend in use and one a little off it in that direction are compared on users, by
interleaving for one, and where the other wins, the weights move its way. No rate is estimated, and no gradient.

Yue and Joachims: Interactively optimizing information retrieval systems as a dueling bandits problem, ICML 2009,
algorithm 1; table 2 of the e-commerce paper. That table reads gamma and never uses it: its step is delta, which is
what `step=exploration` gives.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DuelingBandit:
    """
    Attributes:
        exploration: delta, how far off the weights in use a blend is tried; small, or users pay for it.
        step: gamma, how far the weights move after a duel that was lost.
    """

    exploration: float
    step: float

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.exploration:
            raise ValueError(f"step {self.step}, exploration {self.exploration}: expected 0 < step <= exploration")

    def challenge(self, weights: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A direction u_t, uniform on the unit sphere, and the challenger P(w_t + delta u_t); float64[m] each."""
        direction = generator.standard_normal(len(weights))
        direction /= np.linalg.norm(direction)
        return direction, project(weights + self.exploration * direction)

    def learn(self, weights: np.ndarray, direction: np.ndarray, challenger_won: bool) -> np.ndarray:
        """w_{t+1}: P(w_t + gamma u_t) where the challenger won, else w_t."""
        return project(weights + self.step * direction) if challenger_won else weights


def project(weights: np.ndarray) -> np.ndarray:
    """P(w), the nearest weights in the unit ball. A blend ranks by the direction of its weights alone, so no blend is
    left out."""
    return weights / max(1.0, float(np.linalg.norm(weights)))


def blend(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted sum of m scores, float64[..., I] of float[m, ..., I]; `standardise` makes them comparable first."""
    return np.tensordot(weights, scores, axes=1)


def standardise(scores: np.ndarray) -> np.ndarray:
    """Scores of each user with mean 0 and standard deviation 1 over the items; all 0 where they are all equal."""
    centred = scores - scores.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
