"""How small a lift an experiment can see, and how many users it takes to see a given one.

`deviation` below is the standard deviation of one user's part in an arm's log rate: with n users in an arm, the log
rate has variance deviation² / n. It falls with the days that a user is seen, so it is measured for each length.
"""

import math

import numpy as np
from scipy import stats
from statsmodels.stats.power import NormalIndPower


def minimum_detectable_lift(
    deviation: float, candidate_users: float, control_users: float, alpha: float, power: float
) -> float:
    """The least relative lift that a two-sided test of level `alpha` finds with probability `power`, 0.5 or more.

    Not a number without users. Detecting the lift with the wrong sign is left out: at such a power it hardly happens.
    """
    if not (deviation > 0 and candidate_users > 0 and control_users > 0):
        return math.nan
    distance = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    with np.errstate(over="ignore"):
        return float(np.expm1(distance * deviation * math.sqrt(1 / candidate_users + 1 / control_users)))


def users_needed(deviation: float, lift: float, alpha: float, power: float) -> int:
    """Users in each of two arms of equal size with which a relative lift is detected with probability `power`.

    Raises:
        ValueError: the lift is 0, which no number of users finds, or not above -1.
    """
    if lift == 0 or lift <= -1:
        raise ValueError(f"a lift of {lift} cannot be planned for")
    if not deviation > 0:
        return 2
    size = abs(math.log1p(lift)) / deviation
    users = NormalIndPower().solve_power(effect_size=size, alpha=alpha, power=power, ratio=1.0)
    return math.ceil(float(np.squeeze(users)))
