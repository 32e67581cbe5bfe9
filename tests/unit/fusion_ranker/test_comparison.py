import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from components.fusion_ranker.comparison import compare, evaluate_variants
from components.recommenders.evaluation import Ranks, rank_held_out
from components.recommenders.ranker import load_ranker
from components.recommenders.ranker_inputs import RankerInputs


def ranks(*values: int) -> Ranks:
    return Ranks(np.array(values))


# Ranks 0 and 1 are worth 1 and 1 / log2(3); 50 is worth nothing.
BETTER, WORSE = ranks(*[0] * 18, 50, 50), ranks(*[50] * 18, 50, 1)


def test_a_variant_that_helps() -> None:
    found = compare(BETTER, WORSE)
    assert found["verdict"] == "helps"
    assert found["ndcg@10_difference"] == pytest.approx((18 - 1 / math.log2(3)) / 20)
    assert found["p_value"] == pytest.approx(stats.ttest_rel(BETTER.ndcg_by_user(), WORSE.ndcg_by_user()).pvalue)
    assert found["p_value"] < 0.05


def test_a_variant_that_harms() -> None:
    found = compare(WORSE, BETTER)
    assert found["verdict"] == "harms"
    assert found["ndcg@10_difference"] < 0


def test_a_difference_that_chance_explains() -> None:
    # Better for one user of four, and for no other: t = 1 with three degrees of freedom.
    found = compare(ranks(0, 50, 50, 50), ranks(50, 50, 50, 50))
    assert found == {
        "ndcg@10_difference": 0.25,
        "p_value": pytest.approx(2 * stats.t.sf(1, df=3)),
        "verdict": "no significant difference",
    }


def test_equal_ranks() -> None:
    expected = {"ndcg@10_difference": 0.0, "p_value": 1.0, "verdict": "no significant difference"}
    assert compare(BETTER, BETTER) == expected
    assert compare(ranks(10, 11), ranks(30, 40)) == expected  # nobody's target is among the first ten


def test_a_single_user_proves_nothing() -> None:
    assert compare(ranks(0), ranks(50))["verdict"] == "no significant difference"


@pytest.mark.slow
def test_every_variant_is_measured_on_the_test_items(rankers: Path, inputs: RankerInputs) -> None:
    measured = evaluate_variants(inputs, rankers, seed=0)
    assert measured["protocol"] == "leave-one-out, full ranking, no item left out (recbole)"
    assert measured["backbone"] == "sasrec" and measured["seeds"] == 1
    names = ["id_only", "item_features", "reland", "reland_shuffled"]
    assert list(measured["variants"]) == names and list(measured["comparisons"]) == names
    found = {
        variant: rank_held_out(load_ranker(rankers / variant), inputs.sequences, inputs.rationales, "test")
        for variant in ("id_only", "item_features", "reland")
    }
    for variant, values in found.items():
        assert measured["variants"][variant] == values.metrics()
    assert measured["comparisons"]["id_only"] == {}
    assert list(measured["comparisons"]["reland"]) == ["item_features", "reland_shuffled"]
    assert measured["comparisons"]["reland"]["item_features"] == compare(found["reland"], found["item_features"])
