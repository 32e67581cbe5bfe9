"""The formats the platform understands, in the order in which they are tried, and how a format is detected."""

import re
import shlex
from pathlib import Path

from components.data_preparation.adapters.amazon_2014 import Amazon2014
from components.data_preparation.adapters.amazon_2018 import Amazon2018
from components.data_preparation.adapters.amazon_2023 import Amazon2023
from components.data_preparation.adapters.amazon_ratings import AmazonRatings
from components.data_preparation.adapters.contract import Adapter, Layout, Source
from components.data_preparation.adapters.movielens_1m import MovieLens1M
from components.data_preparation.adapters.movielens_100k import MovieLens100K
from components.data_preparation.adapters.movielens_latest import MovieLensLatest
from components.data_preparation.adapters.named_columns import NamedColumns
from components.data_preparation.adapters.nearest_miss import nearest_miss
from components.data_preparation.adapters.platform_parquet import PlatformParquet
from components.data_preparation.adapters.recbole import RecBole
from components.data_preparation.adapters.taobao import Taobao
from components.data_preparation.adapters.tmall import Tmall
from components.data_preparation.column_mapping import NO_MAPPING, ColumnMapping
from components.data_preparation.source_files import files_in, is_hidden
from components.data_preparation.table_files import check_no_table_format
from components.foundation.errors import InputError
from components.marketplace.world import MarketConfig, market_of_users

# Where two recognise a source, the first wins: the more specific stand before the more general.
ADAPTERS: tuple[Adapter, ...] = (
    MovieLens1M(),
    MovieLens100K(),
    MovieLensLatest(),
    Amazon2018(),
    Amazon2014(),
    Amazon2023(),
    AmazonRatings(),
    RecBole(),
    Taobao(),
    Tmall(),
    PlatformParquet(),
    NamedColumns(),
)

MOST_LISTED = 5  # files that a message names

SIMULATOR = "simulator"  # the marketplace, `simulator:USERS` for one of another size
MOST_SIMULATED_USERS = 10_000_000  # the truth of every user is held in memory
# Data sets with a name of their own, and the format that each is in.
NAMED_FORMATS = {"ml-1m": "movielens-1m", "amazon-beauty": "amazon-2014"}
DATASETS = (SIMULATOR, *NAMED_FORMATS)


def adapter_named(name: str) -> Adapter:
    """The adapter of the format `name`; KeyError where there is none (a programming error)."""
    return {adapter.name: adapter for adapter in ADAPTERS}[name]


def is_path(dataset: str) -> bool:
    """Whether `--dataset` is meant as a path: it is no known name, and it is there or is written like one."""
    if is_simulated(dataset) or dataset in NAMED_FORMATS:
        return False
    return "/" in dataset or "." in dataset or exists(Path(dataset))


def exists(path: Path) -> bool:
    """Whether a file or folder is there; what cannot be a path is not."""
    try:
        return path.exists()
    except OSError:
        return False


def is_simulated(dataset: str) -> bool:
    """Whether a data set is made by the simulator, not read."""
    return dataset.partition(":")[0] == SIMULATOR


def simulated_market(dataset: str) -> MarketConfig:
    """The market that `simulator` or `simulator:USERS` stands for.

    Raises:
        InputError: USERS is no number of users.
    """
    _, given, users = dataset.partition(":")
    if not given:
        return MarketConfig()
    # Not `int`, which takes digits of any script, spaces and underscores.
    if not re.fullmatch("[0-9]{1,8}", users) or not 1 <= int(users) <= MOST_SIMULATED_USERS:
        raise InputError(f"dataset {dataset}: expected {SIMULATOR}:USERS with 1 to {MOST_SIMULATED_USERS:,} users")
    return market_of_users(int(users))


def check_name(dataset: str) -> None:
    """Raise InputError, which lists the names there are, unless there is a data set of this name."""
    if is_simulated(dataset):
        simulated_market(dataset)
    elif dataset not in DATASETS:
        raise InputError(
            f"unknown data set {dataset!r}, expected one of {', '.join(DATASETS)} or the path of a file or folder"
        )


def detect(source: Path, mapping: ColumnMapping = NO_MAPPING) -> tuple[Adapter, Layout]:
    """The first format that recognises a file or a folder.

    Args:
        source: the file or folder.
        mapping: names of a team's own; where there are any, only a team's own tables are looked for.

    Raises:
        InputError: it is not there, holds more than one log, is a table that is not read, or is in no known format;
            the message says what was seen and what to do.
    """
    if not exists(source):
        raise InputError(f"{source}: no such file or folder")
    check_no_table_format(source)
    adapters = (PlatformParquet(mapping), NamedColumns(mapping)) if mapping else ADAPTERS
    for adapter in adapters:
        layout = adapter.recognise(source)
        if layout is not None:
            _check_one_log(source, layout, adapters)
            return adapter, layout
    logs = _logs_in(source, adapters)
    if len(logs) > 1:
        raise _several_logs(source, logs)
    raise InputError(f"{source}: no known format: {nearest_miss(source, mapping)}")


def _check_one_log(source: Path, layout: Layout, adapters: tuple[Adapter, ...]) -> None:
    """Raises InputError where a folder holds another log beside that of `layout`."""
    others = [log for log in _logs_in(source, adapters) if log not in layout.interactions]
    if others:
        raise _several_logs(source, [layout.interactions[0], *others])


def _logs_in(source: Path, adapters: tuple[Adapter, ...]) -> list[Path]:
    """The files of a folder that are logs by themselves."""
    if not source.is_dir():
        return []
    return [path for path in files_in(source) if any(adapter.recognise(path) is not None for adapter in adapters)]


def _several_logs(source: Path, logs: list[Path]) -> InputError:
    names = [log.relative_to(source).as_posix() for log in logs]
    listed = ", ".join(names[:MOST_LISTED]) + (
        f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    )
    return InputError(
        f"{source}: holds {len(names)} logs, {listed}, whose users may not be the same: give the path of one of them, "
        f"{shlex.quote(str(logs[0]))}"
    )


def open_source(dataset: str, folder: Path | None, mapping: ColumnMapping = NO_MAPPING) -> Source:
    """The rows of a data set that is read from files.

    Args:
        dataset: a name of `NAMED_FORMATS`, or the path of a file or folder whose format is detected.
        folder: of the files of a named data set.
        mapping: names of a team's own, for a path.

    Raises:
        InputError: an unknown data set, or files that are not there or not of a known format.
    """
    if is_path(dataset):
        adapter, layout = detect(Path(dataset), mapping)
        name = Path(dataset).name
    else:
        check_name(dataset)
        if folder is None:
            raise ValueError(f"the data set {dataset} is read from files and needs a folder")
        adapter, name = adapter_named(NAMED_FORMATS[dataset]), dataset
        layout = adapter.expect(folder)
    return Source(
        name,
        adapter.name,
        layout.root,
        adapter.interactions(layout),
        adapter.items(layout),
        adapter.users(layout),
        _not_read(layout) if folder is not None or Path(dataset).is_dir() else (),
    )


def _not_read(layout: Layout) -> tuple[str, ...]:
    read = {path.relative_to(layout.root).parts[0] for path in (*layout.interactions, *layout.items, *layout.users)}
    try:
        beside = sorted(path.name for path in layout.root.iterdir() if not is_hidden(path))
    except OSError:
        return ()
    return tuple(name for name in beside if name not in read)
