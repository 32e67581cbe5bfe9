"""Language models that are trained here: their names, and the engine that loads them."""

from pathlib import Path

from components.contracts.language_model import LORA_PREFIX, SCRATCH
from components.foundation.errors import InputError
from components.foundation.files import absolute_path

# Which engine loads weights by itself. The others get no more than the model's name.
LOADING_ENGINE = "vllm"


def is_trained_here(language_model: str) -> bool:
    """Whether `language_model` asks for a training: `scratch` or `lora:BASE`."""
    return language_model == SCRATCH or language_model.startswith(LORA_PREFIX)


def check_loading_engine(language_model: str, rationale_engine: str) -> None:
    """Raise InputError where a model that is trained here is to run on an engine that does not load it."""
    if is_trained_here(language_model) and rationale_engine != LOADING_ENGINE:
        raise InputError(
            f"language_model {language_model} is loaded by rationale_engine {LOADING_ENGINE}, not by {rationale_engine}"
        )


def absolute_model(language_model: str) -> str:
    """A folder of weights as an absolute path, also where an adapter is tuned on it; other names as they are."""
    prefix = LORA_PREFIX if language_model.startswith(LORA_PREFIX) else ""
    path = absolute_path(language_model.removeprefix(prefix))
    return prefix + path if Path(path).is_dir() else language_model
