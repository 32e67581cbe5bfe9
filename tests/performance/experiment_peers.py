"""Experiments: lifts and intervals beside those of gbstats, tea-tasting and statsmodels, on equal data.

    python -m tests.performance.experiment_peers --peers-python PATH [--quick] --json FILE

20 data sets of 2,000 to 40,000 users in two arms of equal or unequal size, with and without a lift: the lift of clicks
per item shown, of clicks per user, and of the latter by CUPED with the clicks before. For each package, the largest
relative difference of 1 + lift, and of 1 + bound of the 95% intervals. Differences that are to be expected: gbstats
makes its intervals symmetric about the lift, we and the others about its logarithm; CUPED is a correction of the
logarithm here and of the means there; and here users are weighted by their leverage.

The packages need an environment of their own, whose interpreter is PATH:

    python3 -m venv peers && peers/bin/pip install gbstats==0.8.0 tea-tasting==1.14.0 statsmodels==0.15 pyarrow==19.0.1
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from serving.experiment.lift import estimate
from serving.experiment.moments import Moments, covariate_leverage, leverage
from tests.performance.report import Figure, write_report

DATA_SETS, QUICK_DATA_SETS = 20, 4
USERS = (2_000, 5_000, 10_000, 20_000, 40_000)
LIFTS = (0.0, 0.05, -0.05, 0.2)
SHARES = (0.5, 0.5, 0.2)
PACKAGES = {"gbstats": "0.8.0", "tea-tasting": "1.14.0", "statsmodels": "0.15"}
# Of lifts, by metric, and of bounds, by whether both sides make them of the logarithm: what the expected differences
# leave.
LIFT_GOALS = {"ratio": 1e-9, "mean": 1e-9, "cuped": 0.005}
BOUND_GOALS = {"gbstats": 0.01, "tea-tasting": 0.003, "statsmodels": 0.003}


def data_set(number: int) -> np.ndarray:
    """Float64[users, 4]: whether of the candidate, clicks, items shown, clicks before."""
    generator = np.random.default_rng(number)
    users = USERS[number % len(USERS)]
    is_candidate = generator.random(users) < SHARES[number % len(SHARES)]
    mean, taste = np.exp(0.7 * generator.standard_normal(users) + 3), generator.beta(2.0, 18.0, users)
    shown, shown_before = (generator.poisson(mean) + 1 for _ in range(2))
    clicks = generator.binomial(shown, np.minimum(taste * (1 + LIFTS[number % len(LIFTS)] * is_candidate), 1.0))
    return np.column_stack([is_candidate, clicks, shown, generator.binomial(shown_before, taste)]).astype(float)


def ours(rows: np.ndarray) -> dict[str, list[float]]:
    """The relative lift and its bounds, by metric."""
    arms = [rows[rows[:, 0] == of] for of in (1, 0)]
    centred = [arm[:, 3:] - arm[:, 3:].mean(axis=0) for arm in arms]
    within = sum(before.T @ before for before in centred)
    lifts = {}
    for name, denominator, covariates in (("ratio", 2, []), ("mean", 0, []), ("cuped", 0, [3])):
        moments = []
        for arm, before in zip(arms, centred, strict=True):
            features = arm.copy()
            features[:, 0] = 1.0
            shown = arm[:, 2:3]
            pulls = leverage(shown, shown.sum(axis=0), np.array([len(arm)]))
            moments.append(Moments.of(features, pulls, covariate_leverage(before, within)))
        effect = estimate(moments[0], moments[1], [1], [denominator], covariates)
        lifts[name] = [float(effect.lift), *(float(bound) for bound in effect.interval(0.05))]
    return lifts


def compare(python: Path, number: int) -> list[Figure]:
    sets = {f"{index:02d}": data_set(index) for index in range(number)}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in sets.items():
            np.save(Path(folder) / f"{name}.npy", rows)
        runner = Path(__file__).with_name("experiment_peers_runner.py")
        answer = subprocess.run(
            [str(python), "-W", "ignore", str(runner), folder], check=True, stdout=subprocess.PIPE, text=True
        )
    theirs = json.loads(answer.stdout.splitlines()[-1])
    own = {name: ours(rows) for name, rows in sets.items()}
    figures = []
    for package, version in PACKAGES.items():
        for metric, lift_goal in LIFT_GOALS.items():
            if metric not in theirs["00"][package]:
                continue
            differences = np.array(
                [
                    np.abs((1 + np.array(own[name][metric])) / (1 + np.array(theirs[name][package][metric])) - 1)
                    for name in sets
                ]
            )
            for what, columns, goal in (("lifts", [0], lift_goal), ("bounds", [1, 2], BOUND_GOALS[package])):
                title = f"{package} {version}, {metric}, {number} data sets: largest relative difference of {what}"
                figures.append(
                    Figure(f"{title}; the peer is the most", float(differences[:, columns].max()), goal, "lower", 1.0)
                )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.experiment_peers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DATA_SETS} data sets")
    parser.add_argument(
        "--peers-python", type=Path, required=True, metavar="PATH", help="interpreter of the packages' environment"
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    figures = compare(arguments.peers_python, QUICK_DATA_SETS if arguments.quick else DATA_SETS)
    write_report(arguments.json, figures, "tests.performance.experiment_peers", sys.argv[1:], ["numpy", "scipy"])


if __name__ == "__main__":
    main()
