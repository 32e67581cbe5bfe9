import numpy as np
import pytest
import torch
import torch.nn.functional as F

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.sampled_softmax import ItemSampler, sampled_softmax_loss


def plain_loss(states, table, targets, sampled, corrections):
    """The same by materialised scores and torch's own cross entropy."""
    real = targets > 0
    chosen = targets[real]
    shift = torch.zeros(len(table), dtype=table.dtype) if corrections is None else corrections
    scores = (states[real] @ table[sampled].T - shift[sampled]).masked_fill(chosen[:, None] == sampled, -torch.inf)
    own = (states[real] * table[chosen]).sum(dim=1) - shift[chosen]
    return F.cross_entropy(torch.cat([own[:, None], scores], dim=1), torch.zeros_like(chosen), reduction="sum")


@pytest.mark.parametrize("corrected", [False, True])
def test_value_and_gradients_are_those_of_cross_entropy_over_target_and_sample(corrected: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(20, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    states = torch.randn(3, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    corrections = torch.randn(20, dtype=torch.float64, generator=generator) if corrected else None
    # Item 1 is a target and in the sample, item 7 is in it twice.
    targets = torch.tensor([[1, 2, 0, 0], [3, 4, 5, 6], [19, 0, 0, 0]])
    sampled = torch.tensor([1, 5, 7, 7, 9])
    loss = sampled_softmax_loss(states, table, targets, sampled, corrections, positions=7)
    expected = plain_loss(states, table, targets, sampled, corrections) / 7
    torch.testing.assert_close(loss, expected)
    for found, wanted in zip(
        torch.autograd.grad(loss, [states, table]), torch.autograd.grad(expected, [states, table]), strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_a_batch_without_a_target_has_no_loss_and_no_gradient() -> None:
    states = torch.ones(1, 3, 4, requires_grad=True)
    loss = sampled_softmax_loss(states, torch.ones(8, 4), torch.zeros(1, 3).long(), torch.tensor([1]), None, 5)
    loss.backward()
    assert loss.item() == 0 and not states.grad.any()


def test_items_are_drawn_alike_or_as_often_as_they_were_visited() -> None:
    # Training visits: item 1 six times, item 2 twice, item 3 never (it counts as once), so 6/9, 2/9 and 1/9.
    sequences = InteractionSequences(
        user_ids=["u"],
        item_ids=["a", "b", "c"],
        items=np.array([1, 2, 1, 1, 1, 2, 1, 1, 3, 3]),
        offsets=np.array([0, 10]),
        train_lengths=np.array([8]),
    )
    uniform = ItemSampler(sequences, 30_000, "uniform", "cpu")
    assert uniform.corrections is None
    shares = torch.bincount(uniform.draw(torch.Generator().manual_seed(0)), minlength=4) / 30_000
    torch.testing.assert_close(shares, torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]), atol=0.01, rtol=0)
    popular = ItemSampler(sequences, 30_000, "popularity", "cpu")
    first = popular.draw(torch.Generator().manual_seed(0))
    assert torch.equal(first, popular.draw(torch.Generator().manual_seed(0)))
    torch.testing.assert_close(
        torch.bincount(first, minlength=4) / 30_000, torch.tensor([0, 6 / 9, 2 / 9, 1 / 9]), atol=0.01, rtol=0
    )
    torch.testing.assert_close(popular.corrections[1:].exp(), torch.tensor([6 / 9, 2 / 9, 1 / 9]))
