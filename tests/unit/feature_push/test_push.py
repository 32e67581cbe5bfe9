import pytest

from components.contracts.exclusions import Exclusions
from components.contracts.registry import free_slot
from components.feature_push.push import mark_bans, sample
from feature_repo.store import Rationale


@pytest.mark.parametrize(("champion", "free"), [(None, "blue"), ("blue", "green"), ("green", "blue")])
def test_a_push_goes_to_the_slot_that_the_champion_does_not_use(champion, free):
    assert free_slot(champion) == free


def test_a_ban_is_kept_and_only_for_the_rationale_that_has_it():
    def row(generation: str, banned: bool) -> Rationale:
        return Rationale([1.0], "tiny", "why", generation, banned)

    new = {"a": row("two", False), "b": row("two", False), "c": row("two", False)}
    stored = {"a": row("one", True), "b": row("one", False), "gone": row("one", True)}
    assert mark_bans(new, stored, Exclusions()) == {
        "a": row("two", True),
        "b": row("two", False),
        "c": row("two", False),
    }


def test_the_sample_is_spread_over_the_keys_from_the_first_to_the_last():
    keys = [f"{number:03}" for number in range(101)]
    assert sample(keys, 5) == ["000", "025", "050", "075", "100"]
    assert sample(keys[:3], 5) == keys[:3]
    assert sample([], 5) == []
