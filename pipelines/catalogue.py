"""Every pipeline that can be submitted, by its name."""

from kfp.dsl.base_component import BaseComponent

from pipelines.benchmark import define_benchmark
from pipelines.reland import define_reland
from pipelines.rollout import define_rollout
from pipelines.running.placement import Cluster
from pipelines.standalone import define_standalone


def define_pipelines(cluster: Cluster) -> dict[str, BaseComponent]:
    """The pipelines for `cluster`, by name."""
    pipelines = (
        define_reland(cluster),
        *define_standalone(cluster),
        define_benchmark(cluster),
        define_rollout(cluster),
    )
    return {pipeline.name: pipeline for pipeline in pipelines}
