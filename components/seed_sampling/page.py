"""The diagnostics of the seed users as one HTML page; its charts are inline."""

import math
from typing import Any

from components.reports.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Axis,
    Line,
    Points,
    line_chart,
    linear_axis,
    point_chart,
    short_number,
)
from components.reports.page import page, percent, table, tiles

COLORS = {
    "representative": BLUE,
    "important": VERMILLION,
    "random": GREEN,
    "facility_location": PURPLE,
    "recorded": ORANGE,
}
DASHES = {"representative": "8 4", "important": "3 3"}
PERCENT_TICKS = [(share, f"{share}%") for share in range(0, 101, 20)]
FOOTER = """Similarity is the cosine of two users' behavior embeddings, as in matching. Colours are Okabe and Ito's,
which do not depend on telling red from green. All numbers are in the JSON file beside this page."""


def render(content: dict[str, Any]) -> str:
    """The page that shows what `seed_users.sample_seed_users` writes as JSON."""
    sections = [_overview(content), _coverage(content), _number_of_seeds(content), _activity(content)]
    if content["refresh"]:
        sections.append(_refresh(content["refresh"]))
    return page("Seed users", sections, FOOTER)


def _overview(content: dict[str, Any]) -> str:
    coverage, number = content["coverage"], content["number_of_seeds"]
    entries = [
        (f"{content['seeds']:,}", "seed users"),
        (f"{content['users']:,}", "users"),
        (percent(content["seeds"], content["users"]), "of the users"),
        (f"{100 * coverage['share']:.1f}%", f"have a seed with similarity ≥ {coverage['threshold']:g}"),
        (f"{coverage['similarity_p50']:.3f}", "median similarity to the nearest seed"),
    ]
    if number and number["knee"]:
        entries.append((f"{number['knee']:,}", "seeds at the knee of the curve"))
    origins = ", ".join(f"{count:,} {_name(origin)}" for origin, count in content["origins"].items())
    clusters = f" The users form {content['clusters']:,} clusters." if content["clusters"] else ""
    measured = content["users_measured"]
    sample = "" if measured == content["users"] else f" Shares of users are measured on {measured:,} of them."
    return (
        "<h1>Seed users</h1>"
        f"<p>Chosen by the policy {_name(content['policy'])}: {origins}.{clusters}{sample}</p>" + tiles(entries)
    )


def _coverage(content: dict[str, Any]) -> str:
    mapped, coverage = content["map"], content["coverage"]
    groups = [Points("users", GREY, mapped["users"], 1.5)]
    groups += [Points(_name(origin), COLORS[origin], points, 3) for origin, points in mapped["seeds"].items()]
    everywhere = [point for group in groups for point in group.points]
    axes = [_spanning_axis(f"Component {axis + 1}", [point[axis] for point in everywhere]) for axis in (0, 1)]
    variance = "" if mapped["variance"] is None else f" They hold {100 * mapped['variance']:.0f}% of the variance."
    curve = line_chart(
        "Users whose nearest seed is similar enough",
        Axis("Similarity to the nearest seed, at least", 0, 1, [(tick / 5, f"{tick / 5:g}") for tick in range(6)]),
        Axis("Share of users", 0, 100, PERCENT_TICKS),
        [Line("users", BLUE, [[threshold, 100 * share] for threshold, share in coverage["curve"]])],
    )
    error = content["representation_error"]
    own = error.get("to_seed_of_own_cluster")
    within = "" if own is None else f", to the nearest seed of their own cluster {own:.3f}"
    figures = [
        _figure(
            point_chart("Users and seeds on a map", axes[0], axes[1], groups),
            f"The two principal components of the embeddings; {len(mapped['users']):,} users are drawn.{variance} "
            "What is near on the map may be far in the other directions.",
        ),
        _figure(
            curve,
            f"Median {coverage['similarity_p50']:.3f}, 5% of the users are below {coverage['similarity_p05']:.3f}. "
            f"Mean distance of the users to the nearest seed: {error['to_nearest_seed']:.3f}{within} (0 is the same "
            "direction, 1.41 a right angle). A seed user is its own nearest seed.",
        ),
    ]
    return f'<h2>Coverage</h2><div class="grid">{"".join(figures)}</div>'


def _number_of_seeds(content: dict[str, Any]) -> str:
    number = content["number_of_seeds"]
    if not number:
        return ""
    points, knee = number["points"], number["knee"]
    at = {point["seeds"]: point for point in points}
    lines = [
        Line("mean similarity", BLUE, [[point["seeds"], 100 * point["similarity_mean"]] for point in points]),
        Line("coverage", ORANGE, [[point["seeds"], 100 * point["coverage"]] for point in points], "8 4"),
    ]
    if knee:
        lines.append(Line("knee", VERMILLION, [[knee, 0], [knee, 100]], "3 3"))
    chart = line_chart(
        "What more seeds add",
        linear_axis("Seed users, each one call", points[-1]["seeds"]),
        Axis("Mean similarity (1 is 100%) and coverage", 0, 100, PERCENT_TICKS),
        lines,
    )
    recommended = (
        f"Beyond the knee, {knee:,} seeds, more of them add less than on average over this range: mean similarity "
        f"there is {at[knee]['similarity_mean']:.3f}. The knee depends on the range and does not consider what a "
        "call is worth: read it together with the table."
        if knee
        else "The curve has no knee in this range."
    )
    rows = [
        [
            f"{point['seeds']:,}" + (" (knee)" if point["seeds"] == knee else ""),
            f"{100 * point['coverage']:.1f}%",
            f"{point['similarity_mean']:.4f}",
            _per_thousand(before, point),
            short_number(point["tokens"]),
        ]
        for before, point in zip([None, *points], points, strict=False)
    ]
    header = ["#Seeds, calls", "#Coverage", "#Similarity", "#Per 1,000 more", "#Tokens"]
    return (
        "<h2>The number of seeds</h2>"
        f"<p>Each point is a choice of its own by this policy, measured on {number['users_measured']:,} users. A call "
        f"is taken to cost {number['tokens_per_call']:,.0f} tokens, request and answer together.</p>"
        f'<div class="grid">{_figure(chart, recommended)}{table(header, rows)}</div>'
    )


def _per_thousand(before: dict[str, Any] | None, point: dict[str, Any]) -> str:
    if before is None:
        return "–"
    return f"{1000 * (point['similarity_mean'] - before['similarity_mean']) / (point['seeds'] - before['seeds']):+.4f}"


def _activity(content: dict[str, Any]) -> str:
    bins = content["activity"]
    last = max(len(bins) - 1, 1)
    ticks = [(index, short_number(entry["from"])) for index, entry in enumerate(bins)]
    names = ["base", *content["origins"]]
    totals = {name: sum(entry[name] for entry in bins) for name in names}
    shares = {name: [100 * entry[name] / totals[name] for entry in bins] for name in names}
    lines = [
        Line(_name(name), COLORS.get(name, SKY), list(enumerate(values)), DASHES.get(name, ""))
        for name, values in shares.items()
    ]
    highest = max(max(values) for values in shares.values())
    chart = line_chart(
        "Activity of the seeds and of everybody",
        Axis("Training interactions, from the number under the mark to the next", 0, last, ticks),
        linear_axis("Share of the group", highest, "%"),
        lines,
    )
    overlap = content["overlap"]
    both = (
        f" Of {overlap['important_seats']:,} users that the important half would choose from everybody, "
        f"{overlap['wanted_by_both']:,} are representative users already."
        if overlap
        else ""
    )
    caption = f"Each range is twice as wide as the one before, and each line adds up to 100%.{both}"
    rows = [[f"{entry['from']:,} to {entry['to']:,}", *(f"{entry[name]:,}" for name in names)] for entry in bins]
    numbers = table(["Training interactions", *(f"#{_name(name)}" for name in names)], rows)
    return f'<h2>Activity</h2><div class="grid">{_figure(chart, caption)}{numbers}</div>'


def _refresh(weekly: dict[str, Any]) -> str:
    stability = weekly["stability"]
    entries = [
        (f"{weekly['kept']:,} of {weekly['previous']:,}", "seed users of last week stay"),
        (f"{weekly['new']:,}", "are new"),
        (f"{100 * weekly['calls_saved_share']:.1f}%", "of the calls are saved"),
        (f"{stability['jaccard']:.3f}", "Jaccard similarity of the two weeks' seeds"),
        (f"{100 * stability['users_who_keep_their_seed']:.1f}%", "of the users keep the seed they are matched to"),
    ]
    return (
        "<h2>Since last week</h2>"
        f"<p>{weekly['left_the_base']:,} of last week's seed users are not among the users any more. A seed user that "
        "stays needs no call as long as its rationale is kept.</p>" + tiles(entries)
    )


def _spanning_axis(label: str, values: list[float]) -> Axis:
    """From the smallest to the largest of `values`, with a margin, and ticks at round numbers."""
    low, high = min(values), max(values)
    margin = max(0.05 * (high - low), 0.01)
    low, high = low - margin, high + margin
    rough = (high - low) / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    ticks = [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Axis(label, low, high, [(tick, f"{tick:.3g}") for tick in ticks])


def _name(origin: str) -> str:
    return origin.replace("_", " ")


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"
