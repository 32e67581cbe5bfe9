"""The engines by name. A new one is a class that keeps the contract, a line in `ENGINES` and one in `open_engine`."""

from collections.abc import Mapping
from pathlib import Path

from components.contracts.language_model import LanguageModel
from components.contracts.recorded_rationales import RecordedFile, read_recorded_file
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.language_model.engine import RationaleEngine
from components.language_model.openai_engine import Endpoint, OpenAIEngine
from components.language_model.recorded_engine import RecordedEngine
from components.language_model.template_engine import TemplateEngine
from components.language_model.vllm_engine import VllmConfiguration, VllmEngine, check_python
from components.prompting.catalogue import Catalogue

ENGINES: dict[str, type[RationaleEngine]] = {
    engine.name: engine for engine in (TemplateEngine, RecordedEngine, VllmEngine, OpenAIEngine)
}


def engine_class(name: str) -> type[RationaleEngine]:
    """The class of an engine.

    Raises:
        InputError: no engine has this name.
    """
    if name not in ENGINES:
        raise InputError(f"--rationale-engine {name!r} is not known, expected one of {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


def engine_model(name: str, recorded_rationales: str, model: LanguageModel | None) -> LanguageModel:
    """The model that will answer: every request names it, and its tokenizer counts the tokens of the prompts.

    Recorded answers of a batch are those to requests that named `model`, where one is given: a hosted endpoint answers
    to `gpt-4o` under the name of a snapshot of it. Else they are those to requests that named the model which answered.

    Args:
        model: the model that was chosen; None or one without a name: none was.

    Raises:
        InputError: no engine has this name, a fault of the file of recorded answers, or the engine needs a model.
    """
    engine = engine_class(name)
    given = model if model is not None and model.name else None
    if engine is TemplateEngine:
        return LanguageModel(name=TemplateEngine.model)
    if engine is RecordedEngine:
        recorded = _recorded(recorded_rationales, given.name if given else None)
        return given or LanguageModel(name=recorded.models[0])
    if given is None:
        raise InputError(f"--rationale-engine {name} needs --model")
    return given


def check_engine(name: str, recorded_rationales: str, model: LanguageModel | None, settings: Settings) -> None:
    """Find what can be found wrong before the model is there: `model` may be its name alone, as an option gives it.

    Raises:
        InputError: as `open_engine` does.
    """
    engine = engine_class(name)
    asked = engine_model(name, recorded_rationales, model)
    if engine is VllmEngine:
        check_python(settings.vllm_python)
    if engine is OpenAIEngine:
        OpenAIEngine(asked.name, _endpoint(settings))


def open_engine(
    name: str,
    model: LanguageModel | None,
    catalogue: Catalogue,
    recorded_rationales: str,
    seed_of_request: Mapping[str, str],
    settings: Settings,
) -> RationaleEngine:
    """An engine that is ready to answer; the caller closes it.

    Args:
        model: as `engine_model` takes it.

    Raises:
        InputError: as `engine_model` does, or a setting that the engine needs is missing.
    """
    engine = engine_class(name)
    asked = engine_model(name, recorded_rationales, model)
    if engine is TemplateEngine:
        return TemplateEngine(catalogue)
    if engine is RecordedEngine:
        return RecordedEngine(_recorded(recorded_rationales, asked.name), asked.name, seed_of_request)
    if engine is VllmEngine:
        return VllmEngine(VllmConfiguration(asked, settings.vllm_python, settings.vllm_engine_arguments))
    if engine is OpenAIEngine:
        return OpenAIEngine(asked.name, _endpoint(settings))
    raise NotImplementedError(f"engine {name} is named in ENGINES, but nothing opens it")


def _endpoint(settings: Settings) -> Endpoint:
    return Endpoint(
        settings.openai_base_url, settings.openai_api_key, settings.openai_concurrency, settings.openai_timeout
    )


def _recorded(recorded_rationales: str, asked_model: str | None) -> RecordedFile:
    if not recorded_rationales:
        raise InputError("--rationale-engine recorded needs --rationales FILE")
    return read_recorded_file(Path(recorded_rationales), asked_model)
