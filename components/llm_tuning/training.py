"""The training loop of a small model from nothing and of an adapter alike: cross entropy of the answers' tokens."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.foundation.progress import say
from components.llm_tuning.encoding import EncodedExample

_BATCHES_SORTED_TOGETHER = 16
_REPORTS = 5
_IGNORED = -100  # label of the positions that the loss leaves out


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast to train.

    Attributes:
        batch_size: examples of one optimizer step.
        passes: over the examples, but `fewest_steps` at least and `most_steps` at most.
        learning_rate: at its peak; it rises over the first 5% of the steps and then falls to zero along a cosine.
        seed: of the order of the examples.
    """

    batch_size: int
    passes: float
    fewest_steps: int
    most_steps: int
    learning_rate: float
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    seed: int = 0

    def steps(self, examples: int) -> int:
        """Optimizer steps for so many examples: by their number alone, so that a training can be repeated."""
        wanted = math.ceil(self.passes * examples / self.batch_size)
        return min(max(wanted, self.fewest_steps), self.most_steps)


def train(model: nn.Module, examples: Sequence[EncodedExample], config: TrainingConfig, device: str) -> int:
    """Train the parameters that want a gradient, in place; returns the number of steps.

    On a GPU the matrix products are in bfloat16, on a CPU in float32.
    """
    steps = config.steps(len(examples))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(step, steps))
    batches = _endless_batches(examples, config.batch_size, np.random.default_rng(config.seed))
    model.train()
    losses: list[float] = []
    for step in range(1, steps + 1):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            total, count = answer_loss(model, next(batches), device)
        optimizer.zero_grad(set_to_none=True)
        (total / count).backward()
        nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        optimizer.step()
        scheduler.step()
        losses.append(total.item() / count)
        if step * _REPORTS // steps > (step - 1) * _REPORTS // steps:
            say(f"step {step}/{steps}, loss {np.mean(losses):.3f} a token of the answers")
            losses.clear()
    model.eval()
    return steps


@torch.no_grad()
def mean_loss(model: nn.Module, examples: Sequence[EncodedExample], batch_size: int, device: str) -> float:
    """Cross entropy, in nats, of a token of the answers."""
    model.eval()
    total, count = 0.0, 0
    for batch in _sorted_batches(examples, batch_size):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            loss, tokens = answer_loss(model, batch, device)
        total, count = total + loss.item(), count + tokens
    return total / count


def answer_loss(model: nn.Module, batch: Sequence[EncodedExample], device: str) -> tuple[Tensor, int]:
    """Cross entropy summed over the tokens of the answers, and their number.

    The examples are padded at their ends. Attention is causal, so padding does not change the loss.
    """
    width = max(len(example.tokens) for example in batch)
    first = min(example.answer_start for example in batch)
    tokens = torch.zeros(len(batch), width, dtype=torch.int64)
    labels = torch.full((len(batch), width), _IGNORED)
    for row, example in enumerate(batch):
        length = len(example.tokens)
        tokens[row, :length] = torch.from_numpy(example.tokens)
        labels[row, example.answer_start : length] = tokens[row, example.answer_start : length]
    # The output layer costs as much as the rest of a small model: compute it for the answers' positions only.
    kept = width - first + 1  # the token before an answer predicts the answer's first
    logits = model(input_ids=tokens.to(device), logits_to_keep=kept, use_cache=False).logits  # [B, kept, V]
    targets = labels[:, first:].to(device)
    total = F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), targets.flatten(), ignore_index=_IGNORED, reduction="sum"
    )
    return total, int((targets != _IGNORED).sum())


def _schedule(step: int, steps: int) -> float:
    rise = max(1, round(0.05 * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _endless_batches(
    examples: Sequence[EncodedExample], batch_size: int, random: np.random.Generator
) -> Iterator[list[EncodedExample]]:
    """Batches of pass after pass, each of examples of similar length, which waste little on padding."""
    while True:
        order = random.permutation(len(examples))
        group = batch_size * _BATCHES_SORTED_TOGETHER
        batches: list[list[EncodedExample]] = []
        for start in range(0, len(order), group):
            batches += _sorted_batches([examples[k] for k in order[start : start + group]], batch_size)
        yield from (batches[k] for k in random.permutation(len(batches)))


def _sorted_batches(examples: Sequence[EncodedExample], batch_size: int) -> list[list[EncodedExample]]:
    by_length = sorted(examples, key=lambda example: len(example.tokens))
    return [by_length[start : start + batch_size] for start in range(0, len(by_length), batch_size)]
