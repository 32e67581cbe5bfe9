import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from components.behavior_encoder import training
from components.behavior_encoder.training import EncoderConfig, TrainedEncoder, encoder_configuration, train_encoder
from components.recommenders.interaction_sequences import read_sequences
from components.recommenders.lightgcn import LightGCN, normalized_adjacency

CONFIG = EncoderConfig(dimension=8, steps=20, batch_size=64, seed=5)

WritePrepared = Callable[[str, dict[str, list[str]]], Path]


def same(first: TrainedEncoder, second: TrainedEncoder) -> bool:
    return torch.equal(first.user_vectors, second.user_vectors) and torch.equal(first.item_vectors, second.item_vectors)


def test_bpr_loss_by_hand() -> None:
    # Without layers m_u and e_i are the embeddings themselves: m = 2, e_0 = 1, e_1 = 0.5.
    model = LightGCN(n_users=1, n_items=2, dimension=1, layers=0)
    with torch.no_grad():
        model.embedding.copy_(torch.tensor([[2.0], [1.0], [0.5]]))
    adjacency = normalized_adjacency(torch.tensor([0]), torch.tensor([0]), 1, 2)
    users, zero, one = torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([1, 0])
    loss = training._bpr_loss(model, adjacency, users, zero, one, weight_decay=0.1)
    # One pair each way: m (e_0 - e_1) = 1 and m (e_1 - e_0) = -1; |m|^2 + |e_0|^2 + |e_1|^2 = 5.25 in both.
    ranking = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2
    assert loss.item() == pytest.approx(ranking + 0.1 * (5.25 + 5.25) / (2 * 2))


def test_link_auc_counts_a_tie_as_half() -> None:
    users, items = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    pair = torch.tensor([0])
    assert training._link_auc(users, items, pair, pair, torch.Generator()) == 0.5  # the only item against itself


def test_vectors_of_every_user_and_item(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    trained = train_encoder(read_sequences(write_prepared("data", two_tastes)), CONFIG)
    assert trained.user_vectors.shape == (30, 8) and trained.item_vectors.shape == (20, 8)
    assert trained.user_vectors.isfinite().all() and trained.item_vectors.isfinite().all()
    assert set(trained.metrics) == {"loss", "link_auc"}
    assert 0 <= trained.metrics["link_auc"] <= 1


def test_users_of_one_taste_come_out_alike(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    config = dataclasses.replace(CONFIG, steps=60, held_out_share=0.1)
    trained = train_encoder(read_sequences(write_prepared("data", two_tastes)), config)
    vectors = F.normalize(trained.user_vectors)
    nearest = (vectors @ vectors.T).fill_diagonal_(-1).argmax(dim=1)
    assert torch.equal(nearest % 2, torch.arange(30) % 2)
    assert trained.metrics["loss"] < 0.5 < math.log(2)  # ln 2 is a guess
    assert trained.metrics["link_auc"] > 0.6


def test_equal_seeds_give_equal_vectors(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    sequences = read_sequences(write_prepared("data", two_tastes))
    first = train_encoder(sequences, CONFIG)
    second = train_encoder(sequences, CONFIG)
    assert same(first, second) and first.metrics == second.metrics
    assert not same(first, train_encoder(sequences, dataclasses.replace(CONFIG, seed=6)))


def test_held_out_interactions_reach_no_vector(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    def swapped(items: list[str], place: int) -> list[str]:
        """The item at `place` replaced by one of the other taste."""
        other = f"i{(int(items[place][1:]) + 10) % 20:02d}"
        return [other if k == place % len(items) else item for k, item in enumerate(items)]

    clean = train_encoder(read_sequences(write_prepared("clean", two_tastes)), CONFIG)
    held_out = {user: swapped(swapped(items, -1), -2) for user, items in two_tastes.items()}
    poisoned = train_encoder(read_sequences(write_prepared("poisoned", held_out)), CONFIG)
    assert same(clean, poisoned) and clean.metrics == poisoned.metrics
    # The comparison can fail: one training interaction of one user is enough.
    seen = {**two_tastes, "u00": swapped(two_tastes["u00"], -3)}
    assert not same(clean, train_encoder(read_sequences(write_prepared("seen", seen)), CONFIG))


def test_a_few_steps(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    train_encoder(read_sequences(write_prepared("data", two_tastes)), dataclasses.replace(CONFIG, steps=4))


def test_configuration(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    sequences = read_sequences(write_prepared("data", two_tastes))
    found = encoder_configuration(TrainedEncoder(CONFIG, torch.zeros(30, 8), torch.zeros(20, 8), {}), sequences)
    assert found.items() >= {"encoder": "lightgcn", "dimension": 8, "seed": 5, "users": 30, "items": 20}.items()
