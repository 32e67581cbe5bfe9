"""The arms' record before any rollout: one arm, the champion of the registry."""

from components.contracts import registry
from components.contracts.errors import InputError
from components.contracts.serving import Arm, RolloutRecord, item_collection, rollout_file, write_rollout
from components.contracts.settings import Settings
from feature_repo.definitions import user_service

CHAMPION_ARM = "champion"


def ensure_record(settings: Settings) -> None:
    """Write the first record where there is none yet; one that is there is a rollout's, and stays as it is.

    Raises:
        InputError: there is no champion, or its version lacks a tag.
    """
    path = rollout_file(settings)
    if path.exists():
        return
    client = registry.open_registry(settings)
    version = registry.aliases(client, registry.RANKER_MODEL).get(registry.CHAMPION)
    if version is None:
        raise InputError(f"the registry has no {registry.CHAMPION} of {registry.RANKER_MODEL}: `reland run` makes one")
    tags = client.get_model_version(registry.RANKER_MODEL, version).tags
    for tag in (registry.TAG_SLOT, registry.TAG_GENERATION):
        if tag not in tags:
            raise InputError(f"{registry.RANKER_MODEL} version {version}: has no tag {tag}, expected a ranker of a run")
    slot = tags[registry.TAG_SLOT]
    arm = Arm(
        name=CHAMPION_ARM,
        version=int(version),
        generation=tags[registry.TAG_GENERATION],
        feature_service=user_service(slot),
        slot=slot,
        item_collection=item_collection(int(version)),
        weight=1.0,
    )
    write_rollout(path, RolloutRecord(state=0, salt=tags[registry.TAG_GENERATION], arms=(arm,)))
