import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader

from components.behavior_encoder.neighbor_sampling import VectorizedNeighborSampler
from components.recommenders.backbones.gat import SECONDS_OF_A_DAY, GATLayer, HeterogeneousGAT, edge_features

CLICK, REVERSE = ("user", "click", "item"), ("item", "rev_click", "user")
OF_BRAND, REVERSE_BRAND = ("item", "of_brand", "brand"), ("brand", "rev_of_brand", "item")
EDGE_TYPES = [CLICK, REVERSE, OF_BRAND, REVERSE_BRAND]
N_NODES = {"user": 12, "item": 9, "brand": 3}


@pytest.fixture
def data() -> HeteroData:
    """40 clicks of 11 users (user 11 has none), repeats among them, and a brand for every item but the last."""
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    for kind, count in N_NODES.items():
        data[kind].num_nodes = count
    pairs = torch.stack([torch.randint(11, (40,), generator=generator), torch.randint(9, (40,), generator=generator)])
    brands = torch.stack([torch.arange(8), torch.arange(8) % 3])
    for edge_type, edges in zip(EDGE_TYPES, [pairs, pairs.flip(0), brands, brands.flip(0)], strict=True):
        data[edge_type].edge_index = edges
        data[edge_type].features = torch.rand(edges.shape[1], 2, generator=generator)
    return data


@pytest.fixture
def network() -> HeterogeneousGAT:
    torch.manual_seed(0)
    return HeterogeneousGAT(N_NODES, EDGE_TYPES, dimension=8, layers=2, heads=2)


def of_whole_graph(network: HeterogeneousGAT, data: HeteroData) -> dict[str, Tensor]:
    nodes = {kind: torch.arange(data[kind].num_nodes) for kind in data.node_types}
    return network(nodes, data.edge_index_dict, data.collect("features"))


def test_a_layer_follows_the_equation() -> None:
    """Two heads, three users into two items by one edge type and one brand into the first of them by another."""
    torch.manual_seed(0)
    layer = GATLayer([CLICK, REVERSE_BRAND], dimension=4, heads=2, dropout=0.0)
    users, items, brands = torch.randn(3, 4), torch.randn(2, 4), torch.randn(1, 4)
    edges, features = torch.tensor([[0, 1, 2, 2], [0, 0, 0, 1]]), torch.rand(4, 2)
    brand_edges, brand_features = torch.tensor([[0], [0]]), torch.rand(1, 2)
    for convolution in layer.convolutions.values():
        torch.nn.init.normal_(convolution.bias)
    found = layer(
        "item", items, {CLICK: (users, edges, features), REVERSE_BRAND: (brands, brand_edges, brand_features)}
    )

    rows = []
    for item in range(2):
        received = torch.zeros(4)
        for name, x, links, f in [
            ("user__click__item", users, edges, features),
            ("brand__rev_of_brand__item", brands, brand_edges, brand_features),
        ]:
            convolution = layer.convolutions[name]
            mine = [edge for edge in range(links.shape[1]) if links[1, edge] == item]
            heads = []
            for head in range(2):
                part = slice(2 * head, 2 * head + 2)  # of the output of W, V and U
                w, v, u = (m.weight[part] for m in (convolution.lin_l, convolution.lin_r, convolution.lin_edge))
                w_bias, v_bias = convolution.lin_l.bias[part], convolution.lin_r.bias[part]
                messages = [w @ x[links[0, edge]] + w_bias for edge in mine]
                logits = [
                    convolution.att[0, head] @ F.leaky_relu(message + v @ items[item] + v_bias + u @ f[edge], 0.2)
                    for message, edge in zip(messages, mine, strict=True)
                ]
                attention = torch.softmax(torch.stack(logits), 0) if mine else []
                heads.append(sum((a * m for a, m in zip(attention, messages, strict=True)), torch.zeros(2)))
            received = received + torch.cat(heads) + convolution.bias
        rows.append(F.layer_norm(items[item] + F.elu(received), (4,)))
    torch.testing.assert_close(found, torch.stack(rows))


def test_edge_features_by_hand() -> None:
    weight = torch.tensor([1.0, 4.0, 1.0])
    time = torch.tensor([0, 3 * SECONDS_OF_A_DAY, 9 * SECONDS_OF_A_DAY])
    found = edge_features(weight, time, now=3 * SECONDS_OF_A_DAY)
    torch.testing.assert_close(found, torch.tensor([[1.0, math.log(4)], [4.0, 0.0], [1.0, 0.0]]))
    assert torch.equal(edge_features(weight, None, now=0), torch.tensor([[1.0, 0.0], [4.0, 0.0], [1.0, 0.0]]))


def test_users_have_no_parameters_of_their_own(network: HeterogeneousGAT, data: HeteroData) -> None:
    assert not [value.shape for value in network.parameters() if N_NODES["user"] in value.shape]
    vectors = of_whole_graph(network, data)["user"]
    # A thirteenth user with exactly the edges of user 0 gets the vector of user 0, and nobody's vector is moved
    # when only the new user listens.
    mine = data[REVERSE].edge_index[1] == 0
    data["user"].num_nodes = 13
    twins = torch.stack([data[REVERSE].edge_index[0, mine], torch.full((int(mine.sum()),), 12)])
    data[REVERSE].edge_index = torch.cat([data[REVERSE].edge_index, twins], dim=1)
    data[REVERSE].features = torch.cat([data[REVERSE].features, data[REVERSE].features[mine]])
    with_twin = of_whole_graph(network, data)["user"]
    torch.testing.assert_close(with_twin[12], vectors[0])
    torch.testing.assert_close(with_twin[:12], vectors)
    assert not torch.allclose(vectors[0], vectors[1])


@pytest.mark.parametrize("kind", ["user", "item"])
def test_a_mini_batch_of_whole_neighbourhoods_is_the_whole_graph(
    network: HeterogeneousGAT, data: HeteroData, kind: str
) -> None:
    expected = of_whole_graph(network, data)[kind]
    sampler = VectorizedNeighborSampler(data, [-1, -1])
    for batch in NodeLoader(data, sampler, kind, batch_size=5):
        vectors = network(
            {kind: batch[kind].n_id for kind in batch.node_types},
            batch.edge_index_dict,
            batch.collect("features"),
            batch.collect("num_sampled_nodes"),
            batch.collect("num_sampled_edges"),
        )
        seeds = batch[kind].n_id[: batch[kind].batch_size]
        torch.testing.assert_close(vectors[kind][: len(seeds)], expected[seeds])


def test_every_parameter_is_trained_even_where_an_edge_type_is_empty(
    network: HeterogeneousGAT, data: HeteroData
) -> None:
    data[OF_BRAND].edge_index = torch.empty(2, 0, dtype=torch.int64)
    data[OF_BRAND].features = torch.empty(0, 2)
    vectors = of_whole_graph(network, data)
    (vectors["user"].sum() + vectors["item"].square().sum()).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_a_graph_without_entities(data: HeteroData) -> None:
    network = HeterogeneousGAT({"user": 12, "item": 9}, [CLICK, REVERSE], dimension=8, heads=2)
    del data["brand"], data[OF_BRAND], data[REVERSE_BRAND]
    vectors = of_whole_graph(network, data)
    assert vectors["user"].shape == (12, 8) and vectors["item"].shape == (9, 8)
    assert torch.isfinite(vectors["user"]).all()


def test_heads_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="64 cannot be divided among 5 heads"):
        HeterogeneousGAT(N_NODES, EDGE_TYPES, heads=5)
