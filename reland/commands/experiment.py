"""The commands `reland experiment`: what a rollout changed, measured."""

import contextlib
import datetime
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from components.foundation.errors import InputError, write_failure

INTERRUPTED = 130

group = typer.Typer(
    help="What a rollout changed: lift with its intervals, and experiments on a simulated market.",
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
Power = Annotated[float, typer.Option(help="Probability with which a detectable lift is found.")]
Window = Annotated[float, typer.Option(help="Hours after its list up to which an outcome counts.")]
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
    since: Annotated[str, typer.Option(help="First moment of the lists (ISO, UTC). Default: any.")] = "",
    until: Annotated[str, typer.Option(help="Moment before which lists were served, likewise.")] = "",
    window_hours: Window = 24.0,
    timezone: Timezone = "UTC",
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    expected_lift: Annotated[
        float, typer.Option(help="Size of lifts that are expected, relative: tunes the sequential test, beforehand.")
    ] = 0.03,
    memory: Memory = "2GiB",
    as_json: AsJson = False,
) -> None:
    """Compare the candidate with its control: one page with Tables 4 and 5 of the paper, and all numbers as JSON."""
    from components.contracts.rollout_history import history_file, read_rollout_history
    from components.foundation.files import creating_directory
    from components.foundation.settings import load_settings
    from serving.experiment.analysis import AnalysisConfig
    from serving.experiment.join import JoinConfig
    from serving.experiment.report import PAGE_FILE, ReportConfig, states_of_rollout, write_report

    for name, value in (
        ("alpha", alpha),
        ("power", power),
        ("candidate-share", candidate_share),
    ):
        if not 0 < value < 1:
            raise InputError(f"--{name} {value}: expected a number between 0 and 1")
    for name, value in (("expected-lift", expected_lift), ("window-hours", window_hours)):
        if not value > 0:
            raise InputError(f"--{name} {value}: expected a number above 0")
    settings = load_settings()
    folder = logs or settings.home / "serving"
    stages = states_of_rollout(read_rollout_history(history_file(settings)), rollout) if logs is None or rollout else {}
    config = ReportConfig(
        join=JoinConfig(
            states=sorted(stages) if stages else None,
            since=_moment("since", since),
            until=_moment("until", until),
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
            expected_lift=expected_lift,
            stages=stages,
        ),
        activity=activity,
        activity_days=activity_days,
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
        bool, typer.Option("--json", help="Print what was found as JSON, and progress to standard error.")
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
        found, folder = simulate_experiment(
            settings, SimulationConfig(days, visits, seed), address, against or None, truth, output
        )
    if as_json:
        print(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        print_simulation(Console(), found, folder)
    if found.interrupted:
        told = f"{found.fault or 'interrupted'}, on day {found.days}: what was served until then is in {folder}"
        print(f"reland: {told}", file=sys.stderr)
        raise typer.Exit(1 if found.fault else INTERRUPTED)


@group.command()
def interleave(
    users: Annotated[int, typer.Option(help="Users who are shown both rankings, interleaved.")] = 500,
    days: Annotated[int, typer.Option(help="Days on which they come, from the first after the market's log on.")] = 5,
    first: Annotated[str, typer.Option(help="A ranking: a variant of the champion's run, or popularity.")] = "reland",
    second: Annotated[str, typer.Option(help="Another one.")] = "id_only",
    seed: Annotated[int, typer.Option(help="Seed of who comes, and of what they do.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
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
    found, lift = replay_interleaving(policies, users, np.random.default_rng(seed)), true_lift(policies)
    if as_json:
        print(json.dumps({"preference": asdict(found), "true_lift": asdict(lift)}, indent=2))
        return
    print(
        f"{found.first} users prefer {first} and {found.second} {second}, {found.undecided} neither: a share of "
        f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%}), p = {found.p_value:.2g}; the true lift of {first}'s "
        f"CTR is {lift.ctr:+.2%}"
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


def _moment(name: str, text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--{name} {text}: expected a moment in ISO form, as 2024-01-14 or 2024-01-14T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _print_report(console: Console, content: dict[str, Any]) -> None:
    """Table 4 and the verdicts."""
    analysis = content["analysis"]
    shown = Table(title=f"Lift of {content['candidate']} over {content['control']}", title_justify="left")
    shown.add_column("days")
    for metric in analysis["overall"]:
        shown.add_column(metric.upper(), justify="right")
        shown.add_column(f"{1 - analysis['alpha']:.0%} interval", justify="right")
    for name, metrics in [*((day["name"], day["metrics"]) for day in analysis["by_day"]), ("all", analysis["overall"])]:
        cells = []
        for estimate in metrics.values():
            known = estimate["lift"] is not None
            cells.append(f"{'*' if estimate['significant'] else ''}{estimate['lift']:+.2%}" if known else "none")
            cells.append(f"{estimate['low']:+.2%} to {estimate['high']:+.2%}" if known else "")
        shown.add_row(name, *cells)
    console.print(shown)
    for warning in analysis["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    for rail in content["guardrails"]["judged"]:
        if rail["breached"]:
            print(f"warning: guardrail {rail['name']} is breached", file=sys.stderr)
