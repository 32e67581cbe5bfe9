"""The MLflow server that the settings name, or SQLite under RELAND_HOME: its client, experiments and aliases."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from components.foundation.redaction import split_credentials
from components.foundation.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_registry(settings: Settings) -> "MlflowClient":
    """A client of the MLflow server, or of SQLite under `RELAND_HOME/mlflow`. MLflow's telemetry is off.

    User and password of the server's address go to the environment variables that MLflow reads them from: the address
    is in its errors.
    """
    # MLflow reads this when it is imported.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    uri = settings.mlflow_tracking_uri
    if not uri:
        folder = settings.home / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        uri = sqlite_uri(folder / "mlflow.db")
    uri, credentials = split_credentials(uri)
    if credentials is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = credentials
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file, "?" and "%" of its path escaped, which mean something in an address.

    Only these: MLflow 3.17 makes the folder of the address as it is written, so each escape leaves an empty folder.
    """
    escaped = str(path).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{escaped}"


def experiment_id(client: "MlflowClient", settings: Settings, name: str) -> str:
    """Id of the experiment `name`, made where it is missing; a local one keeps its artifacts under `RELAND_HOME`."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return experiment.experiment_id
    artifacts = None if settings.mlflow_tracking_uri else (settings.home / "mlflow" / "artifacts").as_uri()
    return client.create_experiment(name, artifact_location=artifacts)


def aliases(client: "MlflowClient", model: str) -> dict[str, str]:
    """The version that each alias of `model` points at; empty where the model is not there."""
    from mlflow.exceptions import MlflowException

    try:
        versions = client.get_registered_model(model).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    # A client of SQLite gives numbers, a client of a server strings.
    return {alias: str(version) for alias, version in versions.items()}
