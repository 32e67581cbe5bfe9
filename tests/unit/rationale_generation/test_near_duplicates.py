"""Texts of 30 words, of which one is changed, or ten."""

from components.rationale_generation.near_duplicates import count_near_duplicates

WORDS = [f"word{number}" for number in range(60)]


def changed(*places: int) -> str:
    return " ".join("other" + str(place) if place in places else word for place, word in enumerate(WORDS))


def test_a_text_is_a_near_duplicate_of_one_before_it():
    # 58 runs of three words; a changed first word changes one of them: 57 of 59 are shared.
    assert count_near_duplicates([changed(), changed(0), changed(59)]) == 2
    # A word in the middle changes three: 55 of 61 are shared, 0.902. Two words: 52 of 64.
    assert count_near_duplicates([changed(), changed(30)]) == 1
    assert count_near_duplicates([changed(), changed(20, 40)]) == 0


def test_equal_texts_and_none():
    assert count_near_duplicates([]) == 0
    assert count_near_duplicates(["short"]) == 0
    assert count_near_duplicates(["Short.", "short", "short!"]) == 2
    assert count_near_duplicates(["", "", "a b"]) == 1
