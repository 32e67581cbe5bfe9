import torch
import torch.nn.functional as F

from components.recommenders.objectives.next_item import next_item_loss


def test_cross_entropy_of_the_positions_that_have_a_target() -> None:
    generator = torch.Generator().manual_seed(0)
    states, table = torch.randn(2, 3, 4, generator=generator), torch.randn(8, 4, generator=generator)
    targets = torch.tensor([[2, 3, 4], [7, 1, 0]])
    logits = torch.stack([states[0, 0], states[0, 1], states[0, 2], states[1, 0], states[1, 1]]) @ table[1:].T
    expected = F.cross_entropy(logits, torch.tensor([1, 2, 3, 6, 0]))
    torch.testing.assert_close(next_item_loss(states, table, targets, 5), expected)
    # A batch with half the usual number of positions counts half.
    torch.testing.assert_close(next_item_loss(states, table, targets, 10), expected / 2)


def test_a_batch_without_a_target_has_no_loss_and_no_gradient() -> None:
    states = torch.ones(0, 3, 4, requires_grad=True)
    loss = next_item_loss(states, torch.ones(8, 4), torch.zeros(0, 3, dtype=torch.int64), 5)
    loss.backward()
    assert loss.item() == 0
