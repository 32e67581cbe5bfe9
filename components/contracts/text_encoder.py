"""What `--text-encoder` may name: the packaged model, a folder, a Hugging Face id. Imports nothing heavy."""

import os
import re
from pathlib import Path

from components.foundation.errors import InputError

# From a Python package that carries its weights, so no model hub is contacted.
PACKAGED_MODEL = "all-MiniLM-L6-v2"
HUB_ID = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?")  # as huggingface_hub's validate_repo_id takes them
HUB_EXAMPLE = "sentence-transformers/all-MiniLM-L6-v2"
MODEL_FILES = ("modules.json", "config.json")  # sentence-transformers' own, or a bare transformers model


def is_model_path(model: str) -> bool:
    """Whether `model` means a folder: the folder exists, or the text is written as a path and not as an id."""
    if model == PACKAGED_MODEL:
        return False
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()


def model_folder(model: str) -> Path:
    """The folder that a model path means."""
    return Path(os.path.abspath(os.path.expanduser(model)))  # noqa: PTH100, PTH111 (pathlib raises for ~nobody)


def check_text_encoder(model: str) -> None:
    """Check `model` without loading it.

    Raises:
        InputError: it is empty, written like a path and no model is there, or neither a folder nor written like an id.
    """
    if not model.strip():
        raise InputError(f"text_encoder: expected {PACKAGED_MODEL}, a Hugging Face id or a folder, found nothing")
    if not is_model_path(model):
        if not HUB_ID.fullmatch(model):
            raise InputError(f"text_encoder {model!r}: neither a folder nor a Hugging Face id, such as {HUB_EXAMPLE}")
        return
    folder = model_folder(model)
    if not folder.is_dir():
        raise InputError(f"text_encoder {model}: no such folder")
    if not any((folder / name).is_file() for name in MODEL_FILES):
        raise InputError(f"text_encoder {model}: no model in this folder, expected {' or '.join(MODEL_FILES)}")
