import math

import pytest
import torch

from components.recommenders.objectives.pairs import UnchosenItems, bpr_loss, logistic_loss


def test_bpr_by_hand() -> None:
    # Differences 2, 0 and -1: log(1 + e^-2), log 2, log(1 + e).
    losses = bpr_loss(torch.tensor([2.5, 1.0, 0.0]), torch.tensor([0.5, 1.0, 1.0]))
    assert losses.tolist() == pytest.approx([math.log1p(math.exp(-2)), math.log(2), math.log1p(math.e)])
    shifted = bpr_loss(torch.tensor([102.5]), torch.tensor([100.5]))
    assert shifted.item() == pytest.approx(losses[0].item(), rel=1e-5)  # the difference alone counts


def test_logistic_by_hand() -> None:
    # sigmoid(0) = 1 / 2; of log 3 it is 3 / 4.
    losses = logistic_loss(torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, math.log(3)]))
    assert losses.tolist() == pytest.approx([math.log(2), (math.log(4 / 3) + math.log(4)) / 2])


def test_a_drawn_item_is_none_that_the_user_has_chosen() -> None:
    # Of 30 items the first user has chosen 8, the second the other 22; a pair may come more than once.
    owners, items = torch.tensor([0] * 8 + [1] * 22 + [1]), torch.tensor([*range(30), 29])
    users = torch.arange(2).repeat_interleave(2_000)
    drawn = UnchosenItems(owners, items, 30).draw(users, torch.Generator().manual_seed(0))
    counts = torch.zeros(2, 30).index_put_((users, drawn), torch.ones(4_000), accumulate=True)
    chosen = torch.zeros(2, 30, dtype=torch.bool).index_put_((owners, items), torch.tensor(True))
    assert counts.sum(dim=1).tolist() == [2_000, 2_000]
    # 8 of 30 chosen: (8 / 30)^8 of the draws stay wrong, 0.05 of 2,000; 22 of 30: 8%.
    assert counts[0][chosen[0]].sum() <= 1 and counts[1][chosen[1]].sum() < 2_000 * 0.12
    # The others are drawn equally often: 2,000 / 22 = 91, with a deviation of 9.
    assert (counts[0][~chosen[0]] > 45).all() and (counts[0][~chosen[0]] < 137).all()
