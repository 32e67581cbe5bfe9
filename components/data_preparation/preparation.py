"""From the files of a data set to the platform's tables: read, validate, filter, split, describe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.artifacts import (
    INTERACTIONS_FILE,
    ITEMS_FILE,
    REJECTED_FILE,
    STATISTICS_FILE,
    STATISTICS_PAGE_FILE,
)
from components.contracts.errors import InputError
from components.contracts.progress import say
from components.contracts.settings import Settings
from components.contracts.tables import INTERACTIONS, ITEMS, REJECTED, write_table
from components.data_preparation.adapters.contract import RawData
from components.data_preparation.adapters.registry import SIMULATOR, check_name, read_dataset
from components.data_preparation.filtering import SMALLEST_CORE, k_core_split
from components.data_preparation.report.statistics_report import write_statistics
from components.data_preparation.statistics import size, value_counts


@dataclass(frozen=True)
class PreparationConfig:
    """What is prepared and how.

    Attributes:
        dataset: a name of `adapters.registry.DATASETS`.
        folder: of its files; None for the simulator.
        seed: of the simulator.
        minimum_interactions: k of the k-core.
        max_rejected: largest share of rejected rows in any one file, 0 to 1.
    """

    dataset: str
    folder: Path | None
    seed: int
    minimum_interactions: int
    max_rejected: float

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed {self.seed}: expected a number from 0 to 2^32 - 1")
        if self.minimum_interactions < SMALLEST_CORE:
            raise InputError(
                f"--minimum-interactions {self.minimum_interactions}: leave-one-out needs at least {SMALLEST_CORE}, "
                "one interaction each to train, validate and test"
            )


def configure(
    dataset: str, data_dir: str, seed: int, minimum_interactions: int, settings: Settings
) -> PreparationConfig:
    """Find the folder of `dataset`.

    It is `data_dir` where that is not empty; else the subfolder of `RELAND_DATA_DIR` named like the data set; else
    `RELAND_DATA_DIR` itself. The simulator needs none.

    Raises:
        InputError: an unknown data set, one that is read from files whose folder is not given or not there, or a k that
            leaves too little of a user.
    """
    check_name(dataset)
    folder = None if dataset == SIMULATOR else _find_folder(dataset, data_dir, settings.data_dir)
    return PreparationConfig(dataset, folder, seed, minimum_interactions, settings.max_rejected)


def prepare(config: PreparationConfig, output: Path) -> dict[str, Any]:
    """Prepare a data set and write its five files (see `contracts.artifacts`) into the folder `output`.

    All is computed before the first file is written, so a data set at fault leaves nothing behind.

    Returns:
        The fragment {"dataset": ...} of `summary.json`.

    Raises:
        InputError: a file or a setting is at fault, too many rows are, or no interaction is left.
    """
    say(f"reading {config.dataset}" + (f" from {config.folder}" if config.folder else f" with seed {config.seed}"))
    raw = read_dataset(config.dataset, config.folder, config.seed)
    accepted = size(raw.interactions)
    rejected = raw.rows_read[raw.interactions_file] - accepted["interactions"]
    say(f"{accepted['interactions']:,} interactions accepted, {rejected:,} rejected")
    _check_rejected(raw, config)

    interactions = k_core_split(raw.interactions, config.minimum_interactions)
    items, without_metadata = _items_of(interactions, raw.items)
    core = size(interactions)
    say(
        f"{config.minimum_interactions}-core: {core['users']:,} users, {core['items']:,} items, "
        f"{core['interactions']:,} interactions; {without_metadata:,} items without metadata"
    )

    _make_folder(output)
    write_table(interactions, output / INTERACTIONS_FILE, INTERACTIONS)
    write_table(items, output / ITEMS_FILE, ITEMS)
    write_table(raw.rejected, output / REJECTED_FILE, REJECTED)
    write_statistics(output, output / STATISTICS_FILE, output / STATISTICS_PAGE_FILE)

    splits = value_counts(interactions["split_leave_one_out"])
    return {
        "dataset": {
            "name": config.dataset,
            **accepted,
            "accepted": accepted["interactions"],
            "rejected": rejected,
            "after_k_core": core,
            "splits": {"leave_one_out": {split: splits[split] for split in ("train", "valid", "test")}},
        }
    }


def _find_folder(dataset: str, data_dir: str, default: Path | None) -> Path:
    try:
        if data_dir:
            folder = Path(data_dir).expanduser()
        elif default is None:
            raise InputError(f"the data set {dataset} is read from files: pass --data-dir or set RELAND_DATA_DIR")
        else:
            folder = default / dataset if (default / dataset).is_dir() else default
        if not folder.is_dir():
            raise InputError(f"{folder}: {'is a file, expected a folder' if folder.exists() else 'no such folder'}")
    except (OSError, RuntimeError) as error:  # a parent that may not be entered, a name too long, an unknown ~user
        raise InputError(f"{data_dir or default}: not readable as a folder ({error})") from error
    return folder


def _check_rejected(raw: RawData, config: PreparationConfig) -> None:
    counts = value_counts(raw.rejected["file"])
    for file, read in raw.rows_read.items():
        share = counts.get(file, 0) / read
        if share > config.max_rejected:
            first = raw.rejected.filter(pc.equal(raw.rejected["file"], file)).slice(0, 1).to_pylist()[0]
            raise InputError(
                f"{_path(config, file)}: {counts[file]:,} of {read:,} rows ({share:.1%}) are rejected, more than the "
                f"setting RELAND_MAX_REJECTED={config.max_rejected} allows; "
                f"the first is line {first['source_line']}: {first['reason']}"
            )
    if len(raw.interactions) == 0:
        raise InputError(f"{_path(config, raw.interactions_file)}: no row is left after validation")


def _path(config: PreparationConfig, file: str) -> Path | str:
    return config.folder / file if config.folder else file


def _items_of(interactions: pa.Table, metadata: pa.Table) -> tuple[pa.Table, int]:
    """One row for each item of `interactions`, sorted by item_id, and how many of them have no metadata."""
    known = metadata.filter(pc.is_in(metadata["item_id"], interactions["item_id"].combine_chunks()))
    used = pc.unique(interactions["item_id"])
    unknown = used.filter(pc.invert(pc.is_in(used, known["item_id"].combine_chunks())))
    empty = pa.repeat("", len(unknown))
    no_categories = pa.array([[]] * len(unknown), pa.list_(pa.string()))
    bare = pa.table([unknown, empty, empty, no_categories, empty], schema=ITEMS)
    return pa.concat_tables([known, bare]).sort_by("item_id"), len(unknown)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror})") from error
