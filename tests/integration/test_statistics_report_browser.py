"""The statistics report in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, ITEMS_FILE, REJECTED_FILE
from components.contracts.tables import BEHAVIORS, INTERACTIONS, ITEMS, REJECTED
from components.data_preparation.report.statistics_report import write_statistics
from components.reports.charts import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

pytestmark = pytest.mark.services

USERS, ITEM_COUNT, ROWS = 400, 200, 6_000
EVIL = '<script>document.body.innerHTML = "owned"</script><img src=x onerror="document.body.innerHTML = 1">'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of heavy-tailed traffic with every behaviour, and with markup wherever the data have text."""
    folder = tmp_path_factory.mktemp("prepared")
    generator = np.random.default_rng(11)
    users = np.minimum(generator.zipf(1.3, ROWS), USERS)
    items = np.minimum(generator.zipf(1.4, ROWS), ITEM_COUNT)
    hours = (generator.normal(15, 4, ROWS) % 24) + 24 * generator.integers(0, 40, ROWS)
    behaviors = generator.choice(BEHAVIORS, ROWS, p=[0.1, 0.5, 0.1, 0.1, 0.1, 0.1])
    interactions = {
        "user_id": [f"user {user}" for user in users],
        "item_id": [f"item {item}" for item in items],
        "timestamp": 1_700_000_000 + (hours * 3_600).astype(np.int64),
        "behavior": behaviors.tolist(),
        "value": pa.nulls(ROWS, pa.float64()),
        "query": pa.nulls(ROWS, pa.string()),
        "scene": pa.nulls(ROWS, pa.string()),
        "sequence": np.arange(ROWS),
        "split_leave_one_out": generator.choice(["train", "valid", "test"], ROWS, p=[0.8, 0.1, 0.1]).tolist(),
    }
    ids = sorted(set(interactions["item_id"]))
    catalogue = [
        {"item_id": item, "title": EVIL, "brand": EVIL, "categories": [EVIL], "description": ""} for item in ids
    ]
    rejected = [{"file": EVIL, "source_line": line, "reason": EVIL, "raw": EVIL} for line in range(3)]
    pq.write_table(pa.table(interactions, INTERACTIONS), folder / INTERACTIONS_FILE)
    pq.write_table(pa.Table.from_pylist(catalogue, ITEMS), folder / ITEMS_FILE)
    pq.write_table(pa.Table.from_pylist(rejected, REJECTED), folder / REJECTED_FILE)
    write_statistics(folder)
    return folder / "statistics.html"


@pytest.fixture(scope="module")
def seen(
    show_page: Callable[[Path], tuple[dict[str, Any], np.ndarray]], report: Path
) -> tuple[dict[str, Any], np.ndarray]:
    return show_page(report)


def pixels(picture: np.ndarray, box: list[float], color: str) -> int:
    """How many pixels inside `box` have `color`, give or take what smoothing and colour profiles do."""
    left, top, right, bottom = (round(side) for side in box)
    wanted = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)])
    return int((np.abs(picture[top:bottom, left:right].astype(int) - wanted).max(axis=-1) <= 12).sum())


# The colours that each chart must show inside its plot area, so its title, its axes and its legend do not count.
DRAWN = {
    "Long tail: interactions by rank": (BLUE, VERMILLION),
    "Share of interactions held by the top x%": (BLUE, VERMILLION),
    "Users by number of interactions": (BLUE,),
    "Items by number of interactions": (VERMILLION,),
    "Interactions by hour of day and behaviour": (SKY, BLUE, PURPLE, ORANGE, VERMILLION, GREEN),
    "Daily profile of each behaviour": (SKY, BLUE, PURPLE, ORANGE, VERMILLION, GREEN),
    "Interactions by behaviour": (BLUE,),
    "Interactions over time": (BLUE,),
}


def test_every_chart_is_drawn(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, picture = seen
    assert [chart["title"] for chart in found["charts"]] == list(DRAWN)
    for chart in found["charts"]:
        left, top, right, bottom = chart["area"]
        assert right - left > 300, chart
        assert bottom - top > 120, chart
        for color in DRAWN[chart["title"]]:
            assert pixels(picture, chart["area"], color) > 100, f"{chart['title']}: nothing is drawn in {color}"
        assert pixels(picture, chart["area"], "#ffffff") > 2_000, f"{chart['title']}: no light background"


def test_the_curves_of_the_long_tail_fall_from_left_to_right(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, picture = seen
    left, top, right, bottom = found["charts"][0]["area"]
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    assert pixels(picture, [left, top, middle_x, middle_y], BLUE) > 100
    assert pixels(picture, [middle_x, middle_y, right, bottom], BLUE) > 100
    assert pixels(picture, [middle_x, top, right, middle_y], BLUE) == 0


def test_texts_are_drawn_inside_their_chart_and_apart_from_each_other(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, picture = seen
    for chart in found["charts"]:
        left, top, right, bottom = chart["box"]
        for box in chart["texts"]:
            assert left - 1 <= box[0] < box[2] <= right + 1, chart["title"]
            assert top - 1 <= box[1] < box[3] <= bottom + 1, chart["title"]
            part = picture[round(box[1]) : round(box[3]), round(box[0]) : round(box[2])]
            assert part.min() < 160, f"{chart['title']}: a text is not drawn"
        boxes = chart["texts"]
        for index, one in enumerate(boxes):
            for other in boxes[index + 1 :]:
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert apart, f"{chart['title']}: texts at {one} and {other} overlap"


def test_the_page_is_whole(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, picture = seen
    height, width, _ = picture.shape
    assert found["bottom"] < height
    assert found["width"] <= width, "the page must be scrolled sideways"
    assert "Colours are Okabe and Ito" in found["text"]
    assert f"{ROWS:,}" in found["text"]


def test_markup_of_the_data_stays_text(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, _ = seen
    assert found["foreign"] == 0
    assert EVIL in found["text"]
