"""Skew between serving and training, by replay: what the gateway logged is computed again from a run's artifacts.

    python -m components.ranker_release.replay --requests FOLDER --version 1 --rankers FOLDER --prepared FOLDER \\
        --matches FOLDER --rationale-embeddings FOLDER

Two questions, apart from each other, for each logged request of the version (`contracts.serving.RANKED_REQUESTS`):

1. Are the features that the model was given those that training would have given it: history and rationale? They went
   through Feast, its store and the gateway.
2. Are the scores those of PyTorch for the inputs that were logged? They went through ONNX, Triton and its batches.

The command prints the largest differences as JSON and ends with status 1 where there is skew. Not covered: features
that were pushed anew since, as those of a later day are; replay requests with the artifacts of their own generation.
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.artifacts import CONFIG_FILE, HISTORIES_FILE, ITEM_INDEX_FILE, MATCHES_FILE
from components.contracts.ranking_signature import (
    CANDIDATES,
    HISTORY,
    HISTORY_LENGTH,
    MODEL_NAME,
    RATIONALE,
    USER_INPUTS,
)
from components.contracts.serving import ID_ONLY_MODEL, RANKED_REQUESTS, read_log
from components.contracts.tables import HISTORIES, ITEM_INDEX, MATCHES, read_table, read_vectors
from components.foundation.errors import InputError, RelandError
from components.foundation.files import read_json
from components.ranker_release.configuration import DEFAULT_SERVING

VARIANT_OF_MODEL = {MODEL_NAME: "reland", ID_ONLY_MODEL: "id_only"}
NAMED = 20  # requests that the result names
# Features are copied, not computed, so they are equal to the rounding of a decimal; scores are sums in another order.
FEATURE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Artifacts:
    """The artifacts of one run, as folders."""

    rankers: Path
    prepared: Path
    matches: Path
    rationale_embeddings: Path


@dataclass(frozen=True)
class Replay:
    """The result of a replay.

    Attributes:
        requests: how many were replayed; those of other versions and models are not.
        without_rationale: those to whom the matches give a rationale that was not served. A ban does that; more of them
            than there are bans means that the store lacks rationales.
        largest: the largest absolute difference of each input and of the scores.
        skewed: how many requests differ in each.
        examples: ids of the first requests that differ in any.
    """

    requests: int
    without_rationale: int
    largest: dict[str, float]
    skewed: dict[str, int]
    examples: list[str]

    @property
    def has_skew(self) -> bool:
        """Whether any kind of skew was counted."""
        return any(self.skewed.values())


class OfflineFeatures:
    """The inputs of a user as training and evaluation make them, from the artifacts."""

    def __init__(self, artifacts: Artifacts):
        configuration = read_json(artifacts.rankers / "reland" / CONFIG_FILE)
        self._rationale_shape = configuration["rationales_per_user"], configuration["text_dimension"]
        index = read_table(artifacts.rankers / "reland" / ITEM_INDEX_FILE, ITEM_INDEX)
        self._index = dict(zip(*(column.to_pylist() for column in index.columns), strict=True))
        histories = read_table(artifacts.prepared / HISTORIES_FILE, HISTORIES)
        self._histories = dict(zip(*(column.to_pylist() for column in histories.columns), strict=True))
        self._rationales = dict(zip(*read_vectors(artifacts.rationale_embeddings, "rationale_id"), strict=True))
        matches = read_table(artifacts.matches / MATCHES_FILE, MATCHES)
        best = matches.filter(pc.equal(matches["rank"], 1)).select(["user_id", "rationale_id"])
        self.rationale_id = dict(zip(*(column.to_pylist() for column in best.columns), strict=True))

    def of(self, user_id: str, rationale_id: str | None) -> dict[str, np.ndarray]:
        """What a ranker may read of a user, `USER_INPUTS`, without a batch dimension.

        Args:
            rationale_id: the rationale that was served, None where none was.

        Raises:
            InputError: the run has no such rationale.
        """
        history = np.zeros(HISTORY_LENGTH, np.int64)
        indices = [self._index[item] for item in self._histories.get(user_id, []) if item in self._index]
        history[: len(indices[-HISTORY_LENGTH:])] = indices[-HISTORY_LENGTH:]
        rationale = np.zeros(self._rationale_shape, np.float32)
        if rationale_id is not None:
            matched = self.rationale_id.get(user_id)
            if matched is not None:  # another than the one that was served shows as a difference
                rationale[0] = self._rationales[matched]
        return {
            HISTORY: history,
            RATIONALE: rationale,
        }


def replay(requests: pa.Table, artifacts: Artifacts, version: int) -> Replay:
    """Replay the logged requests of one version.

    Args:
        requests: rows of `RANKED_REQUESTS`.

    Raises:
        InputError: an artifact is missing or wrong, or no request of the version is among the rows.
    """
    is_of_version = pc.equal(requests["model_version"], version)
    rows = requests.filter(pc.and_(is_of_version, pc.is_in(requests["model"], pa.array(list(VARIANT_OF_MODEL)))))
    if not rows.num_rows:
        raise InputError(f"no logged request of version {version} among {requests.num_rows}")
    offline = OfflineFeatures(artifacts)
    models = {model: _load(artifacts.rankers / VARIANT_OF_MODEL[model]) for model in rows["model"].unique().to_pylist()}
    largest = dict.fromkeys((*USER_INPUTS, "scores"), 0.0)
    skewed: Counter[str] = Counter()
    examples: list[str] = []
    without_rationale = 0
    for row in rows.to_pylist():
        ranker = models[row["model"]]
        expected = offline.of(row["user_id"], row["rationale_id"])
        if row["model"] == ID_ONLY_MODEL:  # is given no rationale
            expected[RATIONALE] = np.zeros_like(expected[RATIONALE])
        else:
            without_rationale += row["rationale_id"] is None and row["user_id"] in offline.rationale_id
        logged = _inputs_of(row, {name: expected[name] for name in ranker.config.inputs})
        pairs = {"scores": (np.array(row["scores"], np.float32), _score(ranker, logged))}
        pairs |= {name: (logged[name][0], expected[name]) for name in ranker.config.inputs}
        differing = []
        for name, (served, made) in pairs.items():
            largest[name] = max(largest[name], float(np.abs(served - made).max(initial=0.0)))
            if not _close(name, served, made):
                differing.append(name)
        skewed.update(differing)
        if differing:
            examples.append(row["request_id"])
    return Replay(rows.num_rows, without_rationale, largest, {name: skewed[name] for name in largest}, examples[:NAMED])


def _inputs_of(row: dict[str, Any], shapes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A logged row as the model's inputs, with a batch dimension.

    Raises:
        InputError: an input has another size than the ranker reads.
    """
    inputs = {CANDIDATES: np.array([row[CANDIDATES]], np.int64)}
    for name, like in shapes.items():
        values = np.array(row[name], like.dtype)
        if values.size != like.size:
            raise InputError(
                f"request {row['request_id']}: {name} of {values.size} numbers, the ranker has {like.size}"
            )
        inputs[name] = values.reshape(1, *like.shape)
    return inputs


def _load(folder: Path) -> Any:
    from components.recommenders.ranker import load_ranker

    return load_ranker(folder)


def _score(ranker: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return ranker(**{name: torch.from_numpy(array) for name, array in inputs.items()})[0][0].numpy()


def _close(name: str, served: np.ndarray, made: np.ndarray) -> bool:
    if name == "scores":
        return np.allclose(served, made, DEFAULT_SERVING.relative_tolerance, DEFAULT_SERVING.absolute_tolerance)
    return np.allclose(served, made, rtol=0.0, atol=FEATURE_TOLERANCE)


def main() -> int:
    """Replay a log of ranked requests, print the counts as JSON and return the exit status: 1 where there is skew."""
    parser = argparse.ArgumentParser(
        prog="python -m components.ranker_release.replay", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--requests", type=Path, required=True, help="the gateway's log of ranked requests")
    parser.add_argument("--version", type=int, required=True, help="the ranker's version")
    for name in ("rankers", "prepared", "matches", "rationale-embeddings"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="artifact of the run, a folder")
    given = vars(parser.parse_args())
    folder, version = given.pop("requests"), given.pop("version")
    try:
        result = replay(read_log(folder, RANKED_REQUESTS), Artifacts(**given), version)
    except RelandError as error:
        print(f"reland: {error}", file=sys.stderr)
        return error.exit_status
    print(json.dumps(asdict(result), indent=2))
    return int(result.has_skew)


if __name__ == "__main__":
    sys.exit(main())
