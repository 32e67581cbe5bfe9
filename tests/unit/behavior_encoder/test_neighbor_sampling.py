import itertools
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch_geometric.typing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NeighborSampler,
    NodeSamplerInput,
)
from torch_geometric.typing import EdgeType

from components.behavior_encoder.neighbor_sampling import (
    VectorizedNeighborSampler,
    first_not_before,
    neighbor_sampler,
    sample_ranges,
)

CLICK, REVERSE, BRAND = ("user", "click", "item"), ("item", "rev_click", "user"), ("brand", "rev_of_brand", "item")

MakeSampler = Callable[[HeteroData, list[int]], BaseSampler]


def graph(
    clicks: list[tuple[int, int]], users: int, items: int, times: list[int] | None = None, brands: int = 0
) -> HeteroData:
    """Users click items, both directions; item k is of brand k modulo `brands`."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = users, items
    pairs = torch.tensor(clicks, dtype=torch.int64).reshape(-1, 2).T
    data[CLICK].edge_index, data[REVERSE].edge_index = pairs, pairs.flip(0)
    if times is not None:
        data[CLICK].time = data[REVERSE].time = torch.tensor(times, dtype=torch.int64)
    if brands:
        data["brand"].num_nodes = brands
        data[BRAND].edge_index = torch.stack([torch.arange(items) % brands, torch.arange(items)])
    return data


def random_graph(n_clicks: int = 300, users: int = 20, items: int = 30) -> HeteroData:
    generator = np.random.default_rng(0)
    pairs = np.stack([generator.integers(users, size=n_clicks), generator.integers(items, size=n_clicks)], axis=1)
    return graph(pairs.tolist(), users, items, generator.integers(100, size=n_clicks).tolist(), brands=4)


def sample_users(
    sampler: BaseSampler, users: list[int], times: list[int] | None = None, kind: str = "user"
) -> HeteroSamplerOutput:
    time = None if times is None else torch.tensor(times)
    return sampler.sample_from_nodes(NodeSamplerInput(None, torch.tensor(users), time, kind))


def edges_of_data(sampler: BaseSampler, sample: HeteroSamplerOutput, edge_type: EdgeType) -> torch.Tensor:
    """Which edges of the graph were sampled: a sampler numbers them in its own order."""
    permutation = sampler.edge_permutation[edge_type]
    return sample.edge[edge_type] if permutation is None else permutation[sample.edge[edge_type]]


@pytest.fixture(params=["vectorized", "compiled"])
def make_sampler(request: pytest.FixtureRequest) -> MakeSampler:
    """Ours, and PyG's compiled one where it is installed, for what both must do."""
    if request.param == "vectorized":
        return lambda data, sizes: VectorizedNeighborSampler(data, sizes)
    if not torch_geometric.typing.WITH_PYG_LIB:
        pytest.skip("pyg-lib is not installed: no compiled sampler to compare with")
    torch.manual_seed(0)
    return lambda data, sizes: NeighborSampler(data, sizes)


def test_subsets_are_uniform() -> None:
    """40,000 times 3 of 6 from one call: each of the 20 subsets equally often."""
    n = 40_000
    starts = np.arange(n) * 10
    numbers, places = sample_ranges(starts, np.full(n, 6), 3, np.random.default_rng(1))
    assert np.array_equal(np.bincount(places), np.full(n, 3))
    subsets = np.zeros(n, np.int64)
    np.bitwise_or.at(subsets, places, 1 << (numbers - starts[places]))  # a bit for each number drawn
    counts = np.unique(subsets, return_counts=True)[1]
    assert len(counts) == 20  # so three different ones were drawn each time
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (3, 3), (5, 0), (5, -1), (4, 3)])
def test_sizes_of_subsets(count: int, size: int) -> None:
    numbers, places = sample_ranges(np.array([7]), np.array([count]), size, np.random.default_rng(0))
    assert len(numbers) == len(places) == (count if size < 0 else min(count, size))
    assert len(set(numbers)) == len(numbers) and set(numbers) <= set(range(7, 7 + count))


def exact_distribution(data: HeteroData, user: int, sizes: tuple[int, int]) -> dict[frozenset[tuple[int, int]], float]:
    """Every set of (user, item) pairs that two hops from `user` can give, with its probability, by enumeration."""
    items_of, users_of = defaultdict(list), defaultdict(list)
    for a, b in data[CLICK].edge_index.T.tolist():
        items_of[a].append(b)
        users_of[b].append(a)

    def subsets(of: list[int], size: int) -> list[tuple[int, ...]]:
        return list(itertools.combinations(of, min(size, len(of))))

    found: dict[frozenset[tuple[int, int]], float] = defaultdict(float)
    for items in (first := subsets(items_of[user], sizes[0])):
        choices = [subsets(users_of[item], sizes[1]) for item in items]
        for second in itertools.product(*choices):
            hop_2 = {(other, item) for item, others in zip(items, second, strict=True) for other in others}
            outcome = frozenset({(user, item, 1) for item in items} | {(*pair, 2) for pair in hop_2})
            found[outcome] += 1 / len(first) / np.prod([len(choice) for choice in choices])
    return found


def test_two_hops_have_the_exact_distribution(make_sampler: MakeSampler) -> None:
    """User 0 has three items, with two, three and four users: 2 of the items, then 2 users of each."""
    data = graph([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (4, 2)], users=5, items=3)
    expected = exact_distribution(data, 0, (2, 2))
    assert len(expected) == 27 and sum(expected.values()) == pytest.approx(1)
    sampler = make_sampler(data, [2, 2])
    drawn: Counter[frozenset[tuple[int, int, int]]] = Counter()
    for _ in range(2000):
        sample = sample_users(sampler, [0])
        hop_1 = zip(sample.col[REVERSE].tolist(), sample.row[REVERSE].tolist(), strict=True)
        hop_2 = zip(sample.row[CLICK].tolist(), sample.col[CLICK].tolist(), strict=True)
        pairs = {(user, item, 1) for user, item in hop_1} | {(user, item, 2) for user, item in hop_2}
        users, items = sample.node["user"].tolist(), sample.node["item"].tolist()
        drawn[frozenset((users[user], items[item], hop) for user, item, hop in pairs)] += 1
    assert drawn.keys() <= expected.keys()
    outcomes = list(expected)
    observed = [drawn[outcome] for outcome in outcomes]
    assert chisquare(observed, [2000 * expected[outcome] for outcome in outcomes]).pvalue > 0.01


def test_a_whole_neighbourhood_has_every_edge_once(make_sampler: MakeSampler) -> None:
    data = random_graph()
    sampler = make_sampler(data, [-1] * 6)
    sample = sample_users(sampler, list(range(20)))
    for edge_type in data.edge_types:
        edges = edges_of_data(sampler, sample, edge_type)
        assert sorted(edges.tolist()) == list(range(data[edge_type].num_edges))
        sources, destinations = data[edge_type].edge_index[:, edges]
        assert torch.equal(sample.node[edge_type[0]][sample.row[edge_type]], sources)
        assert torch.equal(sample.node[edge_type[2]][sample.col[edge_type]], destinations)


def test_counts_of_each_hop() -> None:
    data = random_graph()
    sample = sample_users(VectorizedNeighborSampler(data, [3, 2]), [4, 7])
    assert sample.num_sampled_nodes["user"][:2] == [2, 0]
    assert sample.num_sampled_edges[REVERSE] == [6, 0]
    assert sample.num_sampled_edges[CLICK][0] == 0
    assert sample.num_sampled_edges[BRAND] == [0, sample.num_sampled_nodes["item"][1]]
    for kind in data.node_types:
        assert sum(sample.num_sampled_nodes[kind]) == len(sample.node[kind])
        assert len(set(sample.node[kind].tolist())) == len(sample.node[kind])


def test_a_number_of_neighbours_for_each_edge_type() -> None:
    sizes = {CLICK: [0, 0], REVERSE: [2, 0], BRAND: [0, 1]}
    sample = sample_users(VectorizedNeighborSampler(random_graph(), sizes), [4])
    assert sample.num_sampled_edges == {CLICK: [0, 0], REVERSE: [2, 0], BRAND: [0, len(sample.node["item"])]}


def test_an_isolated_seed_and_a_seed_that_is_there_twice() -> None:
    data = graph([(0, 0), (0, 1)], users=3, items=2)
    sample = sample_users(VectorizedNeighborSampler(data, [2, 2]), [2, 0, 0])
    assert sample.node["user"].tolist() == [2, 0, 0]
    assert Counter(sample.col[REVERSE].tolist()) == {1: 2, 2: 2}
    assert set(sample.row[CLICK].tolist()) == {1}
    alone = sample_users(VectorizedNeighborSampler(data, [2, 2]), [2])
    assert alone.node["user"].tolist() == [2] and not len(alone.node["item"])


def test_order_of_the_edges_does_not_matter() -> None:
    data = random_graph()
    shuffled = data.clone()
    for edge_type in data.edge_types:
        order = torch.randperm(data[edge_type].num_edges, generator=torch.Generator().manual_seed(0))
        shuffled[edge_type].edge_index = data[edge_type].edge_index[:, order]
    sampler = VectorizedNeighborSampler(shuffled, [3, 3])
    sample = sample_users(sampler, [0, 1, 2])
    assert None not in sampler.edge_permutation.values()
    for edge_type in data.edge_types:
        sources, destinations = shuffled[edge_type].edge_index[:, edges_of_data(sampler, sample, edge_type)]
        assert torch.equal(sample.node[edge_type[0]][sample.row[edge_type]], sources)
        assert torch.equal(sample.node[edge_type[2]][sample.col[edge_type]], destinations)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30), st.integers(-1, 10), st.data())
def test_bisection_of_many_ranges(values: list[int], limit: int, draw: st.DataObject) -> None:
    bounds = draw.draw(st.lists(st.tuples(*[st.integers(0, len(values))] * 2).map(sorted), min_size=1))
    times = np.array(values, np.int64)
    for start, end in bounds:
        times[start:end] = np.sort(times[start:end])
    bounds = [bound for bound in bounds if (np.diff(times[slice(*bound)]) >= 0).all()]
    starts, ends = np.array(bounds, np.int64).reshape(-1, 2).T
    found = first_not_before(times, starts, ends, np.full(len(starts), limit))
    expected = [start + np.searchsorted(times[start:end], limit) for start, end in bounds]
    assert found.tolist() == expected


clicks = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=30)


@settings(deadline=None)
@given(clicks, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11)), min_size=1, max_size=8), st.booleans())
def test_only_the_past_is_sampled(
    clicks: list[tuple[int, int, int]], seeds: list[tuple[int, int]], whole: bool
) -> None:
    data = graph([click[:2] for click in clicks], 5, 5, [click[2] for click in clicks], brands=2)
    sampler = VectorizedNeighborSampler(data, [-1 if whole else 2] * 8, time_attr="time")
    users, times = zip(*seeds, strict=True)
    sample = sample_users(sampler, list(users), list(times))
    assert sample.node["user"][: len(users)].tolist() == list(users)
    assert sample.batch["user"][: len(users)].tolist() == list(range(len(users)))
    for number, (user, time) in enumerate(seeds):
        pairs = []
        for edge_type in (CLICK, REVERSE):
            row, col = sample.row[edge_type], sample.col[edge_type]
            mine = sample.batch[edge_type[2]][col] == number
            assert torch.equal(sample.batch[edge_type[0]][row] == number, mine)  # subgraphs do not touch
            edges = edges_of_data(sampler, sample, edge_type)[mine]
            assert (data[edge_type].time[edges] < time).all()
            assert len(set(edges.tolist())) == len(edges)
            pairs.append(edges)
        if whole:
            assert {*pairs[0].tolist()} == {*pairs[1].tolist()} == reachable(clicks, user, time)
    # Edges without a time are always seen: each item that was not reached in the last hop has its brand.
    assert len(sample.edge[BRAND]) == sum(sample.num_sampled_nodes["item"][:-1])


def reachable(clicks: list[tuple[int, int, int]], user: int, time: int) -> set[int]:
    """The edges of the part of the graph before `time` that `user` is in, by search."""
    past = {number: click for number, click in enumerate(clicks) if click[2] < time}
    users, items = {user}, set()
    while True:
        items_now = {item for who, item, _ in past.values() if who in users}
        users_now = {user} | {who for who, item, _ in past.values() if item in items_now}
        if (users_now, items_now) == (users, items):
            return {number for number, (who, *_) in past.items() if who in users}
        users, items = users_now, items_now


def test_the_past_is_sampled_uniformly() -> None:
    """Ten edges at times 0 to 9, seed time 6: each 2 of the first six equally often."""
    data = graph([(0, item) for item in range(10)], 1, 10, list(range(10)))
    sampler = VectorizedNeighborSampler(data, [2], time_attr="time")
    sample = sample_users(sampler, [0] * 15_000, [6] * 15_000)
    drawn = defaultdict(list)
    for column, edge in zip(sample.col[REVERSE].tolist(), sample.edge[REVERSE].tolist(), strict=True):
        drawn[column].append(edge)
    counts = Counter(frozenset(edges) for edges in drawn.values())
    assert set(counts) == {frozenset(pair) for pair in itertools.combinations(range(6), 2)}
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_time_is_asked_for() -> None:
    data = random_graph()
    with pytest.raises(ValueError, match="no edge type has the time attribute 'when'"):
        VectorizedNeighborSampler(data, [2], time_attr="when")
    with pytest.raises(ValueError, match="needs the time of each seed"):
        sample_users(VectorizedNeighborSampler(data, [2], time_attr="time"), [0])


def test_a_draw_from_a_hub_does_not_touch_its_neighbours() -> None:
    n = 1_000_000
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = n, 1
    data[CLICK].edge_index = torch.stack([torch.arange(n), torch.zeros(n, dtype=torch.int64)])
    data[CLICK].time = torch.arange(n)
    uniform = VectorizedNeighborSampler(data, [10])
    temporal = VectorizedNeighborSampler(data, [10], time_attr="time")
    tracemalloc.start()
    try:
        first = sample_users(uniform, [0], kind="item")
        second = sample_users(temporal, [0], [n // 2], kind="item")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(set(first.node["user"].tolist())) == len(set(second.node["user"].tolist())) == 10
    assert second.node["user"].max() < n // 2
    assert peak < n / 8  # one bit for each neighbour would be more


def equal(first: HeteroSamplerOutput, second: HeteroSamplerOutput) -> bool:
    return all(
        torch.equal(getattr(first, part)[key], getattr(second, part)[key])
        for part in ("node", "row", "col", "edge")
        for key in getattr(first, part)
    )


def test_equal_seeds_and_calls_give_equal_samples() -> None:
    data = random_graph()
    first, second = (VectorizedNeighborSampler(data, [3, 3], seed=5) for _ in range(2))
    samples = [sample_users(first, [0, 1]) for _ in range(3)]
    assert equal(samples[0], sample_users(second, [0, 1]))
    assert not equal(samples[0], samples[1])
    resumed = VectorizedNeighborSampler(data, [3, 3], seed=5)
    resumed.calls = 2
    assert equal(samples[2], sample_users(resumed, [0, 1]))
    assert not equal(samples[0], sample_users(VectorizedNeighborSampler(data, [3, 3], seed=6), [0, 1]))


def test_negatives_follow_the_seed_and_leave_torch_alone() -> None:
    data = random_graph()
    index = EdgeSamplerInput(None, torch.tensor([0, 1]), torch.tensor([2, 3]), input_type=CLICK)
    before = torch.random.get_rng_state()
    sampler = VectorizedNeighborSampler(data, [2], seed=5)
    first, second = (sampler.sample_from_edges(index, NegativeSampling("triplet", 50)) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    again = VectorizedNeighborSampler(data, [2], seed=5).sample_from_edges(index, NegativeSampling("triplet", 50))
    assert equal(first, again)
    assert not torch.equal(first.node["item"][first.metadata[3]], second.node["item"][second.metadata[3]])


def test_workers_draw_apart_and_repeatably() -> None:
    data = random_graph()

    def batches() -> list[torch.Tensor]:
        sampler = VectorizedNeighborSampler(data, [2])
        loader = NodeLoader(
            data, sampler, ("user", [3] * 4), batch_size=1, num_workers=2, generator=torch.Generator().manual_seed(0)
        )
        return [batch["item"].n_id for batch in loader]

    first, second = batches(), batches()
    assert all(map(torch.equal, first, second))
    assert len({tuple(nodes.tolist()) for nodes in first}) > 1  # workers 0 and 1 both made a first call


def test_a_node_loader_feeds_a_heterogeneous_network() -> None:
    data = random_graph()
    for kind in data.node_types:
        data[kind].x = torch.randn(data[kind].num_nodes, 4)
    network = HeteroConv({edge_type: SAGEConv((4, 4), 4) for edge_type in data.edge_types if edge_type != BRAND})
    # All neighbours in reach of one layer: the seeds' output is that of the whole graph.
    expected = network(data.x_dict, data.edge_index_dict)["user"]
    loader = NodeLoader(data, VectorizedNeighborSampler(data, [-1]), "user", batch_size=8)
    sizes = []
    for batch in loader:
        assert batch.validate(raise_on_error=True)
        seeds = batch["user"].n_id[: batch["user"].batch_size]
        output = network(batch.x_dict, batch.edge_index_dict)["user"][: len(seeds)]
        torch.testing.assert_close(output, expected[seeds])
        sizes.append(len(seeds))
    assert sizes == [8, 8, 4]


@pytest.mark.parametrize("time_attr", [None, "time"])
@pytest.mark.parametrize("mode", ["binary", "triplet"])
def test_a_link_loader_gives_positives_and_negatives(mode: str, time_attr: str | None) -> None:
    data = random_graph()
    loader = LinkLoader(
        data,
        VectorizedNeighborSampler(data, [4, 3], time_attr),
        (CLICK, None),
        edge_label_time=data[CLICK].time if time_attr else None,
        neg_sampling=NegativeSampling(mode, 2),
        batch_size=64,
    )
    pairs = []
    for batch in loader:
        assert batch.validate(raise_on_error=True)
        n = len(batch[CLICK].input_id)
        users, items = batch["user"].n_id, batch["item"].n_id
        if mode == "binary":
            links = batch[CLICK].edge_label_index
            assert batch[CLICK].edge_label.tolist() == [1.0] * n + [0.0] * 2 * n
            pairs.append(torch.stack([users[links[0, :n]], items[links[1, :n]]]))
        else:
            assert batch["item"].dst_neg_index.shape == (n, 2)
            pairs.append(torch.stack([users[batch["user"].src_index], items[batch["item"].dst_pos_index]]))
        if time_attr:
            link_times = data[CLICK].time[batch[CLICK].input_id]
            for edge_type in (CLICK, REVERSE):  # an edge of the subgraph of link b is earlier than link b
                owners = batch[edge_type[2]].batch[batch[edge_type].edge_index[1]]
                assert (batch[edge_type].time < link_times[owners]).all()
    assert torch.equal(torch.cat(pairs, dim=1), data[CLICK].edge_index)


def test_the_compiled_sampler_is_picked_where_it_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_graph()
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", False)
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SPARSE", True)
    assert isinstance(neighbor_sampler(data, [2]), VectorizedNeighborSampler)
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", True)
    assert isinstance(neighbor_sampler(data, [2]), NeighborSampler)
    assert isinstance(neighbor_sampler(data, [2], "time"), VectorizedNeighborSampler)
