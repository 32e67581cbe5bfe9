"""The training loop on a network of one number, whose scores are given."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from components.foundation.errors import InputError
from components.recommenders.training.loop import (
    Progress,
    TrainingPlan,
    TrainingTask,
    deterministic,
    step_generator,
    train,
)
from components.recommenders.training.processes import Share, TrainingResources


class OneNumber(TrainingTask):
    """Its weight falls by the learning rate in each step; `scores` are handed out evaluation by evaluation."""

    name = "number"
    score_name = "score"

    def __init__(self, scores: list[float | None], gradient: float = 1.0):
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.scores = iter(scores)
        self.gradient = gradient

    def loss(self, step: int, share: Share) -> Tensor:
        return (self.network.weight * self.gradient).sum()

    def evaluate(self) -> dict[str, float]:
        score = next(self.scores)
        return {} if score is None else {"score": score, "other": -score}

    def identity(self) -> str:
        return str(self.gradient)

    def learning_rate(self, step: int) -> float:
        return 1.0


def run(
    scores: list[float | None], steps: int = 100, patience: int = 2, gradient: float = 1.0
) -> tuple[float, Progress]:
    """The weight in the end, and the progress."""
    task = OneNumber(scores, gradient)
    plan = TrainingPlan(steps=steps, evaluate_every=10, patience=patience, seed=0)
    progress = train(task, plan, TrainingResources())
    return task.network.weight.item(), progress


def test_it_stops_when_evaluations_no_longer_help_and_takes_the_best_weights() -> None:
    weight, progress = run([0.5, 0.7, 0.6, 0.7, 0.9])  # an equal score is no better one
    assert progress.step == 40 and [point["step"] for point in progress.curve] == [10, 20, 30, 40]
    assert progress.best == {"step": 20, "loss": progress.best["loss"], "score": 0.7, "other": -0.7}
    assert weight == pytest.approx(-20, abs=1e-3)  # Adam's step is the learning rate while the gradient stays


def test_the_number_of_steps_is_the_upper_end_and_its_last_weights_are_evaluated() -> None:
    weight, progress = run([0.1, 0.2, 0.3], steps=25)
    assert (progress.best_step, progress.step, progress.best_score) == (25, 25, 0.3)
    assert weight == pytest.approx(-25, abs=1e-3)


def test_with_nothing_held_out_it_takes_all_steps_and_the_last_weights() -> None:
    weight, progress = run([None] * 10)
    assert progress.best.keys() == {"step", "loss"} and progress.best_step == 100
    assert weight == pytest.approx(-100, abs=1e-3)


def test_a_long_gradient_is_cut() -> None:
    task = OneNumber([None], gradient=100.0)
    train(task, TrainingPlan(1, 1, 1, 0, gradient_norm=2.0), TrainingResources())
    assert task.network.weight.grad.item() == pytest.approx(2.0, rel=1e-4)


def test_after_a_loss_that_is_not_finite_the_last_good_checkpoint_is_there(tmp_path: Path) -> None:
    class Diverging(OneNumber):
        def loss(self, step: int, share: Share) -> Tensor:
            return super().loss(step, share) * (math.nan if step > 15 else 1)

    plan = TrainingPlan(steps=30, evaluate_every=10, patience=3, seed=0)
    with pytest.raises(InputError, match="number: the loss is not finite at step 20, try a lower learning_rate"):
        train(Diverging([0.5]), plan, TrainingResources(checkpoint=tmp_path))
    task = OneNumber([0.6, 0.7])
    assert train(task, plan, TrainingResources(checkpoint=tmp_path)).step == 30  # after step 10
    assert task.network.weight.item() == pytest.approx(-30, abs=1e-3)


def test_a_loss_that_is_not_finite() -> None:
    with pytest.raises(InputError, match="number: the loss is not finite at step 10, try a lower learning_rate"):
        run([0.5], gradient=float("nan"))


def test_torch_is_left_as_it_was() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    run([0.5], steps=1)
    assert torch.are_deterministic_algorithms_enabled() == before
    with deterministic("cpu"):
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
