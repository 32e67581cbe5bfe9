import json
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.errors import InputError
from components.marketplace.truth import Truth, load_truth, make_truth, save_truth
from components.marketplace.world import MarketConfig, Weights

CONFIG = MarketConfig(users=50, items=40, days=4, days_after=3)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(CONFIG, 7)


def test_the_equation_on_a_case_worked_by_hand():
    config = replace(
        CONFIG,
        drift=np.pi / 2,  # after one day the taste is wholly the one it turns to
        intent_days=1,
        click=Weights(-1.0, category=2.0, brand=3.0, price=0.5, popularity=0.25, intent_category=4.0, intent_brand=5.0),
        conversion=Weights(1.0, 0, 0, 0, 0, 0, 0),
    )
    truth = make_truth(config, 0)
    user, item = truth.users, truth.items
    user.category_taste[3, 5], user.category_drift[3, 5] = 0.1, 0.2
    user.brand_taste[3, 2] = 0.3
    user.price_taste[3] = 1.0
    user.intent_phase[3] = 0
    user.intent_category[3, :2] = (5, 4)  # the category is the user's intent on day 0, not on day 1
    user.intent_brand[3, :2] = (1, 2)  # the brand the other way round
    item.category[8], item.brand[8], item.price_position[8], item.popularity[8] = 5, 2, 3.0, 0.4
    # -1 + 2 taste + 3 * 0.3 - 0.5 * (3 - 1)^2 + 0.25 * 0.4 + intent
    for day, logit in ((0, -1 + 2 * 0.1 + 0.9 - 2 + 0.1 + 4), (1, -1 + 2 * 0.2 + 0.9 - 2 + 0.1 + 5)):
        found = truth.click_probability(np.array(3), np.array(8), day)
        assert found == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)
    assert truth.conversion_probability(np.array(3), np.array(8), 1) == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)


def test_probabilities_of_every_pair_at_once_and_one_by_one(truth):
    users, items = np.arange(50), np.arange(40)
    table = truth.click_probability(users[:, None], items, 2)
    assert table.shape == (50, 40) and (table > 0).all() and (table < 1).all()
    assert truth.click_probability(users[:40], items, 2) == pytest.approx(table.diagonal(), rel=1e-6)


def test_the_days_that_the_truth_covers(truth):
    truth.click_probability(np.arange(50), np.arange(1), CONFIG.horizon - 1)
    for day in (-1, CONFIG.horizon):
        with pytest.raises(ValueError, match="covers the days 0 to 6"):
            truth.click_probability(np.arange(50), np.arange(1), day)


def test_intents_last_for_their_days():
    truth = make_truth(replace(CONFIG, days=30), 1)
    category = np.stack([truth.intent(np.arange(50), day)[0] for day in range(30)])
    changes = (np.diff(category, axis=0) != 0).sum(axis=0)
    assert 0 < changes.max() <= 29 // CONFIG.intent_days + 1


def test_ids_and_indices(truth):
    assert truth.user_index(pa.array(["u0000004", "u0000000"])).tolist() == [4, 0]
    assert truth.item_index(truth.item_ids()).tolist() == list(range(len(truth.items.category)))
    with pytest.raises(ValueError, match="item 'nothing' is not of this market"):
        truth.item_index(pa.array(["i000001", "nothing"]))


def test_equal_seeds_give_equal_truths_and_an_artifact_gives_the_same_truth(truth, tmp_path):
    save_truth(truth, tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".parquet", ".parquet"]
    loaded, again, other = load_truth(tmp_path), make_truth(CONFIG, 7), make_truth(CONFIG, 8)
    assert loaded.config == truth.config and loaded.seed == truth.seed
    for part in ("users", "items"):
        for field in fields(getattr(truth, part)):
            expected = getattr(getattr(truth, part), field.name)
            for same in (loaded, again):
                found = getattr(getattr(same, part), field.name)
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(other.users.brand_taste, truth.users.brand_taste)


def test_a_faulty_artifact_is_one_clear_line(truth, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_truth(tmp_path)
    save_truth(truth, tmp_path)
    config = tmp_path / "config.json"
    content = json.loads(config.read_text())
    for damage, message in (
        ({"format": 0}, "format 1"),
        ({"market": {"users": 3}}, "not the configuration"),
        ({"market": content["market"] | {"users": 0}}, "at least one user"),
        ({"spells": 9}, "column intent_category"),
    ):
        config.write_text(json.dumps(content | damage))
        with pytest.raises(InputError, match=message):
            load_truth(tmp_path)
