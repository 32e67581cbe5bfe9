"""The peers' side of `tests.performance.experiment_peers`: runs in their own environment, imports nothing of ours.

    python experiment_peers_runner.py FOLDER

FOLDER holds files `NUMBER.npy`, float64[users, 4]: whether the user is the candidate's, clicks, items shown, clicks
before. One JSON line is printed: for each file, metric and package the relative lift and its 95% bounds. Made for
gbstats 0.8.0, tea-tasting 1.14.0 and statsmodels 0.15.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
import tea_tasting as tt
from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
from gbstats.models.statistics import RatioStatistic, RegressionAdjustedStatistic, SampleMeanStatistic

VERSIONS = {"gbstats": "0.8.0", "tea-tasting": "1.14.0", "statsmodels": "0.15"}


def of_gbstats(rows: np.ndarray) -> dict[str, list[float]]:
    def mean(values: np.ndarray) -> SampleMeanStatistic:
        return SampleMeanStatistic(n=len(values), sum=float(values.sum()), sum_squares=float((values**2).sum()))

    def ratio(arm: np.ndarray) -> RatioStatistic:
        product = float((arm[:, 1] * arm[:, 2]).sum())
        return RatioStatistic(
            n=len(arm), m_statistic=mean(arm[:, 1]), d_statistic=mean(arm[:, 2]), m_d_sum_of_products=product
        )

    def adjusted(arm: np.ndarray) -> RegressionAdjustedStatistic:
        product = float((arm[:, 1] * arm[:, 3]).sum())
        return RegressionAdjustedStatistic(
            n=len(arm),
            post_statistic=mean(arm[:, 1]),
            pre_statistic=mean(arm[:, 3]),
            post_pre_sum_of_products=product,
            theta=0.0,  # the test computes it of both arms
        )

    control, candidate = rows[rows[:, 0] == 0], rows[rows[:, 0] == 1]
    lifts = {}
    for name, made in (("ratio", ratio), ("mean", lambda arm: mean(arm[:, 1])), ("cuped", adjusted)):
        config = FrequentistConfig(difference_type="relative", alpha=0.05)
        result = TwoSidedTTest(made(control), made(candidate), config).compute_result()
        lifts[name] = [result.expected, *result.ci]
    return lifts


def of_tea_tasting(rows: np.ndarray) -> dict[str, list[float]]:
    table = pd.DataFrame(rows, columns=["variant", "clicks", "shown", "before"]).astype({"variant": int})
    experiment = tt.Experiment(
        ratio=tt.RatioOfMeans("clicks", "shown"), mean=tt.Mean("clicks"), cuped=tt.Mean("clicks", covariate="before")
    )
    result = experiment.analyze(table)
    return {
        name: [
            result[name].rel_effect_size,
            result[name].rel_effect_size_ci_lower,
            result[name].rel_effect_size_ci_upper,
        ]
        for name in ("ratio", "mean", "cuped")
    }


def of_statsmodels(rows: np.ndarray) -> dict[str, list[float]]:
    """Poisson regression with a logarithmic link, whose coefficient is the log lift; robust to users' heterogeneity."""
    design = sm.add_constant(rows[:, 0])
    lifts = {}
    for name, offset in (("ratio", np.log(rows[:, 2])), ("mean", None)):
        fitted = sm.GLM(rows[:, 1], design, family=sm.families.Poisson(), offset=offset).fit(cov_type="HC1")
        lifts[name] = [float(np.expm1(value)) for value in (fitted.params[1], *fitted.conf_int(0.05)[1])]
    return lifts


def main() -> None:
    for package, version in VERSIONS.items():
        if not importlib.metadata.version(package).startswith(version):
            sys.exit(f"{package} {importlib.metadata.version(package)} is installed, expected {version}")
    packages = {"gbstats": of_gbstats, "tea-tasting": of_tea_tasting, "statsmodels": of_statsmodels}
    paths = sorted(Path(sys.argv[1]).glob("*.npy"))
    print(json.dumps({path.stem: {name: of(np.load(path)) for name, of in packages.items()} for path in paths}))


if __name__ == "__main__":
    main()
