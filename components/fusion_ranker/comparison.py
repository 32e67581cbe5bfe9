"""What the variants are worth on the test items, and whether a difference is more than chance."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from components.contracts.artifacts import METRICS_FILE
from components.foundation.files import read_json
from components.foundation.progress import say
from components.recommenders.evaluation import CUTOFF, Ranks, describe_protocol, rank_held_out
from components.recommenders.ranker import load_ranker
from components.recommenders.ranker_inputs import RankerInputs
from components.recommenders.variant_rankers import assignments_for
from components.recommenders.variants import variant_named

SIGNIFICANCE_LEVEL = 0.05


def evaluate_variants(inputs: RankerInputs, rankers: Path, seed: int) -> dict[str, Any]:
    """Test metrics of every variant below `rankers`, each compared with those that it has to beat.

    Returns:
        {"protocol", "backbone", "seeds": 1, "variants": {name: {"hr@10", "ndcg@10"}}, "comparisons": {name: {name of
        the other: see `compare`}}}: of the variants that `variants.Variant.against` names, those that were trained.
    """
    ranks: dict[str, Ranks] = {}
    backbone = protocol = ""
    for directory in sorted(path for path in rankers.iterdir() if path.is_dir()):
        ranker = load_ranker(directory)
        backbone = ranker.config.backbone
        protocol = read_json(directory / METRICS_FILE)["training"]["protocol"]
        assigned = assignments_for(directory.name, inputs.rationales, seed)
        ranks[directory.name] = rank_held_out(ranker, inputs.sequences, assigned, "test", protocol)
        say(f"{directory.name}: test " + ", ".join(f"{k} {v:.4f}" for k, v in ranks[directory.name].metrics().items()))
    return {
        "protocol": describe_protocol(protocol),
        "backbone": backbone,
        "seeds": 1,
        "variants": {name: of_variant.metrics() for name, of_variant in ranks.items()},
        "comparisons": {
            name: {other: compare(of_variant, ranks[other]) for other in variant_named(name).against if other in ranks}
            for name, of_variant in ranks.items()
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
