import pytest

from components.contracts.serving import Arm, RolloutRecord, rollout_file, write_rollout
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.marketplace.truth import make_truth, save_truth
from components.marketplace.world import MarketConfig
from reland.generations.finding import Generation
from reland.studies.simulated_market import ranked_market_of_champion, truth_of


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


def test_only_a_simulated_market_has_a_truth(tmp_path):
    generation = Generation("one", artifacts=tmp_path / "artifacts", run=tmp_path / "run")
    with pytest.raises(InputError, match=r"prepare-data/truth: no truth, expected a run over a simulated market"):
        truth_of(generation)
    truth = make_truth(MarketConfig(users=5, items=5), 3)
    save_truth(truth, generation.truth)
    assert truth_of(generation).seed == 3


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
