import numpy as np
import pytest
import torch

from components.behavior_encoder.link_prediction import RANDOM_ITEMS, HeldOutPairs, hold_out, link_auc
from components.recommenders.interaction_sequences import InteractionSequences


def sequences(*histories: list[int]) -> InteractionSequences:
    lengths = np.array([len(history) for history in histories])
    return InteractionSequences(
        user_ids=[f"u{user}" for user in range(len(histories))],
        item_ids=[f"i{item}" for item in range(9)],
        items=np.array([item for history in histories for item in history], np.int64),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths,
    )


def test_link_auc_by_hand_and_a_tie_counts_half() -> None:
    users, items = torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [1.0], [2.0]])
    # The first user's item scores 3 against 3 (tie), 1 and 2; the second one's 2 against 3, 1 and 1.
    pairs = HeldOutPairs(torch.tensor([0, 1]), torch.tensor([0, 2]), torch.tensor([[0, 1, 2], [0, 1, 1]]))
    assert link_auc(users, items, pairs) == pytest.approx((0.5 + 1 + 1 + 0 + 1 + 1) / 6)


def test_the_last_item_of_users_who_keep_another_one() -> None:
    found = hold_out(sequences([1, 2], [3], [], [4, 4], [5, 6, 7]), 1.0, torch.Generator())
    assert found.users.tolist() == [0, 4] and found.items.tolist() == [1, 6]  # items from 0
    assert found.others.shape == (2, RANDOM_ITEMS) and int(found.others.max()) < 9


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.001, 1), (0.1, 4), (1.0, 20)])
def test_how_many(share: float, count: int) -> None:
    many = sequences(*([1, 2] for _ in range(20)))
    assert len(hold_out(many, share, torch.Generator()).users) == count


def test_nobody_to_ask() -> None:
    for nothing in (sequences([], []), sequences([1], [2])):
        assert len(hold_out(nothing, 0.5, torch.Generator()).users) == 0
