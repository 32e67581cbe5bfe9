"""Candidate against control: lift, its intervals and its tests, from what every user was shown and did.

The control is the concurrent group of equal size, never the champion at large.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """What is compared, and how sure one wants to be.

    Attributes:
        candidate, control: names of the arms.
        candidate_share: share of the users of both arms who were to be the candidate's.
        alpha: level of every test; intervals are of 1 - alpha.
        power: of the minimum detectable effects.
        sample_ratio_alpha: level of the sample-ratio test, which is to raise no false alarm.
        expected_lift: the size of lifts that one expects, relative; it tunes the sequential test, whose level holds
            for any value that was fixed before the experiment.
        stages: the stage of a ramp that each `state` belongs to; a state that is not in it is a stage of its own.
    """

    candidate: str = "candidate"
    control: str = "control"
    candidate_share: float = 0.5
    alpha: float = 0.05
    power: float = 0.8
    sample_ratio_alpha: float = 0.001
    expected_lift: float = 0.03
    stages: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExperimentResult:
    """To be filled in."""


def analyze(
    user_days: pa.Table | Path, config: AnalysisConfig, activity: pa.Table | Path | None = None
) -> ExperimentResult:
    """Analyse an experiment.

    Args:
        user_days: `USER_DAYS`, or a Parquet file of it.
        activity: `ACTIVITY`, or a Parquet file of it; without it there are no levels of activity and no CUPED.

    Raises:
        InputError: a column is missing or of another type, or a table has no row.
    """
    raise NotImplementedError
