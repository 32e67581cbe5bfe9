"""Experiments in the simulated market without a server: thousands of users in seconds, for statistics of statistics.

A replay draws its users from the market's with replacement, so that they are a sample, as an experiment's users are of
all who will ever come; the lift that its interval should cover is the one over the whole market (`true_lift`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from components.marketplace.sessions import NO_ITEM, draw_outcomes
from components.marketplace.truth import Truth
from serving.experiment.interleaving import Preference, credit, interleave, preference
from serving.experiment.user_days import USER_DAYS

CONTROL, CANDIDATE = "control", "candidate"
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Policies:
    """What two arms show: of U users of a market, one list each for all days.

    Attributes:
        users: int64[U], index in the truth.
        control, candidate: int64[U, L], `NO_ITEM` where a list is shorter.
        days: on which users come.
    """

    truth: Truth
    users: np.ndarray
    control: np.ndarray
    candidate: np.ndarray
    days: Sequence[int]

    @property
    def visits_per_day(self) -> np.ndarray:
        """float64[U], the mean of each user's visits on a day."""
        return self.truth.users.sessions_per_day[self.users].astype(np.float64)


@dataclass(frozen=True)
class Lift:
    """Relative lifts of the candidate: 0.03 is 3%."""

    ctr: float
    cvr: float


def true_lift(policies: Policies) -> Lift:
    """The lift of the candidate over the control, were all users served by the one or by the other."""
    (control_ctr, control_cvr), (candidate_ctr, candidate_cvr) = (
        _expected_rates(policies, lists) for lists in (policies.control, policies.candidate)
    )
    return Lift(candidate_ctr / control_ctr - 1, candidate_cvr / control_cvr - 1)


def _expected_rates(policies: Policies, lists: np.ndarray) -> tuple[float, float]:
    truth, users = policies.truth, policies.users[:, None]
    is_shown = lists != NO_ITEM
    looked_at = truth.examination_probability(lists.shape[1]) * is_shown * policies.visits_per_day[:, None]
    shown = clicks = conversions = 0.0
    for day in policies.days:
        clicked = looked_at * truth.click_probability(users, lists, day)
        shown += float(policies.visits_per_day @ is_shown.sum(axis=1))
        clicks += float(clicked.sum())
        conversions += float((clicked * truth.conversion_probability(users, lists, day)).sum())
    return clicks / shown, conversions / clicks


def replay_experiment(policies: Policies, users: int, generator: np.random.Generator) -> pa.Table:
    """`USER_DAYS` of an experiment with so many users, each in either arm with probability 1/2, on one state."""
    row = generator.integers(len(policies.users), size=users)
    is_candidate = generator.random(users) < 0.5
    lists = np.where(is_candidate[:, None], policies.candidate[row], policies.control[row])
    arm_of = np.where(is_candidate, CANDIDATE, CONTROL)
    start = _EPOCH + timedelta(seconds=policies.truth.config.start)
    tables = []
    for day in policies.days:
        visits = generator.poisson(policies.visits_per_day[row])
        visit = np.repeat(np.arange(users), visits)
        outcomes = draw_outcomes(policies.truth, policies.users[row[visit]], lists[visit], day, generator)
        clicks, conversions = (
            np.bincount(visit, weights=happened.sum(axis=1), minlength=users).astype(np.int64)
            for happened in (outcomes.clicked, outcomes.purchased)
        )
        came = visits > 0
        shown = visits * (lists != NO_ITEM).sum(axis=1)
        count = int(came.sum())
        tables.append(
            pa.table(
                [
                    pa.repeat(pa.scalar(1, pa.int64()), count),
                    pa.array(arm_of[came]),
                    pa.array([f"r{number:07d}" for number in np.flatnonzero(came)]),
                    pa.repeat(pa.scalar(start + timedelta(days=day), pa.date32()), count),
                    *(pa.array(column[came], pa.int64()) for column in (visits, shown, clicks, conversions, visits)),
                    pa.repeat(pa.scalar(0.0), count),
                ],
                schema=USER_DAYS,
            )
        )
    return pa.concat_tables(tables)


def replay_interleaving(policies: Policies, users: int, generator: np.random.Generator) -> Preference:
    """What so many users prefer, the candidate's ranking (the first) or the control's: all see both, interleaved."""
    row = generator.integers(len(policies.users), size=users)
    users_of, credits = [], []
    for day in policies.days:
        visit = np.repeat(np.arange(users), generator.poisson(policies.visits_per_day[row]))
        lists = interleave(policies.candidate[row[visit]], policies.control[row[visit]], generator)
        outcomes = draw_outcomes(policies.truth, policies.users[row[visit]], lists.items, day, generator)
        users_of.append(visit)
        credits.append(credit(lists.team, outcomes.clicked))
    return preference(np.concatenate(users_of), np.concatenate(credits))
