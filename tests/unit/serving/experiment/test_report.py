"""The report from logs to files, with logs as the gateway writes them."""

import datetime
import json
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from components.contracts.tables import INTERACTIONS, read_table
from components.foundation.errors import InputError
from reland.main import app
from serving.experiment.activity import activity_of_interactions, activity_of_logs
from serving.experiment.join import JoinConfig
from serving.experiment.user_days import ACTIVITY
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
