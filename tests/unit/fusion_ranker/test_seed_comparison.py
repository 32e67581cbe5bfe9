"""The table over seeds: means and deviations worked by hand."""

import json

import pytest

from components.contracts.artifacts import METRICS_FILE
from components.foundation.errors import InputError
from components.fusion_ranker.seed_comparison import compare_over_seeds


@pytest.fixture
def evaluated(tmp_path):
    def write(seed: int, values: dict[str, float], backbone: str = "sasrec"):
        folder = tmp_path / str(seed)
        folder.mkdir()
        variants = {variant: {"hr@10": value} for variant, value in values.items()}
        content = {"backbone": backbone, "protocol": "leave-one-out", "variants": variants}
        (folder / METRICS_FILE).write_text(json.dumps(content))
        return folder

    return write


def test_means_and_sample_deviations(evaluated):
    folders = [evaluated(seed, {"id_only": one, "reland": two}) for seed, one, two in ((0, 0.1, 0.2), (1, 0.3, 0.2))]
    table = compare_over_seeds(folders)
    assert (table["seeds"], table["backbone"]) == (2, "sasrec")
    assert table["variants"]["id_only"]["hr@10"]["mean"] == pytest.approx(0.2)
    assert table["variants"]["id_only"]["hr@10"]["deviation"] == pytest.approx(0.02**0.5)  # (2 · 0.1²) / (2 - 1)
    assert table["variants"]["reland"]["hr@10"] == {"mean": 0.2, "deviation": 0.0}
    assert compare_over_seeds(folders[:1])["variants"]["reland"]["hr@10"] == {"mean": 0.2, "deviation": None}


def test_seeds_of_different_experiments_are_not_compared(evaluated):
    first = evaluated(0, {"id_only": 0.1})
    with pytest.raises(InputError, match="backbone is 'neumf', another seed's is 'sasrec'"):
        compare_over_seeds([first, evaluated(1, {"id_only": 0.1}, "neumf")])
    with pytest.raises(InputError, match="has other variants than another seed"):
        compare_over_seeds([first, evaluated(2, {"id_only": 0.1, "reland": 0.2})])
    with pytest.raises(InputError, match="no seed was evaluated"):
        compare_over_seeds([])
