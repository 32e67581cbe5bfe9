"""Timing of two sides in one process, in turn, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable


def median_seconds(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of a call of each side, over `repeats` calls of either, after one call that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for call, measured in zip((ours, peer), seconds, strict=True):
            begin = time.perf_counter()
            call()
            if repeat:
                measured.append(time.perf_counter() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])
