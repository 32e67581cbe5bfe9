"""Which versions of the ranker are served, and the record of arms before the first rollout."""

from typing import TYPE_CHECKING

from components.contracts.registry import CHAMPION, RANKER_MODEL
from components.contracts.rollout_history import champion_before, history_file, read_rollout_history
from components.contracts.serving import Arm, RolloutRecord, read_rollout, rollout_file, write_rollout
from components.foundation.errors import InputError
from components.foundation.mlflow_client import aliases
from components.foundation.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def parse_version(version: str) -> int:
    """A registry version as a Triton version.

    Raises:
        InputError: it is not a positive whole number.
    """
    if not (version.isascii() and version.isdigit() and int(version) > 0):
        raise InputError(f"ranker version {version!r}: expected a positive whole number, as MLflow gives them")
    return int(version)


def versions_in_use(settings: Settings, client: "MlflowClient") -> set[int]:
    """The versions to go on serving: those of the record of arms, and those that an alias of the registry points at.

    Raises:
        InputError: the record is not readable.
    """
    path = rollout_file(settings)
    arms = read_rollout(path).arms if path.exists() else ()
    return {arm.version for arm in arms} | {int(version) for version in aliases(client, RANKER_MODEL).values()}


def version_to_go_back_to(settings: Settings) -> set[int]:
    """The version that `reland rollout rollback` would go back to, where there is one: its item index is needed.

    Raises:
        InputError: the rollout's history is not readable.
    """
    found = champion_before(read_rollout_history(history_file(settings)))
    return {found[0].version} if found else set()


def write_first_rollout(settings: Settings, version: int, generation: str, slot: str, item_collection: str) -> bool:
    """Give all users to `version` where there is no record of arms yet; only a rollout changes a record.

    Returns:
        whether a record was written.
    """
    from feature_repo.definitions import user_service  # imports Feast, which the other functions do without

    path = rollout_file(settings)
    if path.exists():
        return False
    arm = Arm(
        name=CHAMPION,
        version=version,
        generation=generation,
        feature_service=user_service(slot),
        slot=slot,
        item_collection=item_collection,
        weight=1.0,
    )
    write_rollout(path, RolloutRecord(state=0, salt=generation, arms=(arm,)))
    return True
