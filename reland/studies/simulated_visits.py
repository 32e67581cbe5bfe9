"""`reland experiment simulate`: simulated users ask the running gateway day by day, and do what the truth says.

Everything between a user's request and the analysis is the real thing: HTTP, the gateway's assignment and ladder,
Triton, the logs of exposures and events. Only the users are simulated, so the lift to measure is known.

A simulated day takes seconds, and the gateway's logs tell real time. So the simulation leaves the logs alone and writes
a copy of its own rows, in which the times are those of the simulated days and nothing else is changed: each list is
moved to the moment of its visit, and its outcomes as long after it as they really came.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.serving import (
    EVENTS_FOLDER,
    EXPOSURES,
    EXPOSURES_FOLDER,
    OUTCOME_EVENTS,
    log_folder,
    read_log,
)
from components.contracts.tables import write_table
from components.foundation.errors import EnvironmentFaultError, InputError, RelandError
from components.foundation.progress import say
from components.foundation.settings import Settings
from components.marketplace.sessions import DAY_SECONDS, draw_outcomes
from components.marketplace.truth import Truth
from components.marketplace.world import REPLAY, generator_of
from reland.studies.true_lift import lists_of

BATCH = 50  # visits served, drawn and reported together: at most 1,000 outcomes, as a request may hold
CONCURRENCY = 8  # requests at a time; one that the gateway refuses for lack of capacity is sent again
ATTEMPTS = 60  # for one request, a second apart at most
LOG_SECONDS = 30.0  # that the gateway's logs get to hold what was served; they are written every ten seconds
LOG_FILE = "00000.parquet"


@dataclass(frozen=True)
class SimulationConfig:
    """
    Attributes:
        days: simulated days, from the first after the market's log on.
        visits_factor: by how much more often users come than in the log.
        seed: of who comes when and of what they do.
    """

    days: int
    visits_factor: float
    seed: int


@dataclass
class Served:
    """What was served, a row a list: of n lists, the k-th was answered k-th.

    Attributes:
        request_ids, arms, steps: as the gateway answered.
        users: index of the user in the truth.
        days: the simulated day.
        lists: int64[n, L], the items in the truth's index, `NO_ITEM` where a list is shorter.
        moments: of the visits, simulated, seconds since 1970.
        clicks, conversions: outcomes that were reported to the gateway.
        interrupted: whether visits are missing, and by what `fault`; by none after Ctrl-C.
    """

    request_ids: list[str] = field(default_factory=list)
    arms: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    days: list[int] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    lists: list[list[int]] = field(default_factory=list)
    clicks: int = 0
    conversions: int = 0
    interrupted: bool = False
    fault: str = ""

    def __len__(self) -> int:
        return len(self.request_ids)


@dataclass(frozen=True)
class Visits:
    """Who comes on a day, in order: `users` int64[n], and `moments` float64[n], seconds since 1970."""

    day: int
    users: np.ndarray
    moments: np.ndarray


def draw_visits(truth: Truth, config: SimulationConfig) -> Iterator[Visits]:
    """The visits of each day: of every user who has signed up by then, a Poisson number, at any time of the day.

    The last hour of a day is left free, so that what comes of a list is of its day.
    """
    for day in range(truth.config.days, truth.config.days + config.days):
        generator = generator_of(config.seed, REPLAY, day, 0)
        rate = truth.users.sessions_per_day[: truth.users_on(day)] * config.visits_factor
        users = np.repeat(np.arange(len(rate)), generator.poisson(rate))
        generator.shuffle(users)
        seconds = np.sort(generator.random(len(users))) * (DAY_SECONDS - 3600)
        yield Visits(day, users, truth.config.start + day * DAY_SECONDS + seconds)


def serve_visits(gateway: str, truth: Truth, config: SimulationConfig) -> Served:
    """Ask a list for each visit, draw what comes of it, and tell the gateway.

    Ctrl-C ends it after the batch at work, a gateway that fails for good before it.

    Raises:
        InputError: what the gateway serves is of another market, or not one visit was served.
        EnvironmentFaultError: no gateway answers.
    """
    served = Served()
    with _stop_flag() as stop:
        try:
            asyncio.run(_serve_visits(gateway, truth, config, stop, served))
        except RelandError as error:
            if not len(served):
                raise
            # What was served until then is an experiment, shorter than it was to be.
            served.interrupted, served.fault = True, str(error)
    if not len(served):
        raise InputError("no visit was served: there is nothing to analyse")
    return served


@contextmanager
def _stop_flag() -> Iterator[threading.Event]:
    """Set by an interrupt or a termination, which end nothing else for the length of the block."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve_visits(
    gateway: str, truth: Truth, config: SimulationConfig, stop: threading.Event, served: Served
) -> None:
    async with httpx2.AsyncClient(base_url=gateway, timeout=30.0, trust_env=False) as client:
        for visits in draw_visits(truth, config):
            generator = generator_of(config.seed, REPLAY, visits.day, 1)
            before = len(served), served.clicks
            for first in range(0, len(visits.users), BATCH):
                if stop.is_set():
                    served.interrupted = True
                    return
                await _serve_batch(client, truth, visits, slice(first, first + BATCH), generator, served)
            lists, clicks = len(served) - before[0], served.clicks - before[1]
            say(f"day {visits.day - truth.config.days + 1} of {config.days}: {lists:,} lists, {clicks:,} clicks")


async def _serve_batch(
    client: httpx2.AsyncClient,
    truth: Truth,
    visits: Visits,
    batch: slice,
    generator: np.random.Generator,
    served: Served,
) -> None:
    users = visits.users[batch]
    places = asyncio.Semaphore(CONCURRENCY)
    length = truth.config.slots

    async def ask(user_id: str) -> dict[str, Any]:
        async with places:
            return await _post(client, "/v1/recommend", {"user_id": user_id, "count": length}, len(served) > 0)

    user_ids = truth.user_ids().take(pa.array(users)).to_pylist()
    answers = await asyncio.gather(*(ask(user_id) for user_id in user_ids))
    if not len(served) and all(answer["cold_start"] for answer in answers):
        raise InputError(
            f"{client.base_url}: the gateway knows none of the first {len(users)} users, expected the gateway of a run "
            "over this market"
        )
    items = [[item["item_id"] for item in answer["items"]] for answer in answers]
    try:
        lists = lists_of(truth, items)
    except ValueError as error:
        raise InputError(f"{client.base_url}: serves what the market does not sell: {error}") from error
    outcomes = draw_outcomes(truth, users, lists, visits.day, generator)
    events = [
        {"request_id": answers[row]["request_id"], "item_id": items[row][slot], "outcome": outcome}
        for outcome, happened in (("click", outcomes.clicked), ("conversion", outcomes.purchased))
        for row, slot in zip(*np.nonzero(happened), strict=True)
    ]
    if events:
        await _post(client, "/v1/events", {"events": events}, answered=True)
    served.request_ids += [answer["request_id"] for answer in answers]
    served.arms += [answer["arm"] for answer in answers]
    served.steps += [answer["ladder_step"] for answer in answers]
    served.users += users.tolist()
    served.days += [visits.day] * len(users)
    served.moments += visits.moments[batch].tolist()
    served.lists += lists.tolist()
    served.clicks += int(outcomes.clicked.sum())
    served.conversions += int(outcomes.purchased.sum())


async def _post(client: httpx2.AsyncClient, path: str, body: dict[str, Any], answered: bool) -> Any:
    """The answer to a request, which is made again while the gateway is busy or, once it has answered, started again.

    Raises:
        EnvironmentFaultError: nothing answers there, or it is too busy or fails.
        InputError: it refuses the request.
    """
    fault, refused = "", False
    for _ in range(ATTEMPTS):
        try:
            response = await client.post(path, json=body)
        except httpx2.TransportError as error:
            fault = f"no gateway answers there ({error or type(error).__name__}); `reland serve` starts one"
            if not answered:
                break
            await asyncio.sleep(1.0)
            continue
        if response.is_success:
            return response.json()
        fault = f"status {response.status_code}, {response.text[:200]}"
        if response.status_code != 429:
            refused = response.status_code < 500
            break
        fault = f"too busy for a request, {ATTEMPTS} times in a row"
        await asyncio.sleep(min(1.0, float(response.headers.get("retry-after", "1"))))
    raise (InputError if refused else EnvironmentFaultError)(f"{client.base_url}: {fault}")


def write_simulated_log(settings: Settings, folder: Path, served: Served) -> int:
    """Copy what was served, and its outcomes, out of the gateway's logs, with the simulated times.

    Waits until the logs hold all of it; a list that they never do, because the log's queue was full or the gateway was
    killed, is lost as it would be in any experiment.

    Args:
        settings: of the gateway, whose logs are below its RELAND_HOME.
        folder: where `exposures` and `events` are written.

    Returns:
        how many lists and outcomes were lost.
    """
    moment_of = dict(zip(served.request_ids, served.moments, strict=True))
    wanted = pa.array(served.request_ids, pa.string())
    outcomes = served.clicks + served.conversions
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        exposures = _rows_of(log_folder(settings, EXPOSURES_FOLDER), EXPOSURES, wanted)
        events = _rows_of(log_folder(settings, EVENTS_FOLDER), OUTCOME_EVENTS, wanted)
        lost = len(wanted) - len(exposures) + max(0, outcomes - len(events))
        if not lost or time.monotonic() > deadline:
            break
        time.sleep(1.0)
    real_time = dict(zip(exposures["request_id"].to_pylist(), _microseconds(exposures), strict=True))
    for table, schema, name in ((exposures, EXPOSURES, EXPOSURES_FOLDER), (events, OUTCOME_EVENTS, EVENTS_FOLDER)):
        ids = table["request_id"].to_pylist()
        moved = [
            round(moment_of[request_id] * 1e6) + moment - real_time.get(request_id, moment)
            for request_id, moment in zip(ids, _microseconds(table), strict=True)
        ]
        column = pa.array(moved, pa.int64()).cast(schema.field("time").type)
        moved_table = table.set_column(table.schema.get_field_index("time"), schema.field("time"), column)
        write_table(moved_table, folder / name / LOG_FILE, schema)
    return lost


def _rows_of(folder: Path, schema: pa.Schema, request_ids: pa.Array) -> pa.Table:
    table = read_log(folder, schema)
    return table.filter(pc.is_in(table["request_id"], request_ids))


def _microseconds(table: pa.Table) -> list[int]:
    return table["time"].cast(pa.int64()).to_pylist()
