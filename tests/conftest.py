"""What tests need beyond the Python packages: there, or a failure in CI, or a skip with its reason elsewhere."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as property_settings

from components.foundation.library_warnings import LIBRARY_WARNINGS
from components.foundation.settings import ENVIRONMENT_PREFIX, load_settings
from tests.vllm_fixtures import tiny_model, vllm_server, vllm_settings  # noqa: F401

# Property tests try the same inputs in every run, few of them, unless `make test-search` looks for new ones.
property_settings.register_profile(
    "default", derandomize=True, database=None, max_examples=30, deadline=None, print_blob=True
)
property_settings.register_profile("search", derandomize=False, max_examples=1_000, deadline=None, print_blob=True)
property_settings.load_profile("default")

READ_BY_TESTS = {"RELAND_DATA_DIR", "RELAND_TRITON_ENVIRONMENT", "RELAND_VLLM_PYTHON"}
DATA_DIR = os.environ.get("RELAND_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """The report shows no warnings of libraries about themselves either."""
    for beginning in LIBRARY_WARNINGS:
        config.addinivalue_line("filterwarnings", f"ignore:{beginning}")


def pytest_collection_finish() -> None:
    """Leave what all imports have made out of garbage collections: tests that collect often took ten times as long."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """What is frozen is no leak: libraries that count their own objects at the end would print hundreds of lines."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_shell() -> Iterator[None]:
    """Tests register models, push features and switch aliases: never where a developer's own settings point."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
            if name not in READ_BY_TESTS:
                patch.delenv(name)
        # As a run does for its steps: gRPC would ask a proxy for the servers that tests start on loopback.
        patch.setenv("no_grpc_proxy", "127.0.0.1,localhost")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield


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
def vllm_python(missing_dependency) -> Path:
    """The interpreter of the vLLM environment."""
    python = load_settings().vllm_python
    if not python.exists():
        missing_dependency(f"no vLLM environment at {python}: `make vllm` makes it")
    return python


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data(name)`: folder of a real data set; skips, in CI too, where there is none (it may not be shipped)."""

    def find(name: str) -> Path:
        folder = Path(DATA_DIR) / name
        if not folder.is_dir():
            pytest.skip(f"no real data at {folder}: set RELAND_DATA_DIR to the folder of the data sets")
        return folder

    return find
