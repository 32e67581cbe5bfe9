"""Benchmarks: features of each data set made once, then every cell of a grid trained, evaluated and compared.

OUTPUT/
    features/<features>/     a home of its own (RELAND_HOME) in which the chain has run up to the ranker
    cells/<features>/cost.json
    cells/<data set>/<backbone>/<variant>/<seed>.json, .npz
    checkpoints/             of the cells that are under way
    results.json, benchmark.html   what the cells say together, written anew after each
"""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contracts.generation import generation_id
from components.foundation.errors import InputError, RelandError
from components.foundation.files import read_json, write_json
from components.foundation.settings import load_settings
from components.ranking_benchmark.cell import result_of, write_failure
from components.ranking_benchmark.grid import Cell, FeatureDeclaration, Grid
from components.ranking_benchmark.results import RESULTS_FILE, collect, write_results
from pipelines.configuration import RunConfiguration
from pipelines.ranker_features import define_ranker_features
from pipelines.running.local import run_pipeline
from pipelines.running.placement import LAPTOP
from pipelines.running.run_log import RunLog
from reland.studies.benchmark_log import BenchmarkLog

FEATURES_FILE = "features.json"
COST_FILE = "cost.json"
ARTIFACTS = ("prepared", "matches", "rationale_embeddings", "item_text_embeddings")


@dataclass(frozen=True)
class Features:
    """What rankers are trained on.

    Attributes:
        folders: by the names of `ARTIFACTS`.
        fingerprint: of the configuration that they were made by.
        cost: `generation_cost` of the rationales, for the table of costs.
    """

    folders: dict[str, Path]
    fingerprint: str
    cost: dict[str, Any]


def run_benchmark(
    grid: Grid, output: Path, jobs: int, command: str, listener: Callable[[str, str], None]
) -> dict[str, Any]:
    """Run what is missing of a grid, and return what all its cells say together; each cell is a run in MLflow.

    A benchmark that is ended at any moment goes on where it stopped: a cell that is done is not run again, and one that
    was under way goes on from its last evaluation.

    Args:
        jobs: cells that are trained at a time, each in a process with one thread; 0: none, what is there is compared.
        command: how the benchmark was called, for the results.
        listener: called with (what, message) as it goes on.

    Raises:
        InputError: a data set or a setting is at fault.
        RelandError: a step of the chain failed.
    """
    cells, folder = list(grid.cells()), output / "cells"
    declared = {features.name: features for data in grid.data_sets for features in data.features.values()}
    declared = {name: declared[name] for name in dict.fromkeys(cell.features for cell in cells)}
    configurations = {name: _configuration(features) for name, features in declared.items()}
    fingerprints = {name: _fingerprint(declared[name]) for name in declared}
    missing = [cell for cell in cells if result_of(cell, fingerprints[cell.features], folder) is None]
    listener("benchmark", f"{len(cells)} cells, {len(cells) - len(missing)} of them done before")
    missing = missing if jobs else []
    needed = list(dict.fromkeys(cell.features for cell in missing))
    for name in needed:
        _check(declared[name], configurations[name])
    features = {
        name: make_features(declared[name], configurations[name], output / "features" / name, listener)
        for name in needed
    }
    for name in needed:
        write_json(folder / name / COST_FILE, features[name].cost)
    costs = {name: read_json(path) for name in declared if (path := folder / name / COST_FILE).exists()}

    def compare() -> dict[str, Any]:
        results = collect(grid, fingerprints, [folder], costs, command)
        write_results(results, output)
        return results

    compare()
    failed = 0
    log = BenchmarkLog(load_settings())
    for cell, message in _run_all(missing, features, output, jobs):
        fingerprint = fingerprints[cell.features]
        content = None if message else result_of(cell, fingerprint, folder)
        if content is None:
            failed += 1
            write_failure(cell, fingerprint, folder, message)
            listener(cell.name, message)
        else:
            log.log(cell, content)
            listener(cell.name, _told(content))
        compare()
    if failed:
        raise InputError(f"{failed} of {len(cells)} cells failed; {output / RESULTS_FILE} says why")
    return compare()


def make_features(
    declared: FeatureDeclaration, configuration: RunConfiguration, home: Path, listener: Callable[[str, str], None]
) -> Features:
    """Run the chain up to the ranker, unless it was done before with the same configuration.

    Raises:
        InputError: `home` was made by another configuration.
        RelandError: a step failed.
    """
    fingerprint, path = _fingerprint(declared), home / FEATURES_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        folders, cost = _run_chain(declared, configuration, home.resolve(), listener)
        write_json(path, {"fingerprint": fingerprint, "folders": folders, "cost": cost})
    content = read_json(path)
    if content["fingerprint"] != fingerprint:
        raise InputError(
            f"{home}: was made by another configuration of {declared.name}; remove it, or name another output"
        )
    return Features({name: home / folder for name, folder in content["folders"].items()}, fingerprint, content["cost"])


def _run_chain(
    declared: FeatureDeclaration, configuration: RunConfiguration, home: Path, listener: Callable[[str, str], None]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Where each of `ARTIFACTS` is below `home`, and what the rationales cost."""
    generation = generation_id(datetime.now(UTC))
    with _environment({**declared.environment, "RELAND_HOME": str(home)}):
        settings = load_settings()
        (home / "logs").mkdir(exist_ok=True)
        log_file = home / "logs" / f"{generation}.txt"
        log = RunLog(log_file, lambda step, message: listener(f"{declared.name} {step}", message))
        with contextlib.closing(log):
            arguments = {**configuration.resolved().arguments(), "generation": generation}
            for name in ("ranking", "serving"):
                del arguments[name]
            outputs = run_pipeline(define_ranker_features(LAPTOP), arguments, settings, log)
    folders = {name: str(Path(outputs[name].path).relative_to(home)) for name in ARTIFACTS}
    return folders, read_json(Path(outputs["generation_report"].path))["generation_cost"]


def _configuration(declared: FeatureDeclaration) -> RunConfiguration:
    try:
        return RunConfiguration.read(declared.sections)
    except InputError as error:
        raise InputError(f"data_sets.{declared.name}: {error}") from None


def _check(declared: FeatureDeclaration, configuration: RunConfiguration) -> None:
    """Find what is at fault before anything is run, as far as that is possible without reading the data."""
    try:
        with _environment(declared.environment):
            configuration.resolved().check(load_settings())
    except InputError as error:
        raise InputError(f"data_sets.{declared.name}: {error}") from None


def _fingerprint(declared: FeatureDeclaration) -> str:
    """Of what the grid says, so that elsewhere, or under code with more settings, it goes on with the same results."""
    said = json.dumps([declared.sections, declared.environment], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _run_all(cells: list[Cell], features: dict[str, Features], output: Path, jobs: int) -> Iterator[tuple[Cell, str]]:
    """Run cells, `jobs` at a time; yields each that is done, with a message where it failed."""
    if not cells:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _prepare_process) as pool:
        waiting = list(reversed(cells))
        running: dict[Future[str], Cell] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    cell = waiting.pop()
                    of_data = features[cell.features]
                    running[pool.submit(_run_one, cell, of_data, output)] = cell
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            names = ", ".join(cell.name for cell in running.values())
            raise RelandError(f"a process was killed, perhaps for its memory, while these ran: {names}") from error
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _prepare_process() -> None:
    """Cells run beside each other: threads that wait for each other would take more than they give."""
    import torch

    torch.set_num_threads(1)


_read: dict[str, Any] = {}  # what this process has read, by fingerprint; the last one alone, since data sets are large


def _run_one(cell: Cell, features: Features, output: Path) -> str:
    """Run a cell in a process of the pool; returns what is wrong with it, or nothing."""
    from components.ranking_benchmark.cell import run_cell
    from components.recommenders.ranker_inputs import read_ranker_inputs

    try:
        if features.fingerprint not in _read:
            _read.clear()
            _read[features.fingerprint] = read_ranker_inputs(*(features.folders[name] for name in ARTIFACTS))
        inputs = _read[features.fingerprint]
        with contextlib.redirect_stdout(io.StringIO()):
            run_cell(cell, inputs, features.fingerprint, output / "cells", output / "checkpoints")
    except RelandError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _told(content: dict[str, Any]) -> str:
    tested = ", ".join(f"{protocol} ndcg@10 {values['ndcg@10']:.4f}" for protocol, values in content["test"].items())
    return f"{tested} in {content['seconds']:.0f} s"
