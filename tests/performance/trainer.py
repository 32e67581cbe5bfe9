"""Training: the two places where the code departs from what torch does by itself, each against plain torch.

    python -m tests.performance.trainer [--quick] --json FILE

1. LightGCN's propagation, forward and backward: our product with a symmetric matrix, whose gradient needs no transpose,
   against the autograd of `torch.sparse.mm`, on the same CSR matrix.
2. Cross entropy over all items, forward and backward: torch's chunked `linear_cross_entropy` as the trainer calls it,
   against materialised logits and `cross_entropy`; alone, and within a step of the whole ranker.

Each pair is first compared in value and gradient. The sizes are those of MovieLens 1M; the data is random. Chunks mean
many short parallel regions: where other work has the cores too, threads that spin while they wait can turn the second
figure round, and OMP_WAIT_POLICY=PASSIVE turns it back.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from components.recommenders.backbones.lightgcn import _SymmetricPropagation, normalized_adjacency
from components.recommenders.configuration import RankerConfig
from components.recommenders.objectives.next_item import next_item_loss
from components.recommenders.ranker import Ranker
from tests.performance.report import Figure, write_report
from tests.performance.timing import median_seconds


@dataclass(frozen=True)
class Size:
    """How much is computed; `label` goes into the names of the figures."""

    label: str
    users: int
    items: int
    pairs: int
    windows: int
    length: int
    dimension: int
    repeats: int


FULL = Size("ML-1M size", users=6040, items=3416, pairs=987_531, windows=128, length=50, dimension=64, repeats=15)
QUICK = Size("small", users=600, items=400, pairs=20_000, windows=32, length=20, dimension=64, repeats=5)


def compare(
    name: str, inputs: list[Tensor], ours: Callable[[], Tensor], peer: Callable[[], Tensor], size: Size
) -> Figure:
    """Seconds of a forward and a backward pass of both sides.

    Raises:
        AssertionError: they do not compute the same value, or not the same gradients of `inputs`.
    """

    def run(side: Callable[[], Tensor]) -> list[Tensor]:
        result = side()
        return [result.detach(), *torch.autograd.grad(result, inputs)]

    torch.testing.assert_close(run(ours), run(peer), rtol=1e-3, atol=1e-5)
    measured = median_seconds(lambda: run(ours), lambda: run(peer), size.repeats)
    return Figure(f"{name}, forward and backward, {size.label}, seconds", *measured, better="lower")


def propagation(size: Size) -> Figure:
    users, items = (torch.randint(n, (size.pairs,)) for n in (size.users, size.items))
    adjacency = normalized_adjacency(users, items, size.users, size.items)
    embedding = torch.randn(size.users + size.items, size.dimension, requires_grad=True)
    weight = torch.randn_like(embedding) / embedding.numel()
    return compare(
        "LightGCN propagation",
        [embedding],
        lambda: (_SymmetricPropagation.apply(adjacency, embedding) * weight).sum(),
        lambda: (torch.sparse.mm(adjacency, embedding) * weight).sum(),
        size,
    )


def cross_entropy(size: Size) -> Figure:
    states = torch.randn(size.windows * size.length, size.dimension, requires_grad=True)
    table = (torch.randn(size.items, size.dimension) * 0.1).requires_grad_()
    targets = torch.randint(size.items, (len(states),))
    options = torch.nn.LinearCrossEntropyOptions()
    return compare(
        "cross entropy over all items",
        [states, table],
        lambda: F.linear_cross_entropy(states, table, targets, options=options),
        lambda: F.cross_entropy(states @ table.T, targets),
        size,
    )


def ranker_step(size: Size) -> Figure:
    config = RankerConfig(
        variant="id_only", items=size.items, text_encoder="none", text_dimension=1, embedding_dimension=size.dimension
    )
    ranker = Ranker(config, None).eval()  # without dropout, so that both sides compute the same
    inputs, targets = torch.randint(1, size.items + 1, (2, size.windows, size.length))

    def ours() -> Tensor:
        table = ranker.item_table()
        states, _ = ranker.user_states(table, inputs, None)
        return next_item_loss(states, table, targets, float((targets > 0).sum()))

    def materialised() -> Tensor:
        table = ranker.item_table()
        states, _ = ranker.user_states(table, inputs, None)
        real = targets > 0
        return F.cross_entropy(states[real] @ table[1:].T, targets[real] - 1)

    return compare(
        "loss of a SASRec training batch",
        list(ranker.parameters()),
        ours,
        materialised,
        size,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.trainer", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, a few repeats")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    size = QUICK if arguments.quick else FULL
    figures = [measure(size) for measure in (propagation, cross_entropy, ranker_step)]
    write_report(arguments.json, figures, "tests.performance.trainer", sys.argv[1:], ["torch", "numpy"])


if __name__ == "__main__":
    main()
