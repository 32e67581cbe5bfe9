import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from components.data_preparation.report.figures import figures
from components.data_preparation.report.statistics_page import render
from components.reports.page import moment, visible

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "br", "img", "link", "input"}


class Tags(HTMLParser):
    """Tags and attributes of a page; fails where an end tag does not close what was opened last."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.attributes: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, Any]]) -> None:
        self.found.append(tag)
        self.attributes += [name for name, _ in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, Any]]) -> None:
        self.found.append(tag)
        self.attributes += [name for name, _ in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def charts(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]


def titles(page: str) -> list[str | None]:
    return [chart.get("aria-label") for chart in charts(page)]


def check_whole(page: str) -> None:
    """A page that an analyst can be shown: every element closed, every chart drawn with numbers, nothing from afar."""
    tags = Tags(page)
    assert not {"script", "img", "iframe", "link", "object", "a"} & set(tags.found)
    assert not {"src", "href", "onerror", "onclick", "onload"} & set(tags.attributes)
    assert set(re.findall(r"https?://[^\"' ]*", page)) <= {"http://www.w3.org/2000/svg"}
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", page.lower())
    for chart in charts(page):
        marks = [element for element in chart.iter() if element.tag.endswith(("polyline", "rect", "circle"))]
        assert len(marks) > 1, "only the plot area is there"


def test_all_charts_and_their_explanations(prepared: Callable[..., Path]) -> None:
    rows = [
        {"user_id": str(user), "item_id": str(item), "timestamp": 3_600 * (user + item), "behavior": behavior}
        for user in range(9)
        for item, behavior in enumerate(["search", "click", "favourite", "cart", "purchase", "rating"])
    ]
    page = render(figures(prepared(rows)))
    check_whole(page)
    assert titles(page) == [
        "Long tail: interactions by rank",
        "Share of interactions held by the top x%",
        "Users by number of interactions",
        "Items by number of interactions",
        "Interactions by hour of day and behaviour",
        "Daily profile of each behaviour",
        "Interactions by behaviour",
        "Interactions over time",
    ]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert len(captions) == 8
    assert all(len(caption) > 40 for caption in captions)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"user_id": "a", "item_id": "x"}], id="one interaction"),
        pytest.param([{"user_id": "a", "item_id": str(item), "timestamp": item} for item in range(7)], id="one user"),
        pytest.param([{"user_id": str(user), "item_id": "x"} for user in range(300)], id="one item, one time"),
        pytest.param([{"user_id": "a", "item_id": "x"}] * 3, id="the same row"),
        pytest.param(
            [{"user_id": "a", "item_id": "x", "timestamp": time} for time in (0, 1_831_410_000_000)],
            id="years 1970 and 60005",
        ),
        pytest.param([{"user_id": "a", "item_id": "x", "behavior": "teleport"}], id="an unknown behaviour"),
    ],
)
def test_odd_data(prepared: Callable[..., Path], rows: list[dict[str, Any]]) -> None:
    page = render(figures(prepared(rows)))
    check_whole(page)
    assert len(charts(page)) == 6
    assert "Every row was accepted." in page


def test_what_comes_from_the_data_is_escaped(prepared: Callable[..., Path]) -> None:
    rows = [{"user_id": EVIL, "item_id": EVIL, "behavior": behavior, f"split_{EVIL}": EVIL} for behavior in (EVIL, "b")]
    items = [{"item_id": EVIL, "title": EVIL, "brand": EVIL, "categories": [EVIL], "description": EVIL}]
    rejected = [{"file": EVIL, "source_line": 1, "reason": EVIL, "raw": EVIL}]
    page = render(figures(prepared(rows, items, rejected)))
    check_whole(page)
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)") > 6


def test_what_cannot_be_seen_is_spelled_out() -> None:
    assert visible("a\0b\x1b[31m\u202ec\té\U0001f600") == r"a\x00b\x1b[31m\u202ec\té" + "\U0001f600"
    assert visible("x" * 301) == "x" * 300 + "…"


def test_a_cut_never_lies_inside_an_escape() -> None:
    assert visible("&" * 400) == "&amp;" * 300 + "…"


def test_moments() -> None:
    assert moment(956_703_932) == "2000-04-25 23:05:32"
    assert moment(-1) == "1969-12-31 23:59:59"
    assert moment(1_831_410_000_000) == "60005-01-27 00:00:00"


def test_dates_without_times_are_pointed_out(prepared: Callable[..., Path]) -> None:
    rows = [{"user_id": "a", "item_id": "x", "timestamp": 86_400 * day} for day in range(3)]
    assert "dates without times" in render(figures(prepared(rows)))
    rows[0]["timestamp"] = 1
    assert "dates without times" not in render(figures(prepared(rows)))
