import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from components.foundation.errors import InputError
from components.recommenders.configuration import RankerConfig, TrainingConfig
from components.recommenders.evaluation import rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.sampled_softmax import sampled_softmax_loss
from components.recommenders.ranker import Ranker
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.loop import step_generator
from components.recommenders.training.processes import Share, TrainingResources
from components.recommenders.training.rankers import TrainingResult, _RankerTask, train_ranker
from components.recommenders.variants import VARIANTS

SHORT = TrainingConfig(epochs=2, minimum_steps_per_epoch=3, batch_size=32, seed=3)


def numbered(training_lengths: list[int]) -> InteractionSequences:
    """Users with so many training items and two held-out ones; every interaction is with an item of its own."""
    lengths = np.array(training_lengths) + 2
    return InteractionSequences(
        user_ids=[str(user) for user in range(len(lengths))],
        item_ids=[str(item) for item in range(lengths.sum())],
        items=np.arange(1, lengths.sum() + 1),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=np.array(training_lengths),
    )


def make_ranker(sequences: InteractionSequences, variant: str = "id_only", **changes: object) -> Ranker:
    torch.manual_seed(0)
    settings: dict[str, object] = {"embedding_dimension": 16, "layers": 1} | changes
    config = RankerConfig(variant=variant, items=sequences.n_items, text_encoder="test", text_dimension=3, **settings)
    item_text = torch.cat([torch.zeros(1, 3), torch.randn(sequences.n_items, 3)])
    source = VARIANTS[variant].pool
    pool = rationales_of(sequences).pool(source, item_text, sequences, seed=0) if source else None
    return Ranker(config, item_text, pool)


def rationales_of(sequences: InteractionSequences) -> RationaleAssignments:
    embeddings = torch.randn(4, 3, generator=torch.Generator().manual_seed(5))
    embeddings[0] = 0
    rows = torch.arange(sequences.n_users)[:, None] % 4
    return RationaleAssignments(embeddings, rows, seed_users=torch.tensor([-1, 2, 5, 7]), seed_categories=embeddings)


def train(
    sequences: InteractionSequences, variant: str = "id_only", config: TrainingConfig = SHORT
) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    ranker = make_ranker(sequences, variant)
    result = train_ranker(ranker, sequences, rationales_of(sequences), config)
    return ranker.state_dict(), result


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_is_cross_entropy_per_position_of_an_average_batch(cyclic: InteractionSequences) -> None:
    ranker = make_ranker(cyclic, "reland", dropout=0.0)
    task = _RankerTask(ranker, cyclic, rationales_of(cyclic), SHORT, "cpu")
    users, inputs, targets = task.batches.of_step(1)
    table = ranker.item_table()
    states, _ = ranker.user_states(table, inputs, rationales_of(cyclic).of_users(users))
    real = targets > 0
    summed = torch.nn.functional.cross_entropy(states[real] @ table[1:].T, targets[real] - 1, reduction="sum")
    # 60 users of 6 to 10 training items, so 5 to 9 to predict: 420 positions in two batches of 32 windows at most.
    torch.testing.assert_close(task.loss(1, Share()), summed / 210)
    parts = [task.loss(1, Share(rank, 3)) for rank in range(3)]
    torch.testing.assert_close(torch.stack(parts).sum(), summed / 210)


@pytest.mark.parametrize("variant", ["reland", "late_text", "reland_pool", "alphafuse", "reland_contrastive"])
def test_the_sampled_loss_makes_the_rows_that_it_reads_and_is_that_of_the_whole_table(
    cyclic: InteractionSequences, variant: str
) -> None:
    config = dataclasses.replace(
        SHORT, objective="sampled_softmax", negatives=2, negative_sampling="popularity", auxiliary_weight=0.0
    )
    ranker, rationales = make_ranker(cyclic, variant, dropout=0.0), rationales_of(cyclic)
    task = _RankerTask(ranker, cyclic, rationales, config, "cpu")
    users, inputs, targets = task.batches.of_step(1)
    assert task.sampler is not None
    sampled = task.sampler.draw(step_generator(config.seed, 1))
    table = ranker.item_table()
    read = rationales.of_users(users) if ranker.reads_rationales else None
    states, _ = ranker.user_states(table, inputs, read, rationales.own_rows(users))
    whole = sampled_softmax_loss(states, table, targets, sampled, task.sampler.corrections, task.positions_per_batch)
    torch.testing.assert_close(task.loss(1, Share()), whole)


def test_the_learning_rate_rises_then_falls_to_zero(cyclic: InteractionSequences) -> None:
    config = TrainingConfig(epochs=1, minimum_steps_per_epoch=100, learning_rate=1.0)
    task = _RankerTask(make_ranker(cyclic), cyclic, rationales_of(cyclic), config, "cpu")
    rates = [task.learning_rate(step) for step in range(1, 101)]
    assert rates[:5] == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1.0, 95 / 96])
    assert rates[-1] == 0.0
    assert all(later < earlier for earlier, later in pairwise(rates[3:]))


def test_a_pattern_is_learned(cyclic: InteractionSequences) -> None:
    config = TrainingConfig(epochs=3, minimum_steps_per_epoch=20, batch_size=60, learning_rate=1e-2)
    ranker = make_ranker(cyclic)
    before = rank_held_out(ranker, cyclic, rationales_of(cyclic), "test").hit_ratio()
    train_ranker(ranker, cyclic, rationales_of(cyclic), config)
    after = rank_held_out(ranker, cyclic, rationales_of(cyclic), "test").hit_ratio()
    assert before < 0.4  # chance: 10 of 60
    assert after > 0.9


def test_equal_seeds_give_equal_weights(cyclic: InteractionSequences) -> None:
    first, first_result = train(cyclic, "reland")
    second, second_result = train(cyclic, "reland")
    assert same(first, second) and first_result == second_result
    other, _ = train(cyclic, "reland", dataclasses.replace(SHORT, seed=4))
    assert not same(first, other)


def test_gradients_are_repeatable_at_the_size_of_a_real_batch() -> None:
    # Small tensors are summed by one thread; a batch of 128 windows is not.
    torch.set_num_threads(2)
    assert not torch.are_deterministic_algorithms_enabled()
    sequences = numbered([100])
    ranker = make_ranker(sequences, embedding_dimension=64).eval()
    history = torch.randint(1, 20, (128, 50), generator=torch.Generator().manual_seed(0))
    gradients = []
    for _ in range(4):
        ranker.zero_grad()
        states, _ = ranker.user_states(ranker.item_table(), history, torch.zeros(128, 1, 3))
        states.square().sum().backward()
        assert ranker.item_encoder.embedding.grad is not None
        gradients.append(ranker.item_encoder.embedding.grad.clone())
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_data_with_nothing_to_predict() -> None:
    sequences = numbered([1, 1, 1])
    with pytest.raises(InputError, match="no user has two training interactions"):
        train_ranker(make_ranker(sequences), sequences, rationales_of(sequences), SHORT)


def test_all_variants_get_the_same_budget(cyclic: InteractionSequences) -> None:
    results = [train(cyclic, variant)[1] for variant in VARIANTS]
    assert {(result.steps, result.passes) for result in results} == {(6, 3.0)}
    assert {tuple(point["step"] for point in result.curve) for result in results} == {(3, 6)}


@pytest.mark.parametrize(("epochs", "steps", "expected"), [(5, 1, 10), (1, 7, 7), (3, 7, 21)])
def test_an_epoch_of_small_data_has_a_least_number_of_steps(
    cyclic: InteractionSequences, epochs: int, steps: int, expected: int
) -> None:
    _, result = train(cyclic, config=dataclasses.replace(SHORT, epochs=epochs, minimum_steps_per_epoch=steps))
    assert result.steps == expected  # 60 users in batches of 32: two steps an epoch


def test_the_weights_are_those_of_the_best_validation_score() -> None:
    # Items at random: there is nothing to learn, so validation soon falls, and the last checkpoint is not the best.
    generator = np.random.default_rng(1)
    sequences = dataclasses.replace(numbered([8] * 64), item_ids=[str(item) for item in range(30)])
    sequences = dataclasses.replace(sequences, items=generator.integers(1, 31, size=len(sequences.items)))
    config = dataclasses.replace(SHORT, epochs=8, patience=8, learning_rate=1e-2)
    ranker = make_ranker(sequences)
    result = train_ranker(ranker, sequences, rationales_of(sequences), config)
    scores = {point["step"]: point["ndcg@10"] for point in result.curve}
    best = max(scores.values())
    assert result.best_step == min(step for step, score in scores.items() if score == best) < result.steps
    assert result.validation["ndcg@10"] == best
    assert not ranker.training
    assert rank_held_out(ranker, sequences, rationales_of(sequences), "valid").metrics() == result.validation


@pytest.fixture
def poisoned(cyclic: InteractionSequences) -> Callable[[int], InteractionSequences]:
    """The same data with other items at one place of every user: -1 the test, -2 the validation, -3 a training item."""

    def poison(place: int) -> InteractionSequences:
        items = cyclic.items.copy()
        items[cyclic.offsets[1:] + place] = np.arange(cyclic.n_users) * 7 % cyclic.n_items + 1
        return dataclasses.replace(cyclic, items=items)

    return poison


def test_training_never_reads_a_test_item(
    cyclic: InteractionSequences, poisoned: Callable[[int], InteractionSequences]
) -> None:
    weights, result = train(cyclic, "reland")
    assert (weights_poisoned := train(poisoned(-1), "reland"))[1] == result
    assert same(weights_poisoned[0], weights)
    # An item that does not exist would break any look-up of it.
    items = cyclic.items.copy()
    items[cyclic.offsets[1:] - 1] = 10**9
    assert same(train(dataclasses.replace(cyclic, items=items), "reland")[0], weights)


def test_validation_items_choose_the_checkpoint_and_nothing_else(
    cyclic: InteractionSequences, poisoned: Callable[[int], InteractionSequences]
) -> None:
    once = dataclasses.replace(SHORT, evaluate_every=2)  # one evaluation, so nothing to choose
    weights, result = train(cyclic, config=once)
    other, other_result = train(poisoned(-2), config=once)
    assert same(other, weights)
    assert other_result.curve[0]["loss"] == result.curve[0]["loss"]
    assert not same(train(poisoned(-3), config=once)[0], weights)


def test_it_stops_when_validation_no_longer_rises(cyclic: InteractionSequences) -> None:
    config = dataclasses.replace(SHORT, epochs=9, patience=2, learning_rate=1e-12)  # nothing changes, nothing rises
    _, result = train(cyclic, config=config)
    assert (result.best_step, result.steps) == (3, 9)
    assert result.passes == 4.5


def test_a_training_that_goes_on_from_its_checkpoint_ends_as_one_that_was_not_interrupted(
    cyclic: InteractionSequences, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranker, rationales = make_ranker(cyclic, "reland"), rationales_of(cyclic)
    longer = dataclasses.replace(SHORT, epochs=4)
    expected, result = train(cyclic, "reland", longer)
    resources = TrainingResources(checkpoint=tmp_path)
    loss = _RankerTask.loss

    def interrupt(task: _RankerTask, step: int, share: Share) -> torch.Tensor:
        if step == 5:  # in the second epoch
            raise KeyboardInterrupt
        return loss(task, step, share)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_RankerTask, "loss", interrupt)
        train_ranker(ranker, cyclic, rationales, longer, resources)
    capsys.readouterr()
    resumed = make_ranker(cyclic, "reland")
    assert train_ranker(resumed, cyclic, rationales, longer, resources) == result
    assert "reland: goes on after step 3" in capsys.readouterr().out
    assert same(resumed.state_dict(), expected)


def test_a_checkpoint_of_another_training(cyclic: InteractionSequences, tmp_path: Path) -> None:
    resources, rationales = TrainingResources(checkpoint=tmp_path), rationales_of(cyclic)
    train_ranker(make_ranker(cyclic, "reland"), cyclic, rationales, SHORT, resources)
    items = cyclic.items.copy()
    items[0] = 60
    for ranker, data, assigned, config in [
        (make_ranker(cyclic, "reland"), cyclic, rationales, dataclasses.replace(SHORT, learning_rate=1e-3)),
        (make_ranker(cyclic, "reland", dropout=0.1), cyclic, rationales, SHORT),
        (make_ranker(cyclic, "reland"), cyclic, rationales.from_source("shuffled", 1), SHORT),
        (make_ranker(cyclic, "reland"), dataclasses.replace(cyclic, items=items), rationales, SHORT),
    ]:
        with pytest.raises(InputError, match="of a training with another configuration or other data"):
            train_ranker(ranker, data, assigned, config, resources)


def test_a_loss_that_is_not_finite_ends_the_training_and_names_the_variant(cyclic: InteractionSequences) -> None:
    ranker = make_ranker(cyclic)
    with torch.no_grad():
        ranker.item_encoder.embedding[5] = float("nan")
    with pytest.raises(InputError, match="id_only: the loss is not finite at step 3, try a lower learning_rate"):
        train_ranker(ranker, cyclic, rationales_of(cyclic), SHORT)
