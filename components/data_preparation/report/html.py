"""The statistics report as one HTML page that needs nothing else: charts are inline, and no script runs.

KFP shows it in a frame, on clusters that reach no other network. Every text that comes from the data goes through
`visible`; beyond that, the page's own policy forbids scripts, frames and anything from elsewhere.
"""

import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from components.reports.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Axis,
    Bars,
    Line,
    bar_chart,
    line_chart,
    linear_axis,
    logarithmic_axis,
    short_number,
)

DAY = 86_400
BEHAVIOR_COLORS = {
    "search": SKY,
    "click": BLUE,
    "favourite": PURPLE,
    "cart": ORANGE,
    "purchase": VERMILLION,
    "rating": GREEN,
}
DASHES = ("", "8 4", "3 3", "10 3 3 3", "5 2", "14 5")
USER_COLOR, ITEM_COLOR, ITEM_DASH = BLUE, VERMILLION, "8 4"
PROTOCOLS = {"leave_one_out": "leave one out", "ratio": "ratio, per user", "time": "global time"}
PERIOD_NAMES = {3_600: "hour", 21_600: "6 hours", DAY: "day", 7 * DAY: "week"}
LONGEST_TEXT = 300

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f7f9; color: #24292f; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 24px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 12px; }
p { margin: 0 0 12px; max-width: 75em; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 8px; }
.tile, figure, .table { background: #fff; border: 1px solid #d8dee4; border-radius: 8px; }
.tile { flex: 1 1 auto; padding: 12px 16px; white-space: nowrap; }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span, figcaption, footer { color: #57606a; font-size: 13.5px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px 16px 14px; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: 6px; }
.table { overflow-x: auto; margin-bottom: 12px; }
.grid > .table { margin: 0; align-self: start; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 7px 14px; text-align: left; vertical-align: top; border-top: 1px solid #e4e7eb; }
th { border-top: 0; font-size: 13.5px; color: #57606a; font-weight: 600; background: #fafbfc; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; unicode-bidi: isolate; }
.note { background: #fff8e5; border: 1px solid #e6c766; border-radius: 8px; padding: 8px 14px; }
footer { margin-top: 36px; border-top: 1px solid #d8dee4; padding-top: 12px; }
"""


def render(figures: dict[str, Any]) -> str:
    """The page that shows `figures.figures(...)`."""
    sections = [
        _overview(figures),
        _long_tail(figures),
        _time_and_behavior(figures),
        _splits_and_cold(figures),
        _items(figures),
        _rejected(figures),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data statistics</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{"".join(sections)}
<footer>Hours and dates are UTC. Colours are Okabe and Ito's, which do not depend on telling red from green; lines also
differ by their dashes. Bars tell their numbers when pointed at; all numbers are in the JSON file beside this page.
</footer>
</main>
</body>
</html>
"""


def visible(text: str) -> str:
    """`text` of the data, safe in HTML: cut, escaped, and with what cannot be seen (controls, marks) spelled out."""
    shown = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
    spelled = "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character)[0] == "C" else character
        for character in shown
    )
    return escape(spelled)


def moment(timestamp: int) -> str:
    """Seconds since 1970 as "2000-04-25 23:05:32"; any int64 that NumPy can name, beyond the year 9999 too."""
    return str(np.datetime64(timestamp, "s")).replace("T", " ")


def _overview(figures: dict[str, Any]) -> str:
    tiles = [
        (f"{figures['users']:,}", "users"),
        (f"{figures['items']:,}", "items"),
        (f"{figures['interactions']:,}", "interactions"),
        (f"{figures['interactions_per_user']:,}", "interactions per user"),
        (f"{figures['sparsity_percent']}%", "sparsity"),
        (_duration(figures["last_timestamp"] - figures["first_timestamp"]), "time span"),
        (f"{figures['rejected']:,}", "rows rejected"),
    ]
    shown = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in tiles)
    return (
        "<h1>Data statistics</h1>"
        f"<p>Interactions from {moment(figures['first_timestamp'])} to {moment(figures['last_timestamp'])}, "
        "after validation and filtering. Sparsity is the share of user-item pairs without any interaction.</p>"
        f'<div class="tiles">{shown}</div>'
    )


def _long_tail(figures: dict[str, Any]) -> str:
    users, items = figures["user_activity"], figures["item_popularity"]
    by_rank = line_chart(
        "Long tail: interactions by rank",
        logarithmic_axis("Rank, the most active or most popular first", max(figures["users"], figures["items"])),
        logarithmic_axis("Interactions", max(users["most"], items["most"])),
        [
            Line("users", USER_COLOR, users["by_rank"]),
            Line("items", ITEM_COLOR, items["by_rank"], ITEM_DASH),
        ],
    )
    percent_axis = [(percent, f"{percent}%") for percent in range(0, 101, 20)]
    share = line_chart(
        "Share of interactions held by the top x%",
        Axis("Top x% of users or items", 0, 100, percent_axis),
        Axis("Share of all interactions", 0, 100, percent_axis),
        [
            Line("users", USER_COLOR, [[0, 0], *users["share_of_top_percent"]]),
            Line("items", ITEM_COLOR, [[0, 0], *items["share_of_top_percent"]], ITEM_DASH),
            Line("if all were equal", GREY, [[0, 0], [100, 100]], "2 3"),
        ],
    )
    top_users, top_items = dict(users["share_of_top_percent"]), dict(items["share_of_top_percent"])
    charts = [
        _figure(
            by_rank,
            f"Both axes are logarithmic. Interactions of the most active user: {users['most']:,}, of the median user: "
            f"{users['median']:,}, of the least active: {users['fewest']:,}. Of the most popular item: "
            f"{items['most']:,}, of the median item: {items['median']:,}, of the least popular: {items['fewest']:,}.",
        ),
        _figure(
            share,
            f"The most active 1% of users hold {top_users[1]:.1f}% of the interactions, 10% hold {top_users[10]:.1f}%. "
            f"The most popular 1% of items hold {top_items[1]:.1f}%, 10% hold {top_items[10]:.1f}%. The farther above "
            "the dotted line, the more skewed.",
        ),
        _figure(
            _holders_chart("Users by number of interactions", "Number of users", "users", USER_COLOR, users),
            _holders_caption("users", users, figures["users"]),
        ),
        _figure(
            _holders_chart("Items by number of interactions", "Number of items", "items", ITEM_COLOR, items),
            _holders_caption("items", items, figures["items"]),
        ),
    ]
    return f'<h2>Users and items: the long tail</h2><div class="grid">{"".join(charts)}</div>'


def _holders_chart(title: str, y_label: str, name: str, color: str, tail: dict[str, Any]) -> str:
    bins = tail["holders_by_interactions"]
    return bar_chart(
        title,
        "Number of interactions, from the number under the bar to the next",
        y_label,
        [_range(entry) for entry in bins],
        [Bars(name, color, [entry["holders"] for entry in bins])],
        [short_number(entry["from"]) if entry["from"] > 9_999 else str(entry["from"]) for entry in bins],
    )


def _holders_caption(name: str, tail: dict[str, Any], total: int) -> str:
    largest = max(tail["holders_by_interactions"], key=lambda entry: entry["holders"])
    return (
        f"The highest bar: {largest['holders']:,} of {total:,} {name} ({_percent(largest['holders'], total)}) have "
        f"{_range(largest)} each. Every bar covers a range twice as wide as the one before."
    )


def _range(entry: dict[str, int]) -> str:
    low, high = f"{entry['from']:,}", f"{entry['to']:,}"
    return "1 interaction" if high == "1" else f"{low} to {high} interactions"


def _time_and_behavior(figures: dict[str, Any]) -> str:
    hours = [f"{hour:02}" for hour in range(24)]
    by_hour = figures["interactions_by_hour"]
    totals = [sum(counts) for counts in zip(*by_hour.values(), strict=True)]
    behaviors = list(by_hour)
    colors = {behavior: BEHAVIOR_COLORS.get(behavior, GREY) for behavior in behaviors}
    busiest, quietest = max(range(24), key=totals.__getitem__), min(range(24), key=totals.__getitem__)
    charts = [
        _figure(
            bar_chart(
                "Interactions by hour of day" + (" and behaviour" if len(behaviors) > 1 else ""),
                "Hour of day (UTC)",
                "Interactions",
                hours,
                [Bars(behavior, colors[behavior], counts) for behavior, counts in by_hour.items()],
            ),
            f"Most interactions fall into the hour from {busiest:02}:00 ({totals[busiest]:,}), fewest into that from "
            f"{quietest:02}:00 ({totals[quietest]:,}).",
        )
    ]
    if len(behaviors) > 1:
        charts.append(_behavior_profile(by_hour, colors))
        charts.append(_by_behavior(figures["interactions_by_behavior"], figures["interactions"]))
    charts.append(_over_time(figures["interactions_over_time"]))

    note = ""
    if figures["dates_only"]:
        note = (
            '<p class="note">Every interaction is dated midnight UTC: these data have dates without times, so the '
            "distribution over hours says nothing.</p>"
        )
    return f'<h2>Time and behaviour</h2>{note}<div class="grid">{"".join(charts)}</div>'


def _by_behavior(counts: dict[str, int], total: int) -> str:
    chart = bar_chart(
        "Interactions by behaviour",
        "Behaviour",
        "Interactions",
        list(counts),
        [Bars("all", BLUE, list(counts.values()))],
    )
    shares = ", ".join(f"{visible(name)} {count:,} ({_percent(count, total)})" for name, count in counts.items())
    return _figure(chart, f"In numbers: {shares}.")


def _behavior_profile(by_hour: dict[str, list[int]], colors: dict[str, str]) -> str:
    shares = {name: [100 * count / sum(counts) for count in counts] for name, counts in by_hour.items()}
    lines = [
        Line(name, colors[name], list(enumerate(values)), DASHES[index % len(DASHES)])
        for index, (name, values) in enumerate(shares.items())
    ]
    chart = line_chart(
        "Daily profile of each behaviour",
        Axis("Hour of day (UTC)", 0, 23, [(hour, f"{hour:02}") for hour in range(0, 24, 3)]),
        linear_axis("Share of the behaviour's total", max(map(max, shares.values())), "%"),
        lines,
    )
    peaks = ", ".join(
        f"{visible(name)} at {max(range(24), key=values.__getitem__):02}:00" for name, values in shares.items()
    )
    return _figure(
        chart, f"Each line adds up to 100%, so rare behaviours can be compared with common ones. Peaks: {peaks}."
    )


def _over_time(periods: dict[str, Any]) -> str:
    counts, seconds = periods["interactions"], periods["seconds"]
    weeks = seconds // (7 * DAY)
    name = PERIOD_NAMES.get(seconds, f"{weeks} weeks")
    starts = [moment(periods["start"] + index * seconds) for index in range(len(counts))]
    labels = [start.split(" ")[0] if seconds >= DAY else start.removesuffix(":00") for start in starts]
    chart = bar_chart(
        "Interactions over time",
        f"Start of the period (UTC), one bar for each {name}",
        f"Interactions per {name}",
        labels,
        [Bars("interactions", BLUE, counts)],
    )
    peak = max(range(len(counts)), key=counts.__getitem__)
    return _figure(
        chart,
        f"The period from {labels[peak]} has most interactions, {counts[peak]:,} "
        f"({_percent(counts[peak], sum(counts))} of all).",
    )


def _splits_and_cold(figures: dict[str, Any]) -> str:
    sizes = [
        [
            PROTOCOLS.get(protocol, visible(protocol)),
            visible(split),
            f"{size['interactions']:,}",
            _percent(size["interactions"], figures["interactions"]),
            f"{size['users']:,}",
            f"{size['items']:,}",
            moment(size["first_timestamp"]),
            moment(size["last_timestamp"]),
        ]
        for protocol, splits in figures["splits"].items()
        for split, size in splits.items()
    ]
    cold = figures["cold"]
    few = f"#With fewer than {cold['fewer_than']} in training"
    shares = [
        [
            PROTOCOLS.get(protocol, visible(protocol)),
            kind,
            f"{counts['in_test']:,}",
            f"{counts['without_training']:,} ({_percent(counts['without_training'], counts['in_test'])})",
            f"{counts['few_training']:,} ({_percent(counts['few_training'], counts['in_test'])})",
        ]
        for protocol in figures["splits"]
        for kind in ("users", "items")
        for counts in [cold[kind]["splits"][protocol]]
    ]
    new = {kind: cold[kind]["new_on_last_day"] for kind in ("users", "items")}
    return (
        "<h2>Splits and cold start</h2>"
        + _table(["Protocol", "Split", "#Interactions", "#Share", "#Users", "#Items", "#From", "#To"], sizes)
        + f"<p>A user or item is cold in a split if it is tested with fewer than {cold['fewer_than']} training "
        "interactions. Users and items that filtering removed for too few interactions are not counted here.</p>"
        + _table(["Protocol", "Cold", "#In the test set", "#Without training", few], shares)
        + f"<p>New on the last day: {_many(new['users'], 'user')} ({_percent(new['users'], figures['users'])}) and "
        f"{_many(new['items'], 'item')} ({_percent(new['items'], figures['items'])}). Their first interaction lies in "
        "the 24 hours that end with the last interaction of all.</p>"
    )


def _items(figures: dict[str, Any]) -> str:
    popular = [
        [
            f"<code>{visible(item['item_id'])}</code>",
            visible(item["title"] or ""),
            f"{item['interactions']:,}",
        ]
        for item in figures["popular_items"]
    ]
    attributes = [
        [visible(name), f"{count:,}", _percent(count, figures["items"])]
        for name, count in figures["items_with_attribute"].items()
    ]
    bare = figures["items_without_metadata"]
    return (
        "<h2>Items</h2>"
        f"<p>{bare:,} of {figures['items']:,} items ({_percent(bare, figures['items'])}) have no metadata at all.</p>"
        + '<div class="grid">'
        + _table(["Most popular items", "Title", "#Interactions"], popular)
        + _table(["Attribute", "#Items that have it", "#Share"], attributes)
        + "</div>"
    )


def _rejected(figures: dict[str, Any]) -> str:
    if not figures["rejected"]:
        return "<h2>Rejected rows</h2><p>Every row was accepted.</p>"
    listed = figures["rejected_reasons"]
    rows = [
        [
            visible(group["file"]),
            visible(group["reason"]),
            f"{group['rows']:,}",
            f"{group['source_line']:,}",
            f"<code>{visible(group['raw'])}</code>",
        ]
        for group in listed
    ]
    left_out = figures["rejected_reasons_in_all"] - len(listed)
    others = f" The {left_out:,} rarest pairs of file and reason are left out of the table." if left_out else ""
    return (
        f"<h2>Rejected rows</h2><p>{figures['rejected']:,} input rows were rejected; all are in the table of rejected "
        f"rows. Here each file and reason is shown with its first row.{others}</p>"
        + _table(["File", "Reason", "#Rows", "#First line", "That line"], rows)
    )


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML. A column whose heading begins with "#" holds numbers and is aligned to the right."""
    classes = [' class="number"' if name.startswith("#") else "" for name in header]
    names = "".join(
        f"<th{style}>{escape(name.removeprefix('#'))}</th>" for style, name in zip(classes, header, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{style}>{cell}</td>' for style, cell in zip(classes, row, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="table"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _percent(part: int, whole: int) -> str:
    if not whole:
        return "–"
    percent = 100 * part / whole
    return "&lt;0.1%" if 0 < percent < 0.05 else f"{percent:.1f}%"


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _duration(seconds: int) -> str:
    for size, unit in ((365.25 * DAY, "years"), (DAY, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds} s"
