"""The paper's policy: which bytes it had before there were others."""

from components.seed_sampling.policies import Adaptive


def test_the_halves_are_disjoint_and_the_representative_one_first(base):
    choice = Adaptive(base, 10, 5).choose(21)
    assert choice.origins == ["representative"] * 11 + ["important"] * 10


def test_recorded_results_hold(base):
    """Measured runs name their seeds by this order of draws: clusters, representative half, important half."""
    chosen = Adaptive(base, 10, 5).choose(20).indices
    assert chosen.tolist() == [
        40,
        117,
        153,
        177,
        123,
        121,
        165,
        0,
        151,
        135,
        128,
        67,
        196,
        131,
        99,
        192,
        91,
        59,
        134,
        146,
    ]
