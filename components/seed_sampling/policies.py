"""Policies that choose the seed users, behind one contract.

Every policy is repeatable by its random seed and yields exactly the budget, in distinct users of the base.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from threadpoolctl import threadpool_limits

from components.foundation.errors import InputError
from components.foundation.progress import say
from components.seed_sampling.adaptive_sampling import (
    SamplingPlan,
    allocate_seats,
    sample_important,
    sample_representative,
)
from components.seed_sampling.clustering import cluster_users
from components.seed_sampling.facility_location import greedy_order

GREEDY_USERS = 50_000  # facility location divides a larger base into parts of at most so many
PROGRESS_PICKS = 1_000


@dataclass(frozen=True)
class UserBase:
    """All users with a training interaction; a user is named by its index, in ascending order of user id.

    Attributes:
        unit: behavior embeddings of length 1 (0 for a user without a vector), float32[|U|, d].
        activity: |D_u|, the training interactions of each user, int64[|U|], all at least 1.
    """

    unit: np.ndarray
    activity: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True)
class Clusters:
    """K-means of the base: the cluster of every user, int32[|U|], and the centres, float32[K, d]."""

    labels: np.ndarray
    centres: np.ndarray

    def seats(self, seats: int) -> np.ndarray:
        """Seats of each cluster, int64[K], in proportion to its users."""
        return allocate_seats(np.bincount(self.labels, minlength=len(self.centres)), seats)


@dataclass(frozen=True)
class SeedChoice:
    """Seed users in the order of selection, int64[B], and for each the reason why it was chosen (`SEEDS.origin`)."""

    indices: np.ndarray
    origins: list[str]


class SeedPolicy(ABC):
    """Chooses seed users from one base.

    Attributes:
        clusters_wanted: K, for the policies that cluster.
    """

    def __init__(self, base: UserBase, clusters_wanted: int, seed: int):
        self.base = base
        self.clusters_wanted = clusters_wanted
        self.seed = seed

    @property
    def clusters(self) -> Clusters | None:
        """The clusters of a policy that clusters; None for the others."""
        return None

    @abstractmethod
    def choose(self, budget: int) -> SeedChoice:
        """`budget` seed users, at most |U|. Clusters and the greedy order are kept for the next call."""


class _Clustering(SeedPolicy):
    @cached_property
    def clusters(self) -> Clusters:
        return Clusters(*cluster_users(self.base.unit, self.clusters_wanted, self.seed))

    def _representative(self, seats: int, generator: np.random.Generator) -> np.ndarray:
        labels, centres = self.clusters.labels, self.clusters.centres
        return sample_representative(self.base.unit, labels, centres, self.clusters.seats(seats), generator)


class Adaptive(_Clustering):
    """The paper's (3.1.1): "The two are applied in turn until |S_R ∪ S_I| = B".

    The representative half fills its seats, then the important half, drawn from the users not yet chosen, fills the
    others. The halves are disjoint, so one turn reaches B.
    """

    def choose(self, budget: int) -> SeedChoice:
        """ceil(B / 2) representative users, then important ones."""
        generator = np.random.default_rng(self.seed)
        plan = SamplingPlan(budget, self.clusters_wanted)
        representative = self._representative(plan.representative_seats, generator)
        available = np.ones(len(self.base), bool)
        available[representative] = False
        important = sample_important(self.base.activity, available, budget - len(representative), generator)
        origins = ["representative"] * len(representative) + ["important"] * len(important)
        return SeedChoice(np.concatenate([representative, important]), origins)


class Representative(_Clustering):
    """All seats go to representative users: S = S_R."""

    def choose(self, budget: int) -> SeedChoice:
        """Representative users alone."""
        chosen = self._representative(budget, np.random.default_rng(self.seed))
        return SeedChoice(chosen, ["representative"] * budget)


class Important(SeedPolicy):
    """All seats go to important users: S = S_I."""

    def choose(self, budget: int) -> SeedChoice:
        """Important users alone."""
        everybody = np.ones(len(self.base), bool)
        chosen = sample_important(self.base.activity, everybody, budget, np.random.default_rng(self.seed))
        return SeedChoice(chosen, ["important"] * budget)


class Random(SeedPolicy):
    """Every set of B users is equally likely: the baseline that any other policy has to beat."""

    def choose(self, budget: int) -> SeedChoice:
        """The first users of one random order."""
        # A prefix of one order, so that a larger budget keeps the seeds of a smaller one.
        chosen = np.random.default_rng(self.seed).permutation(len(self.base))[:budget]
        return SeedChoice(chosen, ["random"] * budget)


class FacilityLocation(SeedPolicy):
    """Greedy facility location; see `components.seed_sampling.facility_location` for what it promises.

    The random seed only decides how a base above `GREEDY_USERS` is divided.
    """

    def __init__(self, base: UserBase, clusters_wanted: int, seed: int):
        super().__init__(base, clusters_wanted, seed)
        self._picks = greedy_order(base.unit, GREEDY_USERS, seed)  # continues where the last call of `choose` stopped
        self._order: list[int] = []

    def choose(self, budget: int) -> SeedChoice:
        """The first users of the greedy order."""
        with threadpool_limits(limits=1):  # many small products: threads would wait for each other most of the time
            for candidate in islice(self._picks, max(0, budget - len(self._order))):
                self._order.append(candidate)
                if len(self._order) % PROGRESS_PICKS == 0:
                    say(f"facility location: {len(self._order)} seed users")
        return SeedChoice(np.array(self._order[:budget], np.int64), ["facility_location"] * budget)


POLICIES: dict[str, type[SeedPolicy]] = {
    "adaptive": Adaptive,
    "random": Random,
    "representative": Representative,
    "important": Important,
    "facility_location": FacilityLocation,
}


def find_policy(name: str) -> type[SeedPolicy]:
    """The policy of that name.

    Raises:
        InputError: there is none; the message names the option and the policies there are.
    """
    if name not in POLICIES:
        raise InputError(f"seed_policy {name!r}: expected one of {', '.join(POLICIES)}")
    return POLICIES[name]
