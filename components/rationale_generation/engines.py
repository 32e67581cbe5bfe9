"""The engines by name. A new one is a class that keeps the contract, a line in `ENGINES` and one in `open_engine`."""

from collections.abc import Mapping
from pathlib import Path

from components.contracts.errors import InputError
from components.contracts.recorded_rationales import RecordedFile, read_recorded_file
from components.prompting.catalogue import Catalogue
from components.rationale_generation.engine import RationaleEngine
from components.rationale_generation.recorded_engine import RecordedEngine
from components.rationale_generation.template_engine import TemplateEngine

ENGINES: dict[str, type[RationaleEngine]] = {engine.name: engine for engine in (TemplateEngine, RecordedEngine)}


def engine_class(name: str) -> type[RationaleEngine]:
    """The class of an engine.

    Raises:
        InputError: no engine has this name.
    """
    if name not in ENGINES:
        raise InputError(f"--rationale-engine {name!r} is not known, expected one of {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


def engine_model(name: str, recorded_rationales: str) -> str:
    """The model that will answer, which every request names.

    Raises:
        InputError: no engine has this name, or a fault of the file of recorded answers.
    """
    engine = engine_class(name)
    return _recorded(recorded_rationales).model if engine is RecordedEngine else engine.model


def open_engine(
    name: str, catalogue: Catalogue, recorded_rationales: str, seed_of_request: Mapping[str, str]
) -> RationaleEngine:
    """An engine that is ready to answer.

    Raises:
        InputError: no engine has this name, or a fault of the file of recorded answers.
    """
    engine = engine_class(name)
    if engine is RecordedEngine:
        return RecordedEngine(_recorded(recorded_rationales), seed_of_request)
    if engine is TemplateEngine:
        return TemplateEngine(catalogue)
    raise NotImplementedError(f"engine {name} is named in ENGINES, but nothing opens it")


def _recorded(recorded_rationales: str) -> RecordedFile:
    if not recorded_rationales:
        raise InputError("--rationale-engine recorded needs --rationales FILE")
    return read_recorded_file(Path(recorded_rationales))
