"""DuckDB and Spark, a real one on this machine, prepare the same tables."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contracts.artifacts import HISTORIES_FILE, INTERACTIONS_FILE, ITEMS_FILE, REJECTED_FILE
from components.contracts.tables import PROTOCOLS
from components.data_preparation.adapters.contract import UNCHECKED_INTERACTIONS, UNCHECKED_ITEMS, RowBatch, Source
from components.data_preparation.engines import EngineConfig
from components.data_preparation.marketplace.log import write_log
from components.data_preparation.marketplace.truth import make_truth
from components.data_preparation.marketplace.world import market_of
from components.data_preparation.preparation import PreparationConfig, prepare, prepare_source
from components.data_preparation.splits import SplitConfig
from components.data_preparation.validation import REJECTED
from components.recommenders.interaction_sequences import read_sequences

pytestmark = [pytest.mark.services, pytest.mark.timeout(500)]

TABLES = (INTERACTIONS_FILE, HISTORIES_FILE, ITEMS_FILE, REJECTED_FILE)
ALL_SPLITS = SplitConfig(PROTOCOLS)


@pytest.fixture(scope="module")
def spark(missing_dependency: Callable[[str], None]) -> EngineConfig:
    for what, found in (("java", shutil.which("java")), ("pyspark", importlib.util.find_spec("pyspark"))):
        if not found:
            missing_dependency(f"no {what}: `make services` installs it")
    return EngineConfig("spark")


def assert_same_tables(first: Path, second: Path) -> None:
    for name in TABLES:
        assert pq.read_table(first / name).equals(pq.read_table(second / name)), name


def small_source() -> Source:
    """Ties, duplicates, nulls, texts that engines may sort or quote each in its way, rejected and undescribed rows."""
    users = ["10", "9", "Z", "a", "é", "￮", "\U0001f600", "o'clock", 'quo"te', "back\\slash", "per%cent", "tab le"]
    rows = []
    for user in users:
        for step, item in enumerate(["x", "x", "ÿ", "￮", "\U0001f600", "x", "x'y"]):
            row = {"user_id": user, "item_id": item, "timestamp": 5 + step // 3, "behavior": "click"}
            rows += [row, row | {"behavior": "purchase", "value": 1.5 if step % 2 else None, "scene": "home"}]
    rows += [rows[0], rows[3], {**rows[0], "query": "words\n"}, {**rows[0], "item_id": ""}]
    numbered = [{**row, "source_line": line, "raw": str(row)} for line, row in enumerate(rows, start=1)]
    log = RowBatch("log", pa.Table.from_pylist(numbered, UNCHECKED_INTERACTIONS), REJECTED.empty_table(), len(rows))
    texts = {"brand": "", "description": "", "raw": "", "source_line": 1}
    described = [
        {**texts, "item_id": "x", "title": "X", "categories": ["b", "a"]},
        {**texts, "item_id": "x", "title": "again", "categories": [], "source_line": 2},
        {**texts, "item_id": "ÿ", "title": "Ÿ'\"\\", "categories": []},
    ]
    items = RowBatch("items", pa.Table.from_pylist(described, UNCHECKED_ITEMS), REJECTED.empty_table(), len(described))
    return Source("hand-made", "test", None, iter([log]), iter([items]))


def test_a_hand_made_case(tmp_path: Path, spark: EngineConfig) -> None:
    reports = [
        prepare_source(small_source(), 3, 1.0, tmp_path / engine.name, SplitConfig(PROTOCOLS[:2]), engine)
        for engine in (EngineConfig(), spark)
    ]
    assert reports[0] == reports[1]
    assert reports[0]["dataset"]["rejected_by_reason"] == {"duplicate": 12 + 2, "empty item_id": 1}
    assert reports[0]["dataset"]["files"]["items"]["rejected"] == 1
    assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")
    users = pq.read_table(tmp_path / "spark" / HISTORIES_FILE)["user_id"].to_pylist()
    assert len(users) == 12 and users == sorted(users)


def test_movielens(tmp_path: Path, spark: EngineConfig, real_data: Callable[[str], Path]) -> None:
    config = PreparationConfig("ml-1m", real_data("ml-1m"), 0, 5, 0.0, ALL_SPLITS)
    assert prepare(config, tmp_path / "duckdb") == prepare(replace(config, engine=spark), tmp_path / "spark")
    assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")


def test_a_million_rows_of_the_marketplace(tmp_path: Path, spark: EngineConfig) -> None:
    rows = write_log(make_truth(market_of(1_000_000), 0), tmp_path / "log")
    config = PreparationConfig(str(tmp_path / "log"), None, 0, 5, 0.0, ALL_SPLITS)
    report = prepare(config, tmp_path / "duckdb")
    assert report == prepare(replace(config, engine=spark), tmp_path / "spark")
    assert_same_tables(tmp_path / "duckdb", tmp_path / "spark")
    found = report["dataset"]
    assert found["interactions"] == rows > 900_000
    # Funnels: more rows are held out than there are users, of whom each has two visits held out.
    assert found["splits"]["leave_one_out"]["test"] > found["after_k_core"]["users"]
    assert read_sequences(tmp_path / "spark").n_users == found["after_k_core"]["users"]
