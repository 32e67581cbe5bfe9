"""The report of an experiment as one HTML page, with the paper's Tables 4 and 5 for this experiment."""

import math
from collections.abc import Iterable
from typing import Any

from components.reports.charts import (
    BLUE,
    GREY,
    VERMILLION,
    Axis,
    Bars,
    Intervals,
    Line,
    Points,
    bar_chart,
    interval_chart,
    line_chart,
    point_chart,
    readable_bounds,
    spanning_axis,
)
from components.reports.page import page, table, tiles, visible
from serving.experiment.join import FATES

COLORS = {"ctr": BLUE, "cvr": VERMILLION}
METRIC_NAMES = {
    "ctr": "CTR, clicks per item shown",
    "cvr": "CVR, conversions per click",
    "clicks_per_user": "Clicks per user",
    "conversions_per_user": "Conversions per user",
    "value_per_user": "Value per user, capped",
    "impressions_per_user": "Items shown per user",
    "lists_per_user": "Lists per user",
    "retention": "Users who came again on a later day",
}
SHARES = ("ctr", "cvr", "retention")  # shown in percent
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "not worse": "not worse than the margin",
    "undecided": "undecided",
}
FEW = " A dagger marks what has fewer than 30 outcomes in an arm: too few for its interval to be relied on."
FATE_TEXTS = {
    "attributed": "counted",
    "repeated": "the same outcome again, counted once",
    "late": "after the attribution window or the time that is analysed",
    "early": "before its list was served",
    "not_shown": "of an item that its list does not have",
    "outside": "of lists that are not analysed",
    "unknown": "of a request that is not in the log",
}
GUARDRAIL_TEXTS = {
    "latency": ("99th percentile of latency", lambda value: f"{1_000 * value:.1f} ms"),
    "fallen_steps": ("lists answered by a lower step of the ladder", lambda value: f"{value:.2%}"),
    "coverage": ("lists ranked with a rationale", lambda value: f"{value:.2%}"),
    "diversity": ("effective number of items served", lambda value: f"{value:,.0f}"),
    "lists_per_user": ("lists, for as many users", lambda value: f"{value:,.0f}"),
    "ctr": ("CTR", lambda value: f"{value:.3%}"),
    "cvr": ("CVR", lambda value: f"{value:.3%}"),
}
FOOTER = """Lifts are relative to the control, a concurrent group of users. Intervals are clustered by user: the delta
method (Deng, Knoblich and Lu, KDD 2018) on the logarithm of the ratio of both arms' rates, stages standardised to one
mix; quantiles are Student's, and users are weighted by their leverage (HC3). Where an arm has no outcome: exact tests
of users with one. Adjusted: CUPED (Deng, Xu, Kohavi and Walker, WSDM 2013). Sequential: mixture sequential probability
ratio test (Johari, Koomen, Pekelis and Walsh, Operations Research 2022). Several days, levels, stages or secondary
metrics: Holm. Tables 4 and 5 are those of RELAND (RecSys '24). All numbers are in the JSON file beside this page."""


def render(content: dict[str, Any]) -> str:
    """The page that shows what `report.write_report` returns."""
    analysis = content["analysis"]
    sections = [
        _overview(content),
        _metrics(analysis),
        _daily(content),
        _levels(analysis),
        _dimensions(analysis),
        _sequential(analysis),
        _details(content),
        _users(content),
        _guardrails(content),
        _rows(content["join"]),
    ]
    return page(f"Experiment: {visible(content['candidate'])}", sections, FOOTER)


def _overview(content: dict[str, Any]) -> str:
    analysis = content["analysis"]
    entries = []
    for metric in COLORS:
        estimate = analysis["overall"][metric]
        entries.append((_starred(estimate), f"lift of {metric.upper()}, {_interval(estimate)}"))
    ratio = analysis["sample_ratio"]
    entries += [
        (f"{ratio['candidate']:,} / {ratio['control']:,}", "users of candidate and control"),
        (
            "mismatch" if ratio["mismatch"] else "as planned",
            f"sample ratio, {_p_value(ratio['p_value'])}",
        ),
        (
            ", ".join(_breached(content)) or "kept",
            "guardrails" if not _breached(content) else "guardrails breached",
        ),
    ]
    first, last = analysis["by_day"][0]["name"], analysis["by_day"][-1]["name"]
    days = len(analysis["by_day"])
    warnings = "".join(f'<p class="note">{visible_sentence(text)}</p>' for text in analysis["warnings"])
    return (
        f"<h1>Experiment: {visible(content['candidate'])} against {visible(content['control'])}</h1>"
        f"<p>{first} to {last}, {days} {'day' if days == 1 else 'days'} ({visible(content['join']['timezone'])}). "
        f"A star says that a lift is significant at {analysis['alpha']:.0%}.</p>"
        f'<p class="note"><b>{visible_sentence(content["decision"]["text"])}</b></p>'
        f"<p>{visible_sentence(content['decision']['rule'])}</p>{tiles(entries)}{warnings}"
    )


def _metrics(analysis: dict[str, Any]) -> str:
    """Every metric overall, the primary first."""
    names = sorted(analysis["overall"], key=lambda name: name != analysis["primary"])
    rows = []
    for name in names:
        estimate, adjusted = analysis["overall"][name], analysis["cuped"].get(name)
        role = "primary" if name == analysis["primary"] else "secondary"
        rows.append(
            [
                f"{METRIC_NAMES[name]} ({role})",
                *(_rate(name, estimate[arm]) for arm in ("candidate", "control")),
                _starred(estimate),
                _interval(estimate),
                "–" if adjusted is None else f"{_starred(adjusted)}, {_interval(adjusted)}",
                VERDICTS[(adjusted or estimate)["verdict"]],
            ]
        )
    header = ["Metric", "#Candidate", "#Control", "#Lift", "#Interval", "#Adjusted for the time before", "Verdict"]
    trends = "; ".join(
        f"{name.upper()} {trend['slope']:+.2%} a day ({_p_value(trend['p_value'])})"
        for name, trend in analysis["trends"].items()
        if trend["slope"] is not None
    )
    trend = (
        f"<p>Change of the lift from day to day, which shows a novelty that wears off: {trends}.</p>" if trends else ""
    )
    cap = (
        f"<p>A user's value counts up to {analysis['value_cap']:,.2f}, the 99th percentile of the users who have "
        "any.</p>"
        if analysis["value_cap"]
        else ""
    )
    return (
        f"<h2>All metrics</h2>{table(header, rows)}<p>Intervals are of each metric by itself; stars of secondary "
        "metrics are adjusted for their number (Holm). A metric is not worse where its interval excludes a loss of "
        f"more than {analysis['margin']:.0%}; the verdict is that of the adjusted interval where there is one.{FEW}</p>"
        f"{trend}{cap}"
    )


def visible_sentence(text: str) -> str:
    """A warning, which may be longer than texts of the data are shown."""
    return " ".join(visible(word) for word in text.split())


def _daily(content: dict[str, Any]) -> str:
    analysis, immature = content["analysis"], content["join"]["immature_from"]
    days = analysis["by_day"]
    header = ["Days", *(f"#{number}" for number in range(1, len(days) + 1)), "#Overall"]
    rows = [
        [metric.upper(), *(_starred(day["metrics"][metric]) for day in days), _starred(analysis["overall"][metric])]
        for metric in COLORS
    ]
    charts = [
        _interval_figure(
            f"Lift of {metric.upper()} by day",
            "Day of the experiment",
            [(str(number), day["metrics"][metric]) for number, day in enumerate(days, start=1)],
            metric,
        )
        for metric in COLORS
    ]
    return (
        "<h2>Overall improvement (Table 4 of the paper)</h2>"
        f"{table(header, rows)}<p>Intervals are of each day by itself, not adjusted for the number of days nor for the "
        f"time before; stars of days are adjusted for their number (Holm).{FEW}"
        + (
            f" Lists from {immature} on are immature: their outcomes may still come, conversions above all."
            if immature and content["join"]["immature_lists"] and not content["join"]["mature"]
            else ""
        )
        + f"</p>{_grid(charts)}"
    )


def _levels(analysis: dict[str, Any]) -> str:
    levels = analysis["by_level"]
    if not levels:
        return (
            "<h2>Activity levels (Table 5 of the paper)</h2><p>There is no record of what users did before the "
            "experiment: the logs begin with it, and no table of activity was given.</p>"
        )
    header = ["Activity level", *(f"#{level['name']}" for level in levels)]
    rows = [[metric.upper(), *(_starred(level["metrics"][metric]) for level in levels)] for metric in COLORS]
    users = ["Users", *(f"{sum(level['users']):,}" for level in levels)]
    charts = [
        _interval_figure(
            f"Lift of {metric.upper()} by activity level",
            "Activity before the experiment, L1 the least",
            [(level["name"], level["metrics"][metric]) for level in levels],
            metric,
        )
        for metric in COLORS
    ]
    bounds = ", ".join(f"{bound:,}" for bound in analysis["boundaries"])
    return (
        f"<h2>Activity levels (Table 5 of the paper)</h2>{table(header, [*rows, users])}"
        f"<p>Quartiles of clicks and conversions before the experiment: L1 to L3 have up to {bounds}; users with equal "
        "activity are of one level. Intervals are of each level by itself, not adjusted for the number of levels nor "
        f"for the time before; stars are adjusted for the number of levels (Holm).{FEW}</p>{_grid(charts)}"
    )


def _dimensions(analysis: dict[str, Any]) -> str:
    """The attributes of users, and who was triggered."""
    parts = []
    groups = {name: rows for name, rows in analysis["by_dimension"].items()}
    for name, rows in groups.items():
        header = [visible(name), "#Users", *(f"#{part}" for metric in COLORS for part in (metric.upper(), "Interval"))]
        cells = [
            [
                visible(row["name"]),
                f"{sum(row['users']):,}",
                *(
                    cell
                    for metric in COLORS
                    for cell in (_starred(row["metrics"][metric]), _interval(row["metrics"][metric]))
                ),
            ]
            for row in rows
        ]
        parts.append(table(header, cells))
    triggered = analysis["triggered"]
    if triggered is not None:
        metrics = "; ".join(
            f"{metric.upper()} {_starred(triggered['metrics'][metric])} ({_interval(triggered['metrics'][metric])})"
            for metric in COLORS
        )
        parts.append(
            f"<p>Triggered: of {sum(triggered['users']):,} users who were served a list for which the arms can differ "
            f"(new users are answered with what is popular by both), {metrics}.</p>"
        )
    if not parts:
        return ""
    note = f"<p>Stars are adjusted for the number of classes of each attribute (Holm), intervals are not.{FEW}</p>"
    return f"<h2>Other groups of users</h2>{''.join(parts)}{note if groups else ''}"


def _sequential(analysis: dict[str, Any]) -> str:
    figures = []
    for metric in COLORS:
        test = analysis["sequential"][metric]
        looks = test["looks"]
        seen = [(number, look) for number, look in enumerate(looks, start=1) if look["low"] is not None]
        if not seen:
            continue
        points = [
            (float(number), 100 * look["low"], 100 * look["lift"], 100 * (look["high"] or look["lift"]))
            for number, look in seen
        ]
        lines = [
            Line(name, color, [(point[0], point[place]) for point in points], dash)
            for name, place, color, dash in (
                ("upper bound", 3, GREY, "8 4"),
                ("lift", 2, COLORS[metric], ""),
                ("lower bound", 1, GREY, "3 3"),
            )
        ]
        chart = line_chart(
            f"{metric.upper()}: confidence sequence",
            _day_axis([str(number) for number in range(1, len(looks) + 1)], "Days seen"),
            spanning_axis("Lift", *readable_bounds(points), "%"),
            lines,
        )
        first = next((number for number, look in enumerate(looks, start=1) if look["significant"]), None)
        ending = f"Significant from day {first} on." if first else "Not significant on any day."
        figures.append(
            _figure(
                chart,
                f"{ending} After the last day: {_p_value(looks[-1]['p_value'])}, at a level of {test['alpha']:.1%}; "
                f"tuned to lifts of {math.expm1(test['tau']):.1%}"
                f"{', adjusted for the time before' if test['adjusted'] else ''}.",
            )
        )
    return (
        "<h2>Looked at every day</h2><p>These bounds hold on all days at once, so one may look at the experiment daily "
        "and stop on any day without more false alarms than their level says. Each day takes in all days before; days "
        f"with too few users or outcomes are no looks.</p>{_grid(figures)}"
    )


def _details(content: dict[str, Any]) -> str:
    analysis = content["analysis"]
    rows = []
    for metric in COLORS:
        estimate = analysis["overall"][metric]
        rows.append([metric.upper(), *_cells(estimate), _signed(estimate["detectable"])])
        explained = (analysis["cuped"].get(metric) or {}).get("explained")
        if explained is not None:
            rows[-1][0] += f" (the time before explains {explained:.0%})"
        if len(analysis["by_stage"]) > 1:
            rows.append([f"{metric.upper()}, stages thrown together", *_cells(analysis["pooled"][metric]), ""])
            for stage in analysis["by_stage"]:
                estimate = stage["metrics"][metric]
                rows.append(
                    [
                        f"{metric.upper()}, stage {visible(stage['name'])}",
                        *_cells(estimate),
                        _signed(estimate["detectable"]),
                    ]
                )
    header = ["Metric", "#Candidate", "#Control", "#Lift", "#Interval", "#p", "#Detectable"]
    return (
        f"<h2>In numbers</h2>{table(header, rows)}<p>Detectable is the lift that an experiment of this size finds with "
        f"probability {analysis['power']:.0%}. Stages are analysed apart and then standardised to one mix; thrown "
        "together, a change of the arms' shares between stages would look like a lift.</p>"
    )


def _users(content: dict[str, Any]) -> str:
    analysis = content["analysis"]
    arms = [
        [visible(name), *(f"{value:,.10g}" for value in totals.values())] for name, totals in analysis["arms"].items()
    ]
    header = ["Arm", "#Users", "#Lists", "#Items shown", "#Clicks", "#Conversions", "#Value", "#Most items of a user"]
    stages = analysis["sample_ratio_by_stage"]
    rows = [
        [
            name,
            f"{ratio['candidate']:,}",
            f"{ratio['control']:,}",
            f"{ratio['share']:.1%}",
            f"{ratio['candidate'] / max(ratio['candidate'] + ratio['control'], 1):.2%}",
            _p_value(ratio["p_value"]),
            "mismatch" if ratio["mismatch"] else "as planned",
        ]
        for name, ratio in {
            "all": analysis["sample_ratio"],
            **{f"stage {visible(name)}": ratio for name, ratio in stages.items()},
        }.items()
    ]
    chart = bar_chart(
        "Users of each stage",
        "Stage",
        "Users",
        [f"stage {name}" for name in stages],
        [
            Bars("candidate", BLUE, [ratio["candidate"] for ratio in stages.values()]),
            Bars("control", GREY, [ratio["control"] for ratio in stages.values()]),
        ],
    )
    ratios = table(["Users", "#Candidate", "#Control", "#Planned share", "#Share", "#p", "Verdict"], rows)
    return (
        f"<h2>Users and sample ratio</h2>{table(header, arms)}"
        f"{ratios}{_grid([_figure(chart, 'A user of several stages is counted in each.')])}"
    )


def _guardrails(content: dict[str, Any]) -> str:
    guarded = content["guardrails"]
    rows = []
    for rail in guarded["judged"]:
        name, shown = GUARDRAIL_TEXTS[rail["name"]]
        values = ["–" if rail[key] is None else shown(rail[key]) for key in ("candidate", "control", "limit")]
        rows.append([name, *values, "breached" if rail["breached"] else "kept"])
    ratios = [
        (name, rail["candidate"] / rail["control"])
        for rail in guarded["judged"]
        if rail["candidate"] is not None and rail["control"]
        for name in [rail["name"].replace("_", " ")]
    ]
    figure = ""
    if ratios:
        differences = [100 * (ratio - 1) for _, ratio in ratios]
        chart = point_chart(
            "Guardrails: candidate against control",
            _day_axis([name for name, _ in ratios], "Guardrail"),
            spanning_axis("Difference", min(differences), max(differences), "%"),
            [Points("difference", BLUE, list(enumerate(differences, start=1)), 5)],
        )
        figure = _figure(chart, "Relative to the control; what is 0 there is left out.")
    header = ["Guardrail", "#Candidate", "#Control", "#Limit", "Verdict"]
    return (
        f"<h2>Guardrails</h2>{table(header, rows)}{_grid([figure])}"
        f"<p>Measured on {guarded['measured_lists']:,} lists, spread evenly over the experiment.</p>"
    )


def _rows(join: dict[str, Any]) -> str:
    rows = [
        [
            FATE_TEXTS[fate],
            f"{join['events'][fate]['click']:,}",
            f"{join['events'][fate]['conversion']:,}",
        ]
        for fate in reversed(FATES)
    ]
    behaviors = ", ".join(f"{count:,} of {name}" for name, count in join["other_events"].items())
    others = f" Events of other behaviors are logged and not analysed: {behaviors}." if behaviors else ""
    return (
        f"<h2>What became of the events</h2>{table(['Events', '#Clicks', '#Conversions'], rows)}"
        f"<p>{join['lists']:,} lists were logged, {join['analysed_lists']:,} of them are analysed; "
        f"{join['repeated_lists']:,} rows repeated a list and are left out. An outcome counts up to "
        f"{join['window_hours']:g} hours after its list, on the day of the list; a conversion counts whether or not a "
        f"click on its item was logged. {join['immature_lists']:,} lists are younger than that at the end of the log, "
        f"and {'left out' if join['mature'] else 'analysed'}.{others}</p>"
    )


def _interval_figure(title: str, label: str, estimates: list[tuple[str, dict[str, Any]]], metric: str) -> str:
    points = [
        (float(number), 100 * estimate["low"], 100 * estimate["lift"], 100 * estimate["high"])
        for number, (_, estimate) in enumerate(estimates, start=1)
        if None not in (estimate["low"], estimate["lift"], estimate["high"])
    ]
    if not points:
        return ""
    chart = interval_chart(
        title,
        _day_axis([name for name, _ in estimates], label),
        spanning_axis("Lift", *readable_bounds(points), "%"),
        [Intervals(metric.upper(), COLORS[metric], points)],
    )
    return _figure(chart, "; ".join(f"{name}: {_interval(estimate)}" for name, estimate in estimates) + ".")


def _day_axis(names: list[str], label: str) -> Axis:
    """Places 1, 2 ... with names, of which some are left out where they would run into each other."""
    every = max(-(-len(names) * (max(map(len, names)) + 2) // 70), 1)
    ticks = [(float(number), name) for number, name in enumerate(names, start=1) if (number - 1) % every == 0]
    return Axis(label, 0.5, len(names) + 0.5, ticks)


def _grid(figures: Iterable[str]) -> str:
    return f'<div class="grid">{"".join(figures)}</div>'


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def _cells(estimate: dict[str, Any]) -> list[str]:
    rates = ["–" if estimate[arm] is None else f"{estimate[arm]:.3%}" for arm in ("candidate", "control")]
    return [*rates, _starred(estimate), _interval(estimate), _p_value(estimate["p_value"])]


def _starred(estimate: dict[str, Any]) -> str:
    """As the paper's table has it: a star before what is significant; a dagger after what rests on few outcomes."""
    star, dagger = "*" if estimate["significant"] else "", "†" if estimate.get("few") else ""
    return f"{star}{_signed(estimate['lift'])}{dagger}"


def _rate(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3%}" if metric in SHARES else f"{value:,.4g}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2%}"


def _interval(estimate: dict[str, Any]) -> str:
    low, high = estimate["low"], estimate["high"]
    if low is None and high is None:
        return "no interval"
    return f"{'open' if low is None else _signed(low)} to {'open' if high is None else _signed(high)}"


def _p_value(value: float | None) -> str:
    """No p value is 0, however small."""
    if value is None:
        return "–"
    return f"p = {value:.3f}" if value >= 0.001 else "p &lt; 0.001"


def _breached(content: dict[str, Any]) -> list[str]:
    return [rail["name"].replace("_", " ") for rail in content["guardrails"]["judged"] if rail["breached"]]
