"""The unified behaviour graph: users, items and what items and queries are about, with typed edges.

Node types are `user`, `item`, `brand`, `category`, `topic` (a word that titles are about) and `query_term` (a word that
queries are about). Edge types, each with its reverse, named `rev_<relation>`:

| edge type                            | time | weight                                              |
|--------------------------------------|------|-----------------------------------------------------|
| (user, <behavior>, item)             | yes  | the stars of a `rating`, 1 otherwise                |
| (user, searched, query_term)         | yes  | how much the query is about the word                |
| (item, of_brand, brand)              | no   | 1                                                   |
| (item, in_category, category)        | no   | 1                                                   |
| (item, about, topic)                 | no   | how much the title is about the word                |
| (query_term, is_word, topic)         | no   | 1                                                   |

Every interaction is an edge of its own, repeats too: a sample of the graph as it was at some second needs each time,
and a pair that comes back often is then drawn more often. A word of the queries and the same word of the titles are two
nodes, since users write the one and sellers the other. `is_word` joins them, so a query leads to the items it names.

Nothing held out is in here: edges, and the words of `query_term`, come from training interactions alone. Users and
items are all those of the prepared data; one that has no training interaction is a node without interactions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch_geometric.data import HeteroData

from components.contracts.artifacts import INTERACTIONS_FILE, ITEM_TOPICS_FILE, ITEMS_FILE, QUERY_TOPICS_FILE
from components.contracts.tables import (
    BEHAVIORS,
    ITEM_TOPICS,
    ITEMS,
    QUERY_TOPICS,
    read_interactions,
    read_table,
    read_training_interactions,
)
from components.foundation.errors import InputError


@dataclass(frozen=True)
class UnifiedGraph:
    """The graph and the names of its nodes.

    Attributes:
        data: for every edge type `edge_index` int64[2, E] and `weight` float32[E], where the table above says so also
            `time` int64[E] (seconds); for every node type `num_nodes`. The edges of a type are sorted by destination,
            then time, then input order: what a node receives is one slice, and what it had received before a second is
            the beginning of it. Types without an edge, and entity types without a node, are left out.
        node_ids: for every node type its names in ascending order; a node's number is its position.
    """

    data: HeteroData
    node_ids: dict[str, pa.Array]


def read_graph(prepared: Path, entities: bool = True) -> UnifiedGraph:
    """The unified graph of a prepared-data folder; with `entities=False`, of users and items only.

    Memory: 56 bytes an interaction in the result (28 in each direction) and about twice that, with the strings of the
    columns in use, while it is built. Working tables are Arrow and NumPy; nothing loops over rows.

    Raises:
        InputError: a table is missing or of another schema, or an interaction's item is not among the items.
    """
    columns = ["user_id", "item_id", "timestamp", "behavior", "value", *(["query"] if entities else [])]
    interactions = read_training_interactions(prepared, columns)
    items = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id", *(["brand", "categories"] if entities else [])])
    # The held-out rows are read for the users' names alone: every user is a node, so that rows of vectors line up.
    user_ids = _names(read_interactions(prepared, ["user_id"]).column("user_id"))
    item_ids = _names(items.column("item_id"))
    graph = UnifiedGraph(HeteroData(), {"user": user_ids, "item": item_ids})
    graph.data["user"].num_nodes = len(user_ids)
    graph.data["item"].num_nodes = len(item_ids)

    users = _numbers(interactions.column("user_id"), user_ids)
    chosen = _numbers(interactions.column("item_id"), item_ids)
    if (chosen < 0).any():
        raise InputError(
            f"{prepared / INTERACTIONS_FILE}: {(chosen < 0).sum()} interactions with items that {ITEMS_FILE} lacks"
        )
    times = interactions.column("timestamp").to_numpy()
    behaviors = interactions.column("behavior").combine_chunks()
    stars = pc.fill_null(interactions.column("value"), 1.0).to_numpy().astype(np.float32)
    for behavior in BEHAVIORS:
        rows = np.flatnonzero(pc.equal(behaviors, behavior).to_numpy(zero_copy_only=False))
        weights = stars[rows] if behavior == "rating" else np.ones(len(rows), np.float32)
        _connect(graph.data, ("user", behavior, "item"), users[rows], chosen[rows], weights, times[rows])
    if entities:
        _add_item_entities(graph, items, prepared)
        _add_query_terms(graph, interactions, users, prepared)
    return graph


def _add_item_entities(graph: UnifiedGraph, items: pa.Table, prepared: Path) -> None:
    numbers = _numbers(items.column("item_id"), graph.node_ids["item"])
    brands = items.column("brand").combine_chunks()
    _add_entities(graph, "of_brand", "brand", numbers, brands, np.ones(len(brands), np.float32))

    categories = items.column("categories").combine_chunks()
    owners = numbers[pc.list_parent_indices(categories).to_numpy()]
    names = pc.list_flatten(categories)
    _add_entities(graph, "in_category", "category", owners, names, np.ones(len(names), np.float32))

    about = read_table(prepared / ITEM_TOPICS_FILE, ITEM_TOPICS)
    owners = _numbers(about.column("item_id"), graph.node_ids["item"])
    kept = np.flatnonzero(owners >= 0)
    topics = about.column("topic").combine_chunks().take(pa.array(kept))
    _add_entities(graph, "about", "topic", owners[kept], topics, about.column("weight").to_numpy()[kept])


def _add_entities(
    graph: UnifiedGraph, relation: str, kind: str, items: np.ndarray, names: pa.Array, weights: np.ndarray
) -> None:
    """Nodes of type `kind` for the distinct `names`, and an edge from each of `items`, once a pair; "" is no name."""
    named = np.flatnonzero(pc.not_equal(names, "").to_numpy(zero_copy_only=False))
    names = names.take(pa.array(named))
    if not len(names):
        return
    graph.node_ids[kind] = _names(names)
    graph.data[kind].num_nodes = len(graph.node_ids[kind])
    entities = _numbers(names, graph.node_ids[kind])
    _, first = np.unique(items[named] * len(graph.node_ids[kind]) + entities, return_index=True)
    _connect(graph.data, ("item", relation, kind), items[named][first], entities[first], weights[named][first])


def _add_query_terms(graph: UnifiedGraph, interactions: pa.Table, users: np.ndarray, prepared: Path) -> None:
    """An edge from the user of each training search to each word that its query is about."""
    about = read_table(prepared / QUERY_TOPICS_FILE, QUERY_TOPICS).sort_by("query")
    queries = pc.unique(about.column("query"))  # in the order of the rows
    lengths = np.bincount(_numbers(about.column("query"), queries), minlength=len(queries))
    starts = np.cumsum(lengths) - lengths

    query_of_row = _numbers(interactions.column("query"), queries)  # -1: no query, or one that is about nothing
    is_search = pc.equal(interactions.column("behavior"), "search").to_numpy()
    searches = np.flatnonzero((query_of_row >= 0) & is_search)
    searched = query_of_row[searches]
    rows = np.repeat(searches, lengths[searched])
    # the k-th row of a search is the k-th topic of its query
    ends = np.cumsum(lengths[searched])
    topics = np.arange(len(rows)) + np.repeat(starts[searched] - (ends - lengths[searched]), lengths[searched])
    if not len(rows):
        return

    words = about.column("topic").combine_chunks()
    names = _names(words.take(pa.array(np.unique(topics))))
    graph.node_ids["query_term"] = names
    graph.data["query_term"].num_nodes = len(names)
    terms = _numbers(words, names)[topics]
    weights = about.column("weight").to_numpy()[topics]
    times = interactions.column("timestamp").to_numpy()[rows]
    _connect(graph.data, ("user", "searched", "query_term"), users[rows], terms, weights, times)

    if "topic" in graph.node_ids:
        same = _numbers(names, graph.node_ids["topic"])
        shared = np.flatnonzero(same >= 0)
        ones = np.ones(len(shared), np.float32)
        _connect(graph.data, ("query_term", "is_word", "topic"), shared, same[shared], ones)


def _connect(
    data: HeteroData,
    edge_type: tuple[str, str, str],
    sources: np.ndarray,
    destinations: np.ndarray,
    weights: np.ndarray,
    times: np.ndarray | None = None,
) -> None:
    """Add edges of one type and of its reverse, each in the order that `UnifiedGraph` promises."""
    if not len(sources):
        return
    source, relation, destination = edge_type
    for name, (start, end) in {
        edge_type: (sources, destinations),
        (destination, f"rev_{relation}", source): (destinations, sources),
    }.items():
        order = np.lexsort((end,) if times is None else (times, end))  # stable, the last key counts most
        store = data[name]
        store.edge_index = torch.from_numpy(np.stack([start[order], end[order]]))
        store.weight = torch.from_numpy(weights[order])
        if times is not None:
            store.time = torch.from_numpy(times[order])


def _names(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The distinct values in ascending order (of their UTF-8 bytes, which is Python's order of str)."""
    distinct = pc.unique(column)
    return distinct.take(pc.sort_indices(distinct))


def _numbers(column: pa.Array | pa.ChunkedArray, names: pa.Array) -> np.ndarray:
    """Position of each value in `names` as int64; -1 where it is not there."""
    return pc.fill_null(pc.index_in(column, value_set=names), -1).to_numpy().astype(np.int64)
