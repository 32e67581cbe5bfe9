"""The same definitions that run on a laptop, compiled to IR YAML for a Kubeflow cluster."""

import warnings
from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from components.contracts.files import replacing_file
from pipelines.benchmark import define_benchmark
from pipelines.placement import Cluster
from pipelines.reland import define_reland
from pipelines.rollout import define_rollout
from pipelines.standalone import define_standalone


def define_pipelines(cluster: Cluster) -> dict[str, BaseComponent]:
    """Every pipeline that can be submitted, by its name."""
    pipelines = (
        define_reland(cluster),
        *define_standalone(cluster),
        define_benchmark(cluster),
        define_rollout(cluster),
    )
    return {pipeline.name: pipeline for pipeline in pipelines}


def compile_pipeline(pipeline: BaseComponent, path: Path) -> None:
    """Write the IR YAML of a pipeline; equal definitions give equal bytes."""
    with replacing_file(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The compiler tells YAML from JSON by the suffix.
        named = temporary.with_suffix(".yaml")
        compiler.Compiler().compile(pipeline, str(named))
        named.replace(temporary)


def compile_pipelines(folder: Path, cluster: Cluster) -> list[Path]:
    """Write one `<pipeline>.yaml` for each pipeline into `folder`; returns their paths."""
    paths = []
    for name, pipeline in define_pipelines(cluster).items():
        path = folder / f"{name}.yaml"
        compile_pipeline(pipeline, path)
        paths.append(path)
    return paths
