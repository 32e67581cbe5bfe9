"""What every behavior encoder M = BehaviorEncoder(U, D) does, whatever its network (section 3.1.1).

The life of an encoder: construct it with its config, `fit` it on a prepared data set, `save` it; elsewhere `load` it,
`encode` the users it was trained with, `encode_new` the others. What it *is* stands in its typed config; where and on
how much of a machine it is trained, in `TrainingResources`.

A saved encoder is one folder:

    config.json           the encoder's name, schema and config; how many users and items; digests of their ids;
                          what it was trained on and with
    metrics.json          what `fit` measured
    weights.safetensors   what the encoder returns from `tensors`
    item_ids.arrow        item ids, row i belongs to item i
    user_ids.arrow        user ids, where the encoder holds a vector for every user it was trained with
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from components.behavior_encoder.identifiers import Identifiers
from components.contracts.artifacts import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from components.contracts.lineage import lineage_of
from components.contracts.registry import TAG_FINGERPRINT
from components.foundation.checks import check_flag, check_number, check_whole
from components.foundation.errors import InputError, RelandError
from components.foundation.files import read_json, replacing_file, write_json
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.training.processes import TrainingResources

SCHEMA = "behavior-encoder-v1"
USER_IDS_FILE = "user_ids.arrow"
ITEM_IDS_FILE = "item_ids.arrow"
# What counts something is at least 1; but these: a seed may be 0, and -1 neighbours are all of them.
LEAST = {"seed": 0, "neighbors": -1}
SHARES = {"held_out_share", "dropout"}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What all encoders have; each adds its own. Training ends after `steps`, or earlier when it stops to help.

    Attributes:
        dimension: d, the length of a user's vector.
        steps: optimizer steps at most.
        evaluate_every: steps between two evaluations on the held-out training pairs.
        patience: evaluations without a better score after which training stops.
        held_out_share: share of the training pairs (never a validation or test pair) kept aside for the evaluations.
        seed: of everything random.

    Raises:
        InputError: a setting is of another type than its default, or outside its range.
    """

    dimension: int = 64
    steps: int = 200
    evaluate_every: int = 20
    patience: int = 3
    held_out_share: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if isinstance(field.default, bool):
                check_flag(name, value)
            elif isinstance(field.default, int):
                check_whole(name, value, LEAST.get(name, 1))
            else:
                check_number(name, value, least=0, below=1 if name in SHARES else math.inf)
        heads = getattr(self, "heads", 1)
        if self.dimension % heads:
            raise InputError(f"dimension {self.dimension}: expected a multiple of heads, which is {heads}")


class BehaviorEncoder(ABC):
    """One behavior encoder.

    A subclass sets `name` and `config_type`, implements the five abstract methods, and leaves `fit` with `item_ids` and
    `lineage` set; with `user_ids` too if it keeps one vector for each user it was trained with.

    Attributes:
        item_ids: the items it was trained with; item index k of `InteractionSequences` is row k - 1.
        user_ids: the users whose vectors it keeps; None where vectors come from histories alone.
        metrics: what `fit` measured; `link_auc` is there for every encoder.
        lineage: what made it, wherever that was (`contracts.lineage.training_lineage`); the registry's tags.
        origin: how messages name it: its folder, or its name before it is saved.
    """

    name: ClassVar[str]
    config_type: ClassVar[type[EncoderConfig]]

    def __init__(self, config: EncoderConfig):
        if not isinstance(config, self.config_type):
            raise TypeError(f"{self.name}: a {type(config).__name__}, expected a {self.config_type.__name__}")
        self.config = config
        self.metrics: dict[str, float] = {}
        self.lineage: dict[str, str] = {}
        self.item_ids = Identifiers([])
        self.user_ids: Identifiers | None = None
        self.origin = f"encoder {self.name}"

    @abstractmethod
    def fit(self, prepared: Path, resources: TrainingResources) -> None:
        """Train on the training interactions of a prepared data set, and set `metrics`.

        Equal config and data give equal vectors on one device, bit for bit. Under `torchrun` every process calls this
        with the same arguments and all of them end with the same weights.

        Raises:
            InputError: a table of the data set is missing or of another schema, it has nothing to train on, or a
                checkpoint is damaged or belongs to another training.
        """

    @abstractmethod
    def encode(self, users: InteractionSequences) -> np.ndarray:
        """m_u of users the encoder was trained with: float32[U, d], finite, in the order of `users.user_ids`.

        `users` are all users or a shard of them with their *training* interactions (see `histories`); an encoder may
        read the ids, the histories or both. A user without a training interaction gets the zero vector.

        Raises:
            InputError: the encoder was trained with other users or items (`check_items`, `rows_of`).
        """

    @abstractmethod
    def encode_new(self, histories: Sequence[Sequence[str]]) -> np.ndarray:
        """m_u of users from their item ids alone, oldest first, without training: float32[n, d], finite.

        Items the encoder was not trained with are skipped. Where nothing is left the vector is zero,
        which matching treats as a user without behavior.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that `restore` needs, by name, contiguous and on the CPU."""

    @abstractmethod
    def restore(self, weights: "Weights") -> None:
        """Take the state out of saved tensors; `item_ids`, `user_ids` and `metrics` are set already.

        A table with a row for each user is not read here but a range at a time (`weights.rows`), so that the memory of
        a shard does not depend on the number of users.
        """

    def save(self, folder: Path) -> None:
        """Write the encoder into `folder`; `config.json` comes last, and a folder without it is no encoder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)
        with replacing_file(folder / WEIGHTS_FILE) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in self.tensors().items()}, temporary)
        self.item_ids.write(folder / ITEM_IDS_FILE)
        if self.user_ids is not None:
            self.user_ids.write(folder / USER_IDS_FILE)
        write_json(folder / METRICS_FILE, self.metrics)
        write_json(folder / CONFIG_FILE, self.description())

    def description(self) -> dict[str, Any]:
        """What `config.json` holds."""
        users = self.user_ids
        return {
            "schema": SCHEMA,
            "encoder": self.name,
            "config": dataclasses.asdict(self.config),
            "items": len(self.item_ids),
            "item_ids_sha256": self.item_ids.digest(),
            "users": None if users is None else len(users),
            "user_ids_sha256": None if users is None else users.digest(),
            **self.lineage,
        }

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an encoder of this class (`encoders.load_encoder` finds the class).

        Raises:
            InputError: a file is missing, cut short, of another schema or another encoder, or does not fit the others.
        """
        description = read_description(folder)
        if description["encoder"] != cls.name:
            raise InputError(f"{folder / CONFIG_FILE}: encoder is {description['encoder']!r}, expected {cls.name!r}")
        try:
            encoder = cls(cls.config_type(**description["config"]))
        except (TypeError, InputError) as error:
            raise InputError(f"{folder / CONFIG_FILE}: not the configuration of {cls.name} ({error})") from error
        encoder.origin = str(folder)
        encoder.metrics = read_json(folder / METRICS_FILE)
        encoder.lineage = lineage_of(description)
        encoder.item_ids = _read_identifiers(folder / ITEM_IDS_FILE, description["item_ids_sha256"])
        if description["user_ids_sha256"] is not None:
            encoder.user_ids = _read_identifiers(folder / USER_IDS_FILE, description["user_ids_sha256"])
        weights = Weights(folder / WEIGHTS_FILE)
        try:
            encoder.restore(weights)
        except RelandError:
            raise
        except Exception as error:
            raise InputError(f"{weights.path}: not the weights of a {cls.name} of {CONFIG_FILE} ({error})") from error
        return encoder

    def check_items(self, item_ids: list[str]) -> None:
        """Raise InputError unless these are, in this order, the items the encoder was trained with."""
        if not self.item_ids.equals(item_ids):
            raise InputError(
                f"{self.origin}: trained with {len(self.item_ids)} items, not with the {len(item_ids)} of this data"
            )

    def rows_of(self, user_ids: list[str]) -> np.ndarray:
        """The row of each user in the encoder's table of users, int64[n].

        Raises:
            InputError: one of them is not a user the encoder was trained with.
        """
        if self.user_ids is None:
            raise TypeError(f"{self.name} keeps no vectors of users")
        rows = self.user_ids.positions(user_ids)
        if (rows < 0).any():
            unknown = user_ids[int(np.argmax(rows < 0))]
            raise InputError(
                f"{self.origin}: user {unknown!r} is not one of the {len(self.user_ids)} users it was trained with "
                f"({int((rows < 0).sum())} of {len(rows)} are not)"
            )
        return rows


class Weights:
    """The tensors of a saved encoder, read on demand."""

    def __init__(self, path: Path):
        """Open a safetensors file.

        Raises:
            InputError: it is missing, or no complete safetensors file.
        """
        self.path = path
        try:
            self._file = safe_open(path, framework="pt")
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except Exception as error:
            raise InputError(f"{path}: not an encoder's weights, or cut short ({error})") from error
        self._names = set(self._file.keys())

    def all(self) -> dict[str, Tensor]:
        """Every tensor by name, in the order of names; reads the whole file."""
        return {name: self._file.get_tensor(name) for name in sorted(self._names)}

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A whole tensor.

        Raises:
            InputError: there is none of this name and shape.
        """
        self.check(name, shape)
        return self._file.get_tensor(name)

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise InputError unless a tensor of this name and shape is there; its numbers are not read."""
        if name not in self._names:
            raise InputError(f"{self.path}: holds no {name}")
        actual = tuple(self._file.get_slice(name).get_shape())
        if actual != shape:
            raise InputError(f"{self.path}: {name} is of shape {list(actual)}, expected {list(shape)}")

    def rows(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Rows of a matrix as float32[n, d]; of the file, the range that spans them is read and no more."""
        if not len(rows):
            return np.empty((0, self._file.get_slice(name).get_shape()[1]), np.float32)
        first, last = int(rows.min()), int(rows.max())
        span = self._file.get_slice(name)[first : last + 1]
        return span[torch.from_numpy(rows - first)].to(torch.float32).numpy()


def read_description(folder: Path) -> dict[str, Any]:
    """`config.json` of a saved encoder.

    Raises:
        InputError: it is missing, unreadable, or of another schema.
    """
    path = folder / CONFIG_FILE
    description = read_json(path)
    schema = description.get("schema") if isinstance(description, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema {schema!r}, expected {SCHEMA!r}: not an encoder of this version")
    missing = {"encoder", "config", "item_ids_sha256", "user_ids_sha256", TAG_FINGERPRINT} - description.keys()
    if missing:
        raise InputError(f"{path}: {', '.join(sorted(missing))} missing")
    return description


def _read_identifiers(path: Path, digest: str) -> Identifiers:
    identifiers = Identifiers.read(path)
    if identifiers.digest() != digest:
        raise InputError(f"{path}: not the ids that {CONFIG_FILE} beside it was written with")
    return identifiers
