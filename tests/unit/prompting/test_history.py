"""Step 0 against histories condensed by hand."""

from components.prompting.catalogue import Item
from components.prompting.history import COUNTED_CATEGORIES, HISTORY_ITEMS, condense, condense_histories


def item(name, *categories):
    return Item(name, name.title(), "", categories, 0)


def test_an_item_chosen_again_counts_once_at_its_last_place():
    a, b, c = item("a", "X"), item("b", "X", "Y"), item("c")
    history = condense([a, b, a, c, b])
    assert [entry.item_id for entry in history.items] == ["a", "c", "b"]
    assert history.category_counts == {"X": 2, "Y": 1}


def test_the_most_recent_fifty_are_kept_in_the_order_of_time_and_all_are_counted():
    history = condense([item(f"i{n}", "X") for n in range(70)])
    assert [entry.item_id for entry in history.items] == [f"i{n}" for n in range(20, 70)]
    assert len(history.items) == HISTORY_ITEMS
    assert history.category_counts == {"X": 70}


def test_categories_are_ordered_by_count_then_name_and_cut():
    history = condense([item("a", "Z", "B"), item("b", "Z"), *(item(f"c{n}", f"C{n:02}") for n in range(30))])
    assert list(history.category_counts)[:3] == ["Z", "B", "C00"]
    assert len(history.category_counts) == COUNTED_CATEGORIES


def test_histories_are_read_in_the_order_of_time(prepared, catalogue):
    histories = condense_histories(prepared, ["ann", "bob"], catalogue)
    assert [entry.item_id for entry in histories["ann"].items] == ["brazil", "alien"]
    assert histories["ann"].category_counts == {"Sci-Fi": 2, "Horror": 1}
    assert [entry.item_id for entry in histories["bob"].items] == ["alien", "casablanca", "unknown"]
