from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.behavior_encoder.histories import read_histories
from components.behavior_encoder.sasrec_encoder import SASRecConfig, SASRecEncoder, _last_states, _SASRecTask
from components.foundation.errors import InputError
from components.recommenders.training.processes import TrainingResources

WritePrepared = Callable[[str, dict[str, list[str]]], Path]
CONFIG = SASRecConfig(dimension=8, steps=2, layers=1, length=4, batch_size=8)


@pytest.fixture
def encoder(write_prepared: WritePrepared, two_tastes: dict[str, list[str]]) -> SASRecEncoder:
    encoder = SASRecEncoder(CONFIG)
    encoder.fit(write_prepared("data", two_tastes), TrainingResources())
    return encoder


def test_the_last_visits_and_their_order_decide(encoder: SASRecEncoder) -> None:
    history = ["i03", "i07", "i01", "i04", "i08"]
    found, cut, extended, turned = encoder.encode_new(
        [history, history[-4:], ["i00", *history], [*history[:3], "i08", "i04"]]
    )
    np.testing.assert_allclose(found, cut, atol=1e-6)  # four visits are the length
    np.testing.assert_allclose(found, extended, atol=1e-6)
    assert not np.allclose(found, turned, atol=1e-3)


def test_a_user_has_one_vector_whoever_is_encoded_along(encoder: SASRecEncoder) -> None:
    histories = [["i03"], ["i03", "i07", "i01", "i04", "i08"], [], ["i09", "i02"]]
    together = encoder.encode_new(histories)
    alone = np.concatenate([encoder.encode_new([history]) for history in histories])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_what_is_held_out_is_in_no_window(write_prepared: WritePrepared) -> None:
    """The last training visit of each user is of an item that nobody else has."""
    histories = {f"u{k}": ["i18", "i19", "i17", f"i{k:02d}", "i18", "i19"] for k in range(10)}
    prepared = write_prepared("data", histories)
    task = _SASRecTask(
        prepared,
        read_histories(prepared),
        SASRecConfig(dimension=8, length=4, batch_size=100, held_out_share=0.1),
        TrainingResources(),
    )
    assert len(task.held_out.users) == 4  # a tenth of 40 visits
    assert task.held_out.items.tolist() == task.held_out.users.tolist()  # user k's is item k
    _, inputs, targets = task.batches.of_step(1)
    seen = set(inputs.flatten().tolist()) | set(targets.flatten().tolist())
    assert {item for item in range(1, 11) if item not in seen} == {item + 1 for item in task.held_out.items.tolist()}


def test_states_of_some_users_are_theirs(
    encoder: SASRecEncoder, write_prepared: WritePrepared, two_tastes: dict[str, list[str]]
) -> None:
    users, asked = read_histories(write_prepared("again", two_tastes)), np.array([3, 4, 29])
    some = _last_states(encoder._network, users, CONFIG, "cpu", asked).numpy()
    np.testing.assert_allclose(some, encoder.encode(users)[asked], atol=1e-6)


def test_nobody_has_a_next_item(write_prepared: WritePrepared) -> None:
    prepared = write_prepared("data", {"ann": ["i00", "i01", "i02"]})
    with pytest.raises(InputError, match="training data: no user has two training visits"):
        SASRecEncoder(CONFIG).fit(prepared, TrainingResources())
