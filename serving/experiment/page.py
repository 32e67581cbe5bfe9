"""The report of an experiment as one HTML page, with the paper's Tables 4 and 5 for this experiment."""

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
    bar_chart,
    interval_chart,
    line_chart,
    spanning_axis,
)
from components.reports.page import page, table, tiles, visible
from serving.experiment.join import FATES

COLORS = {"ctr": BLUE, "cvr": VERMILLION}
OUTCOMES = {"ctr": "clicks per item shown", "cvr": "conversions per click"}
FATE_TEXTS = {
    "attributed": "counted",
    "repeated": "the same outcome again, counted once",
    "late": "after the attribution window",
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
    "traffic": ("lists", lambda value: f"{value:,.0f}"),
}
FOOTER = """Lifts are relative to the control, a concurrent group of users. Intervals are clustered by user: the delta
method (Deng, Knoblich and Lu, KDD 2018) on the logarithm of the ratio of both arms' rates, stages standardised to one
mix.
Adjusted: CUPED (Deng, Xu, Kohavi and Walker, WSDM 2013). Sequential: mixture sequential probability ratio test (Johari,
Koomen, Pekelis and Walsh, Operations Research 2022). Several days, levels or stages: Holm. Tables 4 and 5 are those of
RELAND (RecSys '24). All numbers are in the JSON file beside this page."""


def render(content: dict[str, Any]) -> str:
    """The page that shows what `report.write_report` returns."""
    analysis = content["analysis"]
    sections = [
        _overview(content),
        _daily(analysis),
        _levels(analysis),
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
    for metric, estimate in analysis["overall"].items():
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
        f"A star says that a lift is significant at {analysis['alpha']:.0%}.</p>{tiles(entries)}{warnings}"
    )


def visible_sentence(text: str) -> str:
    """A warning, which may be longer than texts of the data are shown."""
    return " ".join(visible(word) for word in text.split())


def _daily(analysis: dict[str, Any]) -> str:
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
        f"{table(header, rows)}<p>Stars of days are adjusted for their number (Holm).</p>{_grid(charts)}"
    )


def _levels(analysis: dict[str, Any]) -> str:
    levels = analysis["by_level"]
    if not levels:
        return (
            "<h2>Activity levels (Table 5 of the paper)</h2><p>Nothing is known of what users did before the "
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
        f"activity are of one level. Stars are adjusted for the number of levels (Holm).</p>{_grid(charts)}"
    )


def _sequential(analysis: dict[str, Any]) -> str:
    figures = []
    for metric, looks in analysis["sequential"].items():
        seen = [(number, look) for number, look in enumerate(looks, start=1) if look["low"] is not None]
        if not seen:
            continue
        values = [100 * look[side] for _, look in seen for side in ("low", "high")]
        lines = [
            Line(name, color, [(number, 100 * look[side]) for number, look in seen], dash)
            for name, side, color, dash in (
                ("upper bound", "high", GREY, "8 4"),
                ("lift", "lift", COLORS[metric], ""),
                ("lower bound", "low", GREY, "3 3"),
            )
        ]
        chart = line_chart(
            f"{metric.upper()}: confidence sequence",
            _day_axis([str(number) for number in range(1, len(looks) + 1)], "Days seen"),
            spanning_axis("Lift", min(values), max(values), "%"),
            lines,
        )
        first = next((number for number, look in enumerate(looks, start=1) if look["significant"]), None)
        found = f"Significant from day {first} on." if first else "Not significant on any day."
        figures.append(_figure(chart, f"{found} After the last day: {_p_value(looks[-1]['p_value'])}."))
    return (
        "<h2>Looked at every day</h2><p>These bounds hold on all days at once, so one may look at the experiment daily "
        f"and stop on any day without more false alarms than {analysis['alpha']:.0%}. Each day takes in all days "
        f"before.</p>{_grid(figures)}"
    )


def _details(content: dict[str, Any]) -> str:
    analysis = content["analysis"]
    rows = []
    for metric, estimate in analysis["overall"].items():
        rows.append([f"{metric.upper()}, {OUTCOMES[metric]}", *_cells(estimate), _signed(estimate["detectable"])])
        adjusted = analysis["cuped"].get(metric)
        if adjusted:
            explained = "" if adjusted["explained"] is None else f" ({adjusted['explained']:.0%} explained)"
            rows.append(
                [
                    f"{metric.upper()}, adjusted for the time before{explained}",
                    "",
                    "",
                    _signed(adjusted["lift"]),
                    _interval(adjusted),
                    _p_value(adjusted["p_value"]),
                    "",
                ]
            )
        pooled = analysis["pooled"][metric]
        if len(analysis["by_stage"]) > 1:
            rows.append([f"{metric.upper()}, stages thrown together", *_cells(pooled), ""])
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
    arms = [[visible(name), *(f"{value:,}" for value in totals.values())] for name, totals in analysis["arms"].items()]
    header = ["Arm", "#Users", "#Lists", "#Items shown", "#Clicks", "#Conversions", "#Items shown to one user"]
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
        f'<div class="grid">{_figure(chart, "A user of several stages is counted in each.")}{ratios}</div>'
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
        chart = interval_chart(
            "Guardrails: candidate against control",
            _day_axis([name for name, _ in ratios], "Guardrail"),
            spanning_axis("Difference", min(differences), max(differences), "%"),
            [
                Intervals(
                    "difference",
                    BLUE,
                    [(n, min(value, 0.0), value, max(value, 0.0)) for n, value in enumerate(differences, start=1)],
                )
            ],
        )
        figure = _figure(chart, "Relative to the control; what is 0 there is left out.")
    header = ["Guardrail", "#Candidate", "#Control", "#Limit", "Verdict"]
    return (
        f'<h2>Guardrails</h2><div class="grid">{figure}{table(header, rows)}</div>'
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
    return (
        f"<h2>What became of the events</h2>{table(['Events', '#Clicks', '#Conversions'], rows)}"
        f"<p>{join['lists']:,} lists were logged, {join['analysed_lists']:,} of them are analysed; "
        f"{join['repeated_lists']:,} rows repeated a list and are left out. An outcome counts up to "
        f"{join['window_hours']:g} hours after its list, on the day of the list; a conversion counts whether or not a "
        "click on its item was logged.</p>"
    )


def _interval_figure(title: str, label: str, estimates: list[tuple[str, dict[str, Any]]], metric: str) -> str:
    points = [
        (float(number), 100 * estimate["low"], 100 * estimate["lift"], 100 * estimate["high"])
        for number, (_, estimate) in enumerate(estimates, start=1)
        if estimate["low"] is not None
    ]
    if not points:
        return ""
    chart = interval_chart(
        title,
        _day_axis([name for name, _ in estimates], label),
        spanning_axis("Lift", min(point[1] for point in points), max(point[3] for point in points), "%"),
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
    """As the paper's table has it: a star before what is significant."""
    return ("*" if estimate["significant"] else "") + _signed(estimate["lift"])


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2%}"


def _interval(estimate: dict[str, Any]) -> str:
    return "no interval" if estimate["low"] is None else f"{_signed(estimate['low'])} to {_signed(estimate['high'])}"


def _p_value(value: float | None) -> str:
    """No p value is 0, however small."""
    if value is None:
        return "–"
    return f"p = {value:.3f}" if value >= 0.001 else "p &lt; 0.001"


def _breached(content: dict[str, Any]) -> list[str]:
    return [rail["name"].replace("_", " ") for rail in content["guardrails"]["judged"] if rail["breached"]]
