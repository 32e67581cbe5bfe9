"""Line, bar and point charts as plain SVG text: no script, no library, equal bytes for equal numbers.

A chart is a fixed drawing of `WIDTH` by `HEIGHT` units that scales with the page. Coordinates grow to the right and
down, as in SVG.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 74, 18, 44, 58
LEGEND_LINE = 20
WIDEST = 3.0  # of `readable_bounds`
CHARACTER = 6.6  # mean width of a character at the legend's size

# Okabe and Ito's colours, which people who do not tell red from green can tell apart.
BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
GREY = "#7f7f7f"
INK, FAINT, LINE = "#24292f", "#57606a", "#e4e7eb"


@dataclass(frozen=True)
class Axis:
    """One axis: `position` maps a value between `low` and `high` to 0 to 1."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def position(self, value: float) -> float:
        """Where a value stands between the ends of the axis: 0 at the low end, 1 at the high one."""
        scale: Callable[[float], float] = math.log10 if self.logarithmic else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


@dataclass(frozen=True)
class Line:
    """Points (x, y) in the order of x. `dash` is SVG's stroke-dasharray, so that lines differ not by colour alone."""

    name: str
    color: str
    points: Sequence[Sequence[float]]
    dash: str = ""


@dataclass(frozen=True)
class Points:
    """Unconnected points (x, y), each a dot of `radius` units."""

    name: str
    color: str
    points: Sequence[Sequence[float]]
    radius: float


@dataclass(frozen=True)
class Intervals:
    """Estimates (x, low, estimate, high), each a dot on a line from low to high."""

    name: str
    color: str
    points: Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Bars:
    """One value for each category of a bar chart."""

    name: str
    color: str
    values: Sequence[int]


def short_number(value: float) -> str:
    """1500000 as "1.5M": at most three digits and a unit."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def linear_axis(label: str, highest: float, unit: str = "") -> Axis:
    """From 0 to a round number not below `highest`, with about five ticks."""
    rough = max(highest, 1) / 5
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    if not unit:
        step = max(1, math.ceil(step))  # counts have no fractions
    steps = math.ceil(max(highest, 1) / step)
    return Axis(
        label, 0, steps * step, [(index * step, short_number(index * step) + unit) for index in range(steps + 1)]
    )


def readable_bounds(points: Sequence[tuple[float, float, float, float]]) -> tuple[float, float]:
    """The range of (x, low, estimate, high) in which most intervals can be read, where a few are far wider than others.

    It holds every estimate and every end that is not further from 0 than `WIDEST` times the farthest end of the median
    interval or the farthest estimate; a chart draws what is beyond with an arrow.
    """
    ends = sorted(max(abs(low), abs(high)) for _, low, _, high in points)
    estimates = [estimate for _, _, estimate, _ in points]
    limit = WIDEST * max(ends[(len(ends) - 1) // 2], *map(abs, estimates))
    values = [*estimates, *(end for _, low, _, high in points for end in (low, high) if abs(end) <= limit)]
    return min(values), max(values)


def spanning_axis(label: str, low: float, high: float, unit: str = "") -> Axis:
    """From a round number not above `low` to one not below `high`, and 0 is between; with about six ticks."""
    low, high = min(low, 0.0), max(high, 0.0)
    rough = (high - low) / 5 or 0.2
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    values = [index * step for index in range(first, last + 1)]
    return Axis(label, values[0], values[-1], [(value, f"{value:.3g}{unit}") for value in values])


def logarithmic_axis(label: str, highest: float) -> Axis:
    """From 1 to a little above `highest`, with a tick at every power of ten, or at 1, 2 and 5 of it where few fit."""
    high = max(highest * 1.15, 2)
    factors = (1,) if high > 300 else (1, 2, 5)
    values = [factor * 10**exponent for exponent in range(math.ceil(math.log10(high)) + 1) for factor in factors]
    return Axis(label, 1, high, [(value, short_number(value)) for value in values if value <= high], logarithmic=True)


def line_chart(title: str, x_axis: Axis, y_axis: Axis, lines: Sequence[Line]) -> str:
    """Lines over two numeric axes; what is beyond the vertical one is drawn at its edge."""
    frame = _Frame(title, [(line.name, line.color, line.dash) for line in lines])
    grid = [frame.horizontal(y_axis), frame.vertical(x_axis)]
    drawn = []
    for line in lines:
        places = [
            (frame.x(x_axis.position(x)), frame.y(y_axis.position(min(max(y, y_axis.low), y_axis.high))))
            for x, y in line.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{line.color}" stroke-width="2.5" '
            f'stroke-linejoin="round"{dash}/>'
        )
        if len(places) == 1:  # which has no line
            x, y = places[0]
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{line.color}"/>')
    return frame.svg([*grid, *drawn])


def interval_chart(title: str, x_axis: Axis, y_axis: Axis, groups: Sequence[Intervals]) -> str:
    """Estimates with their intervals over two numeric axes, and a line at 0 where the vertical axis has it.

    An end beyond the axis is cut there, with an arrow in place of the end's bar.
    """
    frame = _Frame(title, [(group.name, group.color, None) for group in groups] if len(groups) > 1 else [])
    drawn = [frame.horizontal(y_axis), frame.vertical(x_axis, grid=False)]
    if y_axis.low < 0 < y_axis.high:
        zero = frame.y(y_axis.position(0))
        drawn.append(_segment(LEFT, zero, WIDTH - RIGHT, zero, FAINT))
    for group in groups:
        for x, low, estimate, high in group.points:
            place = frame.x(x_axis.position(x))
            ends = [frame.y(y_axis.position(min(max(value, y_axis.low), y_axis.high))) for value in (low, high)]
            drawn.append(_segment(place, ends[0], place, ends[1], group.color, ' stroke-width="2.5"'))
            for value, end, sign in ((low, ends[0], -1), (high, ends[1], 1)):
                if y_axis.low <= value <= y_axis.high:
                    drawn.append(_segment(place - 5, end, place + 5, end, group.color, ' stroke-width="1.5"'))
                else:
                    wing = end + sign * 8
                    arrow = f"{place - 5:.1f},{wing:.1f} {place:.1f},{end:.1f} {place + 5:.1f},{wing:.1f}"
                    drawn.append(f'<polyline points="{arrow}" fill="none" stroke="{group.color}" stroke-width="2"/>')
            center = frame.y(y_axis.position(estimate))
            drawn.append(f'<circle cx="{place:.1f}" cy="{center:.1f}" r="4.5" fill="{group.color}"/>')
    return frame.svg(drawn)


def point_chart(title: str, x_axis: Axis, y_axis: Axis, groups: Sequence[Points]) -> str:
    """Points over two numeric axes; a later group lies over the ones before it."""
    frame = _Frame(title, [(group.name, group.color, None) for group in groups])
    drawn = [frame.horizontal(y_axis), frame.vertical(x_axis)]
    for group in groups:
        places = [(frame.x(x_axis.position(x)), frame.y(y_axis.position(y))) for x, y in group.points]
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{group.radius}"/>' for x, y in places)
        drawn.append(f'<g fill="{group.color}" fill-opacity="0.6">{dots}</g>')
    return frame.svg(drawn)


def bar_chart(
    title: str,
    x_label: str,
    y_label: str,
    categories: Sequence[str],
    stacked: Sequence[Bars],
    short_names: Sequence[str] | None = None,
) -> str:
    """Bars over named categories, several values of a category one on the other, the first lowest.

    Every bar says its category and number when pointed at. Under the bars stand `short_names`, by default the names of
    the categories; where they would run into each other or over the edge, some are left
    out.
    """
    names = categories if short_names is None else short_names
    totals = [sum(values) for values in zip(*(bars.values for bars in stacked), strict=True)]
    y_axis = linear_axis(y_label, max(totals))
    frame = _Frame(title, [(bars.name, bars.color, None) for bars in stacked] if len(stacked) > 1 else [])
    slot = 1 / len(categories)
    longest = max(map(len, names))
    every = math.ceil((longest + 1.5) * CHARACTER / ((WIDTH - LEFT - RIGHT) * slot))
    places = [((index + 0.5) * slot, name) for index, name in enumerate(names) if index % every == 0]
    ticks = [(place, name) for place, name in places if frame.x(place) + len(name) * CHARACTER / 2 < WIDTH]
    grid = [frame.horizontal(y_axis), frame.vertical(Axis(x_label, 0, 1, ticks), grid=False)]
    drawn = []
    for index, category in enumerate(categories):
        left, right = frame.x((index + 0.1) * slot), frame.x((index + 0.9) * slot)
        below = 0
        for bars in stacked:
            value = bars.values[index]
            if value:
                bottom, top = frame.y(y_axis.position(below)), frame.y(y_axis.position(below + value))
                drawn.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" '
                    f'fill="{bars.color}"><title>{escape(f"{category}, {bars.name}: {value:,}")}</title></rect>'
                )
            below += value
    return frame.svg([*grid, *drawn])


class _Frame:
    """Title, legend and plot area of a chart. `x` and `y` map 0 to 1 to the plot area, y upwards."""

    def __init__(self, title: str, legend: Sequence[tuple[str, str, str | None]]):
        self.title = title
        self.legend, rows = _legend(legend)
        self.top = TOP + rows * LEGEND_LINE

    def x(self, position: float) -> float:
        return LEFT + position * (WIDTH - LEFT - RIGHT)

    def y(self, position: float) -> float:
        return HEIGHT - BOTTOM - position * (HEIGHT - BOTTOM - self.top)

    def horizontal(self, axis: Axis) -> str:
        """Grid, ticks and label of the vertical axis."""
        marks = []
        for value, text in axis.ticks:
            y = self.y(axis.position(value))
            marks.append(_segment(LEFT, y, WIDTH - RIGHT, y, LINE))
            marks.append(_text(LEFT - 8, y + 4, text, anchor="end"))
        middle = (self.top + HEIGHT - BOTTOM) / 2
        turned = f' transform="rotate(-90 16 {middle:.1f})"'
        return "".join([*marks, _text(16, middle, axis.label, color=INK, extra=turned)])

    def vertical(self, axis: Axis, grid: bool = True) -> str:
        """Grid (or none), ticks and label of the horizontal axis."""
        bottom = HEIGHT - BOTTOM
        marks = []
        for value, text in axis.ticks:
            x = self.x(axis.position(value))
            marks.append(_segment(x, self.top if grid else bottom, x, bottom + 4, LINE if grid else FAINT))
            marks.append(_text(x, bottom + 19, text))
        marks.append(_segment(LEFT, bottom, WIDTH - RIGHT, bottom, FAINT))
        return "".join([*marks, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, axis.label, color=INK)])

    def svg(self, parts: Iterable[str]) -> str:
        area = (
            f'<rect class="plot-area" x="{LEFT}" y="{self.top}" width="{WIDTH - LEFT - RIGHT}" '
            f'height="{HEIGHT - BOTTOM - self.top}" fill="#ffffff"/>'
        )
        title = _text(LEFT, 24, self.title, anchor="start", color=INK, extra=' font-size="15" font-weight="600"')
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(self.title)}" font-family="system-ui, sans-serif" font-size="12">'
            f"{area}{title}{self.legend}{''.join(parts)}</svg>"
        )


def _legend(entries: Sequence[tuple[str, str, str | None]]) -> tuple[str, int]:
    """Marks and names in as many rows as they need; a mark is a line with its dash, or a square where dash is None."""
    parts, row, left = [], 0, float(LEFT)
    for name, color, dash in entries:
        mark = 12 if dash is None else 26
        width = mark + 6 + len(name) * CHARACTER + 18
        if left > LEFT and left + width > WIDTH:
            row, left = row + 1, float(LEFT)
        y = TOP + row * LEGEND_LINE
        if dash is None:
            parts.append(f'<rect x="{left:.1f}" y="{y - 7}" width="{mark}" height="12" fill="{color}"/>')
        else:
            dashes = f' stroke-dasharray="{dash}"' if dash else ""
            parts.append(_segment(left, y - 1, left + mark, y - 1, color, f' stroke-width="2.5"{dashes}'))
        parts.append(_text(left + mark + 6, y + 3, name, anchor="start", color=INK))
        left += width
    return "".join(parts), (row + 1 if entries else 0)


def _segment(x1: float, y1: float, x2: float, y2: float, color: str, extra: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{extra}/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", color: str = FAINT, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{extra}>{escape(text)}</text>'
