"""The command `reland run`."""

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, TextIO

import typer
from rich.console import Console

from components.prompting.prompt_template import prompt_versions
from components.text_encoding.models import PACKAGED_MODEL
from reland.commands.options import (
    AsJson,
    Clusters,
    DataDir,
    Dataset,
    Encoder,
    MinimumInteractions,
    Previous,
    PreviousSeeds,
    Seed,
    SeedFraction,
    SeedPolicy,
    Splits,
    TestFrom,
    ValidateFrom,
)


def register(app: typer.Typer) -> None:
    """Add the command to the `reland` command."""
    app.command()(run)


def run(
    dataset: Dataset = "simulator",
    data_dir: DataDir = "",
    minimum_interactions: MinimumInteractions = 5,
    splits: Splits = "leave_one_out",
    validate_from: ValidateFrom = "",
    test_from: TestFrom = "",
    previous: Previous = "",
    encoder: Encoder = "lightgcn",
    seed_fraction: SeedFraction = 0.1,
    seed_policy: SeedPolicy = "adaptive",
    clusters: Clusters = 0,
    previous_seeds: PreviousSeeds = "",
    rationale_engine: Annotated[
        str,
        typer.Option(
            help="Who writes the rationales: template (no language model), recorded, vllm, or openai (an endpoint)."
        ),
    ] = "template",
    rationales: Annotated[str, typer.Option(help="File of recorded rationales, for the engine recorded.")] = "",
    model: Annotated[
        str,
        typer.Option(
            help="Language model: Hugging Face id, folder, scratch (a small one, trained here on these data) or "
            "lora:BASE; for the engine openai its name there."
        ),
    ] = "",
    prompt_version: Annotated[
        str, typer.Option(help=f"How it is asked: {', '.join(prompt_versions())}. Default: as the model can be.")
    ] = "",
    shards: Annotated[int, typer.Option(help="Tasks among which the requests are divided, at most 64.")] = 1,
    attempts: Annotated[int, typer.Option(help="How often an invalid answer is asked for again.")] = 2,
    max_calls: Annotated[int, typer.Option(help="Ceiling on calls of the language model in this run; 0 is none.")] = 0,
    max_tokens: Annotated[int, typer.Option(help="Ceiling on tokens of prompts and answers; 0 is none.")] = 0,
    max_cost: Annotated[
        float, typer.Option(help="Ceiling on their cost, at the prices of the settings RELAND_*_PRICE; 0 is none.")
    ] = 0.0,
    text_encoder: Annotated[
        str,
        typer.Option(help="Model of sentence-transformers for rationales and items: Hugging Face id or folder."),
    ] = PACKAGED_MODEL,
    variants: Annotated[
        str, typer.Option(help="Rankers to compare: id_only, item_features, reland, reland_shuffled.")
    ] = "id_only,reland",
    epochs: Annotated[int, typer.Option(help="Passes over the training data, equal for every variant.")] = 12,
    seed: Seed = 0,
    runner: Annotated[
        str,
        typer.Option(help="What runs a step: subprocess, or docker (a container of its image; `make images`)."),
    ] = "subprocess",
    as_json: AsJson = False,
) -> None:
    """Run the whole chain on this machine, from interaction logs to a ranker that Triton serves."""
    from components.foundation.settings import load_settings
    from pipelines.parameters import RunParameters
    from reland.run_chain import run_chain
    from reland.run_report import print_run

    parameters = RunParameters(
        dataset=dataset,
        data_dir=data_dir,
        minimum_interactions=minimum_interactions,
        splits=splits,
        validate_from=validate_from,
        test_from=test_from,
        previous=previous,
        encoder=encoder,
        seed_fraction=seed_fraction,
        seed_policy=seed_policy,
        clusters=clusters,
        previous_seeds=previous_seeds,
        rationale_engine=rationale_engine,
        recorded_rationales=rationales,
        language_model=model,
        prompt_version=prompt_version,
        shards=shards,
        attempts=attempts,
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_cost=max_cost,
        text_encoder=text_encoder,
        variants=variants,
        epochs=epochs,
        seed=seed,
    )
    settings = load_settings()
    summary, folder = run_chain(parameters, settings, _progress_printer(sys.stderr if as_json else sys.stdout), runner)
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        print_run(Console(), summary, folder, settings)


def _progress_printer(stream: TextIO) -> Callable[[str, str], None]:
    began = time.monotonic()

    def listen(step: str, message: str) -> None:
        elapsed = int(time.monotonic() - began)
        print(f"{elapsed // 60:3d}:{elapsed % 60:02d}  {step:22s} {message}".rstrip(), file=stream, flush=True)

    return listen
