"""The definitions that Feast applies: entities, sources, feature views and services.

A push overwrites a row in place, so the vectors (one row for each rationale, many) and the assignments (one small row
for each user) are kept apart, and a generation's features of users, histories among them, are in two slots: a new
generation fills the slot that is not served, and no answer changes before an arm is moved to it. A rationale's id is
the hash of its content, so its row needs no slot.
"""

from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.feast_object import FeastObject
from feast.types import Array, Bool, Float32, String

from components.contracts.registry import SLOTS

TIMESTAMP = "event_timestamp"
RATIONALE_VIEW = "rationale_embedding"
RATIONALE_SERVICE = "reland_rationale"


def user_view(slot: str) -> str:
    """Name of the view of a slot's assignments."""
    return f"user_rationale_{slot}"


def history_view(slot: str) -> str:
    """Name of the view of a slot's histories."""
    return f"user_history_{slot}"


def user_service(slot: str) -> str:
    """Name of the feature service of a slot, which an arm's record names: all that a request reads of a user."""
    return f"reland_{slot}"


def push_source(view: str) -> str:
    """Name of the source to push rows of `view` to."""
    return f"{view}_push"


def batch_file(folder: Path, view: str) -> Path:
    """The Parquet file behind `view`: what an emptied online store is filled from again (`feast materialize`)."""
    return folder / "offline" / f"{view}.parquet"


def definitions(folder: Path) -> list[FeastObject]:
    """All objects to apply; applying a view applies its sources.

    Reading takes two steps, from the user to rationale ids to rationales, so each service has one entity.

    Args:
        folder: where the batch sources' Parquet files lie.
    """
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    rationale = Entity(name="rationale", join_keys=["rationale_id"], value_type=ValueType.STRING)

    rationales = _view(
        folder,
        RATIONALE_VIEW,
        rationale,
        [
            Field(name="embedding", dtype=Array(Float32)),  # TextEncoder(step 2 text)
            Field(name="text_encoder", dtype=String),  # a ranker reads the vectors of its own text encoder only
            Field(name="explanation", dtype=String),  # step 1, the preference summary
            Field(name="generation", dtype=String),  # the newest one that pushed this rationale
            Field(name="banned", dtype=Bool),  # set by an operator, kept by every push
        ],
    )
    assignments = [
        _view(
            folder,
            user_view(slot),
            user,
            [
                Field(name="rationale_ids", dtype=Array(String)),  # by rank
                Field(name="similarities", dtype=Array(Float32)),  # Eq. 3, in the same order
                Field(name="pool", dtype=String),  # the pool they were matched in: a ranker reads those of its own
            ],
        )
        for slot in SLOTS
    ]
    histories = [
        _view(folder, history_view(slot), user, [Field(name="items", dtype=Array(String))])  # oldest first
        for slot in SLOTS
    ]
    views = [rationales, *assignments, *histories]
    services = [
        FeatureService(name=RATIONALE_SERVICE, features=[rationales]),
        *(
            FeatureService(name=user_service(slot), features=list(views_of_slot))
            for slot, *views_of_slot in zip(SLOTS, assignments, histories, strict=True)
        ),
    ]
    return [user, rationale, *views, *services]


def _view(folder: Path, name: str, entity: Entity, features: list[Field]) -> FeatureView:
    source = PushSource(
        name=push_source(name),
        batch_source=FileSource(name=f"{name}_file", path=str(batch_file(folder, name)), timestamp_field=TIMESTAMP),
    )
    key = Field(name=entity.join_key, dtype=String)
    # No time to live: rows are replaced by the next push, and a late push must not empty the features.
    return FeatureView(name=name, entities=[entity], schema=[key, *features], source=source, ttl=None)
