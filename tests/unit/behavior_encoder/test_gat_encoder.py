from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from components.behavior_encoder.gat_encoder import GATConfig, GATEncoder, _GATTask, _without
from components.behavior_encoder.graph import read_graph
from components.behavior_encoder.histories import read_histories
from components.behavior_encoder.link_prediction import HeldOutPairs
from components.contracts.artifacts import INTERACTIONS_FILE, ITEM_TOPICS_FILE, ITEMS_FILE, QUERY_TOPICS_FILE
from components.contracts.tables import INTERACTIONS, ITEM_TOPICS, ITEMS, QUERY_TOPICS, write_table
from components.recommenders.training.loop import step_generator
from components.recommenders.training.processes import Share, TrainingResources

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
        assert is_user_item or after.edge_index is before.edge_index  # what does not change is not copied


@pytest.mark.parametrize("entities", [True, False])
def test_several_behaviors_with_entities_and_without(prepared: Path, tmp_path: Path, entities: bool) -> None:
    encoder = GATEncoder(replace(CONFIG, entities=entities))
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


def test_no_edge_of_the_links_to_predict_reaches_their_ends(prepared: Path) -> None:
    """The gradient of a vector names what it has seen: of a user all of whose items are hidden, not one of them."""
    task = _GATTask(prepared, read_histories(prepared), replace(CONFIG, neighbors=-1), TrainingResources())
    user = task.users[:1]
    items = task.items[task.users == user].unique()

    def items_seen(hidden: tuple[torch.Tensor, torch.Tensor] | None) -> set[int]:
        task.network.zero_grad(set_to_none=False)
        task._vectors(task.sampler, {"user": user}, hidden)["user"].sum().backward()
        gradient = task.network.embeddings["item"].weight.grad
        return set() if gradient is None else set(gradient.any(dim=1).nonzero().flatten().tolist())

    assert items_seen(None) == set(items.tolist())
    assert items_seen((user, items[:1])) == set(items[1:].tolist())
    assert items_seen((user.expand(len(items)), items)) == set()


def test_the_loss_of_a_step_by_hand(prepared: Path) -> None:
    """Softmax of each link's item against the items drawn, less the item itself, over all of their neighbours."""
    config = replace(
        CONFIG, neighbors=-1, batch_size=8, negatives=30
    )  # more than there are items: some are drawn again
    task = _GATTask(prepared, read_histories(prepared), config, TrainingResources())
    found = task.loss(3, Share())
    generator = step_generator(config.seed, 3)
    drawn = torch.randint(len(task.users), (8,), generator=generator)
    others = torch.randint(20, (30,), generator=generator)
    users, items = task.users[drawn], task.items[drawn]
    m = task._vectors(task.sampler, {"user": torch.arange(30)}, (users, items))["user"]
    e = task._vectors(task.sampler, {"item": torch.arange(20)}, (users, items))["item"]
    losses = []
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        against = [m[user] @ e[other] for other in others.tolist() if other != item]
        losses.append(-torch.log_softmax(torch.stack([m[user] @ e[item], *against]), dim=0)[0])
    torch.testing.assert_close(found, torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)
    halves = [task.loss(3, Share(rank, 2)) for rank in range(2)]
    torch.testing.assert_close(sum(halves), found, rtol=1e-4, atol=1e-5)
