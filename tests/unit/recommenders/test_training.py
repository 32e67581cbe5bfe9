import dataclasses
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from components.foundation.errors import InputError
from components.recommenders import training
from components.recommenders.evaluation import rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.ranker import VARIANTS, Ranker, RankerConfig
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training import TrainingConfig, TrainingResult, train_ranker

SHORT = TrainingConfig(epochs=1, minimum_steps_per_epoch=6, batch_size=32, evaluations=2, seed=3)


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


def training_items(sequences: InteractionSequences) -> list[list[int]]:
    return [
        sequences.items[start : start + length].tolist()
        for start, length in zip(sequences.offsets[:-1], sequences.train_lengths, strict=True)
    ]


def make_ranker(sequences: InteractionSequences, variant: str = "id_only", **changes: object) -> Ranker:
    torch.manual_seed(0)
    config = RankerConfig(variant, sequences.n_items, 4, "test", 3, embedding_dimension=16, layers=1)
    config = dataclasses.replace(config, **changes)
    return Ranker(config, torch.cat([torch.zeros(1, 3), torch.randn(sequences.n_items, 3)]))


def rationales_of(sequences: InteractionSequences) -> RationaleAssignments:
    embeddings = torch.randn(4, 3, generator=torch.Generator().manual_seed(5))
    embeddings[0] = 0
    return RationaleAssignments(embeddings, torch.arange(sequences.n_users)[:, None] % 4)


def train(
    sequences: InteractionSequences, variant: str = "id_only", config: TrainingConfig = SHORT
) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    ranker = make_ranker(sequences, variant)
    result = train_ranker(ranker, sequences, rationales_of(sequences), config)
    return ranker.state_dict(), result


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@given(
    training_lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    window=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_windows_cover_every_training_position_and_the_last_one_is_full(
    training_lengths: list[int], window: int, seed: int
) -> None:
    sequences = numbered(training_lengths)
    users, starts, lengths = training._windows(sequences, window, np.random.default_rng(seed))
    assert ((lengths >= 1) & (lengths <= window)).all()
    covered = [
        (user, start + k) for user, start, length in zip(users, starts, lengths, strict=True) for k in range(length)
    ]
    # An input is a position that has a successor among the training items of its user.
    assert sorted(set(covered)) == [
        (user, sequences.offsets[user] + k) for user, length in enumerate(training_lengths) for k in range(length - 1)
    ]
    for user in set(users.tolist()):
        of_user = users == user
        inputs = training_lengths[user] - 1
        last = np.flatnonzero(of_user)[-1]
        assert lengths[last] == min(inputs, window) and starts[last] + lengths[last] == sequences.offsets[user] + inputs
        assert lengths[of_user].sum() - inputs < window  # no position is visited twice but by the last window


def test_batches_predict_every_training_item_but_the_first_and_hold_no_other() -> None:
    sequences = numbered([1, 2, 3, 7, 30, 61, 5, 50, 51])
    batches = list(training._epoch(sequences, 50, batch_size=3, generator=np.random.default_rng(0)))
    items_of = training_items(sequences)
    targets: Counter[int] = Counter()
    for users, inputs, following in batches:
        assert inputs.shape == following.shape
        assert inputs.shape[0] == len(users) <= 3 and inputs.shape[1] <= 50
        assert torch.equal(inputs > 0, following > 0)
        for user, given_items, next_items in zip(users.tolist(), inputs, following, strict=True):
            given_items, next_items = given_items[given_items > 0], next_items[next_items > 0]
            assert torch.equal(given_items + 1, next_items)  # items are numbered in the order of time
            assert set(given_items.tolist()) | set(next_items.tolist()) <= set(items_of[user])
            targets.update(next_items.tolist())
    # Once each, but twice where the last window of a long sequence reaches back.
    assert set(targets) == {item for items in items_of for item in items[1:]} and max(targets.values()) <= 2
    assert all(targets[item] == 1 for items in items_of if len(items) <= 51 for item in items[1:])


def test_long_sequences_are_cut_anew_each_epoch() -> None:
    generator = np.random.default_rng(0)
    cuts = {int(training._windows(numbered([200]), 50, generator)[2][0]) for _ in range(20)}
    assert len(cuts) > 5


def test_the_loss_is_cross_entropy_over_all_items(cyclic: InteractionSequences) -> None:
    ranker = make_ranker(cyclic, "reland").eval()
    inputs, targets = torch.tensor([[1, 2, 3], [7, 8, 0]]), torch.tensor([[2, 3, 4], [8, 9, 0]])
    rationale = rationales_of(cyclic).of_users(torch.tensor([0, 1]))
    table = ranker.item_encoder()
    states, _ = ranker.user_states(table, inputs, rationale)
    logits = torch.stack([states[0, 0], states[0, 1], states[0, 2], states[1, 0], states[1, 1]]) @ table[1:].T
    expected = F.cross_entropy(logits, torch.tensor([1, 2, 3, 7, 8]))
    torch.testing.assert_close(training._loss(ranker, inputs, targets, rationale, 5), expected)
    # A batch with half the usual number of positions counts half.
    torch.testing.assert_close(training._loss(ranker, inputs, targets, rationale, 10), expected / 2)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [training._schedule(step, 100) for step in range(1, 101)]
    assert rates[:5] == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1.0, 95 / 96])
    assert rates[-1] == 0.0
    assert all(later < earlier for earlier, later in pairwise(rates[3:]))


def test_a_pattern_is_learned(cyclic: InteractionSequences) -> None:
    config = TrainingConfig(epochs=1, minimum_steps_per_epoch=60, batch_size=60, learning_rate=1e-2, evaluations=3)
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
        states, _ = ranker.user_states(ranker.item_encoder(), history, torch.zeros(128, 1, 3))
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
    config = dataclasses.replace(SHORT, minimum_steps_per_epoch=24, evaluations=8, learning_rate=1e-2)
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
    once = dataclasses.replace(SHORT, evaluations=1)  # one checkpoint, so nothing to choose
    weights, result = train(cyclic, config=once)
    other, other_result = train(poisoned(-2), config=once)
    assert same(other, weights)
    assert other_result.curve[0]["loss"] == result.curve[0]["loss"]
    assert not same(train(poisoned(-3), config=once)[0], weights)
