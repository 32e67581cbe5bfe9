import numpy as np
import pytest

from components.foundation.errors import InputError
from components.ranker_release.arms import parse_version
from components.ranker_release.release import ServedScoresDifferError, largest_difference
from serving.triton.client import Ranking


def ranking(scores: list[float], weights: list[float]) -> Ranking:
    return Ranking(np.array([scores], np.float32), np.array([weights], np.float32))


def test_the_largest_difference_is_over_scores_and_weights():
    ours, theirs = ranking([1.0, 2.0], [0.25, 0.75]), ranking([1.0, 2.0005], [0.25, 0.75])
    assert largest_difference(ours, theirs) == pytest.approx(0.0005, abs=1e-6)


@pytest.mark.parametrize(
    ("theirs", "what"),
    [
        (ranking([1.0, 2.01], [0.25, 0.75]), "scores"),
        (ranking([1.0, 2.0], [0.26, 0.74]), "fusion_weights"),
        (ranking([1.0], [0.25, 0.75]), "scores: Triton gives the shape"),
        (ranking([1.0, float("nan")], [0.25, 0.75]), "scores"),
    ],
)
def test_other_numbers_than_pytorchs_are_refused(theirs, what):
    with pytest.raises(ServedScoresDifferError, match=what):
        largest_difference(ranking([1.0, 2.0], [0.25, 0.75]), theirs)


def test_a_version_is_a_positive_whole_number():
    assert parse_version("12") == 12
    for version in ("0", "-1", "1.5", "", "v1"):
        with pytest.raises(InputError, match="positive whole number"):
            parse_version(version)
