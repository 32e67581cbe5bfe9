"""What titles and queries are about: the words that tell them from others, as Ibis expressions.

A topic is a word that several titles or queries share and most do not. Titles and queries have one vocabulary, so that
an item and a query meet in a topic although no log joins them.

Words are runs of Unicode letters, marks and digits, in lower case, at least two characters long, English stop words
left out ("Children's" gives "children", a year is a word). Forms of a word are words of their own ("shoe", "shoes"),
and so are spellings that Unicode writes in two ways: nothing is stemmed or normalised. Of languages that put no spaces
between words (Chinese, Japanese, Thai) all between two marks of punctuation is one word, so that only texts with an
equal phrase meet. Stop words of other languages are kept out by `TopicConfig.largest_share` alone.
"""

from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
from ibis import _
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from components.contracts.artifacts import INTERACTIONS_FILE, ITEM_TOPICS_FILE, ITEMS_FILE, QUERY_TOPICS_FILE
from components.contracts.tables import ITEM_TOPICS, QUERY_TOPICS
from components.data_preparation.engines import drop, read, stream
from components.data_preparation.staging import write_batches
from components.foundation.progress import say

BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]+"
SHORTEST_WORD = 2


@dataclass(frozen=True)
class TopicConfig:
    """Which words are topics.

    Attributes:
        minimum_texts: in how many texts a word stands at least; fewer say nothing of one another.
        largest_share: of all texts, in which a word stands at most; more share it by chance, and as one node of a graph
            it would join them all.
        small_catalogue: a word may stand in as many texts whatever the share: where texts are few, a word of a tenth of
            them is none too common. With 50, the share of 0.1 counts from 500 texts on.
        topics_a_text: the heaviest ones are kept.
    """

    minimum_texts: int = 5
    largest_share: float = 0.1
    small_catalogue: int = 50
    topics_a_text: int = 5


def write_topics(connection: ibis.BaseBackend, output: Path, config: TopicConfig | None = None) -> dict[str, int]:
    """Write `contracts.tables.ITEM_TOPICS` and `QUERY_TOPICS` for the items and interactions prepared in `output`.

    Which words are topics and what they weigh follows from the titles and from the queries of training interactions
    (of every split that there is): the texts of held-out queries are given topics, but have no say in them.

    Returns:
        The vocabulary's size, and how many items and queries have topics: {"dataset": {"topics": ...}} of
        `summary.json`.
    """
    config = config or TopicConfig()
    items = read(connection, output / ITEMS_FILE, "titled_items")
    interactions = read(connection, output / INTERACTIONS_FILE, "queried_interactions")
    titles = _texts(items.select(text="item_id", words="title").mutate(counted=True))
    queries = _texts(_different_queries(interactions))

    words = connection.create_table("title_words", _words(titles), temp=True)
    query_words = connection.create_table("query_words", _words(queries), temp=True)
    counted = words.union(query_words).filter(_.counted)
    texts = int(titles.count().execute()) + int(queries.filter(_.counted).count().execute())
    vocabulary = connection.create_table("vocabulary", _vocabulary(counted, texts, config), temp=True)

    counts = {"vocabulary": int(vocabulary.count().execute())}
    for name, rows, file, schema in (
        ("items_with_topics", words, ITEM_TOPICS_FILE, ITEM_TOPICS),
        ("queries_with_topics", query_words, QUERY_TOPICS_FILE, QUERY_TOPICS),
    ):
        topics = connection.create_table(name, _topics(rows, vocabulary, config), temp=True)
        named = topics.rename({schema.names[0]: "text"}).order_by([schema.names[0], ibis.desc("weight"), "topic"])
        write_batches(stream(connection, named), output / file, schema)
        counts[name] = int(topics.text.nunique().execute())
        drop(connection, name)
    for name in ("title_words", "query_words", "vocabulary"):
        drop(connection, name)
    counts["queries"] = int(queries.count().execute())
    if not texts:
        say("no topics: no item has a title, and no interaction a query")
        return counts
    say(
        f"{counts['vocabulary']:,} topics of {counts['items_with_topics']:,} items "
        f"and {counts['queries_with_topics']:,} of {counts['queries']:,} queries"
    )
    return counts


def _different_queries(interactions: ir.Table) -> ir.Table:
    """(text, words, counted): each query, and whether a training interaction of every split has it."""
    trained = ibis.literal(True)
    for name in interactions.columns:
        if name.startswith("split_"):
            trained &= interactions[name] == "train"
    rows = interactions.filter(interactions.query.notnull())
    return rows.group_by(text=rows.query).agg(counted=trained.any()).mutate(words=_.text)


def _texts(rows: ir.Table) -> ir.Table:
    """Those that are not blank."""
    return rows.filter(_.words.re_search(r"\S"))


def _words(texts: ir.Table) -> ir.Table:
    """(text, word, times, counted): how many times each word stands in each text."""
    lower = _.words.replace("İ", "i").lower().replace("ς", "σ")  # DuckDB and Spark lower these two differently
    words = texts.mutate(words=lower.re_split(BETWEEN_WORDS)).unnest("words").rename(word="words")
    return words.group_by("text", "word", "counted").agg(times=_.count()).select("text", "word", "times", "counted")


def _vocabulary(words: ir.Table, texts: int, config: TopicConfig) -> ir.Table:
    """(word, rarity): the inverse document frequency, smoothed as scikit-learn does, ln((1 + n) / (1 + n_word)) + 1."""
    most = max(int(config.largest_share * texts), config.small_catalogue)
    counted = words.group_by("word").agg(texts=_.count()).filter(_.texts >= config.minimum_texts, _.texts <= most)
    topics = counted.filter(_.word.length() >= SHORTEST_WORD, _.word.notin(sorted(ENGLISH_STOP_WORDS)))
    return topics.select("word", rarity=((1 + texts) / (1 + _.texts)).ln() + 1)


def _topics(words: ir.Table, vocabulary: ir.Table, config: TopicConfig) -> ir.Table:
    """(text, topic, weight): the words of the vocabulary with the largest times x rarity, of equal ones the first."""
    weighed = words.join(vocabulary, "word").select("text", topic=_.word, weight=(_.times * _.rarity).cast("float32"))
    heaviest = ibis.row_number().over(group_by="text", order_by=[ibis.desc("weight"), "topic"])
    return weighed.mutate(rank=heaviest).filter(_.rank < config.topics_a_text).drop("rank")
