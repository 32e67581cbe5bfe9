"""The generations that runs on this machine have made, and where the parts of each lie.

A run leaves two folders: `RELAND_HOME/runs/<generation>`, which is kept for people (summary, manifest, configuration,
log), and one below `RELAND_HOME/pipelines`, where the local runner has put the artifacts of each step.
"""

import re
from collections.abc import Mapping
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

# What the commands need of the two files, so that a run of which half is lost is told by its file.
_MANIFEST: dict[str, type | tuple[type, ...]] = {
    "generation": str,
    "engine": str,
    "ranker_version": (str, int, type(None)),
}
_SUMMARY: dict[str, type | tuple[type, ...]] = {"dataset": dict, "ranking": dict}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # never a path that leads out of RELAND_HOME


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
        return _read_object(self.artifacts / "summarize" / "summary" / MANIFEST_FILE, _MANIFEST)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The account of the run."""
        kept = self.run / SUMMARY_FILE
        path = kept if kept.exists() else self.artifacts / "summarize" / "summary" / SUMMARY_FILE
        summary = _read_object(path, _SUMMARY)
        if "name" not in summary["dataset"]:
            raise InputError(f"{path}: no summary of a run, dataset.name is missing")
        return summary

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


def list_generations(settings: Settings) -> tuple[list[Generation], list[InputError]]:
    """The generations of all finished runs, oldest first, and what is wrong with runs that cannot be read.

    Raises:
        InputError: RELAND_HOME itself cannot be read.
    """
    generations, faults = [], []
    for path in _manifests(settings.home / "pipelines"):
        try:
            name = _read_object(path, _MANIFEST)["generation"]
            if not _NAME.fullmatch(name):
                raise InputError(f"{path}: {name!r} is no id of a generation")
            generation = Generation(name, path.parents[2], settings.home / "runs" / name)
            _ = generation.summary  # read for its faults
        except InputError as fault:
            faults.append(fault)
        else:
            generations.append(generation)
    return sorted(generations, key=lambda generation: (generation.name, generation.artifacts)), faults


def find_generation(settings: Settings, name: str) -> Generation:
    """The generation of this name.

    Raises:
        InputError: no finished run in RELAND_HOME has made it, or more than one has; the message names the newest ones,
            and a run that cannot be read.
    """
    generations, faults = list_generations(settings)
    of_this_name = [generation for generation in generations if generation.name == name]
    if len(of_this_name) > 1:
        folders = " and ".join(str(generation.artifacts) for generation in of_this_name)
        raise InputError(f"generation {name!r}: {folders} both hold it: one is a copy, move it out of RELAND_HOME")
    if of_this_name:
        return of_this_name[0]
    if not generations and not faults:
        raise InputError(f"{settings.home}: no run has finished yet, so there is no generation {name!r}: `reland run`")
    newest = ", ".join(generation.name for generation in generations[-3:]) or "none"
    unread = f"; not readable: {faults[0]}" if faults else ""
    raise InputError(f"{settings.home}: no finished run has made the generation {name!r}, the newest: {newest}{unread}")


def _manifests(pipelines: Path) -> list[Path]:
    """The manifests of finished runs. Not by `glob`, for which a folder that cannot be read is an empty one."""
    try:
        folders = sorted(pipelines.iterdir())
        manifests = [folder / "summarize" / "summary" / MANIFEST_FILE for folder in folders]
        return [path for path in manifests if path.exists()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"setting RELAND_HOME: {pipelines} cannot be read ({error.strerror})") from error


def _read_object(path: Path, expected: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """A JSON object with such values. Raises InputError where the file is missing, unreadable or of another form."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(content).__name__}")
    for name, kind in expected.items():
        if name not in content:
            raise InputError(f"{path}: {name} is missing")
        if not isinstance(content[name], kind):
            raise InputError(f"{path}: {name} is of another kind, found {content[name]!r}")
    return content


def arms_by_generation(settings: Settings) -> dict[str, list[str]]:
    """The arms that serve each generation by the record of arms; none where there is no record yet."""
    path = rollout_file(settings)
    arms: dict[str, list[str]] = {}
    for arm in read_rollout(path).arms if path.exists() else ():
        arms.setdefault(arm.generation, []).append(arm.name)
    return arms
