"""Link prediction of the GAT, with entities and without, against LightGCN's.

    python -m tests.performance.link_prediction --prepared FOLDER [--quick] --json FILE

FOLDER is what `reland prepare --dataset amazon-beauty` writes. Every encoder is trained by its defaults on the training
interactions; the same pairs of them are held out to stop each training. Then each user's validation item is ranked
among all items that the user has not chosen in training, by the product of user and item vector:

- AUC: the mean share of these items that rank below the validation item; a tie counts half;
- Hit@50: the share of users whose validation item is among the first 50.

Validation and test interactions decide nothing: settings were chosen by held-out training pairs.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from components.behavior_encoder.encoder import BehaviorEncoder
from components.behavior_encoder.gat_encoder import ITEM_VECTORS, GATConfig, GATEncoder
from components.behavior_encoder.histories import read_histories
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNEncoder
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.training.processes import TrainingResources
from tests.performance.report import Figure, write_report

QUICK_STEPS = 10
HITS = 50
_USERS_AT_ONCE = 1_024


def validation_ranks(users: Tensor, items: Tensor, sequences: InteractionSequences) -> tuple[Tensor, Tensor]:
    """For each user how many unseen items score above the validation item (a tie counts half), and of how many.

    Args:
        users: float32[U, d].
        items: float32[I, d].
        sequences: all splits.

    Returns:
        float32[U] and int64[U].
    """
    targets = torch.from_numpy(sequences.items[sequences.offsets[:-1] + sequences.train_lengths] - 1)
    of_user, seen = (torch.from_numpy(part) for part in sequences.training_pairs())
    ranks, compared = [], []
    for part in torch.arange(len(users)).split(_USERS_AT_ONCE):
        scores = users[part] @ items.T
        target = scores.gather(1, targets[part, None])
        first, last = torch.searchsorted(of_user, torch.stack([part[0], part[-1] + 1])).tolist()
        scores[of_user[first:last] - part[0], seen[first:last] - 1] = -torch.inf
        scores.scatter_(1, targets[part, None], target)  # an item may be chosen again
        ranks.append((scores > target).sum(dim=1) + 0.5 * ((scores == target).sum(dim=1) - 1))
        compared.append(scores.isfinite().sum(dim=1) - 1)
    return torch.cat(ranks), torch.cat(compared)


def measure(encoder: BehaviorEncoder, prepared: Path) -> dict[str, float]:
    """AUC, Hit@50 and the CPU seconds of training and inference."""
    begin = time.process_time()
    encoder.fit(prepared, TrainingResources())
    seconds = time.process_time() - begin
    sequences = read_sequences(prepared)
    users = torch.from_numpy(encoder.encode(read_histories(prepared)))
    ranks, compared = validation_ranks(users, encoder.tensors()[ITEM_VECTORS], sequences)
    found = {"auc": float((1 - ranks / compared).mean()), "hits": float((ranks < HITS).float().mean())}
    print(f"{encoder.name}: {found}, {encoder.metrics}, {seconds:.0f} s")
    return found | {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.performance.link_prediction", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STEPS} steps each")
    parser.add_argument(
        "--prepared", type=Path, required=True, help="`reland prepare --dataset amazon-beauty`'s folder"
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()

    options = {"steps": QUICK_STEPS} if arguments.quick else {}
    peer = measure(LightGCNEncoder(LightGCNConfig(**options)), arguments.prepared)
    figures = []
    for label, entities in {"with entities": True, "without entities": False}.items():
        ours = measure(GATEncoder(GATConfig(entities=entities, **options)), arguments.prepared)
        figures += [
            Figure(f"GAT {label} against LightGCN: link AUC", ours["auc"], peer["auc"], "higher", goal=1.0),
            Figure(f"GAT {label} against LightGCN: Hit@{HITS}", ours["hits"], peer["hits"], "higher", goal=1.0),
            Figure(f"GAT {label} against LightGCN: CPU seconds", ours["seconds"], peer["seconds"], "lower"),
        ]
    write_report(
        arguments.json, figures, "tests.performance.link_prediction", sys.argv[1:], ["torch", "torch-geometric"]
    )


if __name__ == "__main__":
    main()
