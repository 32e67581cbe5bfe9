"""A tiny model from nothing, and an adapter on it: the real transformers and PEFT, a few steps each."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.contracts.language_model import read_language_model
from components.foundation.errors import InputError
from components.llm_tuning.examples import ExampleConfig
from components.llm_tuning.lora import AdapterConfig
from components.llm_tuning.naming import describe_model
from components.llm_tuning.scratch import ScratchConfig
from components.llm_tuning.training import TrainingConfig
from components.llm_tuning.tuning import TuningConfig, train_language_model
from components.prompting.prompt_template import read_template
from tests.unit.shop import write_shop

NUMBERED = read_template("numbered-v1")
TRAINING = TrainingConfig(batch_size=8, passes=1, fewest_steps=4, most_steps=4, learning_rate=1e-3)
SCRATCH = TuningConfig(
    examples=ExampleConfig(examples=64, held_out_users=4),
    model=ScratchConfig(layers=1, width=32, heads=2, feed_forward=32, vocabulary=512),
    training=TRAINING,
)
LORA = dataclasses.replace(SCRATCH, model=AdapterConfig(rank=4))


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def scratch(shop, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scratch")
    train_language_model(shop, "scratch", NUMBERED, SCRATCH, folder)
    return folder


def test_the_folder_is_a_model_as_transformers_reads_it(scratch):
    described = read_language_model(scratch)
    assert described.weights == described.tokenizer == str(scratch)
    assert described.name.startswith("reland-scratch-") and described.context % 128 == 0

    model, tokenizer = AutoModelForCausalLM.from_pretrained(scratch), AutoTokenizer.from_pretrained(scratch)
    assert model.config.architectures == ["LlamaForCausalLM"] and model.config.vocab_size == len(tokenizer)
    assert tokenizer.chat_template and model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert not [path for path in scratch.rglob("*") if path.suffix in (".bin", ".pt", ".pkl", ".pickle")]


def test_the_account_says_what_it_was_trained_on_and_how_good_it_is(scratch):
    tuning, metrics = (json.loads((scratch / name).read_text()) for name in ("tuning.json", "metrics.json"))
    assert tuning["kind"] == "scratch" and tuning["base"] == "" and tuning["steps"] == 4 and tuning["examples"] == 64
    assert metrics["users"] == 4 and metrics["after"]["loss"] < metrics["before"]["loss"]
    assert {"valid", "category_hit@1", "item_hit@5"} <= metrics["after"].keys() & metrics["majority"].keys()
    card = (scratch / "README.md").read_text()
    assert "not a general language model" in card and tuning["data_fingerprint"] in card


def test_equal_data_and_seed_give_equal_bytes_and_another_seed_another_name(scratch, shop, tmp_path):
    train_language_model(shop, "scratch", NUMBERED, SCRATCH, tmp_path / "again")
    files = {path.relative_to(scratch): path.read_bytes() for path in scratch.rglob("*") if path.is_file()}
    again = {
        path.relative_to(tmp_path / "again"): path.read_bytes()
        for path in (tmp_path / "again").rglob("*")
        if path.is_file()
    }
    assert files == again

    other = dataclasses.replace(SCRATCH, training=dataclasses.replace(TRAINING, seed=1))
    named = train_language_model(shop, "scratch", NUMBERED, other, tmp_path / "other").name
    assert named != read_language_model(scratch).name


def test_a_folder_that_a_tuning_wrote_is_what_it_says_of_itself(scratch):
    assert describe_model(str(scratch), "vllm") == read_language_model(scratch)


def test_an_adapter_is_tuned_on_a_base_that_stays_as_it_is(scratch, shop, tmp_path):
    before = {path.name: path.read_bytes() for path in scratch.iterdir()}
    tuned = train_language_model(shop, f"lora:{scratch}", NUMBERED, LORA, tmp_path)

    assert {path.name: path.read_bytes() for path in scratch.iterdir()} == before
    assert tuned == read_language_model(tmp_path)
    assert tuned.weights == tuned.tokenizer == str(scratch) and tuned.adapter == str(tmp_path / "adapter")
    assert tuned.name.startswith(f"{scratch.name}-lora-")

    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(scratch)
    tokens = torch.arange(1, 9)[None]
    plain = base(input_ids=tokens).logits
    assert not torch.equal(PeftModel.from_pretrained(base, tuned.adapter)(input_ids=tokens).logits, plain)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 4 and config["target_modules"] == sorted(config["target_modules"])
    assert all("lora_" in name for name in load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["before"].keys() == metrics["after"].keys() and metrics["after"]["loss"] < metrics["before"]["loss"]


def test_examples_beyond_the_longest_are_not_trained_on(shop, tmp_path):
    short = dataclasses.replace(SCRATCH, model=dataclasses.replace(SCRATCH.model, longest=20))
    with pytest.raises(InputError, match="language_model scratch: 0 examples have at most 20 tokens, expected 40"):
        train_language_model(shop, "scratch", NUMBERED, short, tmp_path)


def test_a_base_that_is_not_there_is_one_clear_line(shop, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        train_language_model(shop, f"lora:{tmp_path / 'missing'}", NUMBERED, LORA, tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


def test_a_base_whose_weights_cannot_be_read_is_one_clear_line(scratch, shop, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    for path in scratch.iterdir():
        if path.name != "model.safetensors":
            (base / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=f"language_model lora:{base}: cannot be loaded"):
        train_language_model(shop, f"lora:{base}", NUMBERED, LORA, tmp_path / "tuned")
