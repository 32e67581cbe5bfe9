"""Logs of an experiment in the gateway's layout, of any length, for measuring; written a file at a time.

Users come as often as a gamma variable says, so a few of them have very many impressions, and like what they are shown
as much as a beta variable says. The same seed gives the same logs.
"""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.contracts.serving import EVENTS_FOLDER, EXPOSURES, EXPOSURES_FOLDER, OUTCOME_EVENTS
from serving.experiment.user_days import ACTIVITY

START = datetime.datetime(2024, 1, 14, tzinfo=datetime.UTC)
DAYS = 5
FIRST_STAGE_DAYS = 2
LIST_LENGTH = 10
ITEMS = 10_000
LISTS_A_FILE = 100_000
LISTS_A_USER = 10.0
MEAN_CTR, MEAN_CVR = 0.03, 0.1
ARMS = ("candidate", "control")


def write_logs(folder: Path, lists: int, lift: float, seed: int) -> tuple[int, int]:
    """Write `exposures/`, `events/` and `activity.parquet`; the numbers of users that they are of and of events.

    Args:
        lift: the candidate's true relative lift of CTR.
    """
    generator = np.random.default_rng(seed)
    users = max(int(lists / LISTS_A_USER), 1)
    visits = np.cumsum(generator.gamma(0.5, 2.0, users))
    taste = generator.beta(2.0, 2.0 / MEAN_CTR - 2.0, users)
    is_candidate = generator.random(users) < 0.5
    items = pa.array([f"item-{number:05d}" for number in range(ITEMS)])
    for name in (EXPOSURES_FOLDER, EVENTS_FOLDER):
        (folder / name).mkdir(parents=True)
    write_activity(folder / "activity.parquet", np.diff(visits, prepend=0.0), taste, generator)
    events = 0
    for number, first in enumerate(range(0, lists, LISTS_A_FILE)):
        size = min(LISTS_A_FILE, lists - first)
        user = np.searchsorted(visits, generator.random(size) * visits[-1])
        moments = np.sort(generator.random(size)) * size + first  # the log is written in the order of time
        time = (START.timestamp() * 1e6 + moments * (DAYS * 86_400e6 / lists)).astype(np.int64)
        drawn = generator.bytes(16 * size).hex()
        request_ids = [drawn[place : place + 32] for place in range(0, len(drawn), 32)]
        shown = generator.integers(0, ITEMS - LIST_LENGTH, (size, 1)) + np.arange(LIST_LENGTH)
        pq.write_table(
            _exposures(request_ids, user, is_candidate[user], items.take(pa.array(shown.ravel())), time),
            folder / EXPOSURES_FOLDER / f"{number:06d}.parquet",
            compression="zstd",
        )
        rate = np.minimum(taste[user] * (1 + lift * is_candidate[user]), 1.0)
        row, slot = np.nonzero(generator.random((size, LIST_LENGTH)) < rate[:, None])
        bought = np.flatnonzero(generator.random(len(row)) < MEAN_CVR)
        row, slot = np.concatenate([row, row[bought]]), np.concatenate([slot, slot[bought]])
        outcome = np.repeat(["click", "conversion"], [len(row) - len(bought), len(bought)])
        later = (generator.exponential(60e6, len(row))).astype(np.int64)
        pq.write_table(
            pa.table(
                [
                    pa.array(request_ids).take(pa.array(row)),
                    items.take(pa.array(shown[row, slot])),
                    pa.array(outcome),
                    pa.array((time[row] + later) // 1_000_000 * 1_000_000),
                ],
                schema=OUTCOME_EVENTS,
            ),
            folder / EVENTS_FOLDER / f"{number:06d}.parquet",
            compression="zstd",
        )
        events += len(row)
    return users, events


def write_activity(path: Path, visits: np.ndarray, taste: np.ndarray, generator: np.random.Generator) -> None:
    """Write `ACTIVITY`: as many visits as in the experiment, in the mean, and the same taste."""
    impressions = LIST_LENGTH * generator.poisson(LISTS_A_USER * visits / visits.mean())
    clicks = generator.binomial(impressions, taste)
    users = pa.array([f"user-{number:08d}" for number in range(len(visits))])
    conversions = generator.binomial(clicks, MEAN_CVR)
    pq.write_table(pa.table([users, impressions, clicks, conversions], schema=ACTIVITY), path, compression="zstd")


def _exposures(
    request_ids: list[str], user: np.ndarray, is_candidate: np.ndarray, items: pa.Array, time: np.ndarray
) -> pa.Table:
    size = len(user)
    offsets = pa.array(np.arange(size + 1, dtype=np.int32) * LIST_LENGTH)

    def constant(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), size)

    columns = {
        "request_id": pa.array(request_ids),
        "user_id": pa.array([f"user-{number:08d}" for number in user]),
        "endpoint": constant("recommend", pa.string()),
        "arm": pa.array(np.where(is_candidate, *ARMS)),
        "state": pa.array(np.where(time < (START.timestamp() + FIRST_STAGE_DAYS * 86_400) * 1e6, 3, 4)),
        "model": constant("reland_ranker", pa.string()),
        "model_version": pa.array(np.where(is_candidate, 2, 1)),
        "generation": constant("generation", pa.string()),
        "items": pa.ListArray.from_arrays(offsets, items),
        "positions": pa.ListArray.from_arrays(
            offsets, pa.array(np.tile(np.arange(1, LIST_LENGTH + 1, dtype=np.int32), size))
        ),
        "scores": pa.ListArray.from_arrays(
            offsets, pa.array(np.random.default_rng(0).random(size * LIST_LENGTH, dtype=np.float32))
        ),
        "ladder_step": constant("fresh", pa.string()),
        "cold_start": constant(False, pa.bool_()),
        "rationale_id": constant("0123456789abcdef", pa.string()),
        **{
            f"seconds_{stage}": pa.array(np.full(size, 0.01, np.float32))
            for stage in ("total", "features", "candidates", "ranking")
        },
        "time": pa.array(time),
    }
    return pa.table([columns[field.name] for field in EXPOSURES], schema=EXPOSURES)
