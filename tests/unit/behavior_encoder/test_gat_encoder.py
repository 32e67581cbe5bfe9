from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from components.behavior_encoder.encoder import TrainingResources
from components.behavior_encoder.gat_encoder import GATConfig, GATEncoder, _GATTask, _without
from components.behavior_encoder.graph import read_graph
from components.behavior_encoder.histories import read_histories
from components.behavior_encoder.link_prediction import HeldOutPairs
from components.contracts.artifacts import INTERACTIONS_FILE, ITEM_TOPICS_FILE, ITEMS_FILE, QUERY_TOPICS_FILE
from components.contracts.tables import INTERACTIONS, ITEM_TOPICS, ITEMS, QUERY_TOPICS, write_table

CONFIG = GATConfig(dimension=8, heads=2, steps=40, evaluate_every=20, batch_size=64, held_out_share=0.05, seed=5)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """30 users of two tastes, who search for an item and then click it; each taste has its brand and words."""
    rows: list[dict[str, Any]] = []
    for user in range(30):
        for step in range(6):
            item = f"i{user % 2 * 10 + (user * 3 + step * 7) % 10:02d}"
            for behavior in ("search", "click"):
                row = {"user_id": f"u{user:02d}", "item_id": item, "behavior": behavior, "sequence": len(rows)}
                row |= {"timestamp": step * 86_400, "query": f"taste {user % 2}" if behavior == "search" else None}
                rows.append({**row, "split_leave_one_out": "train"})
        rows[-2]["split_leave_one_out"], rows[-1]["split_leave_one_out"] = "valid", "test"
    items = [
        {"item_id": f"i{k:02d}", "title": "", "brand": f"b{k // 10}", "categories": ["all"], "description": ""}
        for k in range(20)
    ]
    titles = [{"item_id": f"i{k:02d}", "topic": f"w{k // 10}", "weight": 0.5} for k in range(20)]
    queries = [{"query": f"taste {taste}", "topic": f"w{taste}", "weight": 1.0} for taste in range(2)]
    for content, name, schema in [
        (rows, INTERACTIONS_FILE, INTERACTIONS),
        (items, ITEMS_FILE, ITEMS),
        (titles, ITEM_TOPICS_FILE, ITEM_TOPICS),
        (queries, QUERY_TOPICS_FILE, QUERY_TOPICS),
    ]:
        write_table(pa.Table.from_pylist(content, schema=schema), tmp_path / name, schema)
    return tmp_path


def test_held_out_pairs_lose_every_edge_in_both_directions(prepared: Path) -> None:
    graph = read_graph(prepared).data
    store = graph["user", "click", "item"]
    user, item = store.edge_index[:, 3].tolist()
    pairs = HeldOutPairs(torch.tensor([user]), torch.tensor([item]), torch.tensor([[0]]))
    known = _without(graph, ["search", "click"], pairs)
    for edge_type in graph.edge_types:
        before, after = graph[edge_type], known[edge_type]
        is_user_item = set(edge_type[::2]) == {"user", "item"}
        ends = (user, item) if edge_type[0] == "user" else (item, user)
        of_pair = before.edge_index.T.eq(torch.tensor(ends)).all(dim=1) & is_user_item
        assert of_pair.any() == is_user_item
        assert torch.equal(after.edge_index, before.edge_index[:, ~of_pair])
        assert torch.equal(after.weight, before.weight[~of_pair])


@pytest.mark.parametrize("entities", [True, False])
def test_several_behaviors_with_entities_and_without(prepared: Path, tmp_path: Path, entities: bool) -> None:
    encoder = GATEncoder(GATConfig(**(vars(CONFIG) | {"entities": entities})))
    encoder.fit(prepared, TrainingResources())
    users = read_histories(prepared)
    vectors = encoder.encode(users)
    assert vectors.shape == (30, 8) and np.isfinite(vectors).all()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 2 * np.eye(30)).argmax(axis=1)
    assert (nearest % 2 == np.arange(30) % 2).mean() > 0.9
    assert encoder.metrics["inductive_agreement"] > 0.8
    encoder.save(tmp_path / "encoder")
    loaded = GATEncoder.load(tmp_path / "encoder")
    assert np.array_equal(loaded.encode(users), vectors)
    assert np.array_equal(loaded.encode_new([["i01", "i02"]]), encoder.encode_new([["i01", "i02"]]))
    assert loaded.description() == encoder.description()


def test_only_what_came_before_a_link_reaches_its_ends(prepared: Path) -> None:
    """The gradient of a vector names what it has seen: before a user's first interaction, not one item."""
    task = _GATTask(prepared, read_histories(prepared), CONFIG, TrainingResources())
    first = int((task.times == 0).nonzero()[0])

    def items_seen(time: int) -> int:
        task.network.zero_grad()
        seeds = {"user": task.users[first : first + 1]}
        task._vectors(task.sampler, seeds, {"user": torch.tensor([time])})["user"].sum().backward()
        gradient = task.network.embeddings["item"].weight.grad
        assert gradient is not None
        return int(gradient.any(dim=1).sum())

    assert items_seen(int(task.times[first])) == 0
    assert items_seen(task.now) > 0
