"""A generation: one consistent set of everything a run made (section 6 of the design)."""

from datetime import UTC, datetime
from typing import Any


def generation_id(moment: datetime) -> str:
    """Name of the generation begun at `moment`, to the millisecond: sorts by time, fits a collection's name."""
    return moment.strftime("%Y%m%dt%H%M%S") + f"{moment.microsecond // 1000:03d}"


def generation_begun(generation: str) -> datetime | None:
    """When a generation was begun; None where its name was chosen by hand and holds no time."""
    try:
        return datetime.strptime(generation[:15], "%Y%m%dt%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def manifest(summary: dict[str, Any], data_fingerprint: str, text_encoder: str) -> dict[str, str | None]:
    """Content of a generation's `manifest.json`, from the summary of its run and what the summary does not name."""
    return {
        "generation": summary["generation"],
        "parent_generation": summary["registry"]["parent_generation"],
        "data_fingerprint": data_fingerprint,
        "encoder_version": summary["encoder"]["version"],
        "text_encoder": text_encoder,
        "prompt_version": summary["prompt"]["version"],
        "engine": summary["generation_cost"]["engine"],
        "model": summary["generation_cost"]["model"],
        "milvus_collection": summary["pool"]["collection"],
        "feast_slot": summary["features"]["slot"],
        "ranker_version": summary["registry"]["version"],
    }
