"""Where a step's settings come from on a cluster, and which steps may be answered from the cache."""

from kfp import dsl, kubernetes

from components.contracts.settings import ENVIRONMENT_PREFIX, SECRET_VARIABLES, Settings

SETTINGS_CONFIG_MAP = "reland-settings"
SETTINGS_SECRET = "reland-secrets"


def place(task: dsl.PipelineTask, *, uses_outside_state: bool = False) -> dsl.PipelineTask:
    """Give a task the platform's settings as environment variables.

    A step that writes to a registry, a store or a server is never answered from the cache: the cache would skip the
    writing. Nor is one that reads what is no artifact, such as a folder of logs: the cache knows its path, not its
    content. The local runner takes the settings from the shell and ignores config map and secret.
    """
    names = [f"{ENVIRONMENT_PREFIX}{field.upper()}" for field in Settings.model_fields]
    public = {name: name for name in names if name not in SECRET_VARIABLES}
    kubernetes.use_config_map_as_env(task, SETTINGS_CONFIG_MAP, public, optional=True)
    kubernetes.use_secret_as_env(task, SETTINGS_SECRET, {name: name for name in SECRET_VARIABLES}, optional=True)
    if uses_outside_state:
        task.set_caching_options(enable_caching=False)
    return task
