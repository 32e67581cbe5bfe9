"""The section `data`: what is read, how it is filtered and how it is split."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from components.contracts.tables import LEAVE_ONE_OUT
from components.data_preparation.adapters.registry import is_path
from components.foundation.configuration import Section
from components.foundation.errors import InputError
from components.foundation.files import absolute_path


@dataclass(frozen=True)
class DataSection(Section):
    """What is read, how it is filtered and how it is split.

    Attributes:
        dataset: simulator (or simulator:USERS), ml-1m, amazon-beauty, or the path of a file or folder, whose format is
            detected.
        data_dir: folder of the files of a data set that is given by name; empty: the setting RELAND_DATA_DIR.
        columns: names of the columns of a CSV or Parquet file that has names of its own, as
            user_id=customer,item_id=sku,timestamp=bought_at.
        behaviors: what its behaviors mean, as 0=click,2=purchase.
        minimum_interactions: k of the k-core filter, at least 1; a user needs 3 items in any case.
        splits: how interactions are split, separated by commas: leave_one_out, ratio (80/10/10), time.
        validate_from: first moment to validate with, of the split time (ISO, UTC); empty: after 80% of the rows.
        test_from: first moment to test with, likewise; empty: after 90% of the rows.
        previous: folder that `reland prepare` has written: the data set is added to what it accepted, as new days are.
    """

    title = "data"

    dataset: str = "simulator"
    data_dir: str = ""
    columns: str = ""
    behaviors: str = ""
    minimum_interactions: int = 5
    splits: str = LEAVE_ONE_OUT
    validate_from: str = ""
    test_from: str = ""
    previous: str = ""

    def __post_init__(self) -> None:
        if not self.dataset:
            raise InputError("dataset: expected a name or the path of a file or folder, found nothing")
        if self.minimum_interactions < 1:
            raise InputError(f"minimum_interactions {self.minimum_interactions}: expected at least 1")

    def resolved(self) -> Self:
        """The same with absolute paths; a `dataset` given by name keeps it."""
        return replace(
            self,
            dataset=absolute_path(self.dataset) if is_path(self.dataset) else self.dataset,
            data_dir=absolute_path(self.data_dir),
            previous=absolute_path(self.previous),
        )

    def read_paths(self) -> list[Path]:
        """The data set, the folder of data sets and the previous data, as far as they are absolute paths."""
        return [Path(path) for path in (self.dataset, self.data_dir, self.previous) if Path(path).is_absolute()]
