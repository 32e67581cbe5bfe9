import json
from pathlib import Path

import pytest

from components.contracts.language_model import LanguageModel, read_language_model
from components.foundation.errors import InputError
from components.llm_tuning.chat_tokenizer import train_tokenizer
from components.llm_tuning.naming import describe_model


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder of weights that are never read, with a real tokenizer."""
    folder = tmp_path / "house-model"
    train_tokenizer(["Some text."] * 2, vocabulary=300).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_folder_is_called_by_its_name_and_its_weights(model_folder):
    described = describe_model(str(model_folder), "vllm")
    assert described.weights == described.tokenizer == str(model_folder) and described.adapter == ""
    assert described.name.startswith("house-model-")
    (model_folder / "model.safetensors").write_bytes(b"other weights")
    assert describe_model(str(model_folder), "vllm").name != described.name


def test_an_engine_that_loads_nothing_is_told_the_name(model_folder, monkeypatch):
    assert describe_model("", "template") == LanguageModel(name="")
    assert describe_model("some-model", "openai") == LanguageModel(name="some-model")
    monkeypatch.chdir(model_folder.parent)
    for typed in (str(model_folder), model_folder.name):  # a server of this folder calls its model as it was typed
        assert describe_model(typed, "openai") == LanguageModel(name=typed, tokenizer=str(model_folder))


@pytest.mark.parametrize(
    ("language_model", "engine", "message"),
    [
        ("", "vllm", "rationale_engine vllm needs language_model"),
        ("/no/such/folder", "vllm", "language_model /no/such/folder: no such folder"),
        ("nofolder", "vllm", "language_model nofolder: no such folder, and no Hugging Face id"),
        ("scratch", "openai", "language_model scratch is loaded by rationale_engine vllm, not by openai"),
        ("lora:some/model", "template", "is loaded by rationale_engine vllm, not by template"),
    ],
)
def test_a_wrong_model_is_one_clear_line(language_model, engine, message):
    with pytest.raises(InputError, match=message):
        describe_model(language_model, engine)


def test_what_a_folder_of_a_model_lacks_is_named(model_folder):
    (model_folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template"):
        describe_model(str(model_folder), "vllm")
    (model_folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json in this folder"):
        describe_model(str(model_folder), "vllm")


def test_a_folder_without_weights_or_with_a_broken_tokenizer_is_named(model_folder):
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        describe_model(str(model_folder), "vllm")
    (model_folder / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer \S+: cannot be loaded"):
        describe_model(str(model_folder), "vllm")


def test_the_step_describes_what_is_not_trained_here(model_folder, tmp_path):
    from kfp import dsl

    from components.llm_tuning.component import tune_model

    tuned = dsl.Model(uri=str(tmp_path / "tuned"))
    tuned.path = str(tmp_path / "tuned")
    tune_model.python_func(
        prepared=dsl.Dataset(uri="unused"),
        rationales={
            "language_model": str(model_folder),
            "rationale_engine": "vllm",
            "prompt_version": "numbered-v1",
        },
        seed=0,
        tuned=tuned,
    )
    assert read_language_model(tmp_path / "tuned") == describe_model(str(model_folder), "vllm")
