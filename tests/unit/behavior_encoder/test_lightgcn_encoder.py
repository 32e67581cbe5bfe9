import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.behavior_encoder import lightgcn_encoder
from components.behavior_encoder.histories import read_histories
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNEncoder
from components.recommenders.backbones.lightgcn import LightGCN, normalized_adjacency
from components.recommenders.training.processes import TrainingResources

WritePrepared = Callable[[str, dict[str, list[str]]], Path]


def test_bpr_loss_by_hand() -> None:
    # Without layers m_u and e_i are the embeddings themselves: m = 2, e_0 = 1, e_1 = 0.5.
    network = LightGCN(n_users=1, n_items=2, dimension=1, layers=0)
    with torch.no_grad():
        network.embedding.copy_(torch.tensor([[2.0], [1.0], [0.5]]))
    adjacency = normalized_adjacency(torch.tensor([0]), torch.tensor([0]), 1, 2)
    users, zero, one = torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([1, 0])
    loss = lightgcn_encoder._bpr_loss(network, adjacency, users, zero, one, weight_decay=0.1)
    # One pair each way: m (e_0 - e_1) = 1 and m (e_1 - e_0) = -1; |m|^2 + |e_0|^2 + |e_1|^2 = 5.25 in both.
    ranking = math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))
    assert loss.item() == pytest.approx(ranking + 0.1 * (5.25 + 5.25) / 2)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_folded_in_user_is_the_trained_one_without_its_own_embedding(
    write_prepared: WritePrepared, two_tastes: dict[str, list[str]], layers: int
) -> None:
    """Only e_u^(0) / (K + 1) is missing, and in deeper layers nothing: they come from the same neighbours."""
    prepared = write_prepared("data", two_tastes)
    encoder = LightGCNEncoder(LightGCNConfig(dimension=4, layers=layers, steps=1, learning_rate=0.0))
    encoder.fit(prepared, TrainingResources())  # no step changes the embeddings that the seed gives
    torch.manual_seed(encoder.config.seed)
    own = LightGCN(30, 20, 4, layers).embedding.detach().numpy()[:30] / (layers + 1)
    users = read_histories(prepared)
    folded = encoder.encode_new([items[:-2] for _, items in sorted(two_tastes.items())])
    np.testing.assert_allclose(encoder.encode(users), folded + own, atol=1e-6)


def test_a_pair_that_came_often_folds_in_once(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    encoder = LightGCNEncoder(LightGCNConfig(dimension=4, steps=2))
    encoder.fit(write_prepared("data", two_tastes), TrainingResources())
    once, often = encoder.encode_new([["i01", "i02"], ["i01", "i02", "i02", "i01", "i02"]])
    assert np.array_equal(once, often)


def test_users_of_one_taste_come_out_alike(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> None:
    prepared = write_prepared("data", two_tastes)
    encoder = LightGCNEncoder(LightGCNConfig(dimension=8, steps=60, batch_size=64, held_out_share=0.1))
    encoder.fit(prepared, TrainingResources())
    vectors = encoder.encode(read_histories(prepared))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = (vectors @ vectors.T - 2 * np.eye(30)).argmax(axis=1)
    assert np.array_equal(nearest % 2, np.arange(30) % 2)
    assert encoder.metrics["loss"] < 0.5 < math.log(2)  # ln 2 is a guess
