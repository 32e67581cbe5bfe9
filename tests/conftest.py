"""What tests need beyond the Python packages: there, or a failure in CI, or a skip with its reason elsewhere."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.contracts.settings import load_settings

DATA_DIR = os.environ.get("RELAND_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def missing_dependency() -> Callable[[str], None]:
    """Call it with the reason when a dependency that the project's own files install is not there."""

    def end(reason: str) -> None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return end


@pytest.fixture(scope="session")
def triton_environment(missing_dependency) -> Path:
    """The Python environment that holds tritonserver."""
    environment = load_settings().triton_environment
    if not (environment / "bin" / "python").exists():
        missing_dependency(f"no Triton environment at {environment}: `make install` makes it")
    return environment


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data(name)`: folder of a real data set; skips, in CI too, where there is none (it may not be shipped)."""

    def find(name: str) -> Path:
        folder = Path(DATA_DIR) / name
        if not folder.is_dir():
            pytest.skip(f"no real data at {folder}: set RELAND_DATA_DIR to the folder of the data sets")
        return folder

    return find
