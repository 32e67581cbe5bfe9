import math

import torch

from components.recommenders.backbones.ngcf import NGCF

ROOT = math.sqrt(2)


def test_one_layer_on_three_nodes_by_hand() -> None:
    # Two users with one item: every edge weighs 1 / sqrt(2). E^(0) = u 1, v 3, i -4.
    backbone = NGCF(1, layers=1, dropout=0.0, users=2, items=1, pairs=torch.tensor([[0, 1], [1, 1]])).eval()
    with torch.no_grad():
        backbone.user_embedding.copy_(torch.tensor([[1.0], [3.0]]))
        for linear, weight, bias in ((backbone.sums[0], 2.0, 0.5), (backbone.products[0], -1.0, 0.0)):
            linear.weight.fill_(weight)
            linear.bias.fill_(bias)
    users, items = backbone(torch.tensor([[0.0], [-4.0]]))
    received = [-4 / ROOT, -4 / ROOT, (1 + 3) / ROOT]
    before = [2 * (r + e) + 0.5 - r * e for r, e in zip(received, [1, 3, -4], strict=True)]
    # A row of one component has length 1 whatever it was: its sign is left.
    signs = [math.copysign(1, value) for value in before]
    assert signs == [-1, 1, 1]
    torch.testing.assert_close(users, torch.tensor([[1.0, signs[0]], [3.0, signs[1]]]))
    torch.testing.assert_close(items[1:], torch.tensor([[-4.0, signs[2]]]))


def test_lengths_of_the_layers_and_the_slope_below_zero() -> None:
    backbone = NGCF(2, layers=1, dropout=0.0, users=1, items=1, pairs=torch.tensor([[0], [1]])).eval()
    with torch.no_grad():
        backbone.user_embedding.copy_(torch.tensor([[0.0, 0.0]]))
        backbone.sums[0].weight.copy_(torch.eye(2))
        backbone.products[0].weight.zero_()
        for linear in (backbone.sums[0], backbone.products[0]):
            linear.bias.zero_()
    # One edge, weight 1: the user receives (3, -20), which LeakyReLU makes (3, -4), of length 5.
    users, _ = backbone(torch.tensor([[0.0, 0.0], [3.0, -20.0]]))
    torch.testing.assert_close(users, torch.tensor([[0.0, 0.0, 0.6, -0.8]]))
