import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.recommenders.configuration import RankerConfig
from components.recommenders.evaluation import Ranks, rank_held_out, rank_targets, ranks_of_targets
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments


def test_hit_ratio_and_ndcg_by_hand() -> None:
    # Ranks count from 0: 0, 1 and 9 are among the first ten, 10 and 40 are not.
    ranks = Ranks(np.array([0, 9, 10, 1, 40]))
    assert ranks.hit_ratio() == pytest.approx(3 / 5)
    by_user = [1.0, 1 / math.log2(11), 0.0, 1 / math.log2(3), 0.0]
    assert ranks.ndcg_by_user().tolist() == pytest.approx(by_user)
    assert ranks.ndcg() == pytest.approx(sum(by_user) / 5)
    assert ranks.metrics() == {"hr@10": ranks.hit_ratio(), "ndcg@10": ranks.ndcg()}
    assert ranks.mrr() == pytest.approx((1 + 1 / 10 + 1 / 2) / 5)
    assert ranks.hit_ratio(cutoff=1) == pytest.approx(1 / 5)


def test_several_targets_by_hand() -> None:
    # Three users: targets at ranks 0 and 2 of two, at 12 and 1 of three (and 40), none among the first ten.
    ranks = Ranks(np.array([[0, 2, -1], [12, 1, 40], [10, -1, -1]]))
    assert ranks.hit_ratio() == pytest.approx(2 / 3)
    two, three = 1 + 1 / math.log2(3), 1 + 1 / math.log2(3) + 1 / 2
    by_user = [(1 + 1 / 2) / two, (1 / math.log2(3)) / three, 0.0]
    assert ranks.ndcg_by_user().tolist() == pytest.approx(by_user)
    assert ranks.mrr() == pytest.approx((1 + 1 / 2) / 3)
    assert ranks.ndcg_by_user(cutoff=1).tolist() == pytest.approx([1.0, 0.0, 0.0])  # at most one target comes first
    all_first = Ranks(np.arange(12)[None])  # more targets than places
    assert all_first.ndcg() == pytest.approx(1.0)


def test_the_targets_of_a_split_by_shares() -> None:
    # Two users; of the first, 2 visits are for training, 1 to validate with and 3 to test with; of the second 1, 2, 1.
    sequences = InteractionSequences(
        user_ids=["u0", "u1"],
        item_ids=[f"i{item}" for item in range(1, 7)],
        items=np.array([1, 2, 3, 4, 5, 6, 6, 1, 2, 3]),
        offsets=np.array([0, 6, 10]),
        train_lengths=np.array([2, 1]),
        valid_lengths=np.array([1, 2]),
    )
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.1, 0.6, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])

    def score(users: np.ndarray) -> torch.Tensor:
        return scores[torch.from_numpy(users)].clone()

    # Best first, the first user's items are 1 2 3 5 6 4; the second's 6 5 4 3 2 1.
    assert rank_targets(score, sequences, "valid", masks_seen=False).values.tolist() == [[2, -1], [5, 4]]
    assert rank_targets(score, sequences, "test", masks_seen=False).values.tolist() == [[5, 3, 4], [3, -1, -1]]
    # Without 1, 2 and 3, or 6, 1 and 2.
    assert rank_targets(score, sequences, "test", masks_seen=True).values.tolist() == [[2, 0, 1], [2, -1, -1]]
    assert rank_targets(score, sequences, "valid", masks_seen=True).values.tolist() == [[0, -1], [4, 3]]
    lists = rank_targets(score, sequences, "test", masks_seen=True, list_length=4).lists
    assert lists.tolist() == [[5, 6, 4, 0], [5, 4, 3, 0]]


def test_ties_count_against_the_ranker() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.5], [0.9, 0.1, 0.2, 0.3], [0.7, 0.7, 0.7, 0.7]])
    assert ranks_of_targets(scores, torch.tensor([2, 0, 3])).tolist() == [2, 0, 3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        ranks_of_targets(torch.tensor([[0.5, value]]), torch.tensor([1]))
    sequences = sequences_of([1, 2, 3], n_items=3)
    with pytest.raises(ValueError, match="not finite"):
        rank_targets(lambda users: torch.tensor([[0.5, value, 0.1]]), sequences, "test", masks_seen=False)


def sequences_of(*histories: list[int], n_items: int) -> InteractionSequences:
    """Users with these visits, of whom the last two are held out."""
    lengths = np.array([len(history) for history in histories])
    return InteractionSequences(
        user_ids=[f"u{user}" for user in range(len(histories))],
        item_ids=[f"i{item}" for item in range(1, n_items + 1)],
        items=np.concatenate([np.array(history) for history in histories]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths - 2,
    )


def test_what_a_user_had_before_is_no_candidate_where_it_is_masked() -> None:
    sequences = sequences_of([1, 2, 3, 4], [5, 1, 5], n_items=5)
    scores = torch.tensor([[0.9, 0.8, 0.5, 0.4, 0.3], [0.9, 0.1, 0.2, 0.3, 0.5]])

    def score(users: np.ndarray) -> torch.Tensor:
        return scores[torch.from_numpy(users)]

    everything = rank_targets(score, sequences, "test", masks_seen=False, list_length=3)
    assert everything.values.tolist() == [3, 1] and everything.lists.tolist() == [[1, 2, 3], [1, 5, 4]]
    # The first has seen 1, 2 and 3. The second's target is an item seen before: it stays a candidate, 1 does not.
    unseen = rank_targets(score, sequences, "test", masks_seen=True, list_length=5)
    assert unseen.values.tolist() == [0, 0]
    assert unseen.lists.tolist() == [[4, 5, 0, 0, 0], [5, 4, 3, 2, 0]]
    # Before the validation item there was less: 1 and 2, and nothing but item 5.
    assert rank_targets(score, sequences, "valid", masks_seen=True).values.tolist() == [0, 0]
    assert rank_targets(score, sequences, "valid", masks_seen=False).values.tolist() == [2, 0]
    assert rank_targets(score, sequences, "test", True, users=np.array([1])).values.tolist() == [0]
    assert scores[0, 0] == 0.9  # the scorer's own tensor is left alone


@pytest.mark.parametrize("variant", ["id_only", "reland"])
def test_held_out_items_are_ranked_by_what_came_before_them(write_prepared: Callable[..., Path], variant: str) -> None:
    """`valid` sees the training items, `test` the validation item too; every item of the catalogue is a candidate."""
    names = [f"i{number}" for number in range(9)]
    rows = {
        "u0": [names[k] for k in (0, 1, 2)],
        "u1": [names[k] for k in (3, 3, 4, 5, 6, 7)],  # longer than the history the ranker reads
        "u2": [names[k] for k in (8, 0, 1, 8)],
    }
    sequences = read_sequences(write_prepared(rows, names))
    torch.manual_seed(0)
    sizes = {"items": 9, "text_dimension": 3, "embedding_dimension": 8, "layers": 1, "history_length": 3}
    config = RankerConfig(variant=variant, text_encoder="test", **sizes)
    ranker = Ranker(config, torch.cat([torch.zeros(1, 3), torch.randn(9, 3)]))
    rationales = RationaleAssignments(torch.cat([torch.zeros(1, 3), torch.randn(2, 3)]), torch.tensor([[1], [0], [2]]))
    histories = {
        "valid": [[1, 0, 0], [4, 5, 6], [9, 1, 0]],
        "test": [[1, 2, 0], [5, 6, 7], [9, 1, 2]],
    }
    targets = {"valid": [2, 7, 2], "test": [3, 8, 9]}
    ranker.train()
    for split, history in histories.items():
        found = rank_held_out(ranker, sequences, rationales, split)
        assert ranker.training  # as it was before
        ranker.eval()
        with torch.no_grad():
            every_item = torch.arange(1, 10).expand(3, -1)
            scores, _ = ranker(torch.tensor(history), rationales.of_users(torch.arange(3)), every_item)
        ranker.train()
        order = scores.argsort(dim=1, descending=True) + 1
        expected = [row.index(target) for row, target in zip(order.tolist(), targets[split], strict=True)]
        assert found.values.tolist() == expected
