"""Prompt templates in MLflow's prompt registry, so that a run names the exact prompt that it used."""

from components.foundation.mlflow_client import open_registry
from components.foundation.settings import Settings
from components.prompting.prompt_template import PromptTemplate

NAME_PREFIX = "reland-"


def register_template(settings: Settings, template: PromptTemplate) -> str:
    """Register a template's instruction, schema and answer length, unless the registry holds them already.

    The prompt is named after the template's version, `reland-recommendation-v1`. MLflow numbers its wordings, of which
    there is one for each name of the items (`RELAND_ITEMS_NAME`).

    Returns:
        The URI of the prompt's version, as `prompts:/reland-recommendation-v1/1`.
    """
    client = open_registry(settings)
    name = NAME_PREFIX + template.version
    messages = [{"role": "system", "content": template.system}, {"role": "user", "content": "{{ document }}"}]
    schema = template.answer_schema()
    model_config = {"temperature": 0.0, "max_tokens": template.answer_tokens}

    for registered in client.search_prompt_versions(name) if client.get_prompt(name) else []:
        content = registered.template, registered.response_format, registered.model_config
        if content == (messages, schema, model_config):
            return registered.uri
    return client.register_prompt(name, messages, response_format=schema, model_config=model_config).uri
