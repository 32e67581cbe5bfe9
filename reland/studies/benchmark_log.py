"""The cells of a benchmark as runs of an MLflow experiment, beside the registered rankers."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from components.foundation.mlflow_client import experiment_id, open_registry
from components.foundation.settings import Settings
from components.ranking_benchmark.grid import Cell

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

EXPERIMENT = "reland-benchmark"


class BenchmarkLog:
    """Logs cells to the MLflow server that the settings name, or to SQLite under RELAND_HOME; opened by the first."""

    def __init__(self, settings: Settings):
        self._settings = settings

    @cached_property
    def _client(self) -> "MlflowClient":
        return open_registry(self._settings)

    @cached_property
    def _experiment(self) -> str:
        return experiment_id(self._client, self._settings, EXPERIMENT)

    def log(self, cell: Cell, content: dict[str, Any]) -> None:
        """A run with the settings of a cell, its metrics under each protocol and its validation curve.

        Args:
            content: what `components.ranking_benchmark.cell.run_cell` returns.
        """
        configuration = content["configuration"]
        named = {"data": cell.data, "backbone": cell.backbone, "variant": cell.variant, "features": content["features"]}
        for part in ("model", "training"):
            named |= {f"{part}.{name}": value for name, value in configuration[part].items()}
        measured = {"passes": content["passes"], "training_cpu_seconds": content["training_cpu_seconds"]}
        for protocol, values in content["test"].items():
            for name, value in values.items():
                if name != "groups":
                    measured[f"{protocol}.{name.replace('@', '_at_')}"] = value
        run = self._client.create_run(self._experiment, tags={"seed": str(cell.seed)}, run_name=cell.name)
        self._client.log_batch(run.info.run_id, metrics=_metrics(measured, content), params=_params(named))
        self._client.set_terminated(run.info.run_id, "FINISHED")


def _metrics(measured: dict[str, float], content: dict[str, Any]) -> list["Metric"]:
    from mlflow.entities import Metric

    now = 0  # cells of one benchmark may run on several machines: steps order a curve, clocks would not
    metrics = [Metric(name, float(value), now, 0) for name, value in measured.items()]
    return metrics + [Metric("valid.ndcg_at_10", value, now, step) for step, value in content["curve"]]


def _params(named: dict[str, Any]) -> list["Param"]:
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in named.items()]
