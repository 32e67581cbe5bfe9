import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis
import pytest

from components.data_preparation.engines import EngineConfig, table_engine
from components.data_preparation.preparation import PreparationConfig, prepare
from components.foundation.errors import EnvironmentFaultError, InputError


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes of a file fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [1_000, 30_000, 120_000], ids=["staging", "tables", "reports"])
def test_a_disk_that_is_full_is_one_clear_line(tmp_path: Path, size: int) -> None:
    config = PreparationConfig("simulator", None, seed=0, minimum_interactions=5, max_rejected=0.0)
    with files_of_at_most(size), pytest.raises(EnvironmentFaultError, match=r"out.*(too large|not written)") as fault:
        prepare(config, tmp_path / "out")
    assert "\n" not in str(fault.value)


def test_what_duckdb_cannot_spill_is_one_clear_line(tmp_path: Path) -> None:
    expected = "setting RELAND_TABLE_MEMORY=20MB: too little for this"
    with pytest.raises(InputError, match=expected), table_engine(tmp_path, EngineConfig(memory="20MB")) as connection:
        numbers = ibis.range(2_000_000).unnest().name("number").as_table()
        connection.to_pyarrow(numbers.agg(all=numbers.number.cast("string").collect()))


def test_spark_that_is_not_installed_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "components.data_preparation.spark_engine", raising=False)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    for name in [name for name in sys.modules if name.startswith(("pyspark.", "ibis.backends.pyspark"))]:
        monkeypatch.delitem(sys.modules, name)
    expected = "setting RELAND_TABLE_ENGINE=spark: pyspark is not installed, the extra `spark` of this project"
    with pytest.raises(EnvironmentFaultError, match=expected), table_engine(tmp_path, EngineConfig("spark")):
        pass
