"""Models that were trained here, loaded by the real vLLM: from nothing, and as an adapter on a base."""

from pathlib import Path

import pytest

from components.contracts.batch_format import read_answer
from components.contracts.language_model import LanguageModel
from components.foundation.settings import Settings
from components.language_model.engine import EngineOptions
from components.language_model.engines import engine_class
from components.llm_tuning.evaluation import parse_answer
from components.llm_tuning.examples import ExampleConfig, build_examples
from components.llm_tuning.lora import AdapterConfig
from components.llm_tuning.scratch import ScratchConfig
from components.llm_tuning.training import TrainingConfig
from components.llm_tuning.tuning import TuningConfig, train_language_model
from components.prompting.catalogue import load_catalogue
from components.prompting.prompt_template import read_template
from tests.unit.shop import write_shop
from tests.vllm_fixtures import vllm_settings  # noqa: F401

NUMBERED = read_template("numbered-v1")
SCRATCH = TuningConfig(
    examples=ExampleConfig(held_out_users=12),
    model=ScratchConfig(layers=2, width=64, heads=2, feed_forward=128, vocabulary=600),
    training=TrainingConfig(batch_size=8, passes=1, fewest_steps=120, most_steps=120, learning_rate=5e-3),
)
LORA = TuningConfig(
    examples=SCRATCH.examples,
    model=AdapterConfig(rank=8),
    training=TrainingConfig(batch_size=8, passes=1, fewest_steps=10, most_steps=10, learning_rate=1e-3),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def scratch(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return train_language_model(shop, "scratch", NUMBERED, SCRATCH, tmp_path_factory.mktemp("scratch"))


def valid_answers(model: LanguageModel, shop: Path, settings: Settings) -> list[bool]:
    catalogue = load_catalogue(shop)
    held_out = build_examples(shop, catalogue, NUMBERED, model.name, SCRATCH.examples).held_out
    with engine_class("vllm").open(EngineOptions(settings=settings, model=model), catalogue, {}) as engine:
        responses = list(engine.generate([example.request for example in held_out]))
    assert len(responses) == len(held_out) == 12
    return [parse_answer(read_answer(response).content, NUMBERED) is not None for response in responses]


@pytest.mark.vllm
def test_a_model_from_nothing_answers_in_valid_json(scratch, shop, vllm_settings):  # noqa: F811
    assert all(valid_answers(scratch, shop, vllm_settings))


@pytest.mark.vllm
def test_an_adapter_that_was_tuned_here_is_loaded_on_its_base(scratch, shop, vllm_settings, tmp_path):  # noqa: F811
    tuned = train_language_model(shop, f"lora:{scratch.weights}", NUMBERED, LORA, tmp_path)
    assert all(valid_answers(tuned, shop, vllm_settings))
