"""How long an experiment must be to find a lift: from the logs of the days before it, by the analysis' own variance.

For each length, the users who came in as many days are counted, with the deviation of one user's part in the log rate
(see `power`). With daily looks the test at the planned size is made at four fifths of alpha (see `decision`): the power
that this costs is stated. What the looks find before is not counted, so it is a lower bound.
"""

import datetime
import math
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from components.foundation.errors import InputError
from serving.experiment.analysis import METRICS, AnalysisConfig
from serving.experiment.power import minimum_detectable_lift
from serving.experiment.tables import DEFAULT_MEMORY, experiment_tables, view
from serving.experiment.user_days import USER_DAYS


@dataclass(frozen=True, kw_only=True)
class Length:
    """What an experiment of some days can find.

    Attributes:
        days: its length.
        users: expected in each arm.
        deviation: of one user's part in an arm's log rate.
        detectable: relative lift that is detected with the required power, by one test at the end.
        detectable_with_looks: likewise, looked at daily.
        power, power_with_looks: with which the given lift is detected; None where none is given.
    """

    days: int
    users: int
    deviation: float
    detectable: float
    detectable_with_looks: float
    power: float | None
    power_with_looks: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Lengths from one day to as many as were looked at.

    Attributes:
        first_day, last_day: of the log that it rests on.
        needed, needed_with_looks: the shortest length that finds the lift; None where none of these does, and where no
            lift is given.
    """

    metric: str
    first_day: datetime.date
    last_day: datetime.date
    lengths: list[Length]
    needed: Length | None
    needed_with_looks: Length | None


def plan_experiment(
    user_days: Path, config: AnalysisConfig, weight: float, lift: float | None, memory: str = DEFAULT_MEMORY
) -> Plan:
    """Plan an experiment on `config.primary`.

    Args:
        user_days: a file of `USER_DAYS`, of any arms, taken together.
        weight: share of all users that the candidate is to have; the control has as many.
        lift: relative, that is to be detected; None: none in particular.

    Raises:
        InputError: the table does not hold its schema, or has too few outcomes to tell a variance.
    """
    ratio = METRICS[config.primary]
    y, x = (_summed(count) for count in (ratio.numerator, ratio.denominator))
    lengths = []
    with experiment_tables(memory) as tables:
        view(tables, "user_days", user_days, USER_DAYS)
        days = [day for (day,) in tables.sql("SELECT DISTINCT day FROM user_days ORDER BY 1").fetchall()]
        for number, last in enumerate(days, start=1):
            tables.execute(
                f"CREATE OR REPLACE TEMP TABLE users AS SELECT {y}::DOUBLE AS y, {x}::DOUBLE AS x FROM user_days "
                "WHERE day <= ? GROUP BY user_id",
                [last],
            )
            ((users, outcomes, squares),) = tables.sql(
                "SELECT count(*), sum(y), sum((y - rate * x) ** 2) FROM users, "
                "(SELECT sum(y) / sum(x) AS rate FROM users)"
            ).fetchall()
            if users < 2 or not outcomes:
                continue
            deviation = math.sqrt(users / (users - 1) * users * squares) / outcomes
            lengths.append(_length(number, users * weight, deviation, config, lift))
    if not lengths:
        raise InputError(f"{config.primary}: the log has {len(days)} days and no outcome, so no variance to plan with")
    return Plan(
        metric=config.primary,
        first_day=days[0],
        last_day=days[-1],
        lengths=lengths,
        needed=next((length for length in lengths if (length.power or 0) >= config.power), None),
        needed_with_looks=next((length for length in lengths if (length.power_with_looks or 0) >= config.power), None),
    )


def _summed(count: str) -> str:
    if count == "users":
        return "1"
    return "(count(DISTINCT day) > 1)" if count == "returned" else f"sum({count})"


def _length(days: int, users: float, deviation: float, config: AnalysisConfig, lift: float | None) -> Length:
    alphas = config.alpha, config.alpha_at_the_end
    powers: list[float | None] = [None, None]
    if lift is not None and deviation > 0:
        distance = abs(math.log1p(lift)) / (deviation * math.sqrt(2 / users))
        powers = [float(stats.norm.sf(stats.norm.isf(alpha / 2) - distance)) for alpha in alphas]
    return Length(
        days=days,
        users=math.floor(users),
        deviation=deviation,
        detectable=minimum_detectable_lift(deviation, users, users, alphas[0], config.power),
        detectable_with_looks=minimum_detectable_lift(deviation, users, users, alphas[1], config.power),
        power=powers[0],
        power_with_looks=powers[1],
    )
