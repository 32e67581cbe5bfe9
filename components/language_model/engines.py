"""The engines by name. A new one is a module with a class that keeps the contract, and its line in `ENGINES`."""

from components.foundation.errors import InputError
from components.language_model.engine import RationaleEngine
from components.language_model.openai_engine import OpenAIEngine
from components.language_model.recorded_engine import RecordedEngine
from components.language_model.template_engine import TemplateEngine
from components.language_model.vllm_engine import VllmEngine

ENGINES: dict[str, type[RationaleEngine]] = {
    engine.name: engine
    for engine in (
        TemplateEngine,
        RecordedEngine,
        VllmEngine,
        OpenAIEngine,
    )
}


def engine_class(name: str) -> type[RationaleEngine]:
    """The class of an engine.

    Raises:
        InputError: no engine has this name.
    """
    if name not in ENGINES:
        raise InputError(f"rationale_engine {name!r} is not known, expected one of {', '.join(sorted(ENGINES))}")
    return ENGINES[name]
