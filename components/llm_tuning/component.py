"""Pipeline step: describe or train the language model that writes the rationales."""

from kfp import dsl

from components.contracts.images import TUNING


@dsl.component(base_image=TUNING, install_kfp_package=False)
def tune_model(
    prepared: dsl.Input[dsl.Dataset],
    rationales: dict,
    seed: int,
    tuned: dsl.Output[dsl.Model],
) -> None:
    """Describe the model, after training it where `language_model` is `scratch` or `lora:BASE`.

    Args:
        rationales: the section `rationales` of the run's configuration.
    """
    from pathlib import Path

    from components.contracts.language_model import SCRATCH, write_language_model
    from components.foundation.settings import load_settings
    from components.language_model.configuration import RationalesSection
    from components.language_model.trained_models import LOADING_ENGINE, is_trained_here
    from components.llm_tuning.naming import describe_model
    from components.prompting.prompt_template import choose_version, read_template

    section = RationalesSection.read(rationales)
    language_model, rationale_engine = section.language_model, section.rationale_engine
    folder = Path(tuned.path)
    if rationale_engine == LOADING_ENGINE and is_trained_here(language_model):
        from components.llm_tuning.tuning import adapter_config, scratch_config, train_language_model

        settings = load_settings()
        config = (scratch_config if language_model == SCRATCH else adapter_config)(seed, settings.history_days)
        template = read_template(choose_version(section.prompt_version, language_model), settings.items_name)
        train_language_model(Path(prepared.path), language_model, template, config, folder)
    else:
        described = describe_model(language_model, rationale_engine)
        folder.mkdir(parents=True, exist_ok=True)
        write_language_model(folder, described)
