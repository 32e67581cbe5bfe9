"""The commands `reland experiment`: what a rollout changed, measured."""

import contextlib
import datetime
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from components.foundation.errors import InputError, write_failure

if TYPE_CHECKING:
    from serving.experiment.plan import Plan

INTERRUPTED = 130

group = typer.Typer(
    help="Plan and evaluate rollouts (lifts with intervals), and try experiments on a simulated market.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the `reland` command."""
    app.add_typer(group, name="experiment")


Logs = Annotated[
    Path | None,
    typer.Option(help="Folder of the gateway's logs, exposures/ and events/. Default: RELAND_HOME/serving."),
]
Timezone = Annotated[str, typer.Option(help="Whose midnight a day begins at, as Asia/Shanghai.")]
Alpha = Annotated[float, typer.Option(help="Level of the tests; intervals are of 1 - alpha.")]
Power = Annotated[float, typer.Option(help="Power of the tests: the probability of detecting a lift that is there.")]
Window = Annotated[float, typer.Option(help="Hours after its list up to which an outcome counts.")]
Metric = Annotated[
    str,
    typer.Option(
        help="Metric that decides: ctr, cvr, clicks_per_user, conversions_per_user, value_per_user, "
        "impressions_per_user, lists_per_user or retention; in a report, all others are secondary."
    ),
]
Values = Annotated[
    Path | None, typer.Option(help="What a conversion of an item is worth: a Parquet file item_id, value.")
]
Memory = Annotated[str, typer.Option(help="Memory of the tables, as 2GiB; the rest is done on disk.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@group.command()
def report(
    output: Annotated[Path, typer.Option(help="Folder to write the report into; must be new or empty.")],
    logs: Logs = None,
    activity: Annotated[
        Path | None,
        typer.Option(
            help="What users did before: a folder of prepared tables, its interactions.parquet, or a Parquet file "
            "user_id, impressions, clicks, conversions. Default: the logs of --activity-days before the experiment."
        ),
    ] = None,
    activity_days: Annotated[int, typer.Option(help="Days of the logs before the experiment, see --activity.")] = 28,
    rollout: Annotated[
        str | None, typer.Option(help="Name of the rollout (its salt) in the history. Default: the last one.")
    ] = None,
    candidate: Annotated[str, typer.Option(help="Arm that is tried.")] = "candidate",
    control: Annotated[str, typer.Option(help="Arm that it is compared with.")] = "control",
    candidate_share: Annotated[
        float, typer.Option(help="Share of both arms' users who were to be the candidate's.")
    ] = 0.5,
    since: Annotated[
        str,
        typer.Option(help="First moment of the lists (ISO, UTC). What counts as before ends where the rollout began."),
    ] = "",
    until: Annotated[str, typer.Option(help="Moment before which lists were served, likewise.")] = "",
    window_hours: Window = 24.0,
    mature: Annotated[
        bool, typer.Option("--mature", help="Leave out lists whose --window-hours have not passed by the log's end.")
    ] = False,
    metric: Metric = "ctr",
    margin: Annotated[
        float, typer.Option(help="Relative loss of a secondary metric up to which the candidate is not worse.")
    ] = 0.02,
    planned_users: Annotated[
        int | None,
        typer.Option(
            help="Users an arm that were planned beforehand (see `plan`): then the fixed-horizon test is made."
        ),
    ] = None,
    expected_lift: Annotated[
        float | None,
        typer.Option(
            help="Size of lifts that are expected, relative: tunes the sequential test, beforehand. Default: what "
            "--planned-users can find or, without them, the users of the first look."
        ),
    ] = None,
    values: Values = None,
    attributes: Annotated[
        Path | None,
        typer.Option(help="Attributes to divide users by: the users.parquet of prepared tables."),
    ] = None,
    timezone: Timezone = "UTC",
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    memory: Memory = "2GiB",
    as_json: AsJson = False,
) -> None:
    """Compare the candidate with its control: one page with Tables 4 and 5 of the paper, and all numbers as JSON."""
    from components.contracts.rollout_history import history_file, read_rollout_history
    from components.foundation.files import creating_directory
    from components.foundation.settings import load_settings
    from serving.experiment.analysis import AnalysisConfig
    from serving.experiment.join import JoinConfig
    from serving.experiment.report import (
        PAGE_FILE,
        ReportConfig,
        start_of_rollout,
        states_of_rollout,
        write_report,
    )

    _check_shares(alpha=alpha, power=power, candidate_share=candidate_share)
    _check_positive(expected_lift=expected_lift, window_hours=window_hours, margin=margin, planned_users=planned_users)
    _check_metric(metric, values)
    settings = load_settings()
    folder = logs or settings.home / "serving"
    history = read_rollout_history(history_file(settings)) if logs is None or rollout else []
    stages = states_of_rollout(history, rollout)
    config = ReportConfig(
        join=JoinConfig(
            states=sorted(stages) if stages else None,
            since=_moment("since", since),
            until=_moment("until", until),
            mature=mature,
            values=values,
            window=datetime.timedelta(hours=window_hours),
            timezone=timezone,
            memory=memory,
        ),
        analysis=AnalysisConfig(
            candidate=candidate,
            control=control,
            candidate_share=candidate_share,
            alpha=alpha,
            power=power,
            primary=metric,
            margin=margin,
            planned_users=planned_users,
            expected_lift=expected_lift,
            stages=stages,
        ),
        activity=activity,
        activity_days=activity_days,
        attributes=attributes,
        started=start_of_rollout(history, rollout),
    )
    try:
        with creating_directory(output) as written:
            content = write_report(folder, written, config)
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    if as_json:
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    _print_report(Console(), content)
    print(f"written: {output} (open {output / PAGE_FILE})")


@group.command()
def plan(
    logs: Logs = None,
    metric: Metric = "ctr",
    lift: Annotated[
        float | None, typer.Option(help="Relative lift to be detected, 0.03 is 3%. Default: none in particular.")
    ] = None,
    weight: Annotated[
        float, typer.Option(help="Share of all users that the candidate is to have; the control has as many.")
    ] = 0.5,
    days: Annotated[int, typer.Option(help="Days of the log, up to its last, that are looked at.")] = 28,
    window_hours: Window = 24.0,
    values: Values = None,
    timezone: Timezone = "UTC",
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    memory: Memory = "2GiB",
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """How many users and days an experiment takes to find a lift, by the variance of the logs before it."""
    import tempfile

    from components.contracts.serving import EVENTS_FOLDER, EXPOSURES_FOLDER
    from components.foundation.settings import load_settings
    from serving.experiment.analysis import AnalysisConfig
    from serving.experiment.join import JoinConfig, join_outcomes
    from serving.experiment.plan import plan_experiment
    from serving.experiment.tables import last_moment

    _check_shares(alpha=alpha, power=power)
    _check_positive(days=days, window_hours=window_hours)
    _check_metric(metric, values)
    if not 0 < weight <= 0.5:
        raise InputError(f"--weight {weight}: expected more than 0 and at most 0.5, for the control has as many users")
    if lift is not None and (lift == 0 or lift <= -1):
        raise InputError(f"--lift {lift}: expected a relative lift other than 0 and above -1, as 0.03")
    folder = logs or load_settings().home / "serving"
    last = last_moment(folder / EXPOSURES_FOLDER)
    config = JoinConfig(
        since=last - datetime.timedelta(days=days),
        mature=True,
        values=values,
        window=datetime.timedelta(hours=window_hours),
        timezone=timezone,
        memory=memory,
    )
    # A planned size is what comes of it; that there is one means that the looks spend a part of alpha.
    analysis = AnalysisConfig(alpha=alpha, power=power, primary=metric, planned_users=1)
    with tempfile.TemporaryDirectory() as written:
        user_days = Path(written) / "user_days.parquet"
        join_outcomes(folder / EXPOSURES_FOLDER, folder / EVENTS_FOLDER, user_days, config)
        planned = plan_experiment(user_days, analysis, weight, lift, memory)
    if as_json:
        print(json.dumps(asdict(planned), indent=2, default=str))
        return
    _print_plan(Console(), planned, lift, power)


@group.command()
def simulate(
    against: Annotated[
        str,
        typer.Option(
            help="id_only: serve the champion's variant without rationales to half of the users for as long as this "
            "takes. Default: simulate the rollout that runs."
        ),
    ] = "",
    days: Annotated[int, typer.Option(help="Simulated days, from the first after the market's log on.")] = 5,
    visits: Annotated[float, typer.Option(help="How much more often users come than in the market's log.")] = 1.0,
    gateway: Annotated[str, typer.Option(help="Address of the gateway. Default: by RELAND_GATEWAY_*.")] = "",
    truth: Annotated[
        Path | None, typer.Option(help="Folder of the market's truth. Default: that of the run that made the champion.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for what was served. Default: one below RELAND_HOME/experiments.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of who comes when, and of what they do.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, and progress to standard error.")
    ] = False,
) -> None:
    """Let simulated users ask the running gateway, and hold what the experiment finds against what is true."""
    from components.foundation.loopback import without_proxy
    from components.foundation.settings import load_settings
    from reland.studies.simulated_experiment import simulate_experiment
    from reland.studies.simulated_visits import SimulationConfig
    from reland.studies.simulation_table import print_simulation

    os.environ.update(no_grpc_proxy=without_proxy(os.environ))
    settings = load_settings()
    address = gateway or f"http://{settings.gateway_host}:{settings.gateway_port}"
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
        experiment, folder = simulate_experiment(
            settings, SimulationConfig(days, visits, seed), address, against or None, truth, output
        )
    if as_json:
        print(json.dumps(asdict(experiment), indent=2, ensure_ascii=False))
    else:
        print_simulation(Console(), experiment, folder)
    if experiment.interrupted:
        message = (
            f"{experiment.fault or 'interrupted'}, on day {experiment.days}: what was served until then is in {folder}"
        )
        print(f"reland: {message}", file=sys.stderr)
        raise typer.Exit(1 if experiment.fault else INTERRUPTED)


@group.command()
def interleave(
    users: Annotated[int, typer.Option(help="Users who are shown both rankings, interleaved.")] = 500,
    days: Annotated[int, typer.Option(help="Days on which they come, from the first after the market's log on.")] = 5,
    first: Annotated[str, typer.Option(help="A ranking: a variant of the champion's run, or popularity.")] = "reland",
    second: Annotated[str, typer.Option(help="Another one.")] = "id_only",
    seed: Annotated[int, typer.Option(help="Seed of who comes, and of what they do.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Interleave two rankings of the champion's run in its simulated market, without servers: which is preferred?"""
    import numpy as np

    from components.foundation.settings import load_settings
    from reland.studies.replay import Policies, replay_interleaving, true_lift
    from reland.studies.simulated_market import ranked_market_of_champion

    market = ranked_market_of_champion(load_settings())
    for option, name in (("first", first), ("second", second)):
        if name not in market.scores:
            raise InputError(f"--{option} {name}: expected one of {', '.join(market.scores)}")
    config = market.truth.config
    if users < 1 or not 1 <= days <= config.days_after:
        raise InputError(f"--users {users}, --days {days}: expected a user, and 1 to {config.days_after} days")
    lists = {
        name: market.top(market.scores[name], np.arange(len(market.users)), config.slots) for name in (first, second)
    }
    policies = Policies(market.truth, market.users, lists[second], lists[first], range(config.days, config.days + days))
    preference, lift = replay_interleaving(policies, users, np.random.default_rng(seed)), true_lift(policies)
    if as_json:
        print(json.dumps({"preference": asdict(preference), "true_lift": asdict(lift)}, indent=2))
        return
    print(
        f"{preference.first} users prefer {first} and {preference.second} {second}, {preference.undecided} neither: a "
        f"share of {preference.share:.1%} ({preference.low:.1%} to {preference.high:.1%}), "
        f"p = {preference.p_value:.2g}; the true lift of {first}'s CTR is {lift.ctr:+.2%}"
    )


@group.command()
def bandit(
    output: Annotated[Path, typer.Option(help="Folder to write the page into; must be new or empty.")],
    lists: Annotated[int, typer.Option(help="Lists that are shown, one a user.")] = 40_000,
    repetitions: Annotated[int, typer.Option(help="Repetitions of which the mean is shown.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Learn a blend of the champion's run's scores by dueling bandit in a simulated market, beside A/B tests."""
    import numpy as np

    from components.foundation.files import creating_directory
    from components.foundation.settings import load_settings
    from reland.studies.bandit import LISTS_OF_DUEL, BlendMarket, compare_ways
    from reland.studies.bandit_page import PAGE_FILE, render
    from reland.studies.simulated_market import ranked_market_of_champion

    if lists < LISTS_OF_DUEL or repetitions < 1:
        raise InputError(f"--lists {lists}, --repetitions {repetitions}: expected {LISTS_OF_DUEL} and 1 at least")
    try:
        with creating_directory(output) as folder:
            market = BlendMarket(ranked_market_of_champion(load_settings()))
            best = market.best(np.random.default_rng(seed))
            ways = compare_ways(market, best, lists, repetitions, seed)
            (folder / PAGE_FILE).write_text(render(market, best, ways, repetitions), encoding="utf-8")
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    for way in ways:
        print(f"{way.name}: {way.clicks[-1]:,.0f} clicks missed in {way.lists[-1]:,} lists")
    print(f"written: {output} (open {output / PAGE_FILE})")


def _check_shares(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value}: expected a number between 0 and 1")


def _check_positive(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise InputError(f"--{name.replace('_', '-')} {value}: expected a number above 0")


def _check_metric(metric: str, values: Path | None) -> None:
    from serving.experiment.analysis import METRICS

    if metric not in METRICS:
        raise InputError(f"--metric {metric}: expected one of {', '.join(METRICS)}")
    if metric == "value_per_user" and values is None:
        raise InputError("--metric value_per_user: expected --values, a Parquet file of what an item is worth")


def _moment(name: str, text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--{name} {text}: expected a moment in ISO form, as 2024-01-14 or 2024-01-14T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _print_report(console: Console, content: dict[str, Any]) -> None:
    """The decision first, then Table 4 and the verdicts."""
    analysis = content["analysis"]
    print(content["decision"]["text"])
    print(content["decision"]["rule"])
    shown = Table(title=f"Lift of {content['candidate']} over {content['control']}", title_justify="left")
    shown.add_column("days")
    for metric in analysis["pooled"]:
        shown.add_column(metric.upper(), justify="right")
        shown.add_column(f"{1 - analysis['alpha']:.0%} interval", justify="right")
    for name, metrics in [*((day["name"], day["metrics"]) for day in analysis["by_day"]), ("all", analysis["overall"])]:
        cells = []
        for metric in analysis["pooled"]:
            estimate = metrics[metric]
            lift, low, high = (
                None if estimate[key] is None else f"{estimate[key]:+.2%}" for key in ("lift", "low", "high")
            )
            cells.append(f"{'*' if estimate['significant'] else ''}{lift or 'none'}{'†' if estimate['few'] else ''}")
            cells.append("" if low is None and high is None else f"{low or 'open'} to {high or 'open'}")
        shown.add_row(name, *cells)
    console.print(shown)
    for warning in analysis["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    for rail in content["guardrails"]["judged"]:
        if rail["breached"]:
            print(f"warning: guardrail {rail['name']} is breached", file=sys.stderr)


def _print_plan(console: Console, planned: "Plan", lift: float | None, power: float) -> None:
    """A line for each length, and what to do."""
    shown = Table(
        title=f"Lift of {planned.metric} that is detected with probability {power:.0%}, by the log of "
        f"{planned.first_day} to {planned.last_day}",
        title_justify="left",
    )
    for name in ("days", "users an arm", "one test", "daily looks"):
        shown.add_column(name, justify="right")
    if lift is not None:
        shown.add_column(f"power at {lift:+.1%}", justify="right")
        shown.add_column("with daily looks", justify="right")
    for length in planned.lengths:
        cells = [f"{length.detectable:.2%}", f"{length.detectable_with_looks:.2%}"]
        if lift is not None:
            cells += [f"{chance or 0:.0%}" for chance in (length.power, length.power_with_looks)]
        shown.add_row(str(length.days), f"{length.users:,}", *cells)
    console.print(shown)
    if lift is None:
        return
    longest = planned.lengths[-1]
    for how, needed in (("one test at the end", planned.needed), ("daily looks", planned.needed_with_looks)):
        if needed is None:
            print(
                f"{how}: {lift:+.1%} is not detected with probability {power:.0%} in the {longest.days} days of the log"
            )
        else:
            print(f"{how}: {needed.days} days, {needed.users:,} users an arm")
    if planned.needed_with_looks is not None:
        users = planned.needed_with_looks.users
        print(f"then: reland experiment report --metric {planned.metric} --planned-users {users}")
