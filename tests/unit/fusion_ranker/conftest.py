"""Rankers trained on small artifacts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from components.fusion_ranker.configuration import RankingSection
from components.fusion_ranker.variants import train_variants
from components.recommenders.configuration import TrainingConfig
from components.recommenders.ranker_inputs import RankerInputs
from tests.unit.ranker_artifacts import artifacts, write_artifacts  # noqa: F401


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tensors this small are not worth a second thread, least of all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> RankerInputs:
    return write_artifacts(tmp_path_factory.mktemp("artifacts")).read()


@pytest.fixture(scope="session")
def rankers(inputs: RankerInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`id_only` and `reland`, trained for a few steps and exported."""
    output = tmp_path_factory.mktemp("rankers")
    config = TrainingConfig(epochs=2, minimum_steps_per_epoch=4, learning_rate=1e-2)
    train_variants(inputs, RankingSection(training=config), output, seed=0)
    return output
