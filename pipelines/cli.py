"""The `reland` command."""

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from components.behavior_encoder.encoders import ENCODERS
from components.contracts.errors import InputError
from components.prompting.prompt_template import prompt_versions
from components.text_encoding.models import PACKAGED_MODEL
from pipelines import cluster_commands, doctor_command

INTERRUPTED = 130

app = typer.Typer(
    name="reland",
    help="RELAND: language-model reasoning about a few seed users becomes a feature of your ranker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

cluster_commands.register(app)
doctor_command.register(app)

Dataset = Annotated[
    str,
    typer.Option(
        help="simulator (or simulator:USERS), ml-1m, amazon-beauty, or the path of a file or folder: its format is "
        "found out."
    ),
]
DataDir = Annotated[str, typer.Option(help="Folder of the data set's files. Default: the setting RELAND_DATA_DIR.")]
MinimumInteractions = Annotated[int, typer.Option(help="k of the k-core filter; a user needs 3 items in any case.")]
Splits = Annotated[
    str, typer.Option(help="How interactions are split, separated by commas: leave_one_out, ratio (80/10/10), time.")
]
ValidateFrom = Annotated[
    str,
    typer.Option(help="First moment to validate with (ISO, UTC), of the split time. Default: after 80% of the rows."),
]
TestFrom = Annotated[str, typer.Option(help="First moment to test with, likewise. Default: after 90% of the rows.")]
Previous = Annotated[
    str,
    typer.Option(help="Folder that `prepare` has written: the data set is added to what it accepted, as new days are."),
]
Encoder = Annotated[
    str,
    typer.Option(
        help=f"Behavior encoder to train: {', '.join(sorted(ENCODERS))}; or the folder of one trained on the same data."
    ),
]
SeedFraction = Annotated[float, typer.Option(help="Share of the users that become seed users.")]
SeedPolicy = Annotated[
    str, typer.Option(help="Who becomes a seed user: adaptive, random, representative, important, facility_location.")
]
Clusters = Annotated[int, typer.Option(help="Clusters of the seed sampling; 0 is 5% of the users.")]
PreviousSeeds = Annotated[
    str,
    typer.Option(help="Last week's seeds.parquet: its seed users stay where they still fit. Default: a new sampling."),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and progress to standard error.")]


@app.command()
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
    from components.contracts.settings import load_settings
    from pipelines.local_run import run_reland
    from pipelines.parameters import RunParameters
    from pipelines.report_table import print_run

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
    summary, folder = run_reland(parameters, settings, _progress_printer(sys.stderr if as_json else sys.stdout), runner)
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        print_run(Console(), summary, folder, settings)


@app.command()
def prepare(
    output: Annotated[Path, typer.Option(help="Folder to write the tables into; must be new or empty.")],
    dataset: Dataset = "simulator",
    data_dir: DataDir = "",
    minimum_interactions: MinimumInteractions = 5,
    splits: Splits = "leave_one_out",
    validate_from: ValidateFrom = "",
    test_from: TestFrom = "",
    previous: Previous = "",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make the tables alone: interactions, items, rejected rows, statistics and a summary; a simulation's truth."""
    import contextlib

    from components.contracts.artifacts import STATISTICS_PAGE_FILE, SUMMARY_FILE, TRUTH_FOLDER, VALIDATION_PAGE_FILE
    from components.contracts.files import creating_directory, write_json
    from components.contracts.settings import load_settings
    from components.data_preparation.preparation import configure, prepare
    from components.data_preparation.splits import parse_splits

    asked = parse_splits(splits, validate_from, test_from)
    config = configure(dataset, data_dir, seed, minimum_interactions, load_settings(), asked, previous)
    try:
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), creating_directory(output) as folder:
            summary = prepare(config, folder, folder / TRUTH_FOLDER)
            write_json(folder / SUMMARY_FILE, summary)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror or error}") from error
    told = f"written: {output}, with the pages {STATISTICS_PAGE_FILE} and {VALIDATION_PAGE_FILE}"
    print(json.dumps(summary, indent=2, ensure_ascii=False) if as_json else told)


@app.command()
def seeds(
    prepared: Annotated[Path, typer.Option(help="Folder of prepared tables, as `reland prepare` writes it.")],
    embeddings: Annotated[Path, typer.Option(help="Folder of the users' behavior embeddings.")],
    output: Annotated[Path, typer.Option(help="Folder to write seeds and diagnostics into; must be new or empty.")],
    seed_fraction: SeedFraction = 0.1,
    seed_policy: SeedPolicy = "adaptive",
    clusters: Clusters = 0,
    previous_seeds: PreviousSeeds = "",
    tokens_per_call: Annotated[
        float, typer.Option(help="Tokens of a request and its answer, for the cost of a number of seeds.")
    ] = 1500.0,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Choose the seed users alone: their table, how well they stand for all users, and what another number costs."""
    import contextlib

    from components.contracts.artifacts import SEEDS_PAGE_FILE, SUMMARY_FILE
    from components.contracts.files import creating_directory, write_json
    from components.seed_sampling.seed_users import SamplingConfig, sample_seed_users

    previous = Path(previous_seeds) if previous_seeds else None
    config = SamplingConfig(seed_fraction, clusters, None, seed, seed_policy, previous, tokens_per_call)
    try:
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout), creating_directory(output) as folder:
            summary = sample_seed_users(prepared, embeddings, config, folder)
            write_json(folder / SUMMARY_FILE, summary)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror or error}") from error
    if as_json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        print(f"written: {output} (open {output / SEEDS_PAGE_FILE})")


@app.command()
def encode(
    encoder: Annotated[Path, typer.Option(help="Folder of a trained behavior encoder.")],
    prepared: Annotated[Path, typer.Option(help="Folder of prepared data that it was trained on.")],
    output: Annotated[Path, typer.Option(help="Folder to write the vectors into; must be new or empty.")],
    shards: Annotated[int, typer.Option(help="Files to write; a user is in one of them by the hash of its id.")] = 1,
) -> None:
    """Give every user of prepared data a vector, in memory that does not grow with the number of users."""
    from components.behavior_encoder.encoders import load_encoder
    from components.behavior_encoder.inference import embed_users

    try:
        embed_users(load_encoder(encoder), prepared, output, shards)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror or error}") from error
    print(f"written: {output}")


@app.command()
def serve() -> None:
    """Serve on this machine, until Ctrl-C: Triton, the item index and the gateway (settings RELAND_GATEWAY_*)."""
    from components.contracts.settings import load_settings
    from serving.local import serve

    serve(load_settings())


def _progress_printer(stream: TextIO) -> Callable[[str, str], None]:
    began = time.monotonic()

    def listen(step: str, message: str) -> None:
        elapsed = int(time.monotonic() - began)
        print(f"{elapsed // 60:3d}:{elapsed % 60:02d}  {step:22s} {message}".rstrip(), file=stream, flush=True)

    return listen


def main() -> None:
    """Entry point: a user's fault ends with one line and status 2, a failed step with one line and status 1."""
    from pipelines.run_log import StepFailedError

    # A termination ends a run as Ctrl-C does: the running step is ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except InputError as error:
        print(f"reland: {error}", file=sys.stderr)
        sys.exit(2)
    except StepFailedError as error:
        print(f"reland: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's ending of a KeyboardInterrupt, which says nothing
            print("reland: interrupted", file=sys.stderr)
        raise
