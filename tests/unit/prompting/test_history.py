"""Step 0 against histories condensed by hand."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from components.contracts.artifacts import INTERACTIONS_FILE
from components.contracts.tables import INTERACTIONS, read_table, write_table
from components.prompting.catalogue import Item
from components.prompting.history import SECONDS_OF_DAY, condense, condense_histories


def item(name, *categories):
    return Item(name, name.title(), "", categories, 0)


def names(history):
    return [entry.item_id for entry in history.items]


def test_an_item_chosen_again_counts_once_at_its_last_place():
    a, b, c = item("a", "X"), item("b", "X", "Y"), item("c")
    history = condense([a, b, a, c, b])
    assert names(history) == ["a", "c", "b"] and history.times_chosen == (2, 1, 2)
    assert history.category_counts == {"X": 2, "Y": 1}
    assert history.chosen == {"a", "b", "c"}


def test_the_most_recent_are_kept_in_the_order_of_time_and_all_are_counted():
    history = condense([item(f"i{n}", "X") for n in range(70)]).shortened(50)
    assert names(history) == [f"i{n}" for n in range(20, 70)]
    assert history.category_counts == {"X": 70}


def test_half_of_a_shortened_history_is_what_was_chosen_most_often():
    often, twice = item("often"), item("twice")
    history = condense([often, twice, item("old"), often, twice, often, *(item(f"i{n}") for n in range(5))])
    assert names(history) == ["old", "twice", "often", "i0", "i1", "i2", "i3", "i4"]
    assert names(history.shortened(5)) == ["twice", "often", "i2", "i3", "i4"]
    assert history.shortened(5).times_chosen == (2, 3, 1, 1, 1)
    assert names(history.shortened(3)) == ["often", "i3", "i4"]
    assert names(history.shortened(1)) == ["i4"]
    assert history.shortened(8) is history


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(0, 12))
def test_a_shortened_history_is_a_part_of_it_in_its_order_with_the_last_item(chosen, count):
    history = condense([item(f"i{n}") for n in chosen])
    kept = names(history.shortened(count))
    assert len(kept) == min(count, len(history.items))
    assert kept == [name for name in names(history) if name in kept]
    assert not kept or kept[-1] == f"i{chosen[-1]}"


def test_categories_are_ordered_by_count_then_name():
    history = condense([item("a", "Z", "B"), item("b", "Z"), *(item(f"c{n}", f"C{n:02}") for n in range(30))])
    assert list(history.category_counts)[:3] == ["Z", "B", "C00"]


def test_histories_are_read_in_the_order_of_time(prepared, catalogue):
    histories = condense_histories(prepared, ["ann", "bob"], catalogue)
    assert names(histories["ann"]) == ["brazil", "alien"]
    assert histories["ann"].category_counts == {"Sci-Fi": 2, "Horror": 1}
    assert names(histories["bob"]) == ["alien", "casablanca", "unknown"]


def test_a_history_begins_some_days_before_the_users_own_last_interaction(prepared, catalogue):
    rows = read_table(prepared / INTERACTIONS_FILE, INTERACTIONS).to_pylist()
    for row in rows:
        # ann's last training interaction is a year before the others'.
        year_ago = 0 if row["user_id"] == "ann" else 365
        row["timestamp"] = (year_ago + 10 * row["timestamp"]) * SECONDS_OF_DAY
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), prepared / INTERACTIONS_FILE, INTERACTIONS)

    # Of ann: alien on day 0, brazil on day 10, alien on day 20. Of bob: alien, casablanca, unknown.
    days = {n: condense_histories(prepared, ["ann", "bob"], catalogue, n) for n in (0, 1, 10, 11, 21)}
    assert names(days[1]["ann"]) == names(days[10]["ann"]) == ["alien"]
    assert names(days[11]["ann"]) == ["brazil", "alien"] and days[11]["ann"].times_chosen == (1, 1)
    assert days[21] == days[0] and days[0]["ann"].times_chosen == (1, 2)
    assert names(days[11]["bob"]) == ["casablanca", "unknown"]
    assert days[11]["bob"].category_counts == {"Drama": 1, "Romance": 1}
    assert days[1]["bob"].chosen == {"alien", "casablanca", "unknown"}  # so that none of them is a candidate
