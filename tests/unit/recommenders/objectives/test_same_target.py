"""DuoRec's regularisation, worked by hand."""

import numpy as np
import torch

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.same_target import SameTargetHistories, same_target_loss


def test_the_loss_by_hand() -> None:
    # Two users with targets of their own: each vector has its other view against the two vectors of the other user.
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    second = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    e = np.e
    rows = [e**2 / (e**2 + 2), e**3 / (e**3 + 2), e**2 / (e**2 + 2), e**3 / (e**3 + 2)]
    loss = same_target_loss(first, second, torch.tensor([4, 9]))
    assert np.isclose(loss.item(), -np.mean(np.log(rows)))
    # With one target the users are no rivals: nothing is left but the other view.
    assert same_target_loss(first, second, torch.tensor([4, 4])).item() == 0.0


def test_a_history_is_one_that_the_target_followed_in_training() -> None:
    sequences = InteractionSequences(
        user_ids=["a", "b"],
        item_ids=["1", "2", "3", "4"],
        items=np.array([1, 2, 3, 4, 4, 2, 1, 3, 2, 4]),
        offsets=np.array([0, 5, 10]),
        train_lengths=np.array([3, 3]),
    )
    histories = SameTargetHistories(sequences)
    drawn = histories.draw(torch.tensor([2] * 40 + [3] * 40 + [1]), 2, torch.Generator().manual_seed(0))
    assert {tuple(row) for row in drawn[:40].tolist()} == {(1, 0)}  # b begins with 2, and its later 2 is held out
    assert {tuple(row) for row in drawn[40:80].tolist()} == {(1, 2), (2, 1)}  # of a and of b
    assert drawn[80].tolist() == [2, 0]  # a begins with 1
    short = histories.draw(torch.tensor([3] * 40), 1, torch.Generator().manual_seed(0))
    assert {tuple(row) for row in short.tolist()} == {(1,), (2,)}  # the last item of each
