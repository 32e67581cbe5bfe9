"""The training loop on a network of one number, whose scores are given."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from components.behavior_encoder import training
from components.behavior_encoder.encoder import TrainingResources
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNEncoder
from components.behavior_encoder.training import Share, TrainingTask, step_generator, train
from components.foundation.errors import InputError


class OneNumber(TrainingTask):
    """Its weight falls by the learning rate in each step; `scores` are handed out look by look."""

    def __init__(self, scores: list[float | None], gradient: float = 1.0):
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.scores = iter(scores)
        self.gradient = gradient

    def loss(self, step: int, share: Share) -> Tensor:
        return (self.network.weight * self.gradient).sum()

    def score(self) -> float | None:
        return next(self.scores)

    def learning_rate(self, step: int) -> float:
        return 1.0


def run(scores: list[float | None], steps: int = 100, patience: int = 2, gradient: float = 1.0) -> tuple:
    task = OneNumber(scores, gradient)
    encoder = LightGCNEncoder(LightGCNConfig(steps=steps, evaluate_every=10, patience=patience))
    progress = train(task, encoder, Path("no data is read"), TrainingResources())
    return encoder.metrics, task.network.weight.item(), progress


def test_it_stops_when_looks_no_longer_help_and_takes_the_best_weights() -> None:
    metrics, weight, progress = run([0.5, 0.7, 0.6, 0.7, 0.9])  # an equal score is no better one
    assert progress.step == 40 and [point["step"] for point in progress.curve] == [10, 20, 30, 40]
    assert metrics == {"loss": metrics["loss"], "link_auc": 0.7, "best_step": 20, "steps": 40}
    assert weight == pytest.approx(-20, abs=1e-3)  # Adam's step is the learning rate while the gradient stays


def test_the_number_of_steps_is_the_upper_end_and_its_last_weights_are_looked_at() -> None:
    metrics, weight, _ = run([0.1, 0.2, 0.3], steps=25)
    assert (metrics["best_step"], metrics["steps"], metrics["link_auc"]) == (25, 25, 0.3)
    assert weight == pytest.approx(-25, abs=1e-3)


def test_with_nothing_held_out_it_takes_all_steps_and_the_last_weights() -> None:
    metrics, weight, _ = run([None] * 10)
    assert "link_auc" not in metrics and metrics["best_step"] == 100
    assert weight == pytest.approx(-100, abs=1e-3)


def test_a_loss_that_is_not_finite() -> None:
    with pytest.raises(InputError, match="lightgcn: the loss is not finite at step 10, try a lower learning_rate"):
        run([0.5], gradient=float("nan"))


def test_torch_is_left_as_it_was() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    run([0.5], steps=1)
    assert torch.are_deterministic_algorithms_enabled() == before
    with training.deterministic("cpu"):
        assert torch.are_deterministic_algorithms_enabled()


def test_shares_are_the_whole_batch() -> None:
    batch = torch.arange(7)
    parts = [Share(rank, 3).of(batch) for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == batch.tolist()
    assert Share().of(batch).tolist() == batch.tolist()


def test_a_step_has_its_own_random_numbers() -> None:
    def draw(seed: int, step: int) -> int:
        return int(torch.randint(1 << 62, (), generator=step_generator(seed, step)))

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(seed, step) for seed in range(5) for step in range(5)}) == 25
