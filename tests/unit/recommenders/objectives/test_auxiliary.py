import math

import pytest
import torch

from components.recommenders.objectives.auxiliary import contrastive_loss


def test_each_user_is_drawn_to_its_own_partner_by_hand() -> None:
    # Cosines: 1 and 0 for the first user, 0 and 1 for the second; over the temperature, 5 and 0.
    users, partners = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0], [0.0, 1.0]])
    expected = -math.log(math.exp(5) / (math.exp(5) + 1))
    assert contrastive_loss(users, partners, torch.tensor([1, 2])).item() == pytest.approx(expected, rel=1e-4)
    swapped = contrastive_loss(users, partners.flip(0), torch.tensor([1, 2])).item()
    assert swapped == pytest.approx(expected + 5, rel=1e-5)


def test_users_of_one_partner_are_no_negatives_of_each_other() -> None:
    users, partners = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    assert contrastive_loss(users, partners, torch.tensor([4, 4])).item() == 0
