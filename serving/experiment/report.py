"""The report of an experiment: from the gateway's logs to one JSON file and one page."""

import datetime
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contracts.rollout_history import DesiredState
from components.contracts.serving import EVENTS_FOLDER, EXPOSURES_FOLDER
from components.contracts.tables import check_table
from components.foundation.errors import InputError
from components.foundation.files import write_json
from serving.experiment.activity import activity_of_interactions, activity_of_logs, beginning
from serving.experiment.analysis import AnalysisConfig, analyze
from serving.experiment.decision import decide
from serving.experiment.join import JoinConfig, join_outcomes
from serving.experiment.page import render
from serving.experiment.user_days import ACTIVITY
from serving.rollout.guardrails import MEASURED_COLUMNS, ArmMeasures, judge, measure, outcomes_of_user_days

USER_DAYS_FILE = "user_days.parquet"
ACTIVITY_FILE = "activity.parquet"
REPORT_FILE = "report.json"
PAGE_FILE = "report.html"

# Guardrails are measured on files spread evenly over the experiment, where it has more lists than this.
GUARDED_LISTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What is reported.

    Attributes:
        activity: a Parquet file of `ACTIVITY`, or prepared interactions, a folder or file; None: the logs themselves.
        activity_days: days of the logs before the experiment that activity is counted over, where `activity` is None.
        attributes: a Parquet file of `contracts.tables.USERS`, by which users are divided once more.
        started: when the rollout began, by its history; None where there is none.
    """

    join: JoinConfig
    analysis: AnalysisConfig
    activity: Path | None = None
    activity_days: int = 28
    attributes: Path | None = None
    started: datetime.datetime | None = None


def states_of_rollout(history: list[DesiredState], rollout: str | None = None) -> dict[int, int]:
    """The stage of each state of a rollout's record, by default of the last rollout; empty where none ever ran.

    Raises:
        InputError: no rollout has this name.
    """
    return {desired.state: desired.stage for desired in _staged(history, rollout)}


def start_of_rollout(history: list[DesiredState], rollout: str | None = None) -> datetime.datetime | None:
    """When a rollout was wanted, by default the last one; None where none ever ran.

    Raises:
        InputError: no rollout has this name.
    """
    staged = _staged(history, rollout)
    return datetime.datetime.fromisoformat(staged[0].time) if staged and staged[0].time else None


def _staged(history: list[DesiredState], rollout: str | None) -> list[DesiredState]:
    """The states of a rollout that had a candidate, oldest first."""
    staged = [desired for desired in history if desired.stage > 0]
    if rollout is None:
        if not staged:
            return []
        rollout = staged[-1].rollout
    stages = [desired for desired in staged if desired.rollout == rollout]
    if not stages:
        named = ", ".join(dict.fromkeys(desired.rollout for desired in staged)) or "none"
        raise InputError(f"rollout {rollout!r}: not in the history, which has {named}")
    return stages


def write_report(logs: Path, output: Path, config: ReportConfig) -> dict[str, Any]:
    """Write user-days, activity, `report.json` and `report.html` into the folder `output`; the JSON's content.

    Args:
        logs: folder of the folders `exposures` and `events`, as RELAND_HOME/serving.

    Raises:
        InputError: a log or table does not hold its schema, or an arm served nobody in the time analysed.
    """
    exposures, events = logs / EXPOSURES_FOLDER, logs / EVENTS_FOLDER
    arms = (config.analysis.candidate, config.analysis.control)
    join = replace(config.join, arms=arms)
    user_days = output / USER_DAYS_FILE
    account = join_outcomes(exposures, events, user_days, join)
    before = beginning(exposures, arms, join.states, config.started, join.timezone)
    activity = _activity(config, logs, output, before)
    result = analyze(user_days, config.analysis, activity, config.attributes, join.memory)
    measures, measured = _measures(exposures, arms, join)
    outcomes = outcomes_of_user_days(user_days)
    shares = config.analysis.candidate_share, 1 - config.analysis.candidate_share
    candidate, control = (replace(measures[arm], outcomes=outcomes.get(arm)) for arm in arms)
    judged = judge(candidate, control, shares=shares)
    breached = [guardrail.name for guardrail in judged if guardrail.breached]
    content = {
        "candidate": config.analysis.candidate,
        "control": config.analysis.control,
        "join": {
            "window_hours": join.window.total_seconds() / 3_600,
            "clock_difference_seconds": join.clock_difference.total_seconds(),
            "timezone": join.timezone,
            "mature": join.mature,
            "activity_until": None if before is None or activity is None else before.isoformat(),
            **_as_json(asdict(account)),
        },
        "decision": asdict(decide(result, config.analysis, breached)),
        "analysis": _as_json(
            {
                "alpha": config.analysis.alpha,
                "power": config.analysis.power,
                "primary": config.analysis.primary,
                "margin": config.analysis.margin,
                **asdict(result),
            }
        ),
        "guardrails": {
            "measured_lists": measured,
            "judged": _as_json([asdict(guardrail) for guardrail in judged]),
        },
    }
    write_json(output / REPORT_FILE, content)
    (output / PAGE_FILE).write_text(render(content), encoding="utf-8")
    return content


def _activity(config: ReportConfig, logs: Path, output: Path, before: datetime.datetime | None) -> Path | None:
    """A file of `ACTIVITY`; None where the logs hold nothing from before."""
    if before is None:
        return None
    target, memory = output / ACTIVITY_FILE, config.join.memory
    if config.activity is None:
        folders = logs / EXPOSURES_FOLDER, logs / EVENTS_FOLDER
        is_written = activity_of_logs(*folders, before, config.activity_days, target, config.join)
        return target if is_written else None
    if config.activity.is_file() and _column_names(config.activity) == ACTIVITY.names:
        check_table(config.activity, ACTIVITY)
        return config.activity
    activity_of_interactions(config.activity, before, target, memory)
    return target


def _column_names(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from error


def _measures(exposures: Path, arms: tuple[str, str], config: JoinConfig) -> tuple[dict[str, ArmMeasures], int]:
    """What the guardrails are judged by, and on how many lists it was measured."""
    paths = sorted(exposures.glob("*.parquet"))
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    every = max(math.ceil(rows / GUARDED_LISTS), 1)
    measures = dict.fromkeys(arms, ArmMeasures())
    for path in paths[::every]:
        lists = pq.read_table(path, columns=[*MEASURED_COLUMNS, "state", "time"])
        chosen = pc.is_in(lists["arm"], value_set=pa.array(arms))
        if config.states is not None:
            chosen = pc.and_(chosen, pc.is_in(lists["state"], value_set=pa.array(config.states, pa.int64())))
        for moment, compare in ((config.since, pc.greater_equal), (config.until, pc.less)):
            if moment is not None:
                chosen = pc.and_(chosen, compare(lists["time"], pa.scalar(moment, lists["time"].type)))
        for arm, measured in measure(lists.filter(chosen)).items():
            measures[arm] += measured
    return measures, sum(int(measured.lists.sum()) for measured in measures.values())


def _as_json(content: Any) -> Any:
    """As JSON has it: dates in ISO form, and null for what is not a number."""
    if isinstance(content, dict):
        return {key: _as_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_as_json(value) for value in content]
    if isinstance(content, datetime.date):
        return content.isoformat()
    return None if isinstance(content, float) and not math.isfinite(content) else content
