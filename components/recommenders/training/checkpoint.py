"""The state of an interrupted training: one safetensors file, replaced as a whole, with its counters as JSON in it."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from components.foundation.errors import InputError
from components.foundation.files import replacing_file

CHECKPOINT_FILE = "checkpoint.safetensors"
SCHEMA = "training-checkpoint-v1"


def write_checkpoint(
    folder: Path,
    identity: str,
    progress: dict[str, Any],
    parameters: dict[str, torch.nn.Parameter],
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace the checkpoint in `folder`. Killed at any moment, the folder holds the old one or the new one.

    Args:
        identity: of the training that the checkpoint belongs to.
        progress: its counters, in JSON's types.
        best: the weights of the best score so far, by the names of `parameters`.
    """
    tensors = {f"weights/{name}": value.detach() for name, value in parameters.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in parameters.items():
        tensors |= {f"optimizer/{name}/{key}": value for key, value in optimizer.state[parameter].items()}
    metadata = {"schema": SCHEMA, "identity": identity, "progress": json.dumps(progress)}
    with replacing_file(folder / CHECKPOINT_FILE) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, temporary, metadata)


def read_checkpoint(
    folder: Path,
    identity: str,
    parameters: dict[str, torch.nn.Parameter],
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any] | None:
    """Set weights, best weights and the optimizer to what a checkpoint holds; returns the counters.

    None, and nothing is changed, where `folder` has no checkpoint: the training begins.

    Raises:
        InputError: the checkpoint is cut short, of another schema, or of another training (config or data).
    """
    path = folder / CHECKPOINT_FILE
    for dead in folder.glob(f".{CHECKPOINT_FILE}.*"):  # of a training that was killed while it wrote
        dead.unlink(missing_ok=True)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except Exception as error:
        raise InputError(f"{path}: not a checkpoint, or cut short ({error})") from error
    if metadata.get("schema") != SCHEMA:
        raise InputError(f"{path}: schema {metadata.get('schema')!r}, expected {SCHEMA!r}")
    if metadata.get("identity") != identity:
        raise InputError(f"{path}: of a training with another configuration or other data; take another folder")
    try:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[f"weights/{name}"])
                best[name].copy_(tensors[f"best/{name}"])
        optimizer.load_state_dict(_optimizer_state(tensors, list(parameters), optimizer))
        return json.loads(metadata["progress"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: does not fit the network it is read for ({error})") from error


def _optimizer_state(tensors: dict[str, Tensor], names: list[str], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    state = {}
    for index, name in enumerate(names):
        prefix = f"optimizer/{name}/"
        state[index] = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
