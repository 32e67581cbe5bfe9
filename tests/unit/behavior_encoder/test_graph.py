from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.sampler import NodeSamplerInput

from components.behavior_encoder.graph import UnifiedGraph, read_graph
from components.behavior_encoder.neighbor_sampling import VectorizedNeighborSampler
from components.contracts.artifacts import INTERACTIONS_FILE, ITEM_TOPICS_FILE, ITEMS_FILE, QUERY_TOPICS_FILE
from components.contracts.tables import BEHAVIORS, INTERACTIONS, ITEM_TOPICS, ITEMS, QUERY_TOPICS, write_table
from components.foundation.errors import InputError

Row = dict[str, Any]


def interaction(user: str, item: str, time: int, behavior: str = "click", split: str = "train", **others: Any) -> Row:
    row = {"user_id": user, "item_id": item, "timestamp": time, "behavior": behavior, "sequence": time}
    return {**row, "split_leave_one_out": split, **others}


def described(item: str, brand: str = "", categories: list[str] | None = None) -> Row:
    return {"item_id": item, "title": "", "brand": brand, "categories": categories or [], "description": ""}


@pytest.fixture(scope="module")
def write_prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def write(interactions: list[Row], items: list[Row], titles: list[Row] = [], queries: list[Row] = []) -> Path:  # noqa: B006
        folder = tmp_path_factory.mktemp("prepared")
        for rows, name, schema in [
            (interactions, INTERACTIONS_FILE, INTERACTIONS),
            (items, ITEMS_FILE, ITEMS),
            (titles, ITEM_TOPICS_FILE, ITEM_TOPICS),
            (queries, QUERY_TOPICS_FILE, QUERY_TOPICS),
        ]:
            write_table(pa.Table.from_pylist(rows, schema=schema), folder / name, schema)
        return folder

    return write


def named_edges(graph: UnifiedGraph, edge_type: tuple[str, str, str]) -> list[tuple[Any, ...]]:
    """(source, destination, weight) or (source, destination, weight, time) by name, in the order of the graph."""
    store = graph.data[edge_type]
    sources, destinations = (
        graph.node_ids[kind].take(pa.array(numbers)).to_pylist()
        for kind, numbers in zip(edge_type[::2], store.edge_index.numpy(), strict=True)
    )
    columns = [sources, destinations, store.weight.tolist(), *([store.time.tolist()] if "time" in store else [])]
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def shop(write_prepared: Callable[..., Path]) -> Path:
    """Ann searches, clicks twice and rates; Bob clicks one item; Cy has nothing but what is held out."""
    return write_prepared(
        [
            interaction("ann", "lamp", 10, "search", query="red lamp"),
            interaction("ann", "lamp", 11),
            interaction("ann", "lamp", 30),
            interaction("ann", "sofa", 40, "rating", value=4.0),
            interaction("ann", "vase", 50, "search", "valid", query="blue vase"),
            interaction("ann", "vase", 60, "click", "test"),
            interaction("bob", "lamp", 20, value=99.0),
            interaction("bob", "sofa", 21, "click", "valid"),
            interaction("bob", "vase", 22, "click", "test"),
            interaction("cy", "lamp", 5, "click", "valid"),
            interaction("cy", "sofa", 6, "click", "test"),
        ],
        [described("lamp", "Lux", ["home", "light", "home"]), described("sofa", "", ["home"]), described("vase")],
        [
            {"item_id": "lamp", "topic": "lamp", "weight": 0.5},
            {"item_id": "sofa", "topic": "soft", "weight": 0.25},
            {"item_id": "unknown", "topic": "ghost", "weight": 0.25},
        ],
        [
            {"query": "blue vase", "topic": "blue", "weight": 1.0},
            {"query": "red lamp", "topic": "red", "weight": 0.75},
            {"query": "red lamp", "topic": "lamp", "weight": 0.5},
        ],
    )


def test_every_edge_of_a_small_shop(shop: Path) -> None:
    graph = read_graph(shop)
    assert {kind: names.to_pylist() for kind, names in graph.node_ids.items()} == {
        "user": ["ann", "bob", "cy"],
        "item": ["lamp", "sofa", "vase"],
        "brand": ["Lux"],
        "category": ["home", "light"],
        "topic": ["lamp", "soft"],
        "query_term": ["lamp", "red"],
    }
    expected = {
        ("user", "search", "item"): [("ann", "lamp", 1.0, 10)],
        ("user", "click", "item"): [("ann", "lamp", 1.0, 11), ("bob", "lamp", 1.0, 20), ("ann", "lamp", 1.0, 30)],
        ("user", "rating", "item"): [("ann", "sofa", 4.0, 40)],
        ("item", "of_brand", "brand"): [("lamp", "Lux", 1.0)],
        ("item", "in_category", "category"): [("lamp", "home", 1.0), ("sofa", "home", 1.0), ("lamp", "light", 1.0)],
        ("item", "about", "topic"): [("lamp", "lamp", 0.5), ("sofa", "soft", 0.25)],
        ("user", "searched", "query_term"): [("ann", "lamp", 0.5, 10), ("ann", "red", 0.75, 10)],
        ("query_term", "is_word", "topic"): [("lamp", "lamp", 1.0)],
    }
    assert {edge_type: named_edges(graph, edge_type) for edge_type in expected} == expected
    reverses = {(end, f"rev_{relation}", start) for start, relation, end in expected}
    assert set(graph.data.edge_types) == expected.keys() | reverses
    assert named_edges(graph, ("item", "rev_click", "user")) == [
        ("lamp", "ann", 1.0, 11),
        ("lamp", "ann", 1.0, 30),
        ("lamp", "bob", 1.0, 20),
    ]
    assert graph.data.validate(raise_on_error=True)


def test_without_entities(shop: Path) -> None:
    graph = read_graph(shop, entities=False)
    assert set(graph.node_ids) == {"user", "item"}
    assert {edge_type[1] for edge_type in graph.data.edge_types} == {
        relation for behavior in ("search", "click", "rating") for relation in (behavior, f"rev_{behavior}")
    }


def test_users_and_items_without_a_training_interaction_are_nodes_without_edges(shop: Path) -> None:
    graph = read_graph(shop)
    touched = {(kind, number) for t in graph.data.edge_types for kind, number in ends(graph, t)}
    assert ("user", 2) not in touched and ("item", 2) not in touched
    assert graph.data["user"].num_nodes == graph.data["item"].num_nodes == 3


def ends(graph: UnifiedGraph, edge_type: tuple[str, str, str]) -> set[tuple[str, int]]:
    sources, destinations = graph.data[edge_type].edge_index.tolist()
    return {(edge_type[0], number) for number in sources} | {(edge_type[2], number) for number in destinations}


def test_edges_are_in_the_order_that_needs_no_copy(shop: Path) -> None:
    graph = read_graph(shop)
    sampler = VectorizedNeighborSampler(graph.data, [1], time_attr="time")
    assert set(sampler.edge_permutation.values()) == {None}


def test_an_item_that_is_not_among_the_items(write_prepared: Callable[..., Path]) -> None:
    folder = write_prepared([interaction("ann", "lamp", 1), interaction("ann", "rug", 2)], [described("lamp")])
    with pytest.raises(InputError, match=r"1 interactions with items that items\.parquet lacks"):
        read_graph(folder)


def test_no_topics_at_all(write_prepared: Callable[..., Path]) -> None:
    folder = write_prepared([interaction("ann", "lamp", 1, "search", query="lamp")], [described("lamp")])
    assert set(read_graph(folder).node_ids) == {"user", "item"}


events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.sampled_from(BEHAVIORS), st.sampled_from(["train", "held out"])),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events)
def test_nothing_held_out_is_reachable(
    write_prepared: Callable[..., Path], events: list[tuple[int, int, str, str]]
) -> None:
    """The time of an interaction names it, and every query is about a word of its own."""
    rows = [
        interaction(f"u{user}", f"i{item}", time, behavior, {"held out": "test"}.get(split, split), query=f"q{time}")
        for time, (user, item, behavior, split) in enumerate(events)
    ]
    queries = [{"query": f"q{time}", "topic": f"w{time}", "weight": 1.0} for time in range(len(events))]
    items = [described(f"i{k}", "the brand", ["the category"]) for k in range(6)]  # all items hang together
    titles = [{"item_id": f"i{k}", "topic": f"w{word}", "weight": 1.0} for k, word in enumerate(range(0, 18, 3))]
    graph = read_graph(write_prepared(rows, items, titles, sorted(queries, key=lambda row: row["query"])))

    sampler = VectorizedNeighborSampler(graph.data, [-1] * 10)  # deeper than the graph is wide
    seen_times, seen_words = set(), set()
    for kind in graph.node_ids:
        every = torch.arange(graph.data[kind].num_nodes)
        sample = sampler.sample_from_nodes(NodeSamplerInput(None, every, input_type=kind))
        for edge_type, edges in sample.edge.items():
            if "time" in graph.data[edge_type]:
                seen_times |= set(graph.data[edge_type].time[edges].tolist())
        if "query_term" in graph.node_ids:
            seen_words |= set(
                graph.node_ids["query_term"].take(pa.array(sample.node["query_term"].numpy())).to_pylist()
            )
    training = {time for time, (*_, split) in enumerate(events) if split == "train"}
    assert seen_times == training
    assert seen_words == {f"w{time}" for time in training if events[time][2] == "search"}


def test_a_hub_with_every_user(write_prepared: Callable[..., Path]) -> None:
    users = [f"u{number:05d}" for number in range(20_000)]
    folder = write_prepared([interaction(user, "hub", 1) for user in users], [described("hub"), described("other")])
    store = read_graph(folder).data["user", "click", "item"]
    assert np.array_equal(store.edge_index.numpy(), [np.arange(20_000), np.zeros(20_000)])
