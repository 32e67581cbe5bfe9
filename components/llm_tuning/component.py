"""Pipeline step: the language model that `--model` says."""

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
    """Describe the model, and train it first where that is asked for: `scratch`, or `lora:BASE`.

    Args:
        language_model: Hugging Face id, folder of weights, `scratch`, `lora:BASE`; for engines that load no weights
            the name of a model, or nothing.
    """
    from pathlib import Path

    from components.contracts.language_model import SCRATCH, write_language_model
    from components.llm_tuning.naming import LOADING_ENGINE, describe_model, is_trained_here
    from components.prompting.prompt_template import choose_version

    folder = Path(tuned.path)
    if rationale_engine == LOADING_ENGINE and is_trained_here(language_model):
        from components.llm_tuning.tuning import adapter_config, scratch_config, train_language_model

        config = (scratch_config if language_model == SCRATCH else adapter_config)(seed)
        version = choose_version(prompt_version, language_model)
        train_language_model(Path(prepared.path), language_model, version, config, folder)
    else:
        described = describe_model(language_model, rationale_engine)
        folder.mkdir(parents=True, exist_ok=True)
        write_language_model(folder, described)
