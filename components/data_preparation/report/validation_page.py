"""The validation report as one HTML page."""

from typing import Any

from components.reports.page import many, moment, page, percent, table, tiles, visible

FOOTER = """Dates are UTC. Rows are shown as they were read, long ones cut, with control characters spelled out.
All numbers are in the JSON file beside this page; every rejected row of a run that went on is in rejected.parquet."""

FILES_SHOWN = 200
KINDS = {"interactions": "Interactions", "items": "Items", "users": "Users"}
REFERENCES = {
    "items_without_metadata": "Items of interactions that no file describes; they are kept, with empty texts",
    "interactions_with_them": "Interactions with such items",
    "items_without_interactions": "Described items that nobody interacted with; they are left out",
    "users_without_profile": "Users of interactions that no file describes; they are kept",
    "profiles_without_interactions": "Described users without interactions; they are left out",
}
DUPLICATES = {
    "duplicate": "Interactions that equal an earlier one in every column; the first is kept",
    "duplicate item": "Items described again in the same file; the first is kept (a later file replaces it)",
    "duplicate user attribute": "Rows that repeat an attribute of a user in the same file; the first is kept",
}


def render(validation: dict[str, Any]) -> str:
    """The page that shows `validation_report.validation(...)`."""
    sections = [
        _overview(validation),
        _files(validation),
        _reasons(validation["files"]),
        _consistency(validation),
        _time(validation["time"]),
        _rules(validation),
    ]
    return page("Data validation", sections, FOOTER)


def _overview(validation: dict[str, Any]) -> str:
    files = validation["files"]
    read, accepted, rejected = (sum(file[key] for file in files) for key in ("read", "accepted", "rejected"))
    stopped = validation["stopped"]
    return (
        "<h1>Data validation</h1>"
        f"<p>What became of each row of {visible(validation['name'])}, read as {visible(validation['format'])}: "
        "accepted + rejected = read.</p>"
        + (f'<p class="note"><b>The run was stopped.</b> {visible(stopped)}</p>' if stopped else "")
        + tiles(
            [
                (f"{read:,}", "rows read"),
                (f"{accepted:,}", "accepted"),
                (f"{rejected:,}", "rejected"),
                (percent(rejected, read), "of the rows rejected"),
                (
                    f"{100 * validation['max_rejected']:.3g}%",
                    "of a file may be faults, which repeats are not (RELAND_MAX_REJECTED)",
                ),
            ]
        )
    )


def _files(validation: dict[str, Any]) -> str:
    # Those with the largest share of rejected rows, repeats among them, first; a file that was empty has none.
    files = sorted(validation["files"], key=lambda file: -file["rejected"] / max(file["read"], 1))
    rows = [
        [
            visible(file["file"]),
            KINDS.get(file["kind"], visible(file["kind"])),
            f"{file['read']:,}",
            f"{file['accepted']:,}",
            f"{file['rejected']:,}",
            f"{file['repeated']:,}",
            percent(file["rejected"] - file["repeated"], file["read"]),
            "<b>more than allowed</b>" if file["too_many"] else "within the limit",
        ]
        for file in files[:FILES_SHOWN]
    ]
    left_out = len(files) - len(rows)
    note = f"<p>{many(left_out, 'further file')} with no larger share of rejected rows.</p>" if left_out else ""
    header = [
        "File",
        "What it holds",
        "#Read",
        "#Accepted",
        "#Rejected",
        "#Of them repeats",
        "#Share of faults",
        "Verdict",
    ]
    return "<h2>Files</h2>" + table(header, rows) + note


def _reasons(files: list[dict[str, Any]]) -> str:
    at_fault = [file for file in files if file["rejected"]]
    if not at_fault:
        return "<h2>Rejected rows</h2><p>Every row was accepted.</p>"
    parts = ["<h2>Rejected rows</h2><p>By file and reason, the most frequent first, with the first rows of each.</p>"]
    for file in at_fault[:FILES_SHOWN]:
        rows = [
            [
                visible(group["reason"]),
                f"{group['rows']:,}",
                "<br>".join(f"{example['source_line']:,}" for example in group["examples"]),
                "<br>".join(f"<code>{visible(example['raw'])}</code>" for example in group["examples"]),
            ]
            for group in file["reasons"]
        ]
        left_out = file["reasons_in_all"] - len(rows)
        note = f"<p>{many(left_out, 'rarer reason')} left out.</p>" if left_out else ""
        parts += [f"<h3>{visible(file['file'])}</h3>", table(["Reason", "#Rows", "#Line", "What it says"], rows), note]
    left_out = len(at_fault) - FILES_SHOWN
    return "".join(parts) + (f"<p>{many(left_out, 'further file')} with rejected rows.</p>" if left_out > 0 else "")


def _consistency(validation: dict[str, Any]) -> str:
    counted = [
        *((DUPLICATES.get(name, visible(name)), count) for name, count in validation["duplicates"].items()),
        *(
            (REFERENCES.get(name, visible(name.replace("_", " "))), count)
            for name, count in validation["references"].items()
        ),
    ]
    rows = [[text, f"{count:,}"] for text, count in counted]
    return "<h2>Duplicates and references</h2>" + table(["What was looked for", "#Found"], rows)


def _time(time: dict[str, Any] | None) -> str:
    if time is None:
        return "<h2>Times</h2><p>No interaction was accepted.</p>"
    total, middle = time["interactions"], time["middle_98_percent"]
    first_day, last_day = (moment(middle[key]).split(" ")[0] for key in ("first_day", "last_day"))
    rows = [
        ["Earliest interaction", moment(time["first_timestamp"])],
        ["Latest interaction", moment(time["last_timestamp"])],
        ["98% of the interactions are on the days", f"{first_day} to {last_day}"],
        ["Days from the earliest to the latest", f"{time['days']:,}"],
        ["Days without any interaction among them", f"{time['days_without_interactions']:,}"],
        ["Longest run of such days", f"{time['longest_gap_days']:,}"],
        [
            "On the first day of 1970, which often stands for no time",
            f"{time['on_the_first_day_of_1970']:,} ({percent(time['on_the_first_day_of_1970'], total)})",
        ],
        [
            "At midnight, which often stands for a date without a time",
            f"{time['at_midnight']:,} ({percent(time['at_midnight'], total)})",
        ],
    ]
    return (
        "<h2>Times</h2><p>Of the accepted interactions. A few times far from the others are often of another unit.</p>"
        + table(["What was looked at", "#Found"], rows)
    )


def _rules(validation: dict[str, Any]) -> str:
    parts = [
        "<h2>Rules</h2><p>The declared schemas. Where several reasons hold for a row, only the first is given. Before "
        "them the format refuses what it cannot read, such as a row with too few fields.</p>"
    ]
    for kind, columns in validation["rules"].items():
        rows = [
            [
                f"<code>{visible(column['column'])}</code>",
                visible(column["type"]),
                "<br>".join(visible(reason) for reason in column["rejected_for"]),
            ]
            for column in columns
        ]
        heading = KINDS.get(kind, visible(kind))
        parts.append(f"<h3>{heading}</h3>" + table(["Column", "Type", "A row is rejected for"], rows))
    return "".join(parts)
