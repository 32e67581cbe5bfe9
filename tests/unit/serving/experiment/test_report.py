"""The report from logs to files, with logs as the gateway writes them."""

import datetime
import json
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from components.contracts.serving import OUTCOME_EVENTS
from components.contracts.tables import INTERACTIONS, USERS, read_table
from components.foundation.errors import InputError
from reland.main import app
from serving.experiment.activity import activity_of_interactions, activity_of_logs, beginning
from serving.experiment.join import JoinConfig
from serving.experiment.power import users_needed
from serving.experiment.user_days import ACTIVITY, ITEM_VALUES
from tests.performance.experiment_log import START, write_logs


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment") / "logs"
    write_logs(folder, 20_000, lift=0.5, seed=1)
    return folder


@pytest.fixture(scope="module")
def report(logs: Path) -> Path:
    output = logs.parent / "report"
    arguments = ["--logs", str(logs), "--activity", str(logs / "activity.parquet"), "--output", str(output)]
    result = CliRunner().invoke(app, ["experiment", "report", *arguments])
    assert result.exit_code == 0, result.output
    assert "Lift of candidate over control" in result.output
    return output


class Tables(HTMLParser):
    """The tables of a page as rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_the_page_has_the_papers_tables(report: Path) -> None:
    content = json.loads((report / "report.json").read_text())
    page = Tables((report / "report.html").read_text())
    assert "script" not in page.tags
    (days,) = [row for row in page.rows if row[:1] == ["Days"]]
    assert days == ["Days", "1", "2", "3", "4", "5", "Overall"]
    ctr = page.rows[page.rows.index(days) + 1]
    estimates = [day["metrics"]["ctr"] for day in content["analysis"]["by_day"]] + [
        content["analysis"]["overall"]["ctr"]
    ]
    assert ctr == ["CTR", *(f"{'*' * entry['significant']}{entry['lift']:+.2%}" for entry in estimates)]
    (levels,) = [row for row in page.rows if row[:1] == ["Activity level"]]
    assert levels[1:] == [level["name"] for level in content["analysis"]["by_level"]]


def test_a_large_true_lift_is_found_and_its_interval_covers_it(report: Path) -> None:
    ctr = json.loads((report / "report.json").read_text())["analysis"]["overall"]["ctr"]
    assert ctr["significant"] and ctr["low"] < 0.5 < ctr["high"]


def test_every_list_and_event_is_accounted_for(logs: Path, report: Path) -> None:
    join = json.loads((report / "report.json").read_text())["join"]
    events = sum(pq.read_metadata(path).num_rows for path in (logs / "events").glob("*.parquet"))
    assert join["lists"] == join["analysed_lists"] == 20_000
    assert sum(sum(counts.values()) for counts in join["events"].values()) == events


def test_guardrails_are_judged(report: Path) -> None:
    guarded = json.loads((report / "report.json").read_text())["guardrails"]
    assert guarded["measured_lists"] == 20_000
    assert not any(rail["breached"] for rail in guarded["judged"])


def test_activity_of_logs_ends_where_the_experiment_begins(logs: Path, tmp_path: Path) -> None:
    folders, output = (logs / "exposures", logs / "events"), tmp_path / "activity.parquet"
    assert not activity_of_logs(*folders, START, 28, output, JoinConfig())
    assert activity_of_logs(*folders, START + datetime.timedelta(days=2), 1, output, JoinConfig())
    done = read_table(output, ACTIVITY)
    assert pa.compute.sum(done["impressions"]).as_py() == pytest.approx(10 * 20_000 / 5, rel=0.1)  # of one day


def test_activity_of_interactions_by_hand(tmp_path: Path) -> None:
    behaviors = ("search", "click", "cart", "purchase", "click")
    rows = [
        {
            "user_id": "ada",
            "item_id": "a",
            "timestamp": 100 * number,
            "behavior": behavior,
            "sequence": number,
            "split_leave_one_out": "train",
        }
        for number, behavior in enumerate(behaviors)
    ]
    pq.write_table(pa.Table.from_pylist(rows, INTERACTIONS), tmp_path / "interactions.parquet")
    before = datetime.datetime.fromtimestamp(400, datetime.UTC)  # the last click is not before it
    activity_of_interactions(tmp_path, before, tmp_path / "activity.parquet", "1GiB")
    assert read_table(tmp_path / "activity.parquet", ACTIVITY).to_pylist() == [
        {"user_id": "ada", "impressions": 0, "clicks": 2, "conversions": 1}
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", "2"], "--alpha 2.0: expected a number between 0 and 1"),
        (["--window-hours", "0"], "--window-hours 0.0: expected a number above 0"),
        (["--metric", "clicks"], "--metric clicks: expected one of ctr, cvr"),
        (["--planned-users", "0"], "--planned-users 0: expected a number above 0"),
        (["--since", "yesterday"], "--since yesterday: expected a moment in ISO form"),
        (["--until", "2020-01-01"], "arm 'candidate': no list was served"),
        (["--candidate", "nobody"], "arm 'nobody': no list was served to its users; arms with lists: control"),
        (["--activity", "missing"], "missing: not readable|missing: no such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    logs: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    output = tmp_path / "report"
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(
            app,
            ["experiment", "report", "--logs", str(logs), "--output", str(output), *arguments],
            catch_exceptions=False,
        )
    assert not output.exists()


def report_of(logs: Path, output: Path, *arguments: str) -> dict:
    result = CliRunner().invoke(
        app, ["experiment", "report", "--logs", str(logs), "--output", str(output), *arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return json.loads((output / "report.json").read_text())


def test_days_of_the_experiment_are_never_what_was_before(logs: Path, tmp_path: Path) -> None:
    """The true lift is +50%: taking it for what was before took most of it away."""
    content = report_of(logs, tmp_path / "report", "--since", "2024-01-17")
    assert content["join"]["activity_until"] is None
    assert content["analysis"]["by_level"] == [] and content["analysis"]["cuped"] == {}
    ctr = content["analysis"]["overall"]["ctr"]
    assert ctr["low"] < 0.5 < ctr["high"]


def test_what_is_before_ends_with_the_rollout_that_its_history_dates_earlier(logs: Path, tmp_path: Path) -> None:
    started = START - datetime.timedelta(hours=30)
    for moment, expected in (
        (None, START),
        (started, datetime.datetime(2024, 1, 12, tzinfo=datetime.UTC)),
        (START + datetime.timedelta(days=2), START),
    ):
        assert beginning(logs / "exposures", ("candidate", "control"), None, moment, "UTC") == expected
    assert beginning(logs / "exposures", ("candidate", "control"), [4], None, "UTC") == START + datetime.timedelta(
        days=2
    )
    assert beginning(tmp_path, ("candidate", "control"), None, None, "UTC") is None


def test_clicks_after_the_start_on_lists_from_before_are_no_activity(tmp_path: Path) -> None:
    write_logs(tmp_path, 10, lift=0.0, seed=0)
    first = pq.read_table(tmp_path / "exposures").slice(0, 1).to_pylist()[0]
    request_id, user, item, served = first["request_id"], first["user_id"], first["items"][0], first["time"]
    cut = served + datetime.timedelta(minutes=5)
    clicks = [
        {
            "request_id": request_id,
            "item_id": item,
            "outcome": outcome,
            "time": served + datetime.timedelta(minutes=minutes),
        }
        for outcome, minutes in (("click", 4), ("conversion", 6))
    ]
    pq.write_table(pa.Table.from_pylist(clicks, OUTCOME_EVENTS), tmp_path / "events.parquet")
    activity_of_logs(
        tmp_path / "exposures", tmp_path / "events.parquet", cut, 1, tmp_path / "done.parquet", JoinConfig()
    )
    (done,) = [row for row in read_table(tmp_path / "done.parquet", ACTIVITY).to_pylist() if row["user_id"] == user]
    assert (done["clicks"], done["conversions"]) == (1, 0)


def test_immature_lists_are_marked_and_can_be_left_out(logs: Path, tmp_path: Path) -> None:
    marked = report_of(logs, tmp_path / "marked")["join"]
    assert marked["immature_from"] in ("2024-01-17", "2024-01-18") and marked["analysed_lists"] == 20_000
    left_out = report_of(logs, tmp_path / "left-out", "--mature")["join"]
    assert left_out["analysed_lists"] == 20_000 - marked["immature_lists"]
    assert marked["immature_lists"] == pytest.approx(20_000 / 5, rel=0.05)  # of the last of five days
    assert "Lists from 2024-01-1" in (tmp_path / "marked" / "report.html").read_text()


def test_values_and_attributes_are_more_metrics_and_groups(logs: Path, tmp_path: Path) -> None:
    items = [f"item-{number:05d}" for number in range(10_000)]
    pq.write_table(pa.table([items, [2.0] * len(items)], schema=ITEM_VALUES), tmp_path / "values.parquet")
    users = [f"user-{number:08d}" for number in range(2_000)]
    cities = ["Rome" if number % 2 else "Oslo" for number in range(2_000)]
    pq.write_table(pa.table([users, ["city"] * 2_000, cities], schema=USERS), tmp_path / "users.parquet")
    options = {"values": tmp_path / "values.parquet", "attributes": tmp_path / "users.parquet"}
    content = report_of(
        logs, tmp_path / "report", *(part for name, path in options.items() for part in (f"--{name}", str(path)))
    )
    totals = content["analysis"]["arms"]["candidate"]
    assert totals["value"] == 2 * totals["conversions"]
    assert [group["name"] for group in content["analysis"]["by_dimension"]["city"]] == ["Oslo", "Rome"]
    assert "Value per user, capped" in (tmp_path / "report" / "report.html").read_text()


def test_a_plan_says_how_many_users_and_days(logs: Path) -> None:
    arguments = ["--logs", str(logs), "--lift", "0.3", "--weight", "0.25", "--json"]
    result = CliRunner().invoke(app, ["experiment", "plan", *arguments], catch_exceptions=False)
    plan = json.loads(result.output)
    lengths = plan["lengths"]
    assert [length["days"] for length in lengths] == [1, 2, 3, 4, 5][: len(lengths)]
    users = [length["users"] for length in lengths]
    assert users == sorted(users) and 0.25 * 0.5 * 2_000 < users[-1] <= 0.25 * 2_000
    for length in lengths:
        assert length["detectable"] < length["detectable_with_looks"] and length["power"] > length["power_with_looks"]
    # As large as the plan wants it: the power is that of the formula n = 2 ((z + z) deviation / log(1 + lift))².
    needed = plan["needed"]
    assert needed["users"] >= users_needed(needed["deviation"], 0.3, 0.05, 0.8) - 1
    shown = CliRunner().invoke(app, ["experiment", "plan", *arguments[:-1]], catch_exceptions=False).output
    assert f"one test at the end: {needed['days']} days, {needed['users']:,} users an arm" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weight", "0.6"], "--weight 0.6: expected more than 0 and at most 0.5"),
        (["--lift", "0"], "--lift 0.0: expected a relative lift other than 0"),
        (["--metric", "clicks"], "--metric clicks: expected one of ctr, cvr"),
        (["--metric", "value_per_user"], "--metric value_per_user: expected --values"),
        (["--logs", "nowhere"], "nowhere/exposures: no list was served yet"),
    ],
)
def test_a_plan_of_bad_input_is_one_line(logs: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, ["experiment", "plan", "--logs", str(logs), *arguments], catch_exceptions=False)
