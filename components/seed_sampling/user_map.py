"""A map of the users and the seeds: the two directions in which behavior embeddings differ most."""

from typing import Any

import numpy as np

from components.seed_sampling.diagnostics import measured_users
from components.seed_sampling.policies import SeedChoice, UserBase

MAPPED_USERS, MAPPED_SEEDS = 2_000, 500  # at most; a page with more points is slow and shows no more


def map_users(base: UserBase, choice: SeedChoice, seed: int) -> dict[str, Any]:
    """Coordinates of some users, and of some seeds by origin, on the first two principal components of the base.

    The components are those of the unit vectors of the users that diagnostics look at. The sign of each, which is
    arbitrary, is such that its largest weight is positive. `variance` is the share of the variance that the two have.
    """
    generator = np.random.default_rng(seed)
    measured = base.unit[measured_users(base, seed)].astype(np.float64)
    centre = measured.mean(axis=0)
    measured -= centre
    variances, directions = np.linalg.eigh(measured.T @ measured / len(measured))
    axes = np.zeros((len(centre), 2))
    axes[:, : min(2, len(centre))] = directions[:, ::-1][:, :2]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1, 1)
    total = variances.sum()

    def place(indices: np.ndarray, most: int) -> list[list[float]]:
        shown = indices if len(indices) <= most else np.sort(generator.choice(indices, most, replace=False))
        return ((base.unit[shown] - centre) @ axes).round(4).tolist()

    origins = np.array(choice.origins)
    seeds = {origin: choice.indices[origins == origin] for origin in dict.fromkeys(choice.origins)}
    return {
        "variance": round(float(variances[::-1][:2].sum() / total), 6) if total > 1e-12 else None,
        "users": place(np.arange(len(base)), MAPPED_USERS),
        "seeds": {origin: place(indices, MAPPED_SEEDS) for origin, indices in seeds.items()},
    }
