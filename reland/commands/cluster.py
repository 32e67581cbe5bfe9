"""The commands that speak of a Kubeflow cluster: `reland compile`, `submit` and `schedule`."""

import dataclasses
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.foundation.errors import InputError, write_failure
from reland.commands.options import Assignments, ConfigFile, takes_options_of

if TYPE_CHECKING:
    from pipelines.running.kubeflow import Kubeflow, Version
    from pipelines.running.placement import Cluster

Accelerator = Annotated[
    str, typer.Option(help="Resource for steps that load a language model, as nvidia.com/gpu. Default: none.")
]
Accelerators = Annotated[int, typer.Option(help="How many accelerators each shard gets.")]
NodeSelector = Annotated[
    list[str] | None, typer.Option(help="Label of the nodes of these steps, KEY=VALUE; may be repeated.")
]
Toleration = Annotated[str, typer.Option(help="Key of a taint that these steps tolerate. Default: none.")]
ModelClaim = Annotated[
    str, typer.Option(help="Volume claim with the cache of language models for these steps. Default: none.")
]
HomeClaim = Annotated[
    str,
    typer.Option(help="Volume claim of RELAND_HOME, for steps that keep more than artifacts. Default: none."),
]
Registry = Annotated[
    str, typer.Option(help="Registry and folder that the images are pulled from, as registry.example.org/team.")
]
Retries = Annotated[int, typer.Option(help="How often a step that failed is tried again.")]
Parameter = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE of the pipeline; may be repeated.")
]
Experiment = Annotated[str, typer.Option(help="Experiment that runs are listed under.")]
ServiceAccount = Annotated[str, typer.Option(help="Service account of the steps. Default: the namespace's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def make_cluster(
    accelerator: Accelerator = "",
    accelerators: Accelerators = 1,
    node_selector: NodeSelector = None,
    toleration: Toleration = "",
    model_claim: ModelClaim = "",
    home_claim: HomeClaim = "",
    registry: Registry = "",
    retries: Retries = 2,
) -> "Cluster":
    """What the options say of the cluster.

    Raises:
        InputError: a number is out of its range, or a label is none.
    """
    from pipelines.running.placement import Cluster, ModelNodes

    labels = dict(label.partition("=")[::2] for label in node_selector or [])
    if accelerators < 1:
        raise InputError(f"--accelerators {accelerators}: expected at least 1")
    if retries < 0:
        raise InputError(f"--retries {retries}: expected a number of further attempts, or 0 for none")
    for key, value in labels.items():
        if not key or not value:
            raise InputError(f"--node-selector {key}={value}: expected KEY=VALUE")
    return Cluster(
        ModelNodes(accelerator, accelerators, labels, toleration, model_claim),
        home_claim,
        registry.rstrip("/"),
        retries,
    )


takes_cluster = takes_options_of(make_cluster, "cluster")


@dataclasses.dataclass(frozen=True)
class Submission:
    """What a run on the cluster is started with.

    Attributes:
        cluster: what the pipeline is compiled for.
        config: TOML file with sections; those that the pipeline takes become parameters.
        assignments: `section.field=value`.
        parameters: `NAME=VALUE` of other parameters.
        experiment: that the run is listed under.
        service_account: of the steps; empty for the namespace's.
    """

    cluster: "Cluster"
    config: Path | None
    assignments: list[str]
    parameters: list[str]
    experiment: str
    service_account: str


@takes_cluster
def make_submission(
    config: ConfigFile = None,
    assignments: Assignments = None,
    parameter: Parameter = None,
    experiment: Experiment = "reland",
    service_account: ServiceAccount = "",
    *,
    cluster: "Cluster",
) -> Submission:
    """What the options say of a run on the cluster."""
    return Submission(cluster, config, assignments or [], parameter or [], experiment, service_account)


takes_submission = takes_options_of(make_submission, "submission")


def register(app: typer.Typer) -> None:
    """Add the commands to the `reland` command."""
    app.command(name="compile")(compile_command)
    app.command()(submit)
    app.command()(schedule)


@takes_cluster
def compile_command(
    *,
    output: Annotated[Path, typer.Option(help="Folder for the compiled pipelines.")] = Path("compiled"),
    cluster: "Cluster",
) -> None:
    """Compile the pipelines to IR YAML, for a Kubeflow cluster."""
    from pipelines.catalogue import define_pipelines
    from pipelines.running.compilation import compile_pipelines

    try:
        paths = compile_pipelines(output, define_pipelines(cluster))
    except OSError as error:
        raise write_failure(f"--output {output}: {error.strerror or error}", error) from error
    for path in paths:
        print(path)


@takes_submission
def submit(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline, as `reland compile` lists them.")],
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the run has ended; status 1 unless it succeeded.")
    ] = False,
    submission: Submission,
    as_json: AsJson = False,
) -> None:
    """Upload a pipeline to Kubeflow, if it is not there yet, and start a run (settings RELAND_KFP_*)."""
    from pipelines.running.run_log import StepFailedError

    kubeflow, version, parameters = _upload(pipeline, submission)
    experiment = submission.experiment
    run_name = f"{pipeline} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    run_id = kubeflow.submit(version, experiment, run_name, parameters, submission.service_account)
    answer = {**dataclasses.asdict(version), "experiment": experiment, "run": run_name, "run_id": run_id}
    if not as_json:
        print(f"{_upload_line(version)}\nrun {run_id}: {run_name}, in the experiment {experiment}", flush=True)
    if wait:
        stream = sys.stderr if as_json else sys.stdout
        answer["state"] = kubeflow.wait(run_id, lambda state: print(state, file=stream, flush=True))
    if as_json:
        print(json.dumps(answer, indent=2))
    if wait and answer["state"] not in ("SUCCEEDED", "SKIPPED"):
        raise StepFailedError(f"run {run_id} ended as {answer['state']} ({kubeflow.failure(run_id)})")


@takes_submission
def schedule(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline. Default: list what is scheduled.")] = "",
    cron: Annotated[
        str,
        typer.Option(
            help="When (UTC): cron in six fields, seconds first, as '0 30 4 * * *'. Default: the pipeline's cadence."
        ),
    ] = "",
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="Make up for every run that was missed, not for the latest alone.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Schedule the pipeline no longer.")] = False,
    *,
    submission: Submission,
    as_json: AsJson = False,
) -> None:
    """Have Kubeflow run a pipeline at its cadence, with the code as it is now; an earlier schedule is replaced."""
    from components.foundation.settings import load_settings
    from pipelines.running.kubeflow import CADENCE, Kubeflow, Schedule

    experiment = submission.experiment
    if not pipeline:
        scheduled = Kubeflow(load_settings()).schedules(experiment)
        if as_json:
            print(json.dumps([dataclasses.asdict(each) for each in scheduled], indent=2))
        for each in [] if as_json else scheduled:
            print(f"{each.pipeline:20s} {each.cron:18s} {_details(each.catch_up, each.parameters)}".rstrip())
        return
    if remove:
        count = Kubeflow(load_settings()).unschedule(pipeline, experiment)
        if not count:
            raise InputError(f"{pipeline}: not scheduled in the experiment {experiment}")
        print(json.dumps({"pipeline": pipeline, "removed": count}) if as_json else f"{pipeline}: no longer scheduled")
        return
    cron = cron or CADENCE.get(pipeline, "")
    if not cron:
        raise InputError(f"--cron: {pipeline} is run on demand, expected six fields, as '0 30 4 * * *'")
    if len(cron.split()) != 6:
        raise InputError(f"--cron {cron}: expected six fields, seconds first, as '0 30 4 * * *'")
    kubeflow, version, parameters = _upload(pipeline, submission)
    wanted = Schedule(pipeline, cron, catch_up, version.version_id, parameters)
    changed = kubeflow.schedule(wanted, version, experiment, submission.service_account)
    if as_json:
        print(json.dumps({**dataclasses.asdict(wanted), "experiment": experiment, "changed": changed}, indent=2))
    else:
        print(_upload_line(version))
        print(f"{'scheduled' if changed else 'scheduled as before'}: {cron} {_details(catch_up, parameters)}".rstrip())


def _upload(pipeline: str, submission: Submission) -> "tuple[Kubeflow, Version, dict[str, object]]":
    """Compile and upload it. Faults of the parameters are reported before anything is sent."""
    from components.foundation.settings import load_settings
    from pipelines.catalogue import define_pipelines
    from pipelines.configuration import read_configuration
    from pipelines.running.compilation import compile_pipeline
    from pipelines.running.kubeflow import Kubeflow, parse_parameters

    defined = define_pipelines(submission.cluster)
    if pipeline not in defined:
        raise InputError(f"{pipeline!r}: no such pipeline, expected one of {', '.join(defined)}")
    changes = read_configuration(submission.config, submission.assignments, {}).changes()
    parameters = parse_parameters(defined[pipeline], submission.parameters, changes)
    kubeflow = Kubeflow(load_settings())
    with tempfile.TemporaryDirectory(prefix="reland-") as folder:
        package = Path(folder) / f"{pipeline}.yaml"
        compile_pipeline(defined[pipeline], package)
        return kubeflow, kubeflow.upload(defined[pipeline], package), parameters


def _upload_line(version: "Version") -> str:
    return f"{version.pipeline} {version.name}: {'uploaded' if version.is_new else 'there already'}"


def _details(catch_up: bool, parameters: dict[str, object]) -> str:
    words = [f"{name}={value}" for name, value in parameters.items()]
    return " ".join([*(["catching up"] if catch_up else []), *words])
