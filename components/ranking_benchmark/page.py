"""A benchmark as one HTML page: does it pay, Table 2 and 3, the ablations, whom it helps, and how training went."""

from typing import Any

from components.ranking_benchmark.comparison import rivals
from components.ranking_benchmark.grid import split_variant
from components.ranking_benchmark.paper import DATA_SETS, TABLE_2, TABLE_3
from components.recommenders.configuration import RECBOLE
from components.recommenders.variants import MATCHED, POOL_RATIONALES, RELAND, VARIANTS
from components.reports.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Axis,
    Line,
    line_chart,
    linear_axis,
)
from components.reports.page import page, table, tiles, visible

METRIC = "ndcg@10"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)
FOOTER = """Intervals are of 95%, by Student's t over the seeds of training. A difference is called better or worse only
where it holds over users <em>and</em> over seeds after Holm's correction for all comparisons of its protocol. All
numbers are in the JSON file beside this page."""


def render(results: dict[str, Any]) -> str:
    """The page that shows what `results.collect` gives."""
    sections = [_overview(results)]
    for protocol, content in results["protocols"].items():
        sections += [_verdict(results, protocol), _table_2(protocol, content), _comparisons(content), _groups(content)]
    sections += [_costs(results), _curves(results), _variants(results)]
    return page("Benchmark of rankers", sections, FOOTER)


def _overview(results: dict[str, Any]) -> str:
    cells = results["cells"]
    total = cells["done"] + len(cells["failed"]) + len(cells["not_run"])
    entries = [(f"{cells['done']:,} of {total:,}", "cells run"), (f"{len(results['seeds'])}", "seeds")]
    entries += [(f"{of_data['users']:,}", f"users of {visible(name)}") for name, of_data in results["data"].items()]
    missing = ""
    if cells["not_run"]:
        missing += f'<p class="note">Not run: {len(cells["not_run"]):,}. A row says of how many seeds it is.</p>'
    for name, message in cells["failed"].items():
        missing += f'<p class="note">{visible(name)} failed: {visible(message)}</p>'
    return f"<h1>Benchmark of rankers</h1><p><code>{visible(results['command'])}</code></p>{tiles(entries)}{missing}"


def _verdict(results: dict[str, Any], protocol: str) -> str:
    """In a line for each data set and backbone: whether what the language model wrote pays."""
    lines = []
    content = results["protocols"][protocol]
    places = dict.fromkeys((one["data"], one["backbone"]) for one in content["comparisons"])
    for data, backbone in places:
        of_place = [one for one in content["comparisons"] if (one["data"], one["backbone"]) == (data, backbone)]
        pays = []
        for name in results["variants"]:
            variant = VARIANTS[split_variant(name)[0]]
            reads = variant.rationales == MATCHED or variant.pool == POOL_RATIONALES
            beaten = {one["against"] for one in of_place if one["variant"] == name and one["verdict"] == "better"}
            if reads and beaten >= set(rivals(name, results["variants"])):
                pays.append(name)
        answer = f"yes, by {', '.join(pays)}" if pays else "not shown"
        lines.append([visible(data), visible(backbone), f"<b>{answer}</b>"])
    heading = f"<h2>Does the language model pay? (protocol <code>{protocol}</code>)</h2>"
    explained = (
        "<p>Yes means that a ranker which reads rationales is better than every ranker that it has to beat: the same "
        "without rationales, and the controls.</p>"
    )
    return heading + explained + table(["Data", "Backbone", "Answer"], lines)


def _table_2(protocol: str, content: dict[str, Any]) -> str:
    rows = []
    for row in content["table"]:
        of_protocol = TABLE_2 if protocol == RECBOLE else {}
        paper = of_protocol.get(row["data"], {}).get(row["backbone"], {}).get(row["variant"])
        metrics = row["metrics"]
        rows.append(
            [
                visible(row["data"]),
                visible(row["backbone"]),
                visible(row["variant"]),
                _interval(metrics[METRIC]),
                f"{paper[0]:.4f}" if paper else "–",
                _interval(metrics["hr@10"]),
                f"{paper[1]:.4f}" if paper else "–",
                f"{metrics['coverage@10']['mean']:.3f}",
                f"{metrics['mean_popularity@10']['mean']:.0f}",
                str(metrics[METRIC]["seeds"]),
            ]
        )
    header = [
        "Data",
        "Backbone",
        "Variant",
        "#NDCG@10",
        "#paper",
        "#HR@10",
        "#paper",
        "#coverage",
        "#popularity",
        "#seeds",
    ]
    note = "<p>The paper's figures are of RecBole's protocol, on its own split.</p>" if protocol == RECBOLE else ""
    return f"<h2>Table 2 (protocol <code>{protocol}</code>)</h2>{note}{table(header, rows)}"


def _comparisons(content: dict[str, Any]) -> str:
    rows = []
    for one in content["comparisons"]:
        relative = "–" if one["relative"] is None else f"{100 * one['relative']:+.1f}%"
        low, high = one["interval"]
        rows.append(
            [
                f"{visible(one['data'])}, {visible(one['backbone'])}",
                visible(one["variant"]),
                visible(one["against"]),
                f"{one['difference']:+.4f} [{low:+.4f}, {high:+.4f}]",
                relative,
                _p_value(one["p_users"]),
                "–" if one["p_seeds"] is None else _p_value(one["p_seeds"]),
                _p_value(one["p_holm"]),
                f"<b>{one['verdict']}</b>" if one["verdict"] in ("better", "worse") else "–",
            ]
        )
    header = [
        "Where",
        "Variant",
        "Against",
        "#NDCG@10",
        "#relative",
        "#p, users",
        "#p, seeds",
        "#Holm",
        "Verdict",
    ]
    note = "<p>A dash: no difference was shown, or there is one seed alone.</p>"
    return f"<h3>What beats what (Figure 5 and the controls)</h3>{note}{table(header, rows)}"


def _groups(content: dict[str, Any]) -> str:
    if not content["table"]:
        return ""
    names = list(content["table"][0]["groups"])
    rows = [
        [visible(row["data"]), visible(row["backbone"]), visible(row["variant"])]
        + [_interval(row["groups"][name][METRIC]) if name in row["groups"] else "–" for name in names]
        for row in content["table"]
    ]
    header = ["Data", "Backbone", "Variant", *(f"#{name}" for name in names)]
    return f"<h3>NDCG@10 by activity, least active first</h3>{table(header, rows)}"


def _costs(results: dict[str, Any]) -> str:
    if not results["costs"]:
        return ""
    rows = []
    for data, cost in results["costs"].items():
        paper = TABLE_3.get(data, {})
        for method, of_method in cost["methods"].items():
            rows.append(
                [
                    visible(data),
                    visible(method),
                    f"{of_method['calls']:,}",
                    f"{paper[method][2]:,}" if method in paper else "–",
                    f"{of_method.get('tokens') or 0:,.0f}" if of_method.get("tokens") else "not recorded",
                ]
            )
    header = ["Data", "Method", "#inferences", "#paper", "#tokens"]
    note = (
        "<p>What each method asks of a language model: RELAND once a seed user, KAR once a user and once an item, SLIM "
        "once an interaction. KAR and SLIM were not run here.</p>"
    )
    return f"<h2>Table 3: calls</h2>{note}{table(header, rows)}"


def _curves(results: dict[str, Any]) -> str:
    """Figure 7: NDCG@10 on validation, of the first seed."""
    figures = []
    places = dict.fromkeys((curve["data"], curve["backbone"]) for curve in results["curves"])
    for data, backbone in places:
        curves = [one for one in results["curves"] if (one["data"], one["backbone"]) == (data, backbone)]
        lines = [
            Line(one["variant"], COLORS[number % len(COLORS)], [(x, y) for x, y in one["points"]])
            for number, one in enumerate(curves)
        ]
        last = max(x for one in curves for x, _ in one["points"])
        best = max(y for one in curves for _, y in one["points"])
        x_axis: Axis = linear_axis("optimizer steps", last)
        title = f"Validation NDCG@10, {DATA_SETS.get(data, data)}, {backbone}"
        figures.append(f"<figure>{line_chart(title, x_axis, linear_axis('NDCG@10', best), lines)}</figure>")
    return f'<h2>Figure 7: validation during training</h2><div class="grid">{"".join(figures)}</div>'


def _variants(results: dict[str, Any]) -> str:
    rows = [[f"<code>{visible(name)}</code>", visible(text)] for name, text in results["variants"].items()]
    marked = "" if RELAND in results["variants"] else "<p>The variant <code>reland</code> is not in this grid.</p>"
    return f"<h2>The variants</h2>{marked}{table(['Variant', 'What it is'], rows)}"


def _interval(value: dict[str, Any]) -> str:
    if value["interval"] is None:
        return f"{value['mean']:.4f}"
    return f"{value['mean']:.4f} ± {value['interval'][1] - value['mean']:.4f}"


def _p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "&lt;0.001"
