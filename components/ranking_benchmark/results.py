"""All cells of a benchmark together: one JSON file, small enough to keep, and one page."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from components.foundation.files import read_json, replacing_file, write_json
from components.ranking_benchmark.cell import SCHEMA as CELL_SCHEMA
from components.ranking_benchmark.cell import result_of
from components.ranking_benchmark.comparison import compare_variants, mean_and_interval
from components.ranking_benchmark.grid import Cell, Grid, split_variant
from components.ranking_benchmark.page import render
from components.recommenders.variants import ID_ONLY, VARIANTS

SCHEMA = "ranking-benchmark-v1"
RUN = "run"  # the data set of a benchmark whose features are those of one run
RESULTS_FILE, PAGE_FILE = "results.json", "benchmark.html"


def collect(
    grid: Grid,
    fingerprints: Mapping[str, str],
    folders: Sequence[Path],
    costs: Mapping[str, Any],
    command: str,
) -> dict[str, Any]:
    """What the cells in `folders` say together; those of the grid that were not run are counted.

    Args:
        fingerprints: of features, by the name of their `FeatureDeclaration`: results of other ones are not of this
            benchmark.
        costs: `generation_cost` of each data set.
        command: how the benchmark was called.
    """
    done: list[tuple[Cell, dict[str, Any]]] = []
    ranks: dict[Cell, dict[str, np.ndarray]] = {}
    not_run, failed = [], {}
    for cell in grid.cells():
        folder = next((folder for folder in folders if (folder / f"{cell.name}.json").exists()), None)
        content = result_of(cell, fingerprints[cell.features], folder) if folder else None
        if folder and content is not None:
            done.append((cell, content))
            ranks[cell] = _ranks(cell, folder, grid.protocols)
        elif folder and (message := _failure(cell, folder)):
            failed[cell.name] = message
        else:
            not_run.append(cell.name)
    return {
        "schema": SCHEMA,
        "command": command,
        "versions": {"python": platform.python_version(), "torch": version("torch"), "numpy": version("numpy")},
        "processor": platform.processor() or platform.machine(),
        "seeds": list(grid.seeds),
        "cells": {"done": len(done), "failed": failed, "not_run": not_run},
        "data": {
            name: {"users": content["users"], "items": content["items"], "features": content["features"]}
            for name, content in {cell.data: content for cell, content in done}.items()
        },
        "costs": dict(costs),
        "protocols": {
            protocol: {
                "table": _table(grid, done, protocol),
                "comparisons": compare_variants(
                    {
                        (cell.data, cell.backbone, cell.variant, cell.seed): of_cell[protocol]
                        for cell, of_cell in ranks.items()
                    }
                ),
            }
            for protocol in grid.protocols
        },
        "curves": [
            {"data": cell.data, "backbone": cell.backbone, "variant": cell.variant, "points": content["curve"]}
            for cell, content in done
            if cell.seed == grid.seeds[0] and content["curve"]
        ],
        "variants": {name: VARIANTS[split_variant(name)[0]].description for name in grid.variants},
    }


def write_results(results: dict[str, Any], output: Path) -> None:
    """Replace the two files in `output`."""
    write_json(output / RESULTS_FILE, results)
    with replacing_file(output / PAGE_FILE) as temporary:
        temporary.write_text(render(results), encoding="utf-8")


def _failure(cell: Cell, folder: Path) -> str:
    content = read_json(folder / f"{cell.name}.json")
    return str(content["error"]) if content.get("schema") == CELL_SCHEMA and "error" in content else ""


def _table(grid: Grid, done: list[tuple[Cell, dict[str, Any]]], protocol: str) -> list[dict[str, Any]]:
    """A row for each data set, backbone and variant that was run: each metric's mean over seeds and its interval."""
    rows = []
    recommenders = [(classic, ID_ONLY) for classic in grid.classics]
    recommenders += [(backbone, variant) for backbone in grid.backbones for variant in grid.variants]
    for data in grid.data_sets:
        for backbone, variant in recommenders:
            wanted = (data.name, backbone, variant)
            contents = [content for cell, content in done if (cell.data, cell.backbone, cell.variant) == wanted]
            if not contents:
                continue
            tests = [content["test"][protocol] for content in contents]
            metrics = [name for name, value in tests[0].items() if not isinstance(value, dict)]
            rows.append(
                {
                    "data": data.name,
                    "backbone": backbone,
                    "variant": variant,
                    "metrics": {name: mean_and_interval([test[name] for test in tests]) for name in metrics},
                    "groups": {
                        group: {
                            "users": of_first["users"],
                            "ndcg@10": mean_and_interval([test["groups"][group]["ndcg@10"] for test in tests]),
                        }
                        for group, of_first in tests[0]["groups"].items()
                    },
                    "training_cpu_seconds": mean_and_interval(
                        [content["training_cpu_seconds"] for content in contents]
                    ),
                    "passes": mean_and_interval([content["passes"] for content in contents]),
                }
            )
    return rows


def _ranks(cell: Cell, folder: Path, protocols: tuple[str, ...]) -> dict[str, np.ndarray]:
    with np.load(folder / f"{cell.name}.npz") as arrays:
        return {protocol: arrays[protocol] for protocol in protocols}
