"""The checks of the section `rationales` that come before any data are read or any request is sent."""

from components.contracts.language_model import LanguageModel
from components.contracts.text_encoder import check_text_encoder
from components.foundation.errors import InputError
from components.foundation.settings import Settings
from components.language_model.budget import Prices
from components.language_model.configuration import RationalesSection
from components.language_model.engine import EngineOptions
from components.language_model.engines import engine_class
from components.language_model.recorded_engine import RecordedEngine
from components.language_model.trained_models import check_loading_engine
from components.prompting.prompt_template import read_template


def check_rationales(section: RationalesSection, settings: Settings) -> None:
    """Check what can be checked without reading the data.

    Raises:
        InputError: a value is at fault, or the engine lacks something; the message names the field or the setting.
    """
    engine, recorded = section.rationale_engine, section.recorded_rationales
    check_loading_engine(section.language_model, engine)
    chosen = LanguageModel(name=section.language_model)
    engine_class(engine).check(EngineOptions(settings=settings, model=chosen, recorded_rationales=recorded))
    if recorded and engine != RecordedEngine.name:
        raise InputError(f"recorded_rationales is read by rationale_engine {RecordedEngine.name}, not by {engine}")
    if section.shards > 1 and engine == RecordedEngine.name:
        raise InputError(f"shards {section.shards}: a file of recorded answers is handed out by one task, expected 1")
    section.ceilings.check(Prices.of(settings))
    section.ceilings.share(0, section.shards)
    if section.prompt_version:
        read_template(section.prompt_version)
    check_text_encoder(section.text_encoder)
