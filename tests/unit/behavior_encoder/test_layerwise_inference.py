from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from components.behavior_encoder.layerwise_inference import layerwise_vectors
from components.recommenders.backbones.gat import HeterogeneousGAT, edge_features

CLICK, REVERSE = ("user", "click", "item"), ("item", "rev_click", "user")
OF_BRAND, REVERSE_BRAND = ("item", "of_brand", "brand"), ("brand", "rev_of_brand", "item")
NOW = 10**7


@pytest.fixture
def data() -> HeteroData:
    """200 clicks of 49 users (one more has none), half of them on item 0; brands of all items but the last."""
    generator = np.random.default_rng(0)
    users, items = generator.integers(49, size=200), generator.integers(20, size=200)
    items[:100] = 0
    times = generator.integers(NOW, size=200)
    brands = np.arange(19) % 4
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes, data["brand"].num_nodes = 50, 20, 4
    for edge_type, sources, destinations in [
        (CLICK, users, items),
        (REVERSE, items, users),
        (OF_BRAND, np.arange(19), brands),
        (REVERSE_BRAND, brands, np.arange(19)),
    ]:
        has_time = edge_type in (CLICK, REVERSE)
        order = np.lexsort((times, destinations) if has_time else (destinations,))
        data[edge_type].edge_index = torch.from_numpy(np.stack([sources[order], destinations[order]]))
        data[edge_type].weight = torch.from_numpy((1 + sources[order] % 5).astype(np.float32))
        if has_time:
            data[edge_type].time = torch.from_numpy(times[order])
    return data


@pytest.fixture
def network(data: HeteroData) -> HeterogeneousGAT:
    torch.manual_seed(0)
    n_nodes = {kind: data[kind].num_nodes for kind in data.node_types}
    return HeterogeneousGAT(n_nodes, data.edge_types, dimension=8, layers=3, heads=2, dropout=0.5)


def at_once(network: HeterogeneousGAT, data: HeteroData) -> dict[str, np.ndarray]:
    features = {
        edge_type: edge_features(data[edge_type].weight, data[edge_type].get("time"), NOW)
        for edge_type in data.edge_types
    }
    nodes = {kind: torch.arange(data[kind].num_nodes) for kind in data.node_types}
    with torch.no_grad():
        return {k: v.numpy() for k, v in network.eval()(nodes, data.edge_index_dict, features).items()}


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for kind in expected:
        np.testing.assert_allclose(found[kind], expected[kind], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("edges_at_once", [1, 30, 10**6])
def test_layer_by_layer_is_the_whole_graph_at_once(
    network: HeterogeneousGAT, data: HeteroData, edges_at_once: int
) -> None:
    layers = layerwise_vectors(network, data, NOW, edges_at_once=edges_at_once)
    assert [sorted(layer) for layer in layers] == [["brand", "item", "user"]] * 2 + [["item", "user"]]
    assert_close(layers[-1], at_once(network, data))


def test_layers_in_files(network: HeterogeneousGAT, data: HeteroData, tmp_path: Path) -> None:
    layers = layerwise_vectors(network, data, NOW, edges_at_once=30, folder=tmp_path)
    assert all(isinstance(rows, np.memmap) for layer in layers for rows in layer.values())
    assert_close(layers[-1], at_once(network, data))
    assert np.array_equal(np.load(tmp_path / "layer3-user.npy"), layers[-1]["user"])


def test_of_a_hub_only_the_latest_edges(network: HeterogeneousGAT, data: HeteroData) -> None:
    found = layerwise_vectors(network, data, NOW, latest=5, edges_at_once=30)[-1]
    pruned = data.clone()
    for edge_type in data.edge_types:
        destinations = data[edge_type].edge_index[1].numpy()
        after = np.array([(destinations[place + 1 :] == node).sum() for place, node in enumerate(destinations)])
        for name, value in list(pruned[edge_type].items()):
            pruned[edge_type][name] = value[..., torch.from_numpy(after < 5)]
    assert pruned[CLICK].num_edges < 100
    assert_close(found, at_once(network, pruned))


def test_the_order_of_edges_does_not_matter(network: HeterogeneousGAT, data: HeteroData) -> None:
    expected = at_once(network, data)
    for edge_type in data.edge_types:
        order = torch.randperm(data[edge_type].num_edges, generator=torch.Generator().manual_seed(1))
        for name, value in list(data[edge_type].items()):
            data[edge_type][name] = value[..., order]
    assert_close(layerwise_vectors(network, data, NOW, edges_at_once=30)[-1], expected)
