import math

import pytest
import torch

from components.recommenders.fusion import AttentionFusion


@pytest.fixture
def fusion() -> AttentionFusion:
    """W = (ln 3, 0), so that a vector (a, b) has the softmax numerator 3^a; z = (2 r_1, r_2 - 1)."""
    layer = AttentionFusion(dimension=2, text_dimension=2)
    with torch.no_grad():
        layer.attention.copy_(torch.tensor([math.log(3), 0.0]))
        layer.linear.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        layer.linear.bias.copy_(torch.tensor([0.0, -1.0]))
    return layer


def test_equation_5_by_hand(fusion: AttentionFusion) -> None:
    # z = (2, 0). First position: e = (1, 2), numerators 3 and 9. Second: e = (2, 2), numerators 9 and 9.
    user = torch.tensor([[[1.0, 2.0], [2.0, 2.0]]])
    fused, weights = fusion(user, torch.tensor([[[1.0, 1.0]]]))
    torch.testing.assert_close(weights, torch.tensor([[[1 / 4, 3 / 4], [1 / 2, 1 / 2]]]))
    torch.testing.assert_close(fused, torch.tensor([[[1 / 4 + 6 / 4, 2 / 4], [2.0, 1.0]]]))


def test_two_rationales_by_hand(fusion: AttentionFusion) -> None:
    # z_1 = (2, 0) and z_2 = (0, 1): numerators 3, 9 and 1.
    fused, weights = fusion(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0], [0.0, 2.0]]]))
    torch.testing.assert_close(weights, torch.tensor([[[3 / 13, 9 / 13, 1 / 13]]]))
    torch.testing.assert_close(fused, torch.tensor([[[(3 + 18) / 13, (6 + 1) / 13]]]))


def test_a_zero_row_is_left_out_exactly(fusion: AttentionFusion) -> None:
    user, rationale = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])
    alone, alone_weights = fusion(user, rationale)
    fused, weights = fusion(user, torch.cat([rationale, torch.zeros(1, 1, 2)], dim=1))
    assert weights[0, 0, 2].item() == 0.0
    torch.testing.assert_close(weights[..., :2], alone_weights)
    torch.testing.assert_close(fused, alone)


@pytest.mark.parametrize("rationales", [1, 2])
def test_a_user_without_rationale_keeps_its_vector_exactly(fusion: AttentionFusion, rationales: int) -> None:
    user = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    fused, weights = fusion(user, torch.zeros(3, rationales, 2))
    assert torch.equal(fused, user)
    assert torch.equal(weights, torch.tensor([1.0] + [0.0] * rationales).expand(3, 4, -1))


def test_an_absent_rationale_has_no_gradient(fusion: AttentionFusion) -> None:
    user = torch.tensor([[[1.0, 2.0]]], requires_grad=True)
    fused, _ = fusion(user, torch.zeros(1, 1, 2))
    fused.sum().backward()
    assert user.grad is not None and torch.equal(user.grad, torch.ones(1, 1, 2))
    for parameter in fusion.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


def test_training_starts_from_equal_weights() -> None:
    _, weights = AttentionFusion(dimension=2, text_dimension=3)(torch.ones(1, 1, 2), torch.ones(1, 1, 3))
    assert torch.equal(weights, torch.full((1, 1, 2), 0.5))
