from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.training.windows import WindowBatches, cut_windows, epoch_of_batches


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


@given(
    training_lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    window=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_windows_cover_every_training_position_and_the_last_one_is_full(
    training_lengths: list[int], window: int, seed: int
) -> None:
    sequences = numbered(training_lengths)
    users, starts, lengths = cut_windows(sequences, window, np.random.default_rng(seed))
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
    batches = WindowBatches(sequences, length=50, batch_size=3, seed=0)
    count = len(list(epoch_of_batches(sequences, 50, 3, np.random.default_rng(0))))
    items_of = training_items(sequences)
    targets: Counter[int] = Counter()
    for users, inputs, following in (batches.of_step(step) for step in range(1, count + 1)):
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
    cuts = {int(cut_windows(numbered([200]), 50, generator)[2][0]) for _ in range(20)}
    assert len(cuts) > 5


def test_a_step_has_its_batch_however_one_comes_to_it() -> None:
    sequences = numbered([2, 3, 7, 30, 61, 5])
    in_order = WindowBatches(sequences, length=10, batch_size=2, seed=4)
    batches = [in_order.of_step(step) for step in range(1, 30)]  # some epochs
    for step in (29, 1, 17):
        resumed = WindowBatches(sequences, length=10, batch_size=2, seed=4).of_step(step)
        assert all(torch.equal(one, other) for one, other in zip(resumed, batches[step - 1], strict=True))
        assert torch.equal(in_order.of_step(step)[1], batches[step - 1][1])
    other_seed = WindowBatches(sequences, length=10, batch_size=2, seed=5)
    assert not all(torch.equal(other_seed.of_step(step)[0], batches[step - 1][0]) for step in range(1, 30))
