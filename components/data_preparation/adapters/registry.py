"""The formats the platform understands, in the order in which they are looked for, and how a data set is found."""

from pathlib import Path

from components.contracts.errors import InputError
from components.data_preparation import simulator
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

SIMULATOR = "simulator"
# Data sets with a name of their own, and the format that each is in.
NAMED_FORMATS = {"ml-1m": "movielens-1m", "amazon-beauty": "amazon-2014"}
DATASETS = (SIMULATOR, *NAMED_FORMATS)


def adapter_named(name: str) -> Adapter:
    """The adapter of the format `name`; KeyError where there is none (a programming error)."""
    return {adapter.name: adapter for adapter in ADAPTERS}[name]


def is_path(dataset: str) -> bool:
    """Whether `--dataset` is meant as a path: it is no known name, and it is there or is written like one."""
    return dataset not in DATASETS and ("/" in dataset or "." in dataset or exists(Path(dataset)))


def exists(path: Path) -> bool:
    """Whether a file or folder is there; what cannot be a path is not."""
    try:
        return path.exists()
    except OSError:
        return False


def check_name(dataset: str) -> None:
    """Raises InputError, naming the known ones, where there is no data set of this name."""
    if dataset not in DATASETS:
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


def open_source(dataset: str, folder: Path | None, seed: int) -> Source:
    """The rows of a data set.

    Args:
        dataset: a name of `DATASETS`, or the path of a file or folder whose format is found out.
        folder: of the files of a named data set.
        seed: of the simulator, which makes its own.

    Raises:
        InputError: an unknown data set, or files that are not there or not of a known format.
    """
    if dataset == SIMULATOR:
        market = simulator.read(simulator.SimulatorConfig(), seed)
        return Source(SIMULATOR, SIMULATOR, None, market.interaction_batches(), market.item_batches())
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
