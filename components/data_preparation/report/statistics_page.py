"""The statistics report as one HTML page; its charts are inline."""

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
    Bars,
    Line,
    bar_chart,
    line_chart,
    linear_axis,
    logarithmic_axis,
    short_number,
)
from components.reports.page import many, moment, page, percent, table, tiles, visible

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
FOOTER = """Hours and dates are UTC. Colours are Okabe and Ito's, which do not depend on telling red from green;
lines also differ by their dashes. Bars tell their numbers when pointed at; all numbers are in the JSON file beside this
page."""


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
    return page("Data statistics", sections, FOOTER)


def _overview(figures: dict[str, Any]) -> str:
    entries = [
        (f"{figures['users']:,}", "users"),
        (f"{figures['items']:,}", "items"),
        (f"{figures['interactions']:,}", "interactions"),
        (f"{figures['interactions_per_user']:,}", "interactions per user"),
        (f"{figures['sparsity_percent']}%", "sparsity"),
        (_duration(figures["last_timestamp"] - figures["first_timestamp"]), "time span"),
        (f"{figures['rejected']:,}", "rows rejected"),
    ]
    return (
        "<h1>Data statistics</h1>"
        f"<p>Interactions from {moment(figures['first_timestamp'])} to {moment(figures['last_timestamp'])}, "
        "after validation and filtering. Sparsity is the share of user-item pairs without any interaction.</p>"
        + tiles(entries)
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
        f"The highest bar: {largest['holders']:,} of {total:,} {name} ({percent(largest['holders'], total)}) have "
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
    shares = ", ".join(f"{visible(name)} {count:,} ({percent(count, total)})" for name, count in counts.items())
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
        f"({percent(counts[peak], sum(counts))} of all).",
    )


def _splits_and_cold(figures: dict[str, Any]) -> str:
    sizes = [
        [
            PROTOCOLS.get(protocol, visible(protocol)),
            visible(split),
            f"{size['interactions']:,}",
            percent(size["interactions"], figures["interactions"]),
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
            f"{counts['without_training']:,} ({percent(counts['without_training'], counts['in_test'])})",
            f"{counts['few_training']:,} ({percent(counts['few_training'], counts['in_test'])})",
        ]
        for protocol in figures["splits"]
        for kind in ("users", "items")
        for counts in [cold[kind]["splits"][protocol]]
    ]
    new = {kind: cold[kind]["new_on_last_day"] for kind in ("users", "items")}
    return (
        "<h2>Splits and cold start</h2>"
        + table(["Protocol", "Split", "#Interactions", "#Share", "#Users", "#Items", "#From", "#To"], sizes)
        + f"<p>A user or item is cold in a split if it is tested with fewer than {cold['fewer_than']} training "
        "interactions. Users and items that filtering removed for too few interactions are not counted here.</p>"
        + table(["Protocol", "Cold", "#In the test set", "#Without training", few], shares)
        + f"<p>New on the last day: {many(new['users'], 'user')} ({percent(new['users'], figures['users'])}) and "
        f"{many(new['items'], 'item')} ({percent(new['items'], figures['items'])}). Their first interaction lies in "
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
        [visible(name), f"{count:,}", percent(count, figures["items"])]
        for name, count in figures["items_with_attribute"].items()
    ]
    bare = figures["items_without_metadata"]
    return (
        "<h2>Items</h2>"
        f"<p>{bare:,} of {figures['items']:,} items ({percent(bare, figures['items'])}) have no metadata at all.</p>"
        + '<div class="grid">'
        + table(["Most popular items", "Title", "#Interactions"], popular)
        + table(["Attribute", "#Items that have it", "#Share"], attributes)
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
        + table(["File", "Reason", "#Rows", "#First line", "That line"], rows)
    )


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def _duration(seconds: int) -> str:
    for size, unit in ((365.25 * DAY, "years"), (DAY, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds} s"
