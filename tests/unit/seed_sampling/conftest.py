"""A base whose seeds the tests choose."""

import numpy as np
import pytest

from components.seed_sampling.clustering import normalise_rows
from components.seed_sampling.policies import UserBase


@pytest.fixture
def base():
    """200 users around eight directions, 3 to 59 interactions each."""
    generator = np.random.default_rng(3)
    matrix = np.eye(8)[generator.integers(0, 8, 200)] + 0.3 * generator.normal(size=(200, 8))
    return UserBase(normalise_rows(matrix.astype(np.float32)), generator.integers(3, 60, 200))
