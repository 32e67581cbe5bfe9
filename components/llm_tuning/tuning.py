"""Trains a language model on a prepared data set, evaluates it and writes its model card.

The folder is the artifact `language_model`. A model from nothing is itself a folder as transformers writes it
(`config.json`, `model.safetensors`, `tokenizer.json` ...); an adapter stands in the subfolder `adapter`. Beside them:

    language_model.json   the contract: name, where the weights are
    tuning.json           what it was trained on, and how
    metrics.json          before and after, beside two baselines
    README.md             the model card
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from components.contracts.artifacts import METRICS_FILE, MODEL_CARD_FILE, TUNING_FILE
from components.contracts.language_model import LORA_PREFIX, SCRATCH, LanguageModel, write_language_model
from components.contracts.lineage import training_lineage
from components.foundation.errors import InputError
from components.foundation.files import write_json
from components.foundation.progress import say
from components.llm_tuning import evaluation
from components.llm_tuning.chat_tokenizer import train_tokenizer
from components.llm_tuning.encoding import EncodedExample, encode
from components.llm_tuning.examples import FEWEST_EXAMPLES, ExampleConfig, Examples, build_examples
from components.llm_tuning.lora import AdapterConfig, add_adapter, load_base, save_adapter
from components.llm_tuning.model_card import model_card
from components.llm_tuning.naming import locate_model, weights_digest
from components.llm_tuning.scratch import ScratchConfig, new_model
from components.llm_tuning.training import TrainingConfig, mean_loss, train
from components.prompting.catalogue import Catalogue, load_catalogue
from components.prompting.model_tokenizer import load_chat_tokenizer, special_tokens
from components.prompting.prompt_template import PromptTemplate

_TOKENIZER_EXAMPLES = 2_000
_CONTEXT_STEP = 128  # the context is a multiple of it
_ADAPTER_FOLDER = "adapter"


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How a model is trained: the examples, the network or adapter (`model`), and the training loop."""

    examples: ExampleConfig
    model: ScratchConfig | AdapterConfig
    training: TrainingConfig


def scratch_config(seed: int, history_days: int = 0) -> TuningConfig:
    """The training of a model from scratch: about five minutes on two cores."""
    return TuningConfig(
        examples=ExampleConfig(history_days=history_days, seed=seed),
        model=ScratchConfig(),
        training=TrainingConfig(
            batch_size=16, passes=1.5, fewest_steps=250, most_steps=400, learning_rate=4e-3, seed=seed
        ),
    )


def adapter_config(seed: int, history_days: int = 0) -> TuningConfig:
    """The training of an adapter: one pass over a few thousand examples."""
    return TuningConfig(
        examples=ExampleConfig(examples=4_000, held_out_users=200, history_days=history_days, seed=seed),
        model=AdapterConfig(),
        training=TrainingConfig(
            batch_size=8, passes=1, fewest_steps=50, most_steps=500, learning_rate=2e-4, weight_decay=0.0, seed=seed
        ),
    )


def train_language_model(
    prepared: Path, language_model: str, template: PromptTemplate, config: TuningConfig, folder: Path
) -> LanguageModel:
    """Train the model of `scratch` or `lora:BASE`, and write the artifact into `folder`.

    Raises:
        InputError: the base model cannot be loaded, or the data set has too few examples to train on.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    base = locate_model(language_model.removeprefix(LORA_PREFIX)) if language_model != SCRATCH else ""
    base_tokenizer = load_chat_tokenizer(base) if base else None  # before the work of the examples
    catalogue = load_catalogue(prepared).without_texts(special_tokens(base_tokenizer) if base_tokenizer else ())
    examples = build_examples(prepared, catalogue, template, language_model, config.examples)
    task = _Task(examples, catalogue, template, config, "cuda" if torch.cuda.is_available() else "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    if base_tokenizer is None:
        described, facts = task.train_from_nothing(folder)
    else:
        described, facts = task.tune(base, base_tokenizer, folder)

    tuning = {
        "kind": SCRATCH if not base else LORA_PREFIX.rstrip(":"),
        "base": base,
        "prompt_version": template.version,
        **training_lineage(prepared),
        **facts,
        "config": dataclasses.asdict(config),
    }
    write_json(folder / TUNING_FILE, tuning)
    write_json(folder / METRICS_FILE, task.metrics)
    (folder / MODEL_CARD_FILE).write_text(model_card(described.name, tuning, task.metrics), encoding="utf-8")
    write_language_model(folder, described)
    after = task.metrics["after"]
    say(
        f"{described.name}: {after['valid']:.1%} of {task.metrics['users']} held-out users get a valid answer, "
        f"its first category is right for {after['category_hit@1']:.1%} "
        f"(popularity {task.metrics['popularity']['category_hit@1']:.1%}, "
        f"own majority {task.metrics['majority']['category_hit@1']:.1%})"
    )
    return described


class _Task:
    """One training: its data, and the metrics before and after."""

    def __init__(
        self, examples: Examples, catalogue: Catalogue, template: PromptTemplate, config: TuningConfig, device: str
    ):
        self.examples = examples
        self.catalogue = catalogue
        self.template = template
        self.config = config
        self.device = device
        held_out = examples.held_out
        popular = evaluation.popularity_answers(examples.training, held_out, template, catalogue)
        majority = evaluation.majority_answers(held_out, template, catalogue)
        self.metrics: dict[str, Any] = {
            "users": len(held_out),
            "before": {},
            "after": {},
            "popularity": evaluation.score(popular, held_out, template, catalogue),
            "majority": evaluation.score(majority, held_out, template, catalogue),
        }

    def train_from_nothing(self, folder: Path) -> tuple[LanguageModel, dict[str, Any]]:
        config = self.config.model
        assert isinstance(config, ScratchConfig)
        texts = [
            text
            for example in self.examples.training[:_TOKENIZER_EXAMPLES]
            for text in (*(message["content"] for message in example.request["body"]["messages"]), example.answer)
        ]
        tokenizer = train_tokenizer(texts, config.vocabulary)
        training, held_out = self._encode(tokenizer, config.longest, SCRATCH)
        longest = max(example.answer_start for example in training + held_out)
        # Longer prompts never occur in training; histories are shortened until the prompt fits.
        context = -(-(longest + self.template.answer_tokens) // _CONTEXT_STEP) * _CONTEXT_STEP
        with torch.device(self.device):
            model = new_model(tokenizer, context, config, self.config.training.seed)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        say(f"training {parameters:,} parameters and {len(tokenizer)} tokens on {len(training)} examples")

        # An untrained network generates noise up to the token limit, so only its loss is measured.
        self.metrics["before"] = {"loss": mean_loss(model, held_out, self.config.training.batch_size, self.device)}
        steps = train(model, training, self.config.training, self.device)
        self.metrics["after"] = self._evaluate(model, tokenizer, held_out)

        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        name = f"reland-scratch-{weights_digest(folder)}"
        described = LanguageModel(name=name, weights=str(folder), tokenizer=str(folder), context=context)
        return described, {"parameters": parameters, "examples": len(training), "steps": steps}

    def tune(self, base: str, tokenizer: PreTrainedTokenizerBase, folder: Path) -> tuple[LanguageModel, dict[str, Any]]:
        config = self.config.model
        assert isinstance(config, AdapterConfig)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        training, held_out = self._encode(tokenizer, config.longest, base)
        model = load_base(base, self.device)
        self.metrics["before"] = self._evaluate(model, tokenizer, held_out)
        tuned = add_adapter(model, config, self.config.training.seed)
        parameters = sum(parameter.numel() for parameter in tuned.parameters() if parameter.requires_grad)
        say(f"tuning {parameters:,} parameters of an adapter on {base}, {len(training)} examples")
        steps = train(tuned, training, self.config.training, self.device)
        self.metrics["after"] = self._evaluate(tuned, tokenizer, held_out)

        adapter = folder / _ADAPTER_FOLDER
        save_adapter(tuned, adapter)
        name = f"{Path(base).name}-lora-{weights_digest(adapter)}"
        described = LanguageModel(name=name, weights=base, adapter=str(adapter), tokenizer=base)
        return described, {"parameters": parameters, "examples": len(training), "steps": steps}

    def _encode(
        self, tokenizer: PreTrainedTokenizerBase, longest: int, model: str
    ) -> tuple[list[EncodedExample], list[EncodedExample]]:
        training = encode(tokenizer, self.examples.training, longest)
        held_out = encode(tokenizer, self.examples.held_out, longest)
        left_out = len(self.examples.training) - len(training)
        if left_out:
            say(f"{left_out} of {len(self.examples.training)} examples have more than {longest} tokens: left out")
        if len(training) < FEWEST_EXAMPLES or not held_out:
            raise InputError(
                f"language_model {model}: {len(training)} examples have at most {longest} tokens, "
                f"expected {FEWEST_EXAMPLES} or more to train on"
            )
        return training, held_out

    def _evaluate(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        held_out: list[EncodedExample],
    ) -> dict[str, float]:
        batch_size = 2 * self.config.training.batch_size
        examples = self.examples.held_out
        texts = evaluation.generate_answers(model, tokenizer, examples, self.template, batch_size, self.device)
        answers = [evaluation.parse_answer(text, self.template) for text in texts]
        scores = evaluation.score(answers, examples, self.template, self.catalogue)
        return scores | {"loss": mean_loss(model, held_out, batch_size, self.device)}
