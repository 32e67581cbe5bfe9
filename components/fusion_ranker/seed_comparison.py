"""The table of the paper's experiments: each variant's metrics over several seeds of the ranker."""

import statistics
from pathlib import Path
from typing import Any

from components.contracts.artifacts import METRICS_FILE
from components.foundation.errors import InputError
from components.foundation.files import read_json


def compare_over_seeds(evaluations: list[Path]) -> dict[str, Any]:
    """Mean and sample standard deviation of every metric of every variant.

    Args:
        evaluations: folders of the evaluations, one for each seed, all of one backbone, protocol and set of variants.

    Returns:
        `{"backbone", "protocol", "seeds": number of them, "variants": {variant: {metric: {"mean", "deviation"}}}}`; the
        deviation of a single seed is null.

    Raises:
        InputError: there is none, a file is unreadable, or two are not of the same experiment.
    """
    if not evaluations:
        raise InputError("benchmark: no seed was evaluated")
    measured = [read_json(folder / METRICS_FILE) for folder in evaluations]
    first = measured[0]
    for folder, other in zip(evaluations, measured, strict=True):
        for key in ("backbone", "protocol"):
            if other[key] != first[key]:
                raise InputError(f"{folder / METRICS_FILE}: {key} is {other[key]!r}, another seed's is {first[key]!r}")
        if set(other["variants"]) != set(first["variants"]):
            raise InputError(f"{folder / METRICS_FILE}: has other variants than another seed")
    table = {
        variant: {metric: _spread([one["variants"][variant][metric] for one in measured]) for metric in metrics}
        for variant, metrics in first["variants"].items()
    }
    return {
        "backbone": first["backbone"],
        "protocol": first["protocol"],
        "seeds": len(measured),
        "variants": table,
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation}
