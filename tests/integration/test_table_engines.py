"""DuckDB and Spark, a real one on this machine, prepare the same tables."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import (
    ACCEPTED_FOLDER,
    HISTORIES_FILE,
    INTERACTIONS_FILE,
    ITEM_TOPICS_FILE,
    ITEMS_FILE,
    QUERY_TOPICS_FILE,
    REJECTED_FILE,
    STATISTICS_FILE,
    USERS_FILE,
    VALIDATION_FILE,
)
from components.contracts.tables import PROTOCOLS, REJECTED
from components.data_preparation.adapters.contract import (
    UNCHECKED_INTERACTIONS,
    UNCHECKED_ITEMS,
    UNCHECKED_USERS,
    RowBatch,
    Source,
)
from components.data_preparation.engines import EngineConfig, table_engine
from components.data_preparation.preparation import PreparationConfig, prepare, prepare_source
from components.data_preparation.splits import SplitConfig
from components.foundation.errors import EnvironmentFaultError
from components.marketplace.log import write_log
from components.marketplace.truth import make_truth
from components.marketplace.world import market_of
from components.recommenders.interaction_sequences import read_sequences

pytestmark = pytest.mark.services

FILES = (INTERACTIONS_FILE, HISTORIES_FILE, ITEMS_FILE, USERS_FILE, ITEM_TOPICS_FILE, QUERY_TOPICS_FILE, REJECTED_FILE)
FILES += (VALIDATION_FILE, STATISTICS_FILE)
FILES += tuple(f"{ACCEPTED_FOLDER}/{name}" for name in (INTERACTIONS_FILE, ITEMS_FILE, USERS_FILE))
ALL_SPLITS = SplitConfig(PROTOCOLS)


@pytest.fixture(scope="module")
def spark(missing_dependency: Callable[[str], None]) -> EngineConfig:
    for what, found in (("java", shutil.which("java")), ("pyspark", importlib.util.find_spec("pyspark"))):
        if not found:
            missing_dependency(f"no {what}: `make services` installs it")
    return EngineConfig("spark")


def assert_same_files(first: Path, second: Path) -> None:
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def small_source() -> Source:
    """Ties, duplicates, nulls, texts that engines may sort or quote each in its way, rejected and undescribed rows.

    Zero has two signs, which are equal. Topics need five texts that share a word.
    """
    users = ["10", "9", "Z", "a", "é", "￮", "\U0001f600", "o'clock", 'quo"te', "back\\slash", "per%cent", "tab le"]
    rows = []
    for user in users:
        for step, item in enumerate(["x", "x", "ÿ", "￮", "\U0001f600", "x", "x'y"]):
            row = {"user_id": user, "item_id": item, "timestamp": 5 + step // 3, "behavior": "click"}
            rows += [row, row | {"behavior": "purchase", "value": 1.5 if step % 2 else None, "scene": "home"}]
    rows += [rows[0], rows[3], {**rows[0], "query": "words\n"}, {**rows[0], "item_id": ""}]
    rows += [{**rows[0], "value": 0.0}, {**rows[0], "value": -0.0}]
    queries = ["İSTANBUL ΣΑΣ", "istanbul_1 σασ", "istanbul, σας", "Istanbul!", "ISTANBUL\u00a0ΣΑΣ", "i̇stanbul 'σας'"]
    rows += [{**rows[0], "behavior": "search", "query": query} for query in queries]
    numbered = [{**row, "source_line": line, "raw": str(row)} for line, row in enumerate(rows, start=1)]
    log = RowBatch("log", pa.Table.from_pylist(numbered, UNCHECKED_INTERACTIONS), REJECTED.empty_table(), len(rows))
    texts = {"brand": "", "description": "", "raw": "", "source_line": 1}
    described = [
        {**texts, "item_id": "x", "title": "X", "categories": ["b", "a"]},
        {**texts, "item_id": "x", "title": "again", "categories": [], "source_line": 2},
        {**texts, "item_id": "ÿ", "title": "Ÿ'\"\\", "categories": []},
    ]
    items = RowBatch("items", pa.Table.from_pylist(described, UNCHECKED_ITEMS), REJECTED.empty_table(), len(described))
    pairs = [
        ("9", "city", "Łódź"),
        ("9", "age", "7"),
        ("\U0001f600", "city", "o'"),
        ("9", "city", "Ulm"),
        ("no", "a", "b"),
    ]
    profiles = [
        {"user_id": user, "attributes": [{"attribute": name, "value": value}], "source_line": line, "raw": user}
        for line, (user, name, value) in enumerate(pairs, start=1)
    ]
    profiles.append({"user_id": "Z", "attributes": [], "source_line": len(pairs) + 1, "raw": "Z"})
    people = RowBatch("users", pa.Table.from_pylist(profiles, UNCHECKED_USERS), REJECTED.empty_table(), len(profiles))
    return Source("hand-made", "test", None, iter([log]), iter([items]), iter([people]))


def test_a_hand_made_case(tmp_path: Path, spark: EngineConfig) -> None:
    reports = [
        prepare_source(small_source(), 3, 1.0, tmp_path / engine.name, SplitConfig(PROTOCOLS[:2]), engine)
        for engine in (EngineConfig(), spark)
    ]
    assert reports[0] == reports[1]
    assert reports[0]["dataset"]["rejected_by_reason"] == {"duplicate": 12 + 2 + 1, "empty item_id": 1}
    assert [reports[0]["dataset"]["files"][file]["rejected"] for file in ("items", "users")] == [1, 1]
    assert reports[0]["dataset"]["topics"]["vocabulary"] == 2  # istanbul, σασ
    assert_same_files(tmp_path / "duckdb", tmp_path / "spark")
    users = pq.read_table(tmp_path / "spark" / HISTORIES_FILE)["user_id"].to_pylist()
    assert len(users) == 12 and users == sorted(users)


def test_a_spark_short_of_memory_is_one_clear_line(tmp_path: Path, spark: EngineConfig) -> None:
    from pyspark.errors import PySparkException

    told = "An error occurred while calling o1.parquet.\n: java.lang.OutOfMemoryError: Java heap space\n\tat a.b.C"
    expected = r"setting RELAND_TABLE_ENGINE=spark: Spark failed \(java\.lang\.OutOfMemoryError: Java heap space\)"
    with pytest.raises(EnvironmentFaultError, match=expected), table_engine(tmp_path, spark):
        raise PySparkException(told)


def test_movielens(tmp_path: Path, spark: EngineConfig, real_data: Callable[[str], Path]) -> None:
    config = PreparationConfig("ml-1m", real_data("ml-1m"), 0, 5, 0.0, ALL_SPLITS)
    assert prepare(config, tmp_path / "duckdb") == prepare(replace(config, engine=spark), tmp_path / "spark")
    assert_same_files(tmp_path / "duckdb", tmp_path / "spark")


def test_a_million_rows_of_the_marketplace(tmp_path: Path, spark: EngineConfig) -> None:
    rows = write_log(make_truth(market_of(1_000_000), 0), tmp_path / "log")
    config = PreparationConfig(str(tmp_path / "log"), None, 0, 5, 0.0, ALL_SPLITS)
    report = prepare(config, tmp_path / "duckdb")
    assert report == prepare(replace(config, engine=spark), tmp_path / "spark")
    assert_same_files(tmp_path / "duckdb", tmp_path / "spark")
    found = report["dataset"]
    assert found["interactions"] == rows > 900_000
    # Funnels: more rows are held out than there are users, of whom each has two visits held out.
    assert found["splits"]["leave_one_out"]["test"] > found["after_k_core"]["users"]
    assert read_sequences(tmp_path / "spark").n_users == found["after_k_core"]["users"]


def test_spark_goes_on_from_what_duckdb_has_kept(tmp_path: Path, spark: EngineConfig) -> None:
    truth = make_truth(market_of(20_000), 0)
    for name, days in (("first", range(20)), ("last", range(20, 30))):
        write_log(truth, tmp_path / name, days)
    config = PreparationConfig(str(tmp_path / "first"), None, 0, 5, 1.0, ALL_SPLITS)
    prepare(config, tmp_path / "kept [1]")  # no part of a path is a pattern on Spark either
    after = replace(config, dataset=str(tmp_path / "last"), previous=tmp_path / "kept [1]")
    report = prepare(after, tmp_path / "duckdb=1 [1]")
    assert report == prepare(replace(after, engine=spark), tmp_path / "spark=1 {a} *")
    assert_same_files(tmp_path / "duckdb=1 [1]", tmp_path / "spark=1 {a} *")
