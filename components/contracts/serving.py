"""What serving shares with the steps and the rollout: the arms' record, what is logged, what lies beside a model.

`rollout.json`, the arms' record, says which arm serves whom. The rollout alone writes it, the gateway reads it; until a
rollout starts it has one arm. Publishing and rolling back change this record and nothing else.

A version folder of the Triton model `reland_ranker` holds, beside `model.onnx`, what the gateway needs to speak of that
version's items (`RANKER_FILES`): Triton passes over files it does not know. The models of one release share one version
number: `reland_ranker` ranks, `reland_user_vector` gives the vector that the item index is searched with, and
`reland_id_only`, of the same signature as `reland_ranker`, is the ladder's step for when the ranker does not answer.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.contracts.artifacts import CONFIG_FILE, ITEM_INDEX_FILE
from components.contracts.ranking_signature import MODEL_NAME
from components.contracts.registry import CHAMPION, SLOTS, free_slot
from components.contracts.tables import read_table
from components.foundation.errors import ConflictError, InputError
from components.foundation.files import read_json, write_json
from components.foundation.settings import Settings

ROLLOUT_FILE = "rollout.json"
ROLLOUT_FOLDER = "rollout"  # beside it: the history of the desired state, lists of users, and the lock

# The arms of a rollout, beside `champion` and `candidate` (`contracts.registry`). `control` is served as the champion
# is and as large as the candidate: the two are compared. `hold_out` is what no rollout touches. `allowed` are the users
# that an operator named to be served by the candidate; they are no random group, so nobody compares them.
CONTROL = "control"
HOLD_OUT = "hold_out"
ALLOWED = "allowed"
HOLD_OUT_SALT = "reland hold-out"  # of every rollout, so that the users held out stay the same

# Where `reland serve` runs Triton: host:port of its gRPC, below RELAND_HOME/serving while it runs.
TRITON_FILE = "triton.txt"

ID_ONLY_MODEL = "reland_id_only"
USER_VECTOR_MODEL = "reland_user_vector"  # what the ranker is given of a user -> `vector` float32[B, e]
USER_VECTOR_OUTPUT = "vector"

ITEM_VECTORS_FILE = "item_vectors.parquet"  # tables.vectors("item_id", e), rows in the order of the item index
POPULAR_ITEMS_FILE = "popular_items.parquet"
RANKER_FILES = (CONFIG_FILE, ITEM_INDEX_FILE, ITEM_VECTORS_FILE, POPULAR_ITEMS_FILE)
SIMILAR_ITEMS_FILE = "similar_items.parquet"  # beside these; a version that was released before there was one lacks it

# What is recommended to a user without any history: every item of the ranker by its number of training visits,
# most first, ties by item_id.
POPULAR_ITEMS = pa.schema([pa.field("item_id", pa.string(), False), pa.field("visits", pa.int64(), False)])

# What is recommended to a user with a history when no model answers: the nearest neighbours of each item of the ranker
# (`recommenders.classics.item_knn`), in the order of the item index, each with its similarity.
SIMILAR_ITEMS = pa.schema(
    [
        pa.field("item_id", pa.string(), False),
        pa.field("neighbours", pa.list_(pa.string()), False),
        pa.field("similarities", pa.list_(pa.float32()), False),
    ]
)

# The steps of the ladder, best first. `fresh`: features read now, or within the bound on their age; `last_known`:
# features of an earlier read; `id_only`: the ID-only model, which needs no rationale; `similar`: no model, but what
# others visited after the items of the history; `popular`: nothing of the user either.
LADDER = ("fresh", "last_known", "id_only", "similar", "popular")
RANKED_STEPS = LADDER[:2]  # those that the arm's own ranker answers
OUTCOMES = ("click", "conversion")  # what experiments and guardrails count
# What else a user may do with a served item: logged, and counted by no analysis.
OTHER_BEHAVIORS = ("cart", "favourite", "rating")


def item_collection(version: int) -> str:
    """The Milvus collection of a ranker version's item vectors (metric IP; fields `item_id`, `vector`)."""
    return f"reland_items_{version}"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one group of users is served by.

    Attributes:
        name: as `champion`; what exposures and metrics call the arm.
        model: the Triton model that ranks.
        version: its version, and that of `reland_id_only` and `reland_user_vector`; every request to Triton names it.
        generation: the generation that the version belongs to.
        feature_service: the Feast service that users are read from.
        slot: the slot of that service.
        item_collection: the Milvus collection that candidates are searched in.
        weight: share of the users who take part, from 0 to 1; of the hold-out, share of all users.
    """

    name: str
    model: str = MODEL_NAME
    version: int
    generation: str
    feature_service: str
    slot: str
    item_collection: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class RolloutRecord:
    """The arms and how users are shared out among them.

    Attributes:
        state: counts up with every change of the record, so that an exposure tells which record it was made under.
        salt: what makes this rollout's groups others than the last one's.
        allow_list: file of `ROLLOUT_FOLDER` with the users of the arm `allowed` (`contracts.user_list`); None: nobody.
        segment: file of the users who take part, likewise, the others are the champion's; None: everybody.
    """

    state: int
    salt: str
    arms: tuple[Arm, ...]
    allow_list: str | None = None
    segment: str | None = None


def rollout_file(settings: Settings) -> Path:
    """Where the arms' record is."""
    return settings.home / "serving" / ROLLOUT_FILE


def rollout_folder(settings: Settings) -> Path:
    """Where the rollout keeps what it is to bring about."""
    return settings.home / "serving" / ROLLOUT_FOLDER


def assign_arm(record: RolloutRecord, user_id: str, takes_part: bool = True, allowed: bool = False) -> Arm:
    """The arm of a user: equal users get equal arms, on every machine and in every language.

    The first 8 bytes of SHA-256("salt:user_id") are a share in [0, 1), and the arms divide [0, 1) in the record's order
    by weight. So where the last arm grows, users move to it and none moves between other arms but to make room.

    The hold-out is dealt first, by `HOLD_OUT_SALT`, and the others divide what it leaves.

    Args:
        takes_part: whether the user is in the record's segment; others are the champion's.
        allowed: whether the user is on its allow-list; in the hold-out that changes nothing.
    """
    left = 1.0
    arms = record.arms
    hold_out = next((arm for arm in arms if arm.name == HOLD_OUT), None)
    if hold_out is not None:
        if _share(HOLD_OUT_SALT, user_id) < hold_out.weight:
            return hold_out
        left -= hold_out.weight
        arms = tuple(arm for arm in arms if arm is not hold_out)
    if allowed or not takes_part:
        name = ALLOWED if allowed else CHAMPION
        return next(arm for arm in arms if arm.name == name)
    share = _share(record.salt, user_id) * left
    bound = 0.0
    for arm in arms:
        bound += arm.weight
        if share < bound:
            return arm
    return [arm for arm in arms if arm.weight > 0][-1]  # the weights' sum falls short of 1 by rounding


def _share(salt: str, user_id: str) -> float:
    digest = hashlib.sha256(f"{salt}:{user_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def write_rollout(path: Path, record: RolloutRecord) -> None:
    """Replace the arms' record, all of it or nothing."""
    write_json(path, asdict(record))


def read_rollout(path: Path) -> RolloutRecord:
    """Read the arms' record.

    Raises:
        InputError: the file is missing or no record; the message says which arm and field is at fault.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file, the record of arms: `reland run` makes it")
    content = read_json(path)
    lists = {"allow_list", "segment"}
    _check(
        isinstance(content, dict) and set(content) - lists == {"state", "salt", "arms"}, path, "state, salt and arms"
    )
    _check(_is_whole(content["state"]) and content["state"] >= 0, path, "state to be a number from 0")
    _check(isinstance(content["salt"], str), path, "salt to be a text")
    arms = read_arms(content["arms"], path)
    named = {arm.name for arm in arms}
    for name, arm in (("allow_list", ALLOWED), ("segment", CHAMPION)):
        file = content.get(name)
        _check(file is None or (isinstance(file, str) and Path(file).name == file), path, f"{name} to name a file")
        _check(file is None or arm in named, path, f"an arm {arm!r} beside {name}")
    return RolloutRecord(**(content | {"arms": arms}))


def read_arms(content: Any, path: Path) -> tuple[Arm, ...]:
    """The arms of a record.

    Raises:
        InputError: they are none; the message names `path`, the arm and the field.
    """
    _check(isinstance(content, list) and len(content) > 0, path, "arms to be a list of at least one")
    arms = tuple(_read_arm(arm, path) for arm in content)
    _check(len({arm.name for arm in arms}) == len(arms), path, "every arm to have a name of its own")
    _check(math.isclose(sum(arm.weight for arm in arms), 1.0, abs_tol=1e-9), path, "the arms' weights to sum to 1")
    return arms


def _read_arm(content: Any, path: Path) -> Arm:
    names = {field.name for field in fields(Arm)}
    _check(isinstance(content, dict) and set(content) == names, path, f"an arm to have {', '.join(sorted(names))}")
    of_arm = f"arm {content['name']!r}: "
    for name in names - {"version", "weight"}:
        _check(isinstance(content[name], str) and bool(content[name]), path, f"{of_arm}{name} to be a text")
    # An arm's name becomes a label of metrics, a model's name a part of an address.
    for name in ("name", "model"):
        _check(re.fullmatch(r"\w{1,64}", content[name]) is not None, path, f"{of_arm}{name} of letters and digits")
    _check(_is_whole(content["version"]) and content["version"] > 0, path, f"{of_arm}version to be a number from 1")
    _check(content["slot"] in SLOTS, path, f"{of_arm}slot to be one of {', '.join(SLOTS)}")
    weight = content["weight"]
    _check(isinstance(weight, int | float) and not isinstance(weight, bool), path, f"{of_arm}weight to be a number")
    _check(0 <= weight <= 1, path, f"{of_arm}weight to be from 0 to 1")
    return Arm(**content)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(condition: bool, path: Path, expected: str) -> None:
    if not condition:
        raise InputError(f"{path}: no record of arms, expected {expected}")


def check_slot_is_free(settings: Settings, slot: str) -> None:
    """Check that the user features of a slot may be overwritten.

    Raises:
        ConflictError: an arm is served from this slot of the user features, which must not be overwritten.
    """
    path = rollout_file(settings)
    for arm in read_rollout(path).arms if path.exists() else ():
        if arm.slot == slot:
            raise ConflictError(
                f"{path}: the arm {arm.name!r} is served from the slot {slot}, where new features would go: promote or "
                "abort the rollout first, and set a hold-out anew (`reland rollout hold-out`)"
            )


def check_features_have_a_slot(settings: Settings) -> None:
    """Check that a run that begins now can push its features in the end, before it pays for anything.

    Raises:
        ConflictError: the slot that the champion leaves free is another arm's; the message says what to do.
    """
    path = rollout_file(settings)
    if path.exists():
        slots = {arm.name: arm.slot for arm in read_rollout(path).arms}
        check_slot_is_free(settings, free_slot(slots.get(CHAMPION)))


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_TIME = pa.timestamp("us", tz="UTC")

# One served list. `items`, `positions` (from 1) and `scores` are in the order served; `seconds_*` is null for a stage
# that did not run. `generation` is the arm's; `rationale_id` is null where the list was ranked without a rationale.
EXPOSURES = pa.schema(
    [
        _required("request_id", pa.string()),
        _required("user_id", pa.string()),
        _required("endpoint", pa.string()),  # rank, recommend
        _required("arm", pa.string()),
        _required("state", pa.int64()),  # of the arms' record
        _required("model", pa.string()),
        _required("model_version", pa.int64()),
        _required("generation", pa.string()),
        _required("items", pa.list_(pa.string())),
        _required("positions", pa.list_(pa.int32())),
        _required("scores", pa.list_(pa.float32())),
        _required("ladder_step", pa.string()),
        _required("cold_start", pa.bool_()),
        pa.field("rationale_id", pa.string()),
        _required("seconds_total", pa.float32()),
        pa.field("seconds_features", pa.float32()),
        pa.field("seconds_candidates", pa.float32()),
        pa.field("seconds_ranking", pa.float32()),
        _required("time", _TIME),
    ]
)

# One outcome of an exposure, joined to it by `request_id` and `item_id`; `time` is when it happened.
OUTCOME_EVENTS = pa.schema(
    [
        _required("request_id", pa.string()),
        _required("item_id", pa.string()),
        _required("outcome", pa.string()),  # OUTCOMES, OTHER_BEHAVIORS
        _required("time", _TIME),
    ]
)

# Who asked for what, where keys or tokens say who it is: one row for each request that was answered. `request_id` is
# that of the exposure, null for explanations and events; `user_id` is null for the events of a service.
ACCESSES = pa.schema(
    [
        _required("principal", pa.string()),  # the name of the key, the subject of the token
        _required("endpoint", pa.string()),  # rank, recommend, explanations, events
        pa.field("user_id", pa.string()),
        pa.field("request_id", pa.string()),
        _required("time", _TIME),
    ]
)

# A model's inputs and scores for a sample of the exposures: replayed offline, these show skew.
# `history`, `rationale` (K × t, row after row) and `candidates` are the model's inputs of one user; `scores` is in the
# order of `candidates`.
RANKED_REQUESTS = pa.schema(
    [
        _required("request_id", pa.string()),
        _required("user_id", pa.string()),
        _required("model", pa.string()),
        _required("model_version", pa.int64()),
        _required("slot", pa.string()),
        _required("history", pa.list_(pa.int64())),
        pa.field("rationale_id", pa.string()),
        _required("rationale", pa.list_(pa.float32())),
        _required("candidates", pa.list_(pa.int64())),
        _required("scores", pa.list_(pa.float32())),
        _required("time", _TIME),
    ]
)

# Folders of these tables under RELAND_HOME/serving: many small Parquet files, named by the time they were begun.
EXPOSURES_FOLDER = "exposures"
EVENTS_FOLDER = "events"
RANKED_REQUESTS_FOLDER = "ranked_requests"
ACCESSES_FOLDER = "accesses"


def log_folder(settings: Settings, name: str) -> Path:
    """The folder of one of the gateway's logs."""
    return settings.home / "serving" / name


def read_log(folder: Path, schema: pa.Schema) -> pa.Table:
    """All rows of a log in the order of its files; no row where there is no file yet.

    Raises:
        InputError: a file does not hold `schema`.
    """
    tables: Sequence[pa.Table] = [read_table(path, schema) for path in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables([schema.empty_table(), *tables])
