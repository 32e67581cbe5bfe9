"""LightGCN: seconds of training until RecBole's best validation NDCG@10, and the NDCG@10 that is reached in the end.

    python -m tests.performance.encoder --prepared FOLDER --recbole PYTHON [--recbole-minutes 60] --json FILE
    python -m tests.performance.encoder --quick --prepared FOLDER --recbole PYTHON --json FILE
    python -m tests.performance.encoder --prepared FOLDER --recbole-from RESULT --json FILE

FOLDER is what `reland prepare --dataset ml-1m` writes, PYTHON the interpreter of an environment with RecBole 1.2.1.
Each user's interactions are split 80/10/10 by time. RecBole trains first, for so many minutes; then ours, once with
RecBole's embedding size, layers, learning rate and batch size and once tuned. One evaluator ranks the
vectors of both: all items but those of the user's earlier splits, every held-out item as relevant. Seconds are those of
training steps alone, on both sides: no reading, no evaluation. All curves go into the result file too. With
`--recbole-from` only ours is trained, and compared with RecBole's hour of a RESULT of this command, which must be of
this machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.behavior_encoder.histories import build_sequences
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig, LightGCNTask
from components.foundation.files import read_json, write_json
from components.recommenders.interaction_sequences import InteractionSequences, read_sequences
from components.recommenders.training.loop import TrainingPlan, train
from components.recommenders.training.processes import Share, TrainingResources
from tests.performance.report import Figure, machine, write_report

RECBOLE: dict[str, Any] = {
    "embedding_size": 64,
    "n_layers": 2,
    "learning_rate": 1e-3,
    "train_batch_size": 2048,
    "reg_weight": 1e-5,
}
CUTOFF = 10
_USERS_AT_ONCE = 1_024

Pairs = tuple[np.ndarray, np.ndarray]


class Split:
    """Each user's interactions by time: the first 80% to train on, the next 10% to choose by, the last 10% to test."""

    def __init__(self, sequences: InteractionSequences, users: int):
        lengths = np.diff(sequences.offsets)[:users]
        self.n_users, self.n_items = len(lengths), sequences.n_items
        owner = np.repeat(np.arange(self.n_users), lengths)
        within = np.arange(len(owner)) - sequences.offsets[owner]
        items = sequences.items[: len(owner)] - 1
        part = (within >= np.floor(0.8 * lengths)[owner]).astype(int) + (within >= np.floor(0.9 * lengths)[owner])
        self.train, self.valid, self.test = ((owner[part == k], items[part == k]) for k in range(3))

    def ndcg(self, users: Tensor, items: Tensor, target: Pairs, seen: list[Pairs]) -> float:
        """Mean NDCG@10 over the users with a target; `seen` items are not ranked. users [U, d], items [I, d]."""
        relevant, hidden = (torch.zeros(self.n_users, self.n_items, dtype=torch.bool) for _ in range(2))
        relevant[torch.from_numpy(target[0]), torch.from_numpy(target[1])] = True
        for owner, item in seen:
            hidden[torch.from_numpy(owner), torch.from_numpy(item)] = True
        relevant &= ~hidden
        discount = 1 / torch.log2(torch.arange(CUTOFF) + 2.0)
        gains = []
        for start in range(0, self.n_users, _USERS_AT_ONCE):
            part = slice(start, start + _USERS_AT_ONCE)
            scores = (users[part] @ items.T).masked_fill(hidden[part], float("-inf"))
            hits = relevant[part].gather(1, scores.topk(CUTOFF, dim=1).indices).float()
            count = relevant[part].sum(dim=1)
            ideal = discount.cumsum(0)[count.clamp(1, CUTOFF) - 1]
            gains.append(((hits * discount).sum(dim=1) / ideal)[count > 0])
        return float(torch.cat(gains).mean())

    def validation(self, users: Tensor, items: Tensor) -> float:
        return self.ndcg(users, items, self.valid, [self.train])

    def final(self, users: Tensor, items: Tensor) -> float:
        return self.ndcg(users, items, self.test, [self.train, self.valid])


def run_recbole(python: Path, split: Split, seconds: float) -> tuple[list[dict[str, float]], float]:
    """RecBole's curve (epoch, seconds, validation NDCG@10), and its test NDCG@10 at the best epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        for part, (users, items) in (("train", split.train), ("valid", split.valid), ("test", split.test)):
            rows = "".join(f"{user}\t{item}\n" for user, item in zip(users, items, strict=True))
            (folder / "data" / f"data.{part}.inter").write_text("user_id:token\titem_id:token\n" + rows)
        runner = Path(__file__).with_name("recbole_lightgcn.py")
        with subprocess.Popen(
            [python, runner, folder, str(seconds), json.dumps(RECBOLE)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            curve = []
            for line in process.stdout:
                if line.startswith('{"epoch"'):
                    curve.append(json.loads(line))
                    print(f"RecBole: epoch {curve[-1]['epoch']}, {curve[-1]['seconds']:.0f} s", flush=True)
        if process.returncode or not curve:
            raise RuntimeError(f"RecBole ended with status {process.returncode} after {len(curve)} epochs")
        for point in curve:
            point["ndcg@10"] = split.validation(*_recbole_vectors(folder, point["epoch"], split))
        best = max(curve, key=lambda point: point["ndcg@10"])
        return curve, split.final(*_recbole_vectors(folder, best["epoch"], split))


def read_recbole(result: Path) -> tuple[list[dict[str, float]], float]:
    """What `run_recbole` returned, from a result file of this command that was written on this machine."""
    content = read_json(result)
    for name in ("processor", "cores", "memory_gib"):
        if content["machine"][name] != machine()[name]:
            raise SystemExit(f"{result}: measured on another machine ({name} {content['machine'][name]})")
    test = next(figure["peer"] for figure in content["figures"] if figure["name"].endswith("test NDCG@10"))
    return content["curves"]["recbole"], test


def _recbole_vectors(folder: Path, epoch: float, split: Split) -> tuple[Tensor, Tensor]:
    """An item that RecBole has not seen in training keeps the zero vector."""
    saved = np.load(folder / f"epoch-{epoch}.npz")
    users = torch.zeros(split.n_users, saved["users"].shape[1])
    items = torch.zeros(split.n_items, saved["items"].shape[1])
    users[torch.from_numpy(saved["user_ids"])] = torch.from_numpy(saved["users"])
    items[torch.from_numpy(saved["item_ids"])] = torch.from_numpy(saved["items"])
    return users, items


class _TimedTask(LightGCNTask):
    """Scores by validation NDCG@10 and notes the seconds of the steps before it."""

    score_name = "ndcg@10"

    def __init__(self, split: Split, config: LightGCNConfig):
        names = [f"u{user:07d}" for user in range(split.n_users)], [f"i{item:07d}" for item in range(split.n_items)]
        sequences = build_sequences(*names, split.train[0], split.train[1] + 1)
        super().__init__(Path("no checkpoint is kept"), sequences, config, TrainingResources())
        self.split = split
        self.curve: list[dict[str, float]] = []
        self._scoring = 0.0
        self._begin = time.perf_counter()

    def loss(self, step: int, share: Share) -> Tensor:
        if step == 1:
            self._begin = time.perf_counter()
        return super().loss(step, share)

    def evaluate(self) -> dict[str, float]:
        stopped = time.perf_counter()
        ndcg = self.split.validation(*self.network(self.adjacency))
        self.curve.append({"seconds": stopped - self._begin - self._scoring, "ndcg@10": ndcg})
        self._scoring += time.perf_counter() - stopped
        return {self.score_name: ndcg}


def run_ours(split: Split, config: LightGCNConfig) -> tuple[list[dict[str, float]], float]:
    """Our curve (seconds, validation NDCG@10), and our test NDCG@10 at its best point."""
    task = _TimedTask(split, config)
    plan = TrainingPlan(config.steps, config.evaluate_every, config.patience, config.seed)
    train(task, plan, TrainingResources())
    with torch.no_grad():
        return task.curve, split.final(*task.network(task.adjacency))


def figures_of(
    label: str,
    curve: list[dict[str, float]],
    test: float,
    recbole_curve: list[dict[str, float]],
    recbole_test: float,
) -> list[Figure]:
    best = max(recbole_curve, key=lambda point: point["ndcg@10"])
    target = best["ndcg@10"]
    reached = [point["seconds"] for point in curve if point["ndcg@10"] >= target]
    if reached:
        name = f"LightGCN, {label}: seconds to a validation NDCG@10 of {target:.4f}"
        first = Figure(name, reached[0], best["seconds"], "lower", goal=10.0)
    else:
        name = f"LightGCN, {label}: best validation NDCG@10 (RecBole's is never reached, so there are no seconds to it)"
        first = Figure(name, max(point["ndcg@10"] for point in curve), target, "higher", goal=1.0)
    return [first, Figure(f"LightGCN, {label}: test NDCG@10", test, recbole_test, "higher", goal=1.0)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.performance.encoder", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 users and a few seconds of RecBole")
    parser.add_argument("--prepared", type=Path, required=True, help="what `reland prepare --dataset ml-1m` writes")
    recbole = parser.add_mutually_exclusive_group(required=True)
    recbole.add_argument("--recbole", type=Path, metavar="PYTHON", help="of RecBole's environment")
    recbole.add_argument("--recbole-from", type=Path, metavar="RESULT", help="of this command, with RecBole's curve")
    parser.add_argument("--recbole-minutes", type=float, default=60.0, help="how long RecBole trains")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    sequences = read_sequences(arguments.prepared)
    split = Split(sequences, 300 if arguments.quick else sequences.n_users)
    seconds = 10.0 if arguments.quick else arguments.recbole_minutes * 60
    if arguments.recbole_from:
        recbole_curve, recbole_test = read_recbole(arguments.recbole_from)
    else:
        recbole_curve, recbole_test = run_recbole(arguments.recbole, split, seconds)

    # Not the same: how the embeddings begin, and that RecBole draws no negative that a user has chosen.
    epoch: int = -(-len(split.train[0]) // RECBOLE["train_batch_size"])
    same = LightGCNConfig(
        dimension=RECBOLE["embedding_size"],
        layers=RECBOLE["n_layers"],
        learning_rate=RECBOLE["learning_rate"],
        batch_size=RECBOLE["train_batch_size"],
        weight_decay=RECBOLE["reg_weight"],
        steps=40 * epoch,
        evaluate_every=max(1, epoch // 4),
        patience=24,
        held_out_share=0.0,
    )
    # Our defaults, but for what dense data wants: ten times the weight decay, and more steps.
    tuned = replace(LightGCNConfig(), weight_decay=1e-3, steps=900, evaluate_every=15, patience=10, held_out_share=0.0)
    figures: list[Figure] = []
    curves: dict[str, Any] = {"recbole": recbole_curve}
    for label, config in {"RecBole's setting": same, "our setting": tuned}.items():
        curves[label], test = run_ours(split, config)
        figures += figures_of(label, curves[label], test, recbole_curve, recbole_test)
    write_report(arguments.json, figures, "tests.performance.encoder", sys.argv[1:], ["torch", "numpy"])
    write_json(arguments.json, read_json(arguments.json) | {"curves": curves})


if __name__ == "__main__":
    main()
