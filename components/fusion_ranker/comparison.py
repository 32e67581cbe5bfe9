"""What the variants are worth on the test items, and whether a difference is more than chance."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from components.foundation.progress import say
from components.fusion_ranker.inputs import RankerInputs
from components.fusion_ranker.variants import BASELINE, assignments_for
from components.recommenders.evaluation import CUTOFF, PROTOCOL, Ranks, rank_held_out
from components.recommenders.ranker import load_ranker

SIGNIFICANCE_LEVEL = 0.05


def evaluate_variants(inputs: RankerInputs, rankers: Path, seed: int) -> dict[str, Any]:
    """Test metrics of every variant below `rankers`, and each one's difference from `id_only`.

    Returns:
        {"protocol", "backbone", "variants": {name: {"hr@10", "ndcg@10"}}, "comparisons": {name: see `compare`}}.
    """
    ranks: dict[str, Ranks] = {}
    backbone = ""
    for directory in sorted(path for path in rankers.iterdir() if path.is_dir()):
        ranker = load_ranker(directory)
        backbone = ranker.config.backbone
        assigned = assignments_for(directory.name, inputs.rationales, seed)
        ranks[directory.name] = rank_held_out(ranker, inputs.sequences, assigned, "test")
        say(f"{directory.name}: test " + ", ".join(f"{k} {v:.4f}" for k, v in ranks[directory.name].metrics().items()))
    return {
        "protocol": PROTOCOL,
        "backbone": backbone,
        "variants": {name: of_variant.metrics() for name, of_variant in ranks.items()},
        "comparisons": {
            name: compare(of_variant, ranks[BASELINE]) for name, of_variant in ranks.items() if name != BASELINE
        },
    }


def compare(variant: Ranks, baseline: Ranks) -> dict[str, Any]:
    """Difference of NDCG@10 with a paired t-test over users.

    Returns:
        {"ndcg@10_difference", "p_value" (two-sided), "verdict": "helps", "harms" or "no significant difference"}.
    """
    difference = variant.ndcg_by_user() - baseline.ndcg_by_user()
    testable = len(difference) > 1 and np.any(difference)
    p_value = float(stats.ttest_1samp(difference, 0.0).pvalue) if testable else 1.0
    mean = float(difference.mean())
    if p_value >= SIGNIFICANCE_LEVEL:
        verdict = "no significant difference"
    else:
        verdict = "helps" if mean > 0 else "harms"
    return {f"ndcg@{CUTOFF}_difference": mean, "p_value": p_value, "verdict": verdict}
