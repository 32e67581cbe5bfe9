"""Prompt templates in MLflow's prompt registry, so that a run names the very text that it asked with."""

from components.foundation.mlflow_client import open_registry
from components.foundation.settings import Settings
from components.prompting.prompt_template import PromptTemplate

NAME_PREFIX = "reland-"


def register_template(settings: Settings, template: PromptTemplate) -> str:
    """Register what a template asks, unless the registry has it: the instruction, the schema, the answer's length.

    The prompt is named after the version, `reland-recommendation-v1`. Its version in MLflow counts the wordings in
    which it was asked: one for each name of the items.

    Returns:
        The URI of the prompt's version, as `prompts:/reland-recommendation-v1/1`.
    """
    client = open_registry(settings)
    name = NAME_PREFIX + template.version
    messages = [{"role": "system", "content": template.system}, {"role": "user", "content": "{{ document }}"}]
    schema = template.answer_schema()
    model_config = {"temperature": 0.0, "max_tokens": template.answer_tokens}

    for known in client.search_prompt_versions(name) if client.get_prompt(name) else []:
        if (known.template, known.response_format, known.model_config) == (messages, schema, model_config):
            return known.uri
    return client.register_prompt(name, messages, response_format=schema, model_config=model_config).uri
