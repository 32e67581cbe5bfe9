"""What every classic recommender must do, over all of them."""

import numpy as np
import pytest

from components.foundation.errors import InputError
from components.recommenders.classics.evaluation import rank_by_classic
from components.recommenders.classics.registry import CLASSICS, fit_classic
from components.recommenders.interaction_sequences import InteractionSequences

USERS, ITEMS = 40, 12
SMALL = {"als": {"factors": 4, "iterations": 3}}


@pytest.fixture(params=sorted(CLASSICS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def sequences_of(histories: list[list[int]], n_items: int = ITEMS) -> InteractionSequences:
    """Users with these visits, of whom the last two are held out."""
    lengths = np.array([len(history) for history in histories])
    return InteractionSequences(
        user_ids=[f"u{user:02d}" for user in range(len(histories))],
        item_ids=[f"i{item:02d}" for item in range(1, n_items + 1)],
        items=np.concatenate([np.array(history) for history in histories]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths - 2,
    )


def two_tastes() -> InteractionSequences:
    """Half of the users walk through items 1 to 5, half through 6 to 11; item 12 is held out of all training."""
    generator = np.random.default_rng(0)
    histories = []
    for user in range(USERS):
        taste = np.arange(1, 6) if user % 2 else np.arange(6, 12)
        histories.append([*generator.choice(taste, 6).tolist(), 12, int(taste[0])])
    return sequences_of(histories)


def scores(name: str, sequences: InteractionSequences, users: list[int], ends: list[int], seed: int = 0) -> np.ndarray:
    recommender = fit_classic(name, sequences, SMALL.get(name), seed)
    return recommender.score(np.array(users), np.array(ends))


def test_scores_are_finite_and_of_all_items(name: str) -> None:
    found = scores(name, two_tastes(), [3, 0, 3], [6, 6, 2])
    assert found.shape == (3, ITEMS) and found.dtype == np.float32 and np.isfinite(found).all()


def test_a_taste_is_told(name: str) -> None:
    found = scores(name, two_tastes(), [0, 1], [6, 6])
    if name == "popularity":
        assert np.array_equal(found[0], found[1])
    else:
        assert found[0, 5:11].mean() > found[0, :5].mean() and found[1, :5].mean() > found[1, 5:11].mean()


def test_nothing_held_out_is_fitted_on(name: str) -> None:
    sequences = two_tastes()
    before = scores(name, sequences, list(range(USERS)), [6] * USERS)
    held_out = np.concatenate([sequences.offsets[1:] - 2, sequences.offsets[1:] - 1])
    sequences.items[held_out] = np.random.default_rng(1).integers(1, ITEMS + 1, len(held_out))
    assert np.array_equal(scores(name, sequences, list(range(USERS)), [6] * USERS), before)


def test_visits_after_training_count_as_history(name: str) -> None:
    histories = [[1, 2, 1, 2, 1, 2], [1, 2, 1, 2, 1, 2], [4, 5, 4, 5, 4, 5], [4, 5, 4, 5, 5, 4]]
    sequences = sequences_of([*histories, [1, 2, 1, 4, 5]], n_items=5)
    shorter, longer = scores(name, sequences, [4, 4], [3, 5])
    if name == "popularity":
        assert np.array_equal(shorter, longer)
    else:
        assert longer[3] - longer[0] > shorter[3] - shorter[0]  # two visits to the other taste


def test_users_without_a_visit_are_scored_alike(name: str) -> None:
    found = scores(name, two_tastes(), [0, 1], [0, 0])
    assert np.array_equal(found[0], found[1])


def test_equal_seeds_give_equal_scores_in_whichever_batch(name: str) -> None:
    sequences = two_tastes()
    one, same = (scores(name, sequences, list(range(USERS)), [6] * USERS, seed=7) for _ in range(2))
    assert np.array_equal(one, same)
    np.testing.assert_allclose(scores(name, sequences, [5], [6], seed=7)[0], one[5], rtol=1e-4, atol=1e-5)


def test_it_is_ranked_under_both_protocols(name: str) -> None:
    sequences = two_tastes()
    recommender = fit_classic(name, sequences, SMALL.get(name))
    everything = rank_by_classic(recommender, sequences, "test", "recbole", list_length=3)
    unseen = rank_by_classic(recommender, sequences, "test", "open")
    assert everything.lists.shape == (USERS, 3) and (unseen.values <= everything.values).all()


@pytest.mark.parametrize("classic", sorted(CLASSICS))
def test_a_setting_that_is_none_is_refused_in_one_line(classic: str) -> None:
    with pytest.raises(InputError, match=f"{classic}.*depth") as caught:
        fit_classic(classic, two_tastes(), {"depth": 3})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classic", "settings", "message"),
    [
        ("item_knn", {"neighbours": 0}, "neighbours 0: expected a whole number, 1 or more"),
        ("item_knn", {"window": -1}, "window -1: expected a whole number, 0 or more"),
        ("item_knn", {"decay": 1.5}, "decay 1.5: expected a number, above 0 and at most 1"),
        ("user_knn", {"shrinkage": -1.0}, r"shrinkage -1.0: expected a number, 0 or more"),
        ("als", {"regularization": 0.0}, r"regularization 0.0: expected a number, above 0"),
        ("knn", {}, "classic 'knn': unknown recommender, expected one of popularity, item_knn, user_knn, als"),
    ],
)
def test_values_that_are_refused(classic: str, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_classic(classic, two_tastes(), settings)
