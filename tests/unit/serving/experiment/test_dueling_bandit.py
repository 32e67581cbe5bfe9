import numpy as np
import pytest

from serving.experiment.dueling_bandit import DuelingBandit, blend, project, standardise


def test_a_step_by_hand():
    bandit = DuelingBandit(exploration=1.0, step=0.5)
    weights, direction = np.array([0.6, 0.0]), np.array([0.0, 1.0])
    assert bandit.learn(weights, direction, challenger_won=False) is weights
    # (0.6, 0.5) is within the ball of radius 1, (0.6, 1.0) is not.
    assert bandit.learn(weights, direction, challenger_won=True) == pytest.approx([0.6, 0.5])
    assert project(np.array([0.6, 0.8]) * 2) == pytest.approx([0.6, 0.8])


def test_challengers_are_so_far_off_in_every_direction():
    bandit, generator = DuelingBandit(exploration=0.25, step=0.25), np.random.default_rng(0)
    tried = [bandit.challenge(np.zeros(3), generator) for _ in range(2_000)]
    directions = np.array([direction for direction, _ in tried])
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1.0)
    assert np.array([weights for _, weights in tried]) == pytest.approx(0.25 * directions)
    assert np.abs(directions.mean(axis=0)).max() < 5 / np.sqrt(3 * 2_000)


@pytest.mark.parametrize(("exploration", "step"), [(0.1, 0.2), (1.0, 0.0), (0.0, 0.0)])
def test_sizes_that_make_no_sense(exploration, step):
    with pytest.raises(ValueError, match="0 < step <= exploration"):
        DuelingBandit(exploration, step)


def test_it_finds_the_best_point_from_noisy_duels():
    """Users who prefer the nearer of two points with a probability that grows with the difference, as the paper's."""
    bandit, generator = DuelingBandit(exploration=0.5, step=0.05), np.random.default_rng(1)
    best, weights = np.array([0.6, -0.3, 0.2]), np.array([-0.5, 0.5, 0.5])
    errors = []
    for _ in range(3_000):
        errors.append(np.linalg.norm(weights - best))
        direction, challenger = bandit.challenge(weights, generator)
        nearer = np.sum((weights - best) ** 2) - np.sum((challenger - best) ** 2)
        won = bool(generator.random() < 1 / (1 + np.exp(-10 * nearer)))
        weights = bandit.learn(weights, direction, won)
    assert np.mean(errors[-500:]) < 0.25 < 1.3 < errors[0]


def test_a_blend_of_standardised_scores_by_hand():
    scores = np.array([[[1.0, 3.0]], [[5.0, 5.0]], [[30.0, 10.0]]])  # 3 scores, one user, two items
    standard = standardise(scores)
    assert standard.tolist() == [[[-1.0, 1.0]], [[0.0, 0.0]], [[1.0, -1.0]]]
    assert blend(standard, np.array([0.5, 9.0, 0.25])).tolist() == [[-0.25, 0.25]]
