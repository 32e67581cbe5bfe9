"""Where steps run on a cluster, where their settings come from, and whether their results may be cached."""

from dataclasses import dataclass, field

from kfp import dsl, kubernetes

from components.contracts.images import CUDA_VARIANT
from components.foundation.settings import ENVIRONMENT_PREFIX, SECRET_VARIABLES, Settings

SETTINGS_CONFIG_MAP = "reland-settings"
SETTINGS_SECRET = "reland-secrets"
MODEL_VOLUME = "/reland/models"  # where the claim for language models is mounted
HOME_VOLUME = "/reland/home"  # where the claim for RELAND_HOME is mounted
# Prefixes of the settings that steps are not given: only the gateway, or the client of Kubeflow Pipelines, reads them.
SETTINGS_NO_STEP_READS = (f"{ENVIRONMENT_PREFIX}GATEWAY_", f"{ENVIRONMENT_PREFIX}KFP_")


@dataclass(frozen=True)
class ModelNodes:
    """The nodes on which language models are trained and run; they are chosen when the pipelines are compiled.

    Attributes:
        accelerator: resource that such a step requests, as nvidia.com/gpu; empty: none.
        accelerators: how many of it each shard requests.
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


@dataclass(frozen=True)
class Cluster:
    """What a cluster offers to the steps, chosen when the pipelines are compiled; a laptop has the defaults.

    Attributes:
        models: nodes of the steps that load a language model.
        home_claim: volume claim of `RELAND_HOME`, for the steps that read or write more than artifacts: the model
            repository, Feast's batch files and the record of arms lie there, unless a setting names another place in
            it. Many pods write to it. Empty: none.
        registry: registry and path in front of the names of the images; empty: none.
        retries: how often a step that failed is tried again, after 1, 2, 4 … and at most 10 minutes: pods are evicted.
    """

    models: ModelNodes = field(default_factory=ModelNodes)
    home_claim: str = ""
    registry: str = ""
    retries: int = 0


LAPTOP = Cluster()


def place(task: dsl.PipelineTask, cluster: Cluster, *, uses_outside_state: bool = False) -> dsl.PipelineTask:
    """Give a task the platform's settings as environment variables, and what the cluster offers to every step.

    The local runner takes the settings from the shell and ignores config map and secret.

    Args:
        uses_outside_state: the step writes to a registry, a store or a server, or reads something that is no artifact,
            such as a folder of logs. Its result is then never cached: the cache would skip the writing, and compares
            a folder's path, not its content.
    """
    names = [f"{ENVIRONMENT_PREFIX}{field.upper()}" for field in Settings.model_fields]
    names = [name for name in names if not name.startswith(SETTINGS_NO_STEP_READS)]
    public = {name: name for name in names if name not in SECRET_VARIABLES}
    kubernetes.use_config_map_as_env(task, SETTINGS_CONFIG_MAP, public, optional=True)
    kubernetes.use_secret_as_env(task, SETTINGS_SECRET, {name: name for name in SECRET_VARIABLES}, optional=True)
    if cluster.registry:
        task.set_container_image(f"{cluster.registry}/{task.container_spec.image}")
    if cluster.retries:
        task.set_retry(cluster.retries, backoff_duration="60s", backoff_factor=2, backoff_max_duration="600s")
    if uses_outside_state:
        task.set_caching_options(enable_caching=False)
        if cluster.home_claim:
            kubernetes.mount_pvc(task, cluster.home_claim, HOME_VOLUME)
            task.set_env_variable(f"{ENVIRONMENT_PREFIX}HOME", HOME_VOLUME)  # the config map may name another folder
    return task


def place_with_model(task: dsl.PipelineTask, cluster: Cluster) -> dsl.PipelineTask:
    """Place a task that loads a language model: on nodes with an accelerator, beside the cache of models.

    Its result is never cached: models and the ledger are no artifacts.
    """
    place(task, cluster, uses_outside_state=True)
    nodes = cluster.models
    if nodes.accelerator:
        task.set_container_image(f"{task.container_spec.image}{CUDA_VARIANT}")
        task.set_accelerator_type(nodes.accelerator).set_accelerator_limit(nodes.accelerators)
    for label, value in nodes.selector.items():
        kubernetes.add_node_selector(task, label, value)
    if nodes.toleration:
        kubernetes.add_toleration(task, key=nodes.toleration, operator="Exists")
    if nodes.claim:
        kubernetes.mount_pvc(task, nodes.claim, MODEL_VOLUME)
        task.set_env_variable("HF_HOME", f"{MODEL_VOLUME}/huggingface")
    return task
