"""The section `seeds`: how many users become seed users, and which."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from components.foundation.configuration import Section
from components.foundation.errors import InputError
from components.foundation.files import absolute_path

DEFAULT_POLICY = "adaptive"
# Of a request and its answer, where nothing has been measured: a history of 50 titles and two short texts.
ASSUMED_TOKENS_PER_CALL = 1_500.0


@dataclass(frozen=True)
class SeedsSection(Section):
    """How many users become seed users, and which (section 3.1.1).

    Attributes:
        seed_fraction: share of the users that become seed users, above 0 and at most 1.
        seed_policy: who becomes a seed user: adaptive, random, representative, important, facility_location.
        clusters: number of clusters that seed users represent (the paper's K); 0: 5% of the users.
        previous_seeds: last week's seeds.parquet, whose seed users stay where they still fit; empty: a new sampling.
        tokens_per_call: tokens of a request and its answer, for what another number of seeds would cost.
    """

    title = "seeds"

    seed_fraction: float = 0.1
    seed_policy: str = DEFAULT_POLICY
    clusters: int = 0
    previous_seeds: str = ""
    tokens_per_call: float = ASSUMED_TOKENS_PER_CALL

    def __post_init__(self) -> None:
        if not 0 < self.seed_fraction <= 1:
            raise InputError(f"seed_fraction {self.seed_fraction}: expected a share in (0, 1]")
        if self.clusters < 0:
            raise InputError(f"clusters {self.clusters}: expected a number of clusters, or 0 for 5% of the users")
        if not self.tokens_per_call >= 0:
            raise InputError(f"tokens_per_call {self.tokens_per_call}: expected a number, 0 or more")

    def resolved(self) -> Self:
        """The same, with the path of the previous seeds absolute."""
        return replace(self, previous_seeds=absolute_path(self.previous_seeds))

    def read_paths(self) -> list[Path]:
        """The previous seeds, if they are given."""
        return [Path(self.previous_seeds)] if self.previous_seeds else []
