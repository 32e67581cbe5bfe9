"""Pipeline step: describe or train the language model that `--model` names."""

from kfp import dsl

from components.contracts.images import TUNING


@dsl.component(base_image=TUNING, install_kfp_package=False)
def tune_model(
    prepared: dsl.Input[dsl.Dataset],
    language_model: str,
    rationale_engine: str,
    prompt_version: str,
    seed: int,
    tuned: dsl.Output[dsl.Model],
) -> None:
    """Describe the model, after training it where `--model` is `scratch` or `lora:BASE`.

    Args:
        language_model: Hugging Face id, folder of weights, `scratch`, `lora:BASE`; for engines that load no weights
            the name of a model, or nothing.
    """
    from pathlib import Path

    from components.contracts.language_model import SCRATCH, write_language_model
    from components.foundation.settings import load_settings
    from components.llm_tuning.naming import LOADING_ENGINE, describe_model, is_trained_here
    from components.prompting.prompt_template import choose_version, read_template

    folder = Path(tuned.path)
    if rationale_engine == LOADING_ENGINE and is_trained_here(language_model):
        from components.llm_tuning.tuning import adapter_config, scratch_config, train_language_model

        settings = load_settings()
        config = (scratch_config if language_model == SCRATCH else adapter_config)(seed, settings.history_days)
        template = read_template(choose_version(prompt_version, language_model), settings.items_name)
        train_language_model(Path(prepared.path), language_model, template, config, folder)
    else:
        described = describe_model(language_model, rationale_engine)
        folder.mkdir(parents=True, exist_ok=True)
        write_language_model(folder, described)
