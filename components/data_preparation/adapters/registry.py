"""The formats the platform understands, in the order in which they are looked for, and how a data set is found."""

import re
from pathlib import Path

from components.data_preparation.adapters.amazon_2014 import Amazon2014
from components.data_preparation.adapters.amazon_2018 import Amazon2018
from components.data_preparation.adapters.amazon_2023 import Amazon2023
from components.data_preparation.adapters.amazon_ratings import AmazonRatings
from components.data_preparation.adapters.contract import Adapter, Layout, Source
from components.data_preparation.adapters.movielens_1m import MovieLens1M
from components.data_preparation.adapters.movielens_100k import MovieLens100K
from components.data_preparation.adapters.movielens_latest import MovieLensLatest
from components.data_preparation.adapters.platform_parquet import PlatformParquet
from components.data_preparation.adapters.recbole import RecBole
from components.data_preparation.adapters.taobao import Taobao
from components.data_preparation.adapters.tmall import Tmall
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
)

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
        raise InputError(f"--dataset {dataset}: expected {SIMULATOR}:USERS with 1 to {MOST_SIMULATED_USERS:,} users")
    return market_of_users(int(users))


def check_name(dataset: str) -> None:
    """Raises InputError, naming the known ones, where there is no data set of this name."""
    if is_simulated(dataset):
        simulated_market(dataset)
    elif dataset not in DATASETS:
        raise InputError(
            f"unknown data set {dataset!r}, expected one of {', '.join(DATASETS)} or the path of a file or folder"
        )


def detect(source: Path) -> tuple[Adapter, Layout]:
    """The first format that recognises a file or a folder.

    Raises:
        InputError: it is not there, or no format does; the message names what was looked for.
    """
    if not exists(source):
        raise InputError(f"{source}: no such file or folder")
    for adapter in ADAPTERS:
        layout = adapter.recognise(source)
        if layout is not None:
            return adapter, layout
    tried = "; ".join(f"{adapter.name}: {adapter.description}" for adapter in ADAPTERS)
    raise InputError(f"{source}: no known format, looked for {tried}")


def open_source(dataset: str, folder: Path | None) -> Source:
    """The rows of a data set that is read from files.

    Args:
        dataset: a name of `NAMED_FORMATS`, or the path of a file or folder whose format is found out.
        folder: of the files of a named data set.

    Raises:
        InputError: an unknown data set, or files that are not there or not of a known format.
    """
    if is_path(dataset):
        adapter, layout = detect(Path(dataset))
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
    )
