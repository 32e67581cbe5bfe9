"""The page of a benchmark: its answer, and the paper's figures where they belong."""

import copy
import re

import pytest

from components.ranking_benchmark.page import render


def one(mean: float) -> dict:
    return {"mean": mean, "interval": [mean - 0.001, mean + 0.001], "seeds": 2}


def row(variant: str) -> dict:
    names = ("ndcg@10", "hr@10", "coverage@10", "mean_popularity@10")
    return {
        "data": "amazon-beauty",
        "backbone": "sasrec",
        "variant": variant,
        "metrics": {name: one(0.04) for name in names},
        "groups": {"L1": {"users": 3, "ndcg@10": one(0.03)}},
    }


def compared(against: str, verdict: str) -> dict:
    place = {"data": "amazon-beauty", "backbone": "sasrec", "variant": "reland", "against": against, "seeds": 2}
    tested = {"difference": 0.001, "relative": 0.025, "interval": [0.0, 0.002], "p_users": 0.01, "p_seeds": 0.02}
    return {**place, **tested, "p": 0.02, "p_holm": 0.04, "verdict": verdict}


@pytest.fixture
def results() -> dict:
    variants = ("item_features", "reland", "reland_shuffled")
    content = {
        "table": [row(variant) for variant in variants],
        "comparisons": [compared(against, "better") for against in ("item_features", "reland_shuffled")],
    }
    return {
        "command": "reland benchmark --grid <grid>",
        "seeds": [0, 1],
        "cells": {"done": 6, "failed": {"a/sasrec/reland/1": "loss is not finite"}, "not_run": ["x"]},
        "data": {"amazon-beauty": {"users": 3, "items": 4}},
        "costs": {},
        "protocols": {"recbole": content, "open": copy.deepcopy(content)},
        "curves": [
            {"data": "amazon-beauty", "backbone": "sasrec", "variant": "reland", "points": [[10, 0.02], [20, 0.03]]}
        ],
        "variants": {variant: f"what {variant} is" for variant in variants},
    }


def answers(page: str) -> list[str]:
    return re.findall(r"<b>(yes, by [^<]*|not shown)</b>", page)


def test_it_pays_where_everything_is_beaten_and_only_there(results) -> None:
    results["protocols"]["open"]["comparisons"][1]["verdict"] = "no difference shown"
    assert answers(render(results)) == ["yes, by reland", "not shown"]
    del results["protocols"]["recbole"]["comparisons"][1]  # the control was not run
    assert answers(render(results)) == ["not shown", "not shown"]


def test_the_papers_figures_stand_beside_those_of_its_protocol_alone(results) -> None:
    recbole, open_table = (part.split("</table>")[0] for part in render(results).split("<h2>Table 2")[1:])
    assert "0.0440" in recbole and "0.0440" not in open_table


def test_what_is_missing_is_said_and_nothing_is_taken_for_markup(results) -> None:
    page = render(results)
    assert "6 of 8" in page and "Not run: 1." in page and "loss is not finite" in page
    assert "&lt;grid&gt;" in page and "<grid>" not in page
