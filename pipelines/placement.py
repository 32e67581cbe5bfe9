"""Where steps run on a cluster, where their settings come from, and which of them may be answered from the cache."""

from dataclasses import dataclass, field

from kfp import dsl, kubernetes

from components.contracts.settings import ENVIRONMENT_PREFIX, SECRET_VARIABLES, Settings

SETTINGS_CONFIG_MAP = "reland-settings"
SETTINGS_SECRET = "reland-secrets"
MODEL_VOLUME = "/reland/models"  # where the claim for language models is mounted


@dataclass(frozen=True)
class ModelNodes:
    """The nodes on which language models are trained and asked; they are chosen when the pipelines are compiled.

    Attributes:
        accelerator: resource that such a step asks for, as nvidia.com/gpu; empty: none.
        accelerators: how many of it each shard asks for.
        selector: labels that the node must have.
        toleration: key of a taint that the step tolerates, whatever its value and effect; empty: none.
        claim: volume claim with the cache of models, and with the ledger where `RELAND_LEDGER` names a folder in
            `MODEL_VOLUME`; many pods write to it at a time. Empty: none.
    """

    accelerator: str = ""
    accelerators: int = 1
    selector: dict[str, str] = field(default_factory=dict)
    toleration: str = ""
    claim: str = ""


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


def place_with_model(task: dsl.PipelineTask, nodes: ModelNodes) -> dsl.PipelineTask:
    """Place a task that loads a language model: on nodes with an accelerator, beside the cache of models.

    It is never answered from the cache of pipelines: models and the ledger are no artifacts.
    """
    place(task, uses_outside_state=True)
    if nodes.accelerator:
        task.set_accelerator_type(nodes.accelerator).set_accelerator_limit(nodes.accelerators)
    for label, value in nodes.selector.items():
        kubernetes.add_node_selector(task, label, value)
    if nodes.toleration:
        kubernetes.add_toleration(task, key=nodes.toleration, operator="Exists")
    if nodes.claim:
        kubernetes.mount_pvc(task, nodes.claim, MODEL_VOLUME)
        task.set_env_variable("HF_HOME", f"{MODEL_VOLUME}/huggingface")
    return task
