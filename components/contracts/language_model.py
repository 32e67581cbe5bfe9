"""The artifact that says which language model answers, and where its weights and its tokenizer are."""

from dataclasses import asdict, dataclass
from pathlib import Path

from components.foundation.errors import InputError
from components.foundation.files import read_json, write_json

LANGUAGE_MODEL_FILE = "language_model.json"
# What `language_model` says where a model is trained here: a small one from nothing, an adapter on a base model.
SCRATCH = "scratch"
LORA_PREFIX = "lora:"
_LOCATIONS = ("weights", "adapter", "tokenizer")


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """A language model, as the steps hand its description to each other.

    Attributes:
        name: what requests call it, so a part of every `custom_id`. That of a model trained here carries the digest of
            its weights: another training is another model.
        weights: Hugging Face id or absolute path; empty where an engine needs none (an endpoint, recorded answers).
        adapter: absolute path of a LoRA adapter of these weights, or empty.
        tokenizer: Hugging Face id or absolute path of what counts the tokens of a prompt, or empty: they are estimated.
        context: tokens of prompt and answer together; 0: whatever the weights' own configuration says.
    """

    name: str
    weights: str = ""
    adapter: str = ""
    tokenizer: str = ""
    context: int = 0


def write_language_model(folder: Path, model: LanguageModel) -> None:
    """Write the description; paths inside `folder` are written relative to it, so that the artifact can be moved."""
    content = asdict(model)
    for name in _LOCATIONS:
        if Path(content[name]).is_relative_to(folder):
            content[name] = f"./{Path(content[name]).relative_to(folder).as_posix()}"
    write_json(folder / LANGUAGE_MODEL_FILE, content)


def read_language_model(folder: Path) -> LanguageModel:
    """Read what `write_language_model` wrote.

    Raises:
        InputError: the file is missing or of another form.
    """
    content = read_json(folder / LANGUAGE_MODEL_FILE)
    for name in _LOCATIONS:
        if str(content.get(name, "")).startswith("./"):
            content[name] = str(folder / content[name])
    try:
        return LanguageModel(**content)
    except TypeError as error:
        raise InputError(f"{folder / LANGUAGE_MODEL_FILE}: no description of a language model ({error})") from error
