from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from components.foundation.mlflow_client import sqlite_uri


@pytest.mark.parametrize("name", ["plain", "a b", "50%", "%3F", "what?x=1", "h#1", "é;x&y"])
def test_the_database_is_where_the_path_says(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "mlflow.db"
    path.parent.mkdir()
    assert make_url(sqlite_uri(path)).database == str(path)
    with create_engine(sqlite_uri(path)).begin() as connection:
        connection.execute(text("create table t (a int)"))
    assert path.stat().st_size > 0
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
