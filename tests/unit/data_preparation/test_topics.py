import math
import tempfile
from collections import Counter
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from components.contracts.artifacts import INTERACTIONS_FILE, ITEM_TOPICS_FILE, ITEMS_FILE, QUERY_TOPICS_FILE
from components.contracts.tables import ITEM_TOPICS, QUERY_TOPICS, read_table
from components.data_preparation.engines import table_engine
from components.data_preparation.topics import TopicConfig, write_topics

Topics = list[tuple[str, str, float]]
ALL = TopicConfig(minimum_texts=1, small_catalogue=1_000)


def write(folder: Path, titles: dict[str, str], queries: list[tuple[str | None, str]]) -> None:
    """What of the prepared tables is read: titles by item, queries with the split they are in."""
    items = {"item_id": pa.array(titles.keys(), pa.string()), "title": pa.array(titles.values(), pa.string())}
    pq.write_table(pa.table(items), folder / ITEMS_FILE)
    texts, splits = ([row[column] for row in queries] for column in (0, 1))
    rows = {"query": pa.array(texts, pa.string()), "split_leave_one_out": pa.array(splits, pa.string())}
    pq.write_table(pa.table(rows), folder / INTERACTIONS_FILE)


def read(folder: Path) -> tuple[Topics, Topics]:
    tables = [read_table(folder / ITEM_TOPICS_FILE, ITEM_TOPICS), read_table(folder / QUERY_TOPICS_FILE, QUERY_TOPICS)]
    of_items, of_queries = ([tuple(row.values()) for row in table.to_pylist()] for table in tables)
    return of_items, of_queries


def words_of(connection: ibis.BaseBackend, folder: Path, *titles: str) -> list[set[str]]:
    """The topics of each title where every word is one."""
    write(folder, {str(number): title for number, title in enumerate(titles)}, [])
    write_topics(connection, folder, TopicConfig(minimum_texts=1, small_catalogue=1_000, topics_a_text=100))
    found: list[set[str]] = [set() for _ in titles]
    for item, topic, _ in read(folder)[0]:
        found[int(item)].add(topic)
    return found


def test_topics_of_a_small_catalogue(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    titles = {"d": "Shoes", "a": "The Red shoes, red!", "c": "Red hat of Blue", "b": "Blue shoes", "e": "", "f": "?"}
    queries = [("red shoes", "train"), ("red shoes", "test"), ("green", "test"), ("green grass", "valid")]
    write(tmp_path, titles, [*queries, ("blue lamp", "test"), (None, "train"), (" ", "train"), ("", "train")])
    config = TopicConfig(minimum_texts=2, largest_share=0.5, small_catalogue=3)
    # Of 6 texts (5 titles that are not empty, 1 query that is trained on) 3 at most may share a word: "shoes" is in 4.
    # "hat" and "grass" are in one; "green" in none that counts, and "blue" in no more than its two titles.
    assert write_topics(connection, tmp_path, config) == {
        "vocabulary": 2,
        "items_with_topics": 3,
        "queries_with_topics": 2,
        "queries": 4,
    }
    red, blue = math.log(7 / 4) + 1, math.log(7 / 3) + 1
    of_items, of_queries = read(tmp_path)
    assert of_items == [
        ("a", "red", pytest.approx(2 * red)),
        ("b", "blue", pytest.approx(blue)),
        ("c", "blue", pytest.approx(blue)),
        ("c", "red", pytest.approx(red)),
    ]
    assert of_queries == [("blue lamp", "blue", pytest.approx(blue)), ("red shoes", "red", pytest.approx(red))]


def test_at_most_five_topics_and_of_equal_ones_the_first(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    write(tmp_path, {"a": "delta alpha echo golf bravo foxtrot foxtrot", "b": "zulu"}, [])
    write_topics(connection, tmp_path, ALL)
    of_a = [topic for item, topic, _ in read(tmp_path)[0] if item == "a"]
    assert of_a == ["foxtrot", "alpha", "bravo", "delta", "echo"]


@pytest.mark.parametrize(("texts", "common"), [(100, 50), (1_000, 100)])
def test_rare_and_common_words_are_no_topics(
    connection: ibis.BaseBackend, tmp_path: Path, texts: int, common: int
) -> None:
    """At least 5 texts, at most a tenth of them, or 50 where they are few."""
    shares = {"alpha": 4, "beta": 5, "gamma": common, "delta": common + 1}
    titles = {
        f"i{number:04d}": " ".join(word for word, count in shares.items() if number < count) or f"unique{number}"
        for number in range(texts)
    }
    write(tmp_path, titles, [])
    assert write_topics(connection, tmp_path)["vocabulary"] == 2
    assert Counter(topic for _, topic, _ in read(tmp_path)[0]) == {"beta": 5, "gamma": common}


def test_words_of_many_scripts(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    assert words_of(
        connection,
        tmp_path,
        "Misérables, LES (1995)",
        "Children's_book-shelf",
        "हिन्दी किताब",
        "ΣΑΣ İstanbul",
        "x Ж 7 of the",
        "红色连衣裙、夏季",
    ) == [
        {"misérables", "les", "1995"},
        {"children", "book", "shelf"},
        {"हिन्दी", "किताब"},
        {"σασ", "istanbul"},
        set(),
        {"红色连衣裙", "夏季"},
    ]


def test_a_query_counts_only_where_all_splits_train_on_it(connection: ibis.BaseBackend, tmp_path: Path) -> None:
    write(tmp_path, {"a": "shoes", "b": "shoes lamp"}, [])
    rows = {
        "query": ["red shoes", "lamp", "lamp"],
        "split_ratio": ["train", "train", "valid"],
        "split_time": ["train", "test", "train"],
    }
    pq.write_table(pa.table(rows), tmp_path / INTERACTIONS_FILE)
    write_topics(connection, tmp_path, TopicConfig(minimum_texts=2, small_catalogue=3))
    shoes = pytest.approx(math.log(4 / 4) + 1)  # in all of 2 titles and 1 query; "lamp" is in one title
    assert read(tmp_path) == ([("a", "shoes", shoes), ("b", "shoes", shoes)], [("red shoes", "shoes", shoes)])


def test_without_titles_and_queries_the_tables_are_there_and_empty(
    connection: ibis.BaseBackend, tmp_path: Path
) -> None:
    write(tmp_path, {"a": "", "b": " "}, [(None, "train")])
    assert set(write_topics(connection, tmp_path).values()) == {0}
    assert read(tmp_path) == ([], [])


WORDS = st.sampled_from(["red", "Red", "shoes", "shoe", "the", "of", "x", "ça", "2024", "hat", "lamp", "blue", "sky"])
TEXTS = st.lists(WORDS, max_size=8).map(" - ".join)


@pytest.mark.slow
@settings(deadline=None)
@given(titles=st.lists(TEXTS, max_size=12), queries=st.lists(TEXTS, max_size=8), minimum=st.integers(1, 3))
def test_weights_are_those_of_scikit_learn(titles: list[str], queries: list[str], minimum: int) -> None:
    config = TopicConfig(minimum_texts=minimum, small_catalogue=6)
    items = {f"i{number:02d}": title for number, title in enumerate(titles)}
    with tempfile.TemporaryDirectory() as folder, table_engine(Path(folder)) as connection:
        write(Path(folder), items, [(query, "train") for query in queries])
        write_topics(connection, Path(folder), config)
        found = read(Path(folder))
        contents = [(Path(folder) / name).read_bytes() for name in (ITEM_TOPICS_FILE, QUERY_TOPICS_FILE)]
        # The order of rows changes nothing.
        write(Path(folder), dict(reversed(items.items())), [(query, "train") for query in reversed(queries)])
        write_topics(connection, Path(folder), config)
        assert [(Path(folder) / name).read_bytes() for name in (ITEM_TOPICS_FILE, QUERY_TOPICS_FILE)] == contents

    named = [list(items.items()), [(query, query) for query in sorted(set(queries))]]
    texts = [text for rows in named for _, text in rows if text]
    vectorizer = TfidfVectorizer(
        norm=None, token_pattern=r"\w{2,}", stop_words="english", min_df=minimum, max_df=6, lowercase=True
    )
    try:
        vectorizer.fit(texts)
    except ValueError:  # no word is left, or more are asked for than there are texts
        assert found == ([], [])
        return
    vocabulary = vectorizer.get_feature_names_out()
    for rows, topics in zip(named, found, strict=True):
        expected = []
        for (key, _), weights in zip(rows, vectorizer.transform([text for _, text in rows] or [""]), strict=False):
            pairs = zip(vocabulary[weights.indices], weights.data, strict=True)
            ordered = sorted(((-round(float(weight), 5), str(topic)) for topic, weight in pairs))[:5]
            expected += [(key, topic, pytest.approx(-weight, abs=1e-4)) for weight, topic in ordered]
        assert topics == expected
