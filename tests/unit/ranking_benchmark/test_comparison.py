"""Paired tests and Holm's correction, worked by hand."""

import numpy as np
import pytest

from components.ranking_benchmark.comparison import compare_variants, holm, mean_and_interval, paired, rivals


def test_holm_by_hand() -> None:
    # Sorted .01, .02, .03, .04 are multiplied by 4, 3, 2, 1: .04, .06, .06, .04; none is below the one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_mean_over_seeds_has_students_interval_and_a_single_one_none() -> None:
    # Deviation of (1, 2, 3) is 1; t(0.975, 2) = 4.302653.
    assert mean_and_interval([1.0, 2.0, 3.0]) == {
        "mean": 2.0,
        "interval": pytest.approx([2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5]),
        "seeds": 3,
    }
    assert mean_and_interval([0.5]) == {"mean": 0.5, "interval": None, "seeds": 1}


def test_the_p_value_is_that_of_the_weaker_test() -> None:
    # Two seeds, four users. Differences by user, mean of the seeds: 1, 1, 1, 2; by seed, mean of the users: 1, 1.5.
    other = np.full((2, 4), 1.0)
    variant = other + np.array([[1, 1, 1, 1], [1, 1, 1, 3]])
    tested = paired(variant, other)
    assert (tested["difference"], tested["relative"]) == (1.25, 1.25)
    # By users: mean 1.25, deviation 0.5, t = 1.25 / (0.5 / 2) = 5 with 3 degrees of freedom.
    assert tested["p_users"] == pytest.approx(0.015392, abs=1e-6)
    assert tested["interval"] == pytest.approx([1.25 - 3.182446 * 0.25, 1.25 + 3.182446 * 0.25])
    # By seeds: t = 1.25 / (0.35355 / sqrt 2) = 5 with 1 degree of freedom: 1 - 2 arctan(5) / pi.
    assert tested["p_seeds"] == pytest.approx(1 - 2 * np.arctan(5) / np.pi)
    assert tested["p"] == tested["p_seeds"]


def test_equal_rankers_differ_by_nothing() -> None:
    tested = paired(np.zeros((3, 5)), np.zeros((3, 5)))
    assert (tested["difference"], tested["relative"], tested["p"]) == (0.0, None, 1.0)


RANKS = np.random.default_rng(0).integers(0, 30, 400).astype(np.uint8)


def test_only_what_was_run_is_compared_and_by_the_seeds_that_both_have() -> None:
    better = np.maximum(RANKS, 3) - 3  # of every user by up to three places
    ranks = {("d", "sasrec", "item_features", seed): RANKS for seed in (0, 1)}
    ranks |= {("d", "sasrec", "reland", seed): better for seed in (0, 1, 2)}
    ranks |= {("e", "sasrec", "reland", 0): better}
    (only,) = compare_variants(ranks)
    assert (only["data"], only["variant"], only["against"], only["seeds"]) == ("d", "reland", "item_features", 2)
    gain = (1 / np.log2(better + 2.0) * (better < 10) - 1 / np.log2(RANKS + 2.0) * (RANKS < 10)).mean()
    assert only["difference"] == pytest.approx(gain)
    assert (only["verdict"], only["p_holm"]) == ("better", pytest.approx(only["p"]))


def test_on_other_features_a_variant_has_to_beat_itself_too() -> None:
    assert rivals("reland", set()) == ["item_features", "reland_shuffled"]
    # Without a seed user a rival is taken on the data set's own features, unless the grid has it on the others.
    assert rivals("reland@direct", {"item_features"}) == ["reland", "item_features", "reland_shuffled@direct"]
    there = {"item_features", "item_features@direct"}
    assert rivals("reland@direct", there) == ["reland", "item_features@direct", "reland_shuffled@direct"]


def test_one_seed_shows_nothing() -> None:
    ranks = {("d", "sasrec", "item_features", 0): RANKS, ("d", "sasrec", "reland", 0): np.zeros_like(RANKS)}
    (only,) = compare_variants(ranks)
    assert only["p_users"] < 1e-6 and only["verdict"] == "no difference shown"
