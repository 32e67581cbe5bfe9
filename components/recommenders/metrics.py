"""What a benchmark says of a ranking beyond NDCG@10: other cutoffs, what is recommended, and to whom it helps."""

from typing import Any

import numpy as np

from components.recommenders.evaluation import Ranks
from components.recommenders.interaction_sequences import InteractionSequences

CUTOFFS = (5, 10, 20, 50)
FEW_INTERACTIONS = 7
TAIL_SHARE = 0.8  # of the items, those with the fewest training visits


def detailed_metrics(ranks: Ranks, sequences: InteractionSequences) -> dict[str, Any]:
    """All metrics of the evaluation of all users, whose lists of ten items were kept.

    With one target a user, recall@k is HR@k.

    Returns:
        {"hr@k", "ndcg@k", "mrr@k" for each k of `CUTOFFS`; "coverage@10", "gini@10", "tail_share@10",
        "mean_popularity@10"; "groups": {name: {"users", "hr@10", "ndcg@10"}}}.
    """
    metrics: dict[str, Any] = {}
    for cutoff in CUTOFFS:
        metrics[f"hr@{cutoff}"] = ranks.hit_ratio(cutoff)
        metrics[f"ndcg@{cutoff}"] = ranks.ndcg(cutoff)
        metrics[f"mrr@{cutoff}"] = ranks.mrr(cutoff)
    _, visited = sequences.training_pairs()
    visits = np.bincount(visited, minlength=sequences.n_items + 1)[1:]
    metrics |= list_metrics(ranks.lists, visits)
    groups = user_groups(sequences.train_lengths)
    metrics["groups"] = {
        name: {"users": int(chosen.sum())} | Ranks(ranks.values[chosen]).metrics()
        for name, chosen in groups.items()
        if chosen.any()
    }
    return metrics


def list_metrics(lists: np.ndarray, visits: np.ndarray) -> dict[str, float]:
    """What lists of recommendations are made of.

    Args:
        lists: int64[U, k] item indices from 1, 0 for none.
        visits: int64[I], training visits of items 1 .. I.

    Returns:
        `coverage`: share of the items that are in any list; `gini`: of how often items are recommended, 0 where all are
        alike; `tail_share`: share of the recommendations that are of the `TAIL_SHARE` least visited items;
        `mean_popularity`: mean training visits of a recommended item; all with "@k".
    """
    recommended = lists[lists > 0]
    counts = np.sort(np.bincount(recommended, minlength=len(visits) + 1)[1:])
    n = len(counts)
    cumulated = np.arange(1, n + 1) @ counts
    gini = (2 * cumulated / (n * counts.sum()) - (n + 1) / n) if counts.sum() else 0.0
    tail = np.zeros(n, dtype=bool)
    tail[np.argsort(visits, kind="stable")[: int(TAIL_SHARE * n)]] = True
    k = lists.shape[1]
    return {
        f"coverage@{k}": float((counts > 0).mean()),
        f"gini@{k}": float(gini),
        f"tail_share@{k}": float(tail[recommended - 1].mean()) if len(recommended) else 0.0,
        f"mean_popularity@{k}": float(visits[recommended - 1].mean()) if len(recommended) else 0.0,
    }


def user_groups(train_lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Users by activity, bool[U] each: L1 (least active) to L4, quartiles as in the paper, and those with few visits.

    Users of one number of training visits are in one level, so levels differ in size.
    """
    bounds = np.quantile(train_lengths, [0.25, 0.5, 0.75])
    level = np.searchsorted(bounds, train_lengths, side="left")
    groups = {f"L{number + 1}": level == number for number in range(4)}
    # An interaction more than the training ones: the validation item, which a list for the test item is made with.
    groups[f"<= {FEW_INTERACTIONS} interactions"] = train_lengths + 1 <= FEW_INTERACTIONS
    return groups
