"""Which files of a folder make up one table: parts, partitions, and tables whose own log decides it."""

from pathlib import Path
from urllib.parse import unquote

from components.data_preparation.source_files import files_in, is_hidden
from components.foundation.errors import InputError

PARQUET_MAGIC = b"PAR1"
PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
NO_PARTITION_VALUE = "__HIVE_DEFAULT_PARTITION__"


def parquet_parts(folder: Path) -> tuple[Path, ...]:
    """The files of a table in `folder` and in its folders (`dt=2024-01-02/`), sorted by path, hidden ones left out.

    Empty where one of them is no Parquet file, so that no part of a table is taken for all of it, and where the folder
    is missing or unreadable: it never raises.
    """
    try:
        parts = _visible_files(folder)
    except OSError:
        return ()
    return tuple(parts) if all(is_parquet(path) for path in parts) else ()


def is_parquet(path: Path) -> bool:
    """Whether a file is named or begins as Parquet does; Hive names its parts `000000_0`."""
    try:
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            return True
        with path.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError:
        return False


def partition_values(root: Path, path: Path) -> dict[str, str | None]:
    """What the folders between `root` and `path` say of the rows in it, {"dt": "2024-01-02"}."""
    values: dict[str, str | None] = {}
    for folder in path.relative_to(root).parts[:-1]:
        key, equals, value = folder.partition("=")
        if equals:
            values[unquote(key)] = None if value == NO_PARTITION_VALUE else unquote(value)
    return values


def check_no_table_format(source: Path) -> None:
    """Raises InputError where `source`, or a folder in it, is a table whose own log says which of its files count."""
    root = source if source.is_dir() else source.parent
    try:
        folders = [root, *(path for path in sorted(root.iterdir()) if path.is_dir() and source.is_dir())]
        for folder in folders:
            name = _table_format(folder)
            if name is not None:
                raise InputError(
                    f"{folder}: is {name}, whose files of earlier versions lie beside those that count, and it is not "
                    "read: write its current version as plain Parquet, spark.read…write.parquet(…), and give that"
                )
    except OSError:
        return  # the reader reports what cannot be listed


def _table_format(folder: Path) -> str | None:
    if (folder / "_delta_log").is_dir():
        return "a Delta table"
    if (folder / ".hoodie").is_dir():
        return "a Hudi table"
    if any(path.name.endswith(".metadata.json") for path in files_in(folder / "metadata")):
        return "an Iceberg table"
    return None


def _visible_files(folder: Path) -> list[Path]:
    files = []
    for path in sorted(folder.iterdir()):
        if is_hidden(path):
            continue
        if path.is_dir():
            files += _visible_files(path)
        elif path.is_file():
            files.append(path)
    return files
