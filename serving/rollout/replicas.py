"""Every Triton replica: found by the settings, and asked whether it serves a version.

A version counts as served when each of its models is ready and has answered a request of one user with numbers: a
model whose process has died stays "ready" and answers nothing. A replica follows the model repository by itself: over
the network none can be made to load anything (`serving.triton.server`).
"""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from components.contracts.ranking_signature import (
    CANDIDATES,
    HISTORY,
    HISTORY_LENGTH,
    MODEL_NAME,
    RATIONALE,
)
from components.contracts.serving import ID_ONLY_MODEL, TRITON_FILE, rollout_file
from components.foundation.errors import EnvironmentFaultError, InputError, first_line
from components.foundation.progress import say
from components.foundation.settings import Settings
from serving.gateway.catalogue import Catalogue
from serving.triton.client import rank, user_vector
from serving.triton.repository import RELEASED_MODELS, WARM_UP_CANDIDATES
from serving.triton.server import LOAD_SECONDS, load_failures

if TYPE_CHECKING:
    from tritonclient.grpc import InferenceServerClient

ASK_SECONDS = 5.0
LOOK_SECONDS = 0.2
SETTLE_SECONDS = 4.0  # in which a replica has looked at its repository: what it says of an earlier load is past
UNLOAD_SECONDS = 30.0


def find_replicas(settings: Settings) -> list[str]:
    """host:port of the gRPC of each replica; a host name that has several addresses stands for all of them.

    Raises:
        InputError: the settings name none and `reland serve` does not run, or a name has no address.
    """
    named = settings.triton_replicas or settings.triton_grpc
    if not named:
        file = rollout_file(settings).with_name(TRITON_FILE)
        try:
            named = file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise InputError(
                "setting RELAND_TRITON_REPLICAS: not set, expected host:port of each Triton, separated by commas "
                "(or `reland serve` to run, which starts one)"
            ) from None
    replicas: set[str] = set()
    for address in filter(None, map(str.strip, named.split(","))):
        host, _, port = address.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (ValueError, OSError) as error:
            raise InputError(
                f"setting RELAND_TRITON_REPLICAS: {address}: {first_line(error)}, expected host:port"
            ) from error
        replicas |= {_written(*place[4][:2]) for place in found}
    return sorted(replicas)


def _written(host: str | int, port: str | int) -> str:
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def confirm_everywhere(replicas: list[str], version: int, catalogue: Catalogue, seconds: float = LOAD_SECONDS) -> None:
    """Wait until every replica serves a version of the repository's configurations.

    Args:
        catalogue: the items of the version.

    Raises:
        EnvironmentFaultError: a replica does not within `seconds`; the message names it and says what it answers.
    """
    with ThreadPoolExecutor(len(replicas)) as pool:
        faults = list(pool.map(lambda address: _confirm(address, version, catalogue, seconds), replicas))
    for address, fault in zip(replicas, faults, strict=True):
        if fault is not None:
            raise EnvironmentFaultError(f"Triton {address} does not serve version {version}: {fault}")
    say(f"version {version} answers on {len(replicas)} of {len(replicas)} Triton replicas")


def _confirm(address: str, version: int, catalogue: Catalogue, seconds: float) -> str | None:
    """Why the replica does not serve the version; None where it does."""
    from tritonclient.grpc import InferenceServerClient

    began = time.monotonic()
    with InferenceServerClient(address) as client:
        while True:
            missing = _not_ready(client, version)
            if not missing:
                return _ask(address, version, catalogue)
            waited = time.monotonic() - began
            if waited > seconds:
                return f"{missing[0]} is not ready"
            if waited > SETTLE_SECONDS:
                reasons = _load_failures(client, missing[0], version)
                if reasons:
                    return f"{missing[0]} {reasons[0]}"
            time.sleep(LOOK_SECONDS)


def _not_ready(client: "InferenceServerClient", version: int) -> list[str]:
    from tritonclient.utils import InferenceServerException

    missing = []
    for model in RELEASED_MODELS:
        try:
            ready = client.is_model_ready(model, str(version), client_timeout=ASK_SECONDS)
        except InferenceServerException:
            ready = False
        if not ready:
            missing.append(model)
    return missing


def _load_failures(client: "InferenceServerClient", model: str, version: int) -> list[str]:
    from tritonclient.utils import InferenceServerException

    try:
        return load_failures(client, model, [version])
    except InferenceServerException:
        return []


def _ask(address: str, version: int, catalogue: Catalogue) -> str | None:
    """What is wrong with the answers to a request of one user of whom the history alone is known."""
    from tritonclient.utils import InferenceServerException

    items = len(catalogue.item_ids)
    history = np.zeros((1, HISTORY_LENGTH), np.int64)
    known = min(items, HISTORY_LENGTH)
    history[0, :known] = np.arange(1, known + 1)
    features: dict[str, np.ndarray] = {
        HISTORY: history,
        RATIONALE: np.zeros((1, catalogue.rationales_per_user, catalogue.text_dimension), np.float32),
    }
    of_user = {name: features[name] for name in catalogue.inputs}
    candidates = np.arange(1, min(items, WARM_UP_CANDIDATES) + 1, dtype=np.int64)[None]
    inputs = of_user | {CANDIDATES: candidates}
    try:
        answers = {
            model: rank(address, version, inputs, ASK_SECONDS, model).scores for model in (MODEL_NAME, ID_ONLY_MODEL)
        }
        vector = user_vector(address, version, of_user)
    except InferenceServerException as error:
        return " ".join(error.message().split())
    for model, scores in answers.items():
        if scores.shape != candidates.shape or not np.isfinite(scores).all():
            return f"{model} does not give every candidate a score"
    if vector.shape != (1, catalogue.item_vectors.shape[1]) or not np.isfinite(vector).all():
        return f"a user's vector has the shape {vector.shape}, its items' vectors {catalogue.item_vectors.shape[1:]}"
    return None


def unload_everywhere(replicas: list[str], version: int) -> None:
    """Wait until no replica serves a version any longer that the configurations no longer name.

    One that does not answer is left: it reads its configuration when it is back.
    """
    with ThreadPoolExecutor(len(replicas)) as pool:
        list(pool.map(lambda address: _unload(address, version), replicas))


def _unload(address: str, version: int) -> None:
    from tritonclient.grpc import InferenceServerClient

    deadline = time.monotonic() + UNLOAD_SECONDS
    with InferenceServerClient(address) as client:
        while _not_ready(client, version) != list(RELEASED_MODELS):
            if time.monotonic() > deadline:
                say(f"Triton {address} still serves version {version}, which its configuration no longer names")
                return
            time.sleep(LOOK_SECONDS)


def versions_served(address: str, versions: set[int]) -> set[int] | None:
    """Which of the versions a replica has ready; None where it does not answer."""
    from tritonclient.grpc import InferenceServerClient
    from tritonclient.utils import InferenceServerException

    with InferenceServerClient(address) as client:
        try:
            client.is_server_live(client_timeout=ASK_SECONDS)
        except InferenceServerException:
            return None
        return {version for version in versions if not _not_ready(client, version)}
