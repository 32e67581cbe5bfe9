"""The meaning of `language_model`, and the names of models that are given as a folder or trained here."""

import hashlib
from pathlib import Path

from components.contracts.artifacts import CONFIG_FILE
from components.contracts.language_model import (
    LANGUAGE_MODEL_FILE,
    LORA_PREFIX,
    SCRATCH,
    LanguageModel,
    read_language_model,
)
from components.foundation.errors import InputError
from components.language_model.trained_models import LOADING_ENGINE, check_loading_engine
from components.prompting.model_tokenizer import load_chat_tokenizer

_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".gguf"}


def describe_model(language_model: str, rationale_engine: str) -> LanguageModel:
    """The model that is named, for an engine; nothing is trained, and no weights of a Hugging Face id are read.

    A folder that `train_language_model` wrote describes itself. Any other folder of weights is named by the folder and
    the digest of its weights, so that changed weights are another model.

    Raises:
        InputError: the engine needs a model and none is named, there is no such model, its tokenizer has no chat
            template, or it is one that is trained here and loaded by another engine.
    """
    check_loading_engine(language_model, rationale_engine)
    folder = Path(language_model).expanduser().absolute()
    if rationale_engine != LOADING_ENGINE:
        return LanguageModel(name=language_model, tokenizer=str(folder) if language_model and folder.is_dir() else "")
    if not language_model:
        raise InputError(
            f"rationale_engine {LOADING_ENGINE} needs language_model: a Hugging Face id, a folder of weights, "
            f"{SCRATCH} or {LORA_PREFIX}BASE"
        )
    if (folder / LANGUAGE_MODEL_FILE).exists():
        return read_language_model(folder)
    place = locate_model(language_model)
    load_chat_tokenizer(place)
    name = f"{folder.name}-{weights_digest(folder)}" if folder.is_dir() else language_model
    return LanguageModel(name=name, weights=place, tokenizer=place)


def locate_model(model: str) -> str:
    """The absolute path of a folder of weights, or the Hugging Face id itself.

    Raises:
        InputError: it is neither an existing folder nor written as an id, or the folder holds no model.
    """
    folder = Path(model).expanduser().absolute()
    if folder.is_dir():
        if not (folder / CONFIG_FILE).exists():
            raise InputError(
                f"language_model {model}: no {CONFIG_FILE} in this folder, expected the folder of a language model"
            )
        return str(folder)
    if model.startswith(("/", ".", "~")) or model.count("/") != 1:
        # Ids are OWNER/NAME; only the oldest models have no owner, and none of those is a chat model.
        raise InputError(f"language_model {model}: no such folder, and no Hugging Face id (OWNER/NAME)")
    return model


def weights_digest(folder: Path) -> str:
    """First 12 hexadecimal digits of the SHA-256 over the weight files of a folder, in the order of their names.

    Raises:
        InputError: there are no weight files.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    if not files:
        raise InputError(f"language_model {folder}: holds no weights ({', '.join(sorted(_WEIGHT_SUFFIXES))})")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
