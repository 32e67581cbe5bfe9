"""The page of `reland experiment bandit`: what each way to find a blend of scores has cost, list by list."""

from collections.abc import Sequence
from html import escape

import numpy as np

from components.reports.charts import BLUE, GREEN, ORANGE, Line, line_chart, linear_axis
from components.reports.page import page, table
from reland.studies.bandit import LISTS_OF_DUEL, BlendMarket, Regret

PAGE_FILE = "bandit.html"
POINTS = 200  # of a curve
STYLES = ((BLUE, ""), (ORANGE, "6 4"), (GREEN, "2 3"))


def render(market: BlendMarket, best: np.ndarray, ways: Sequence[Regret], repetitions: int) -> str:
    """Regret curves, and the worth of the blends that were learned.

    Args:
        best: the best fixed blend.
    """
    lines = []
    for way, (color, dash) in zip(ways, STYLES, strict=True):
        chosen = np.linspace(0, len(way.lists) - 1, min(POINTS, len(way.lists))).astype(int)
        points = [(0.0, 0.0), *zip(way.lists[chosen].tolist(), way.clicks[chosen].clip(min=0).tolist(), strict=True)]
        lines.append(Line(way.name, color, points, dash))
    chart = line_chart(
        "Regret: clicks missed so far",
        linear_axis("lists shown", float(ways[0].lists[-1])),
        linear_axis("expected clicks missed", max(float(way.clicks.max()) for way in ways)),
        lines,
    )
    rows = [
        [
            escape(name),
            f"{missed:,.0f}" if missed is not None else "",
            *_weights(weights),
            f"{market.value(weights):.3f}",
        ]
        for name, missed, weights in [
            *((way.name, float(way.clicks[-1]), way.weights) for way in ways),
            ("best fixed blend", None, best),
            *((f"{name} alone", None, alone) for name, alone in zip(market.names, np.eye(len(best)), strict=True)),
        ]
    ]
    header = ["way", "#clicks missed", *(f"#weight of {name}" for name in market.names), "#clicks of a list"]
    return page(
        "Blends of scores",
        [
            "<h1>Blends of scores</h1>",
            f"<p>The mean of {repetitions} repetitions in the simulated market. All begin with "
            f"{escape(market.names[-1])} alone; a duel is judged on {LISTS_OF_DUEL} lists. Clicks missed are by the "
            "truth, against the list of the best fixed blend.</p>",
            f'<div class="grid"><figure>{chart}</figure></div>',
            "<h2>Results</h2>",
            table(header, rows),
        ],
        "Yue and Joachims, ICML 2009; Radlinski, Kurup and Joachims, CIKM 2008.",
    )


def _weights(weights: np.ndarray) -> list[str]:
    """By direction, which is all that a ranking depends on."""
    return [f"{weight:+.2f}" for weight in weights / np.linalg.norm(weights)]
