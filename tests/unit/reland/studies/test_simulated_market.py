import pytest

from components.contracts.artifacts import MANIFEST_FILE
from components.contracts.serving import Arm, RolloutRecord, rollout_file, write_rollout
from components.foundation.errors import InputError
from components.foundation.files import write_json
from components.foundation.settings import Settings
from components.marketplace.truth import make_truth, save_truth
from components.marketplace.world import MarketConfig
from reland.studies.simulated_market import artifacts_of, ranked_market_of_champion, truth_of


@pytest.fixture
def settings(tmp_path) -> Settings:
    settings = Settings(home=tmp_path)
    for run, generation in (("reland-1", "one"), ("reland-2", "two")):
        summary = tmp_path / "pipelines" / run / "summarize" / "summary"
        write_json(summary / MANIFEST_FILE, {"generation": generation})
    (tmp_path / "pipelines" / "reland-3-that-failed" / "prepare-data").mkdir(parents=True)
    return settings


def test_the_artifacts_are_those_of_the_generation(settings, tmp_path):
    assert artifacts_of(settings, "two") == tmp_path / "pipelines" / "reland-2"
    with pytest.raises(InputError, match="no finished run of the generation 'three'"):
        artifacts_of(settings, "three")


def test_only_a_simulated_market_has_a_truth(settings, tmp_path):
    folder = artifacts_of(settings, "one")
    with pytest.raises(InputError, match=r"prepare-data/truth: no truth, expected a run over a simulated market"):
        truth_of(folder)
    truth = make_truth(MarketConfig(users=5, items=5), 3)
    save_truth(truth, folder / "prepare-data" / "truth")
    assert truth_of(folder).seed == 3


def test_a_record_without_a_champion(settings):
    arm = Arm(
        name="candidate",
        version=1,
        generation="one",
        feature_service="reland_blue",
        slot="blue",
        item_collection="reland_items_1",
        weight=1.0,
    )
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="", arms=(arm,)))
    with pytest.raises(InputError, match="has no arm 'champion'"):
        ranked_market_of_champion(settings)
