"""One cell of a benchmark: a recommender trained and evaluated, and what came of it as a file."""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.foundation.errors import InputError
from components.foundation.files import read_json, replacing_file, write_json
from components.ranking_benchmark.grid import Cell, RankerSection
from components.recommenders.classics.evaluation import rank_by_classic
from components.recommenders.classics.registry import CLASSICS, fit_classic
from components.recommenders.configuration import BackboneConfig, TrainingConfig
from components.recommenders.evaluation import Ranks, rank_held_out
from components.recommenders.metrics import detailed_metrics
from components.recommenders.ranker_inputs import RankerInputs
from components.recommenders.training.processes import TrainingResources, default_device
from components.recommenders.training.rankers import train_ranker
from components.recommenders.variant_rankers import assignments_for, build_ranker

SCHEMA = "ranking-benchmark-cell-v1"
LIST_LENGTH = 10
LISTED_USERS = 100  # whose lists are kept, for cases to look at; those of all users would be most of a result
LOWEST_RANK = 255  # what a rank from there on is kept as: the metrics that are tested do not tell them apart


def result_of(cell: Cell, features: str, folder: Path) -> dict[str, Any] | None:
    """The result of a cell that was run before; None where there is none, or one of other settings or features.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / f"{cell.name}.json"
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(f"{path}: not a result of a benchmark; remove it to run the cell again")
    fits = _with_defaults(content["configuration"]) == _with_defaults(cell.configuration())
    return content if fits and content["features"] == features and "error" not in content else None


def _with_defaults(configuration: dict[str, Any]) -> dict[str, Any]:
    """A setting that came after a result was made had its default, which is what was done before."""
    if configuration["backbone"] in CLASSICS:
        return configuration
    defaults = {"model": dataclasses.asdict(BackboneConfig()), "training": dataclasses.asdict(TrainingConfig())}
    return configuration | {part: values | configuration[part] for part, values in defaults.items()}


def run_cell(cell: Cell, inputs: RankerInputs, features: str, folder: Path, checkpoints: Path) -> dict[str, Any]:
    """Train a recommender, evaluate it on the test items under every protocol, and write what came of it into `folder`.

    Args:
        features: fingerprint of what `inputs` was read from.
        folder: gets `<cell>.json` and, with the rank of every user's target, `<cell>.npz`.
        checkpoints: where the state of the training is kept until the cell is done.

    Raises:
        InputError: as `train_ranker`.
    """
    began = time.monotonic()
    if cell.settings is None:
        rank, trained = _fit(cell, inputs)
    else:
        digest = hashlib.sha256(json.dumps([cell.name, cell.configuration(), features]).encode()).hexdigest()[:16]
        rank, trained = _train(cell, cell.settings, inputs, checkpoints / digest)
    measured = {}
    arrays: dict[str, Any] = {}
    for protocol in cell.protocols:
        of_protocol = rank(protocol)
        measured[protocol] = detailed_metrics(of_protocol, inputs.sequences)
        arrays[protocol] = np.minimum(of_protocol.values, LOWEST_RANK).astype(np.uint8)
        arrays[f"{protocol}_lists"] = of_protocol.lists[:LISTED_USERS].astype(np.int32)
    content = {
        "schema": SCHEMA,
        "configuration": cell.configuration(),
        "features": features,
        "users": inputs.sequences.n_users,
        "items": inputs.sequences.n_items,
        **trained,
        "test": measured,
        "seconds": round(time.monotonic() - began, 1),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": default_device(),
    }
    path = folder / f"{cell.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path.with_suffix(".npz")) as temporary, temporary.open("wb") as opened:
        np.savez_compressed(opened, **arrays)
    write_json(path, content)
    if cell.settings is not None:
        shutil.rmtree(checkpoints / digest)
    return content


Rank = Callable[[str], Ranks]  # of the test items, under a protocol


def _train(cell: Cell, settings: RankerSection, inputs: RankerInputs, checkpoints: Path) -> tuple[Rank, dict[str, Any]]:
    """A trained ranker, and how its training went."""
    cpu = time.process_time()
    config = dataclasses.replace(settings.training, seed=cell.seed)
    ranker = build_ranker(cell.ranker_variant, inputs, cell.backbone, settings.model, cell.seed)
    assigned = assignments_for(cell.ranker_variant, inputs.rationales, cell.seed)
    checkpoints.mkdir(parents=True, exist_ok=True)
    result = train_ranker(ranker, inputs.sequences, assigned, config, TrainingResources(checkpoints, default_device()))

    def rank(protocol: str) -> Ranks:
        return rank_held_out(ranker, inputs.sequences, assigned, "test", protocol, list_length=LIST_LENGTH)

    return rank, {
        "steps": result.steps,
        "best_step": result.best_step,
        "passes": result.passes,
        "validation": result.validation,
        "curve": [[point["step"], point[f"ndcg@{LIST_LENGTH}"]] for point in result.curve],
        "training_cpu_seconds": round(time.process_time() - cpu, 1),
    }


def _fit(cell: Cell, inputs: RankerInputs) -> tuple[Rank, dict[str, Any]]:
    """A classic recommender."""
    cpu = time.process_time()
    recommender = fit_classic(cell.backbone, inputs.sequences, seed=cell.seed)
    seconds = round(time.process_time() - cpu, 1)

    def rank(protocol: str) -> Ranks:
        return rank_by_classic(recommender, inputs.sequences, "test", protocol, LIST_LENGTH)

    return rank, {"curve": [], "passes": 0, "training_cpu_seconds": seconds}


def write_failure(cell: Cell, features: str, folder: Path, message: str) -> None:
    """Note that a cell failed, and why; it is run again by the next benchmark."""
    path = folder / f"{cell.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"schema": SCHEMA, "configuration": cell.configuration(), "features": features, "error": message})
