"""Bringing a desired state about: Triton's version policy, the arms' record, MLflow's aliases. Each step looks first
whether it is done, so the same state can be brought about again from wherever an earlier attempt was killed.

1. The versions that the arms name are in the repository's configurations, and every replica answers for them.
2. The arms' record: the one step that moves users, and it is done or it is not.
3. The aliases.
4. After the gateways have taken over the record: the version that no arm has any longer is unloaded.

So no user is ever dealt to a version that a replica does not serve, and a request under way finds the version that it
began with.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from components.contracts.registry import CANDIDATE, CHAMPION, RANKER_MODEL
from components.contracts.rollout_history import DesiredState
from components.contracts.serving import read_rollout, rollout_file, write_rollout
from components.foundation.errors import InputError, RelandError
from components.foundation.mlflow_client import aliases, open_registry
from components.foundation.progress import say
from components.foundation.settings import Settings
from serving.gateway.catalogue import read_catalogue
from serving.rollout.replicas import confirm_everywhere, find_replicas, unload_everywhere
from serving.triton.repository import change_served_versions, release_digest, served_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient


def bring_about(settings: Settings, desired: DesiredState) -> None:
    """Steps 2 to 4: make the platform what is desired; what is so already stays.

    An abort needs no step 1: users go back to what serves the others now, and nothing must hold them where they are.
    """
    move_users(settings, desired)
    client = open_registry(settings)
    move_aliases(client, desired)
    if desired.ended is not None:
        retire(settings, client, desired, desired.ended)


def make_ready(settings: Settings, desired: DesiredState) -> None:
    """Step 1: have every replica serve the versions of the arms, beside what it serves.

    Raises:
        InputError: a file of the candidate is damaged or missing.
        EnvironmentFaultError: a replica does not serve a version.

    After either, the versions that were served before go on being served, and they alone.
    """
    repository = settings.resolved_model_repository
    versions = {arm.version for arm in desired.arms}
    if desired.candidate_digest:
        _check_files(repository, (desired.candidate or desired.champion).version, desired.candidate_digest)
    catalogues = {version: read_catalogue(repository / desired.champion.model / str(version)) for version in versions}
    replicas = find_replicas(settings)
    added = {
        version for version in versions if any(version not in named for named in served_versions(repository).values())
    }
    change_served_versions(repository, versions, set())
    try:
        for version in sorted(versions):
            confirm_everywhere(replicas, version, catalogues[version])
    except RelandError:
        change_served_versions(repository, set(), added)
        raise


def _check_files(repository: Path, version: int, digest: str) -> None:
    """Raises InputError where the files of a version are others than when its rollout started."""
    if release_digest(repository, version) != digest:
        raise InputError(
            f"{repository}: files of version {version} have changed since its rollout started: they are damaged; "
            "`reland rollout abort` ends the rollout"
        )


def move_users(settings: Settings, desired: DesiredState) -> None:
    """Step 2: write the arms' record."""
    if read_rollout(rollout_file(settings)) == desired.record:
        return
    write_rollout(rollout_file(settings), desired.record)
    weights = ", ".join(f"{arm.name} {arm.weight:g} (version {arm.version})" for arm in desired.arms)
    say(f"state {desired.state}: {weights}")


def move_aliases(client: "MlflowClient", desired: DesiredState) -> None:
    """`champion` follows the arm; `candidate` is the rollout's where no newer release has it, and ends with it."""
    found = aliases(client, RANKER_MODEL)
    champion = str(desired.champion.version)
    if found.get(CHAMPION) != champion:
        client.set_registered_model_alias(RANKER_MODEL, CHAMPION, champion)
        say(f"{RANKER_MODEL} version {champion} is now {CHAMPION}")
    if desired.candidate is not None:
        if CANDIDATE not in found:
            client.set_registered_model_alias(RANKER_MODEL, CANDIDATE, str(desired.candidate.version))
    elif found.get(CANDIDATE) in (champion, str(desired.ended)):
        client.delete_registered_model_alias(RANKER_MODEL, CANDIDATE)


def retire(settings: Settings, client: "MlflowClient", desired: DesiredState, version: int) -> None:
    """Unload a version that no arm has any longer, unless it has an alias again."""
    used = {arm.version for arm in desired.arms} | {int(other) for other in aliases(client, RANKER_MODEL).values()}
    repository = settings.resolved_model_repository
    if version in used or all(version not in named for named in served_versions(repository).values()):
        return
    say(f"version {version} is unloaded in {settings.rollout_grace_seconds:g} s")
    time.sleep(settings.rollout_grace_seconds)
    change_served_versions(repository, set(), {version})
    try:
        unload_everywhere(find_replicas(settings), version)
    except InputError:
        say("no Triton runs that would have to unload it")
