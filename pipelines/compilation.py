"""The same definitions that run on a laptop, compiled to IR YAML for a Kubeflow cluster."""

import warnings
from pathlib import Path

from kfp import compiler

from components.contracts.files import replacing_file
from pipelines.behavior_encoder import behavior_encoder
from pipelines.fusion_ranker import fusion_ranker
from pipelines.placement import ModelNodes
from pipelines.rationale_refresh import rationale_refresh
from pipelines.reasoning_pool import define_reasoning_pool
from pipelines.reland import define_reland
from pipelines.rollout import rollout


def compile_pipelines(folder: Path, nodes: ModelNodes) -> list[Path]:
    """Write one `<pipeline>.yaml` for each pipeline into `folder`; returns their paths.

    Args:
        nodes: where the steps that load a language model run.
    """
    reland, reasoning_pool = define_reland(nodes), define_reasoning_pool(nodes)
    paths = []
    for pipeline in (reland, behavior_encoder, reasoning_pool, rationale_refresh, fusion_ranker, rollout):
        path = folder / f"{pipeline.name}.yaml"
        with replacing_file(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The compiler tells YAML from JSON by the suffix.
            named = temporary.with_suffix(".yaml")
            compiler.Compiler().compile(pipeline, str(named))
            named.replace(temporary)
        paths.append(path)
    return paths
