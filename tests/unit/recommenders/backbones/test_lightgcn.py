import math

import torch

from components.recommenders.backbones.lightgcn import LightGCN, LightGCNBackbone, normalized_adjacency

ROOT = math.sqrt(2)

# User 0 has items 0 and 1, user 1 has item 1, twice. Degrees: users 2 and 1, items 1 and 2.
USERS = torch.tensor([0, 0, 1, 1])
ITEMS = torch.tensor([0, 1, 1, 1])


def test_normalisation_by_hand_and_repeated_pairs_count_once() -> None:
    adjacency = normalized_adjacency(USERS, ITEMS, n_users=2, n_items=2)
    expected = torch.tensor(
        [
            [0, 0, 1 / ROOT, 1 / 2],
            [0, 0, 0, 1 / ROOT],
            [1 / ROOT, 0, 0, 0],
            [1 / 2, 1 / ROOT, 0, 0],
        ]
    )
    torch.testing.assert_close(adjacency.to_dense(), expected)


def test_propagation_and_read_out_by_hand() -> None:
    model = LightGCN(n_users=2, n_items=2, dimension=1, layers=2)
    with torch.no_grad():
        model.embedding.copy_(torch.tensor([[1.0], [2.0], [4.0], [8.0]]))
    users, items = model(normalized_adjacency(USERS, ITEMS, 2, 2))
    first = [4 / ROOT + 8 / 2, 8 / ROOT, 1 / ROOT, 1 / 2 + 2 / ROOT]
    second = [
        first[2] / ROOT + first[3] / 2,
        first[3] / ROOT,
        first[0] / ROOT,
        first[0] / 2 + first[1] / ROOT,
    ]
    mean = [(a + b + c) / 3 for a, b, c in zip([1, 2, 4, 8], first, second, strict=True)]
    torch.testing.assert_close(users, torch.tensor(mean[:2])[:, None])
    torch.testing.assert_close(items, torch.tensor(mean[2:])[:, None])


def test_a_node_without_an_edge_only_shrinks() -> None:
    model = LightGCN(n_users=3, n_items=2, dimension=4, layers=1)
    users, _ = model(normalized_adjacency(USERS, ITEMS, n_users=3, n_items=2))
    torch.testing.assert_close(users[2], model.embedding[2] / 2)


def test_gradient_equals_that_of_the_dense_product() -> None:
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randint(n, (200,), generator=generator) for n in (30, 20))
    adjacency = normalized_adjacency(users, items, n_users=30, n_items=20)
    model = LightGCN(n_users=30, n_items=20, dimension=8, layers=3)
    weights = torch.randn(50, 8, generator=generator)
    (torch.cat(model(adjacency)).square() * weights).sum().backward()

    embedding = model.embedding.detach().clone().requires_grad_()
    layers, dense = [embedding], adjacency.to_dense()
    for _ in range(3):
        layers.append(dense @ layers[-1])
    (torch.stack(layers).mean(dim=0).square() * weights).sum().backward()
    torch.testing.assert_close(model.embedding.grad, embedding.grad)


def test_the_backbone_on_three_nodes_by_hand() -> None:
    # Two users with one item: degrees 1, 1 and 2, so every edge weighs 1 / sqrt(2). E^(0) = u 1, v 3, i 4.
    backbone = LightGCNBackbone(1, layers=2, users=2, items=1, pairs=torch.tensor([[0, 1], [1, 1]]))
    with torch.no_grad():
        backbone.user_embedding.copy_(torch.tensor([[1.0], [3.0]]))
    users, items = backbone(torch.tensor([[7.0], [4.0]]))  # row 0 is padding, which has no edge
    first = [4 / ROOT, 4 / ROOT, (1 + 3) / ROOT]
    second = [first[2] / ROOT, first[2] / ROOT, (first[0] + first[1]) / ROOT]
    mean = [(a + b + c) / 3 for a, b, c in zip([1, 3, 4], first, second, strict=True)]
    torch.testing.assert_close(users, torch.tensor(mean[:2])[:, None])
    torch.testing.assert_close(items, torch.tensor([7 / 3, mean[2]])[:, None])
