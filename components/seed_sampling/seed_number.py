"""How many seed users to choose: what one more adds, what it costs, and a recommendation (the paper's open problem).

The curve has the policy choose several budgets and measures each choice. Its knee is where more seeds begin to add
less than they did on average: the point of the curve farthest above the straight line from its first to its last
(Kneedle, Satopää et al. 2011, for a whole curve at once, without smoothing). So it depends on the range of the
curve, which follows from the budget, and it does not consider what a call is worth. In particular, where similarity
grows with the logarithm of the number of seeds, as it nearly does on ML-1M and Beauty, the knee is at half of any
budget: then the base itself has no preferred number, and the cost decides.
"""

from typing import Any

import numpy as np

from components.foundation.progress import say
from components.seed_sampling.diagnostics import covered_share, measured_users
from components.seed_sampling.nearest import nearest_seeds
from components.seed_sampling.policies import SeedPolicy

LEAST_SHARE, LARGEST_MULTIPLE = 1 / 16, 2  # of the budget: where the curve begins and ends
POINTS = 16
CURVE_USERS = 20_000  # users that a point of the curve is measured on


def seed_number_curve(policy: SeedPolicy, budget: int, tokens_per_call: float) -> dict[str, Any]:
    """Coverage, mean similarity and cost at up to `POINTS` budgets, and the recommended one.

    Returns:
        `points` by ascending number of seeds; `knee`, a number of seeds or None where the curve has none (fewer than
        three points, or nothing above the straight line); `tokens_per_call`, what the cost was computed with.
    """
    users = measured_users(policy.base, policy.seed)
    if len(users) > CURVE_USERS:
        users = np.random.default_rng(policy.seed).choice(users, CURVE_USERS, replace=False)
    budgets = curve_budgets(budget, len(policy.base))
    say(f"marginal coverage at {len(budgets)} numbers of seeds, {budgets[0]} to {budgets[-1]}")
    points: list[dict[str, Any]] = []
    for seeds in reversed(budgets):  # the most first: a greedy order is then computed once
        chosen = policy.choose(seeds).indices
        similarity, _ = nearest_seeds(policy.base.unit[users], policy.base.unit[chosen])
        points.append(
            {
                "seeds": seeds,
                "coverage": covered_share(similarity),
                "similarity_mean": round(float(similarity.mean(dtype=np.float64)), 6),
                "calls": seeds,
                "tokens": round(seeds * tokens_per_call),
            }
        )
    points.reverse()
    knee = find_knee([point["seeds"] for point in points], [point["similarity_mean"] for point in points])
    return {"points": points, "knee": knee, "users_measured": len(users), "tokens_per_call": tokens_per_call}


def curve_budgets(budget: int, users: int) -> list[int]:
    """Numbers of seeds, ascending and even on a logarithmic scale, `budget` among them, none above |U|."""
    spaced = np.geomspace(max(1, budget * LEAST_SHARE), min(users, LARGEST_MULTIPLE * budget), POINTS)
    return sorted({*spaced.round().astype(int).tolist(), budget})


def find_knee(x: list[int], y: list[float]) -> int | None:
    """The x of the point farthest above the chord of a rising curve, both axes scaled to 0..1; None without one."""
    if len(x) < 3 or y[-1] <= y[0]:
        return None
    across = (np.array(x, np.float64) - x[0]) / (x[-1] - x[0])
    up = (np.array(y, np.float64) - y[0]) / (y[-1] - y[0])
    above = up - across
    farthest = int(np.argmax(above))
    return x[farthest] if above[farthest] > 1e-9 else None
