"""An experiment on simulated users from start to end: arms, visits, logs, analysis, and the true lift beside it.

With `against` the champion's variant `id_only` is released and served to one half of the users for the length of the
simulation: what RELAND adds is then the lift of the control, which the champion serves, over the candidate. Without it,
the arms of the rollout that runs are compared as they are.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from components.contracts.generation import generation_id
from components.contracts.registry import CANDIDATE, CHAMPION
from components.contracts.serving import (
    CONTROL,
    HOLD_OUT,
    Arm,
    read_rollout,
    rollout_file,
)
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.files import creating_directory, write_json
from components.foundation.progress import say
from components.foundation.settings import Settings
from components.marketplace.truth import Truth, load_truth
from reland.generations.finding import find_generation
from reland.studies.ablation import ABLATED, release_ablation
from reland.studies.simulated_market import truth_of
from reland.studies.simulated_visits import Served, SimulationConfig, serve_visits, write_simulated_log
from reland.studies.true_lift import TrueRates, lists_of_arm, true_rates
from serving.experiment.analysis import AnalysisConfig
from serving.experiment.join import JoinConfig
from serving.experiment.report import ReportConfig, write_report
from serving.rollout import controller
from serving.rollout.replicas import find_replicas

EXPERIMENTS_FOLDER = "experiments"  # below RELAND_HOME
SIMULATION_FILE = "simulation.json"
TAKEN_OVER_SECONDS = 30.0  # that the gateway gets to serve the arms' record


@dataclass(frozen=True)
class EstimatedLift:
    """The lift of a metric as the analysis gives it, beside the true one; relative, 0.03 is +3%.

    Attributes:
        lift, low, high, p_value: None where an arm has no outcome.
        covered: whether the interval holds the true lift.
    """

    lift: float | None
    low: float | None
    high: float | None
    p_value: float | None
    true_lift: float
    covered: bool


@dataclass(frozen=True)
class Comparison:
    """Which arm is measured against which.

    Attributes:
        treatment, baseline: names of arms; the lift is the treatment's.
        title: what that is.
    """

    treatment: str
    baseline: str
    title: str


@dataclass(frozen=True)
class SimulatedExperiment:
    """What was served, and the lifts that were measured.

    Attributes:
        versions: of the ranker, by arm.
        days: simulated days that lists were served on.
        lost: lists and outcomes that the gateway's logs do not hold.
        steps: by arm, how many lists each step of the ladder answered.
        agreement: share of the lists served that the arm's ladder gives again when the true lift is computed.
        true_rates: by arm, over the visits of both.
        lifts: by metric, `ctr` and `cvr`.
        by_day: likewise, by the simulated day.
        warnings: whatever speaks against relying on this.
        interrupted: whether visits are missing because the simulation was ended, by `fault` unless by Ctrl-C.
    """

    comparison: Comparison
    versions: dict[str, int]
    days: int
    lists: int
    users: int
    clicks: int
    conversions: int
    lost: int
    steps: dict[str, dict[str, int]]
    agreement: float
    true_rates: dict[str, TrueRates]
    lifts: dict[str, EstimatedLift]
    by_day: dict[str, dict[str, EstimatedLift]]
    warnings: list[str]
    interrupted: bool
    fault: str


def simulate_experiment(
    settings: Settings,
    config: SimulationConfig,
    gateway: str,
    against: str | None = None,
    truth: Path | None = None,
    output: Path | None = None,
) -> tuple[SimulatedExperiment, Path]:
    """Run an experiment through the gateway that runs; it is analysed as any experiment, by its logs.

    Args:
        gateway: its address.
        against: `id_only`, to measure the champion against itself without rationales; None: the rollout that runs.
        truth: folder of the market's truth; None: that of the local run that made the champion.
        output: folder for the logs, the report and `simulation.json`; None: one below RELAND_HOME/experiments.

    Returns:
        the result, and the folder.

    Raises:
        InputError: there is no truth, the arms cannot be compared, or the folder is there already.
        EnvironmentFaultError: no gateway answers.
    """
    if against not in (None, ABLATED):
        raise InputError(f"--against {against}: expected {ABLATED}, or nothing to simulate the rollout that runs")
    champion = _arm(settings, CHAMPION)
    activity = None
    if truth is not None:
        market = load_truth(truth)
    else:
        generation = find_generation(settings, champion.generation)
        market, activity = truth_of(generation), generation.prepared
    if not 1 <= config.days <= market.config.days_after:
        raise InputError(f"--days {config.days}: the market's truth covers 1 to {market.config.days_after}")
    if config.visits_factor <= 0:
        raise InputError(f"--visits {config.visits_factor:g}: expected more than 0")
    _served_state(gateway)  # before anything is begun
    folder = output or settings.home / EXPERIMENTS_FOLDER / generation_id(datetime.now(UTC))
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"--output {folder}: exists already, expected a new folder")
    with creating_directory(folder) as temporary, _arms_to_compare(settings, against) as comparison:
        arms = {name: _arm(settings, name) for name in (comparison.treatment, comparison.baseline)}
        _wait_until_taken_over(settings, gateway)
        served = serve_visits(gateway, market, config)
        say("waiting for the gateway's logs")
        lost = write_simulated_log(settings, temporary, served)
        say("asking what each arm would have served to everybody")
        everything = {name: asyncio.run(_lists_for_all(settings, arm, market, served)) for name, arm in arms.items()}
        experiment = _analyse(temporary, comparison, arms, market, served, everything, lost, activity)
        write_json(temporary / SIMULATION_FILE, asdict(experiment))
    return experiment, folder


def _arm(settings: Settings, name: str) -> Arm:
    path = rollout_file(settings)
    arms = {arm.name: arm for arm in read_rollout(path).arms}
    if name not in arms:
        raise InputError(
            f"{path}: has no arm {name!r}, only {', '.join(arms)}: `reland rollout start` starts an experiment, or "
            f"--against {ABLATED} makes one"
        )
    return arms[name]


@contextmanager
def _arms_to_compare(settings: Settings, against: str | None) -> Iterator[Comparison]:
    """The comparison, for the length of the block; what was started for it is aborted however the block ends."""
    if against is None:
        candidate, control = (_arm(settings, name) for name in (CANDIDATE, CONTROL))
        title = f"the candidate, version {candidate.version}, against the control, version {control.version}"
        yield Comparison(CANDIDATE, CONTROL, title)
        return
    champion = _arm(settings, CHAMPION)
    version = release_ablation(settings, find_generation(settings, champion.generation))
    held_out = sum(arm.weight for arm in read_rollout(rollout_file(settings)).arms if arm.name == HOLD_OUT)
    state = controller.start(settings, version, (1 - held_out) / 2, f"simulation against {ABLATED}")
    try:
        title = f"RELAND, version {champion.version}, against {against}, version {version}"
        yield Comparison(CONTROL, CANDIDATE, title)
    finally:
        controller.abort(settings, "end of the simulation", rollout=state.rollout)


def _wait_until_taken_over(settings: Settings, gateway: str) -> None:
    """
    Raises:
        EnvironmentFaultError: the gateway goes on serving another record of arms.
    """
    wanted, deadline = read_rollout(rollout_file(settings)).state, time.monotonic() + TAKEN_OVER_SECONDS
    while (state := _served_state(gateway)) != wanted:
        if time.monotonic() > deadline:
            raise EnvironmentFaultError(
                f"{gateway}: serves state {state} of the arms, {rollout_file(settings)} has {wanted}"
            )
        time.sleep(0.5)


def _served_state(gateway: str) -> int:
    """The state of the arms' record that a gateway serves.

    Raises:
        EnvironmentFaultError: no gateway answers there.
        InputError: what answers is no gateway.
    """
    try:
        return int(httpx2.get(f"{gateway}/readyz", timeout=10.0, trust_env=False).json()["state"])
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise EnvironmentFaultError(
            f"{gateway}: no gateway answers there ({error or type(error).__name__}); `reland serve` starts one, "
            "--gateway names one"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{gateway}: what answers there is no gateway of RELAND") from error


async def _lists_for_all(settings: Settings, arm: Arm, truth: Truth, served: Served) -> np.ndarray:
    """What an arm gives for each visit: int64[n, slots]."""
    users, of_visit = np.unique(served.users, return_inverse=True)
    (triton, *_) = find_replicas(settings)
    return (await lists_of_arm(settings, triton, arm, truth, users))[of_visit]


def _analyse(
    folder: Path,
    comparison: Comparison,
    arms: dict[str, Arm],
    truth: Truth,
    served: Served,
    everything: dict[str, np.ndarray],
    lost: int,
    activity: Path | None,
) -> SimulatedExperiment:
    """Hold what the logs say against what is true.

    Args:
        everything: by arm, what it gives for each visit.
        activity: the market's prepared log, which holds what users did before the experiment.
    """
    weights = [arms[name].weight for name in (comparison.treatment, comparison.baseline)]
    config = AnalysisConfig(
        candidate=comparison.treatment, control=comparison.baseline, candidate_share=weights[0] / sum(weights)
    )
    report = write_report(folder, folder, ReportConfig(join=JoinConfig(), analysis=config, activity=activity))
    analysis = report["analysis"]

    users, days, arm_of = np.array(served.users), np.array(served.days), np.array(served.arms)
    lists = np.array(served.lists)
    compared = np.isin(arm_of, list(arms))
    again = np.concatenate([(everything[name] == lists)[arm_of == name].all(axis=1) for name in arms])
    agreement, warnings = float(again.mean()), list(analysis["warnings"])
    if agreement < 1:
        warnings.append(
            f"{1 - agreement:.1%} of the lists served are not what their arm gives undisturbed; the true lift is of "
            "undisturbed arms."
        )

    def rates(chosen: np.ndarray) -> dict[str, TrueRates]:
        return {name: true_rates(truth, users[chosen], days[chosen], everything[name][chosen]) for name in arms}

    def estimated_lifts(estimates: dict[str, Any], true: dict[str, TrueRates]) -> dict[str, EstimatedLift]:
        treatment, baseline = (asdict(true[name]) for name in (comparison.treatment, comparison.baseline))
        return {name: _estimated_lift(estimates[name], treatment[name] / baseline[name] - 1) for name in treatment}

    overall = rates(compared)
    simulated = np.unique(days[compared])
    return SimulatedExperiment(
        comparison=comparison,
        versions={name: arm.version for name, arm in arms.items()},
        days=len(simulated),
        lists=len(served),
        users=len(np.unique(users)),
        clicks=served.clicks,
        conversions=served.conversions,
        lost=lost,
        steps={
            name: dict(Counter(step for arm, step in zip(served.arms, served.steps, strict=True) if arm == name))
            for name in arms
        },
        agreement=agreement,
        true_rates=overall,
        lifts=estimated_lifts(analysis["overall"], overall),
        by_day={
            group["name"]: estimated_lifts(group["metrics"], rates(compared & (days == day)))
            for group, day in zip(analysis["by_day"], simulated, strict=True)
        },
        warnings=warnings,
        interrupted=served.interrupted,
        fault=served.fault,
    )


def _estimated_lift(estimate: dict[str, Any], true_lift: float) -> EstimatedLift:
    lift, low, high, p_value = (estimate[name] for name in ("lift", "low", "high", "p_value"))
    covered = bool(low is not None and high is not None and low <= true_lift <= high)
    return EstimatedLift(lift, low, high, p_value, true_lift, covered)
