"""Compiles the pipelines to IR YAML for a Kubeflow cluster, from the definitions that also run on a laptop."""

from collections.abc import Mapping
from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from components.foundation.files import replacing_file


def compile_pipeline(pipeline: BaseComponent, path: Path) -> None:
    """Write the IR YAML of a pipeline; equal definitions give equal bytes."""
    with replacing_file(path) as temporary:
        # The compiler chooses YAML or JSON by the suffix.
        named = temporary.with_suffix(".yaml")
        compiler.Compiler().compile(pipeline, str(named))
        named.replace(temporary)


def compile_pipelines(folder: Path, pipelines: Mapping[str, BaseComponent]) -> list[Path]:
    """Write one `<name>.yaml` for each pipeline into `folder`; returns their paths."""
    paths = []
    for name, pipeline in pipelines.items():
        path = folder / f"{name}.yaml"
        compile_pipeline(pipeline, path)
        paths.append(path)
    return paths
