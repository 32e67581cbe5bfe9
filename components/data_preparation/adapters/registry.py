"""The data sets the platform understands, by the name that `--dataset` takes."""

from pathlib import Path

from components.contracts.errors import InputError
from components.data_preparation import simulator
from components.data_preparation.adapters import amazon_2014, movielens_1m
from components.data_preparation.adapters.contract import Adapter, RawData

ADAPTERS: dict[str, Adapter] = {
    "ml-1m": movielens_1m.read,
    "amazon-beauty": amazon_2014.read_beauty,
}
SIMULATOR = "simulator"
DATASETS = (SIMULATOR, *ADAPTERS)


def check_name(dataset: str) -> None:
    """Raises InputError, naming the known ones, where there is no such data set."""
    if dataset not in DATASETS:
        raise InputError(f"unknown data set {dataset!r}, expected one of {', '.join(DATASETS)}")


def read_dataset(dataset: str, folder: Path | None, seed: int) -> RawData:
    """Read `dataset` from `folder`; the simulator makes its own from `seed` and needs no folder.

    Raises:
        InputError: an unknown data set, or one of its files is missing or at fault as a whole.
    """
    check_name(dataset)
    if dataset == SIMULATOR:
        return simulator.read(simulator.SimulatorConfig(), seed)
    if folder is None:
        raise ValueError(f"the data set {dataset} is read from files and needs a folder")
    return ADAPTERS[dataset](folder)
