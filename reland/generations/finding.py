"""The generations that runs on this machine have made, and where the parts of each lie.

A run leaves two folders: `RELAND_HOME/runs/<generation>`, which is kept for people (summary, manifest, configuration,
log), and one below `RELAND_HOME/pipelines`, where the local runner has put the artifacts of each step.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components.contracts.artifacts import CONFIGURATION_FILE, MANIFEST_FILE, SUMMARY_FILE, TRUTH_FOLDER
from components.contracts.generation import generation_begun
from components.contracts.serving import read_rollout, rollout_file
from components.foundation.errors import InputError
from components.foundation.files import read_json
from components.foundation.settings import Settings


@dataclass(frozen=True)
class Generation:
    """What one finished run has made.

    Attributes:
        name: id of the generation.
        artifacts: folder with one folder a step.
        run: folder for people.
    """

    name: str
    artifacts: Path
    run: Path

    @property
    def prepared(self) -> Path:
        """The prepared tables."""
        return self.artifacts / "prepare-data" / "prepared"

    @property
    def truth(self) -> Path:
        """The truth of a simulated market; an empty folder where data are real."""
        return self.artifacts / "prepare-data" / TRUTH_FOLDER

    @property
    def embeddings(self) -> Path:
        """The users' behavior embeddings."""
        return self.artifacts / "embed-users" / "embeddings"

    @property
    def matches(self) -> Path:
        """The table of matches."""
        return self.artifacts / "match-users" / "matches"

    @property
    def rationale_embeddings(self) -> Path:
        """The vectors of the rationales."""
        return self.artifacts / "encode-rationales" / "rationale_embeddings"

    @property
    def rankers(self) -> Path:
        """The trained rankers, one folder a variant."""
        return self.artifacts / "train-rankers" / "rankers"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What belongs together: data, encoder, prompt, pool, slot, ranker."""
        return read_json(self.artifacts / "summarize" / "summary" / MANIFEST_FILE)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The account of the run."""
        kept = self.run / SUMMARY_FILE
        return read_json(kept if kept.exists() else self.artifacts / "summarize" / "summary" / SUMMARY_FILE)

    @property
    def configuration(self) -> Path | None:
        """The file with which the run can be made again; None where a run has left none."""
        path = self.run / CONFIGURATION_FILE
        return path if path.exists() else None

    @property
    def begun(self) -> str:
        """When it was begun, UTC, in ISO form; empty where its name does not tell."""
        moment = generation_begun(self.name)
        return "" if moment is None else moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def list_generations(settings: Settings) -> list[Generation]:
    """The generations of all finished runs, oldest first."""
    generations = []
    for path in (settings.home / "pipelines").glob(f"*/summarize/summary/{MANIFEST_FILE}"):
        name = read_json(path)["generation"]
        generations.append(Generation(name, path.parents[2], settings.home / "runs" / name))
    return sorted(generations, key=lambda generation: generation.name)


def find_generation(settings: Settings, name: str) -> Generation:
    """The generation of this name.

    Raises:
        InputError: no finished run in RELAND_HOME has made it; the message names the newest ones.
    """
    generations = list_generations(settings)
    for generation in generations:
        if generation.name == name:
            return generation
    if not generations:
        raise InputError(f"{settings.home}: no run has finished yet, so there is no generation {name!r}: `reland run`")
    newest = ", ".join(generation.name for generation in generations[-3:])
    raise InputError(f"{settings.home}: no finished run has made the generation {name!r}, the newest: {newest}")


def arms_by_generation(settings: Settings) -> dict[str, list[str]]:
    """The arms that serve each generation by the record of arms; none where there is no record yet."""
    path = rollout_file(settings)
    arms: dict[str, list[str]] = {}
    for arm in read_rollout(path).arms if path.exists() else ():
        arms.setdefault(arm.generation, []).append(arm.name)
    return arms
