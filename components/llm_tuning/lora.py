"""A low-rank adapter (LoRA, Hu et al., ICLR 2022) on a base model, by transformers and PEFT.

All linear layers but the output layer get one, as QLoRA (Dettmers et al., NeurIPS 2023) found to be needed; the rank is
the largest that vLLM loads by default.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from components.foundation.errors import InputError, first_line
from components.foundation.files import read_json


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """The adapter. `longest` counts the tokens of prompt and answer; longer examples are left out."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    longest: int = 4_096


def load_base(base: str, device: str) -> PreTrainedModel:
    """A base model by id or absolute path: in bfloat16 on a GPU, in float32 on a CPU.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, device_map=device)
    except Exception as error:  # transformers raises whatever its loaders raise
        raise InputError(f"language_model lora:{base}: cannot be loaded ({first_line(error)})") from error
    # The activations of billions of parameters do not fit in memory beside them: the backward pass recomputes them.
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def add_adapter(base: PreTrainedModel, config: AdapterConfig, seed: int) -> PeftModel:
    """The base model, frozen, with an untrained adapter, which changes no answer yet."""
    torch.manual_seed(seed)
    adapter = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, adapter)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the adapter as vLLM and PEFT read it: `adapter_config.json` and `adapter_model.safetensors`."""
    model.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; ours is one folder up
    # PEFT writes a set, whose order changes from process to process.
    path = folder / "adapter_config.json"
    content = read_json(path)
    content["target_modules"] = sorted(content["target_modules"])
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
