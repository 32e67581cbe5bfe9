"""What `--model` may say, and how weights are told apart by name."""

import hashlib
from pathlib import Path

from components.contracts.errors import InputError

SCRATCH = "scratch"
LORA_PREFIX = "lora:"
# Which engine loads weights by itself. The others are told no more than the model's name.
LOADING_ENGINE = "vllm"
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".gguf"}


def is_trained_here(language_model: str) -> bool:
    """Whether `--model` asks for a training: `scratch` or `lora:BASE`."""
    return language_model == SCRATCH or language_model.startswith(LORA_PREFIX)


def weights_digest(folder: Path) -> str:
    """First 12 hexadecimal digits of the SHA-256 over the weight files of a folder, in the order of their names.

    Raises:
        InputError: there are none.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    if not files:
        raise InputError(f"--model {folder}: holds no weights ({', '.join(sorted(_WEIGHT_SUFFIXES))})")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
