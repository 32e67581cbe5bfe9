import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from components.reports.charts import (
    BLUE,
    WIDTH,
    Axis,
    Bars,
    Intervals,
    Line,
    Points,
    bar_chart,
    interval_chart,
    line_chart,
    linear_axis,
    logarithmic_axis,
    point_chart,
    readable_bounds,
    short_number,
    spanning_axis,
)

SVG = "{http://www.w3.org/2000/svg}"


def test_numbers_are_short() -> None:
    numbers = (0, 0.25, 7, 950, 1_000, 12_500, 1_500_000, 2e9)
    assert [short_number(number) for number in numbers] == ["0", "0.25", "7", "950", "1k", "12.5k", "1.5M", "2G"]


@pytest.mark.parametrize(
    ("highest", "unit", "texts"),
    [
        (0, "", ["0", "1"]),
        (3, "", ["0", "1", "2", "3"]),
        (483, "", ["0", "100", "200", "300", "400", "500"]),
        (54_000, "", ["0", "20k", "40k", "60k"]),
        (6.2, "%", ["0%", "2%", "4%", "6%", "8%"]),
    ],
)
def test_linear_ticks_are_round(highest: float, unit: str, texts: list[str]) -> None:
    axis = linear_axis("label", highest, unit)
    assert [text for _, text in axis.ticks] == texts
    assert axis.ticks[-1][0] == axis.high >= highest


@pytest.mark.parametrize(
    ("highest", "texts"),
    [(1, ["1", "2"]), (30, ["1", "2", "5", "10", "20"]), (6_040, ["1", "10", "100", "1k"])],
)
def test_logarithmic_ticks(highest: float, texts: list[str]) -> None:
    axis = logarithmic_axis("label", highest)
    assert [text for _, text in axis.ticks] == texts
    assert axis.position(1) == 0
    assert 0 <= axis.position(highest) < 1


def test_logarithmic_position_by_hand() -> None:
    axis = Axis("", 1, 10_000, [], logarithmic=True)
    assert [axis.position(value) for value in (1, 10, 100, 10_000)] == [0, 0.25, 0.5, 1]


def test_bars_stand_on_one_another_to_scale() -> None:
    chart = bar_chart("t", "x", "y", ["p", "q"], [Bars("low", "#111111", [10, 0]), Bars("high", "#222222", [30, 20])])
    root = ElementTree.fromstring(chart)
    area = root.find(f"{SVG}rect[@class='plot-area']")
    assert area is not None
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert [bar.findtext(f"{SVG}title") for bar in bars] == ["p, low: 10", "p, high: 30", "q, high: 20"]
    top, height = float(area.get("y", "")), float(area.get("height", ""))
    # The axis ends at 40, so a bar of 10 takes a quarter of the height; the stack of 10 and 30 fills it.
    tall = [float(bar.get("height", "")) / height for bar in bars]
    assert tall == pytest.approx([0.25, 0.75, 0.5], abs=0.001)
    assert float(bars[1].get("y", "")) == pytest.approx(top, abs=0.1)


@pytest.mark.parametrize("count", [7, 30, 31, 36, 79])
def test_names_of_categories_do_not_run_into_each_other_or_over_the_edge(count: int) -> None:
    dates = [f"2024-01-{day:02}" for day in range(count)]
    root = ElementTree.fromstring(bar_chart("t", "x", "y", dates, [Bars("n", BLUE, [1] * count)]))
    shown = [text for text in root.iter(f"{SVG}text") if text.text in dates]
    places = [float(text.get("x", "")) for text in shown]
    assert len(shown) > 3
    assert min(right - left for left, right in pairwise(places)) > 10 * 6
    assert places[-1] + 10 * 6 / 2 < WIDTH


def test_lines_go_where_their_points_say() -> None:
    axis = Axis("x", 0, 10, [(0, "0")])
    root = ElementTree.fromstring(line_chart("t", axis, axis, [Line("n", BLUE, [[0, 0], [10, 10]], "8 4")]))
    area = root.find(f"{SVG}rect[@class='plot-area']")
    line = root.find(f"{SVG}polyline")
    assert area is not None
    assert line is not None
    left, top, width, height = (float(area.get(name, "")) for name in ("x", "y", "width", "height"))
    assert line.get("points") == f"{left:.1f},{top + height:.1f} {left + width:.1f},{top:.1f}"
    assert line.get("stroke-dasharray") == "8 4"


def test_points_go_where_they_say_and_later_groups_lie_above() -> None:
    axis = Axis("x", -1, 1, [(0, "0")])
    groups = [Points("all", BLUE, [[-1, -1], [0, 0]], 1.5), Points("few", "#111111", [[1, 1]], 3)]
    root = ElementTree.fromstring(point_chart("t", axis, axis, groups))
    area = root.find(f"{SVG}rect[@class='plot-area']")
    assert area is not None
    left, top, width, height = (float(area.get(name, "")) for name in ("x", "y", "width", "height"))
    assert [group.get("fill") for group in root.findall(f"{SVG}g")] == [BLUE, "#111111"]
    places = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in root.iter(f"{SVG}circle")]
    expected = [(left, top + height), (left + width / 2, top + height / 2), (left + width, top)]
    assert [value for place in places for value in place] == pytest.approx(sum(expected, ()), abs=0.1)


def test_every_text_is_escaped() -> None:
    evil = "<script>&\"'"
    axis = Axis(evil, 0, 1, [(0, evil)])
    charts = [
        line_chart(evil, axis, axis, [Line(evil, BLUE, [[0, 0]])]),
        point_chart(evil, axis, axis, [Points(evil, BLUE, [[0, 0]], 1)]),
        bar_chart(evil, evil, evil, [evil], [Bars(evil, BLUE, [1]), Bars(evil, BLUE, [1])]),
    ]
    for chart in charts:
        assert "<script" not in chart
        assert ElementTree.fromstring(chart).get("aria-label") == evil


def test_an_interval_far_wider_than_the_others_does_not_decide_the_axis() -> None:
    points = [(1.0, -50.0, 5.0, 2.5e8), (2.0, -4.0, 3.0, 10.0), (3.0, -2.0, 4.0, 10.0)]
    assert readable_bounds(points) == (-4.0, 10.0)  # three times 10 is the limit, so -50 is beyond as well
    assert readable_bounds(points[1:]) == (-4.0, 10.0)


def test_an_interval_beyond_the_axis_is_cut_with_an_arrow() -> None:
    x_axis, y_axis = Axis("x", 0.5, 1.5, []), spanning_axis("y", -4.0, 10.0)
    whole = interval_chart("title", x_axis, y_axis, [Intervals("a", "#000000", [(1.0, -4.0, 3.0, 10.0)])])
    cut = interval_chart("title", x_axis, y_axis, [Intervals("a", "#000000", [(1.0, -4.0, 3.0, 2.5e8)])])
    assert "polyline" not in whole and cut.count("<polyline") == 1
    heights = [float(place) for place in re.findall(r'y[12]="(-?[\d.]+)"', cut)]
    assert min(heights) >= 0 and max(heights) <= 340


def test_a_lines_end_beyond_the_axis_is_at_its_edge() -> None:
    chart = line_chart(
        "title", Axis("x", 0, 2, []), spanning_axis("y", -1.0, 1.0), [Line("a", "#000000", [(0, 0), (1, 99)])]
    )
    (points,) = re.findall(r'polyline points="([^"]+)"', chart)
    assert all(0 <= float(place.split(",")[1]) <= 340 for place in points.split())
