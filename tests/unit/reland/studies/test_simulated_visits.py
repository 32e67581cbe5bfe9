"""Visits, the copy of the logs, and what a gateway that is not as it should be leads to.

The gateway here is a stand-in that answers what a test tells it to: one that is busy, or of another market, on demand.
The real one is asked in `tests/end_to_end/test_simulated_experiment.py`.
"""

import json
import threading
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.serving import (
    EVENTS_FOLDER,
    EXPOSURES,
    EXPOSURES_FOLDER,
    OUTCOME_EVENTS,
    log_folder,
    read_log,
)
from components.contracts.tables import write_table
from components.foundation.errors import EnvironmentFaultError, InputError
from components.foundation.settings import Settings
from components.marketplace.truth import Truth, make_truth
from components.marketplace.world import MarketConfig
from reland.studies import simulated_visits as experiment_simulation
from reland.studies.simulated_visits import Served, SimulationConfig, draw_visits, serve_visits, write_simulated_log

CONFIG = SimulationConfig(days=2, visits_factor=1.0, seed=0)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(MarketConfig(users=200, items=30, slots=3), 0)


def test_visits_are_those_of_the_market(truth):
    """Within four standard deviations of a Poisson number, by those who have signed up, in the order of the day."""
    visits = list(draw_visits(truth, SimulationConfig(days=2, visits_factor=10.0, seed=0)))
    assert [day.day for day in visits] == [30, 31]
    for day in visits:
        expected = 10 * truth.users.sessions_per_day[: truth.users_on(day.day)].sum()
        assert abs(len(day.users) - expected) < 4 * np.sqrt(expected)
        assert day.users.max() < truth.users_on(day.day)
        start = truth.config.start + day.day * 86_400
        assert (np.diff(day.moments) >= 0).all() and start <= day.moments[0] and day.moments[-1] < start + 82_800
    again = list(draw_visits(truth, SimulationConfig(days=2, visits_factor=10.0, seed=0)))
    assert all((one.users == other.users).all() for one, other in zip(visits, again, strict=True))
    other_seed = next(draw_visits(truth, SimulationConfig(days=1, visits_factor=10.0, seed=1)))
    assert len(other_seed.users) != len(visits[0].users) or (other_seed.users != visits[0].users).any()


def exposure(request_id: str, moment: datetime) -> dict:
    return {
        "request_id": request_id,
        "user_id": "u0000001",
        "endpoint": "recommend",
        "arm": "candidate",
        "state": 1,
        "model": "reland_ranker",
        "model_version": 2,
        "generation": "g",
        "items": ["i000001"],
        "positions": [1],
        "scores": [0.5],
        "ladder_step": "fresh",
        "cold_start": False,
        "seconds_total": 0.01,
        "time": moment,
    }


def at(second: int, microsecond: int = 0) -> datetime:
    return datetime(2026, 1, 1, 12, 0, second, microsecond, tzinfo=UTC)


def test_the_copy_of_the_logs_is_moved_to_the_simulated_days(monkeypatch, tmp_path):
    """An outcome comes as long after its list as it did; rows of others stay out; what is not logged is lost."""
    monkeypatch.setattr(experiment_simulation, "LOG_SECONDS", 0.0)
    settings = Settings(home=tmp_path / "home")
    rows = [exposure("a", at(0)), exposure("b", at(1, 250_000)), exposure("of another", at(2))]
    events = [
        {"request_id": "b", "item_id": "i000001", "outcome": "click", "time": at(3)},
        {"request_id": "of another", "item_id": "i000001", "outcome": "click", "time": at(4)},
    ]
    exposures = log_folder(settings, EXPOSURES_FOLDER)
    for number, row in enumerate(rows):
        write_table(pa.Table.from_pylist([row], EXPOSURES), exposures / f"{number}.parquet", EXPOSURES)
    logged = pa.Table.from_pylist(events, OUTCOME_EVENTS)
    write_table(logged, log_folder(settings, EVENTS_FOLDER) / "0.parquet", OUTCOME_EVENTS)
    noon, later = (datetime(2024, 2, day, 12, tzinfo=UTC) for day in (1, 2))
    served = Served(
        request_ids=["a", "b", "lost"],
        moments=[noon.timestamp(), later.timestamp() + 0.5, later.timestamp()],
        clicks=1,
    )

    lost = write_simulated_log(settings, tmp_path / "copy", served)

    assert lost == 1
    copied = read_log(tmp_path / "copy" / EXPOSURES_FOLDER, EXPOSURES).to_pylist()
    moved = {"a": noon, "b": later.replace(microsecond=500_000)}
    assert {row["request_id"]: row["time"] for row in copied} == moved
    assert [row | {"time": None} for row in copied] == [
        row | {"time": None} for row in pa.Table.from_pylist(rows[:2], EXPOSURES).to_pylist()
    ]
    (outcome,) = read_log(tmp_path / "copy" / EVENTS_FOLDER, OUTCOME_EVENTS).to_pylist()
    assert outcome == events[0] | {"time": later.replace(second=2, microsecond=250_000)}
    assert len(read_log(exposures, EXPOSURES)) == 3  # the logs themselves are as they were


@pytest.fixture
def gateway():
    """`gateway(answer)`: the address of a server that answers `answer(path, body)`, a status and an object."""
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, content = answer(self.path, body)
                told = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(told)))
                self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def recommended(number: int, items: list[str], cold: bool = False) -> dict:
    return {
        "request_id": f"r{number}",
        "arm": "control",
        "ladder_step": "fresh",
        "cold_start": cold,
        "items": [{"item_id": item, "score": 1.0} for item in items],
    }


@pytest.mark.slow
def test_every_visit_is_asked_for_and_every_outcome_told_also_to_a_busy_gateway(truth, gateway):
    calls: Counter[str] = Counter()
    told, lock = [], threading.Lock()

    def answer(path, body):
        with lock:
            calls[path] += 1
            if calls[path] % 3 == 1:
                return 429, {"detail": "busy"}
            if path == "/v1/events":
                told.extend(body["events"])
                return 202, {"accepted": len(body["events"])}
            assert body["count"] == 3
            return 200, recommended(calls[path], ["i000003", "i000007", "i000001"])

    served = serve_visits(gateway(answer), truth, CONFIG)

    visits = list(draw_visits(truth, CONFIG))
    assert served.users == [user for day in visits for user in day.users.tolist()]
    assert served.days == [day.day for day in visits for _ in day.users]
    assert set(map(tuple, served.lists)) == {(3, 7, 1)} and len(set(served.request_ids)) == len(served)
    outcomes = Counter(event["outcome"] for event in told)
    assert outcomes == {"click": served.clicks, "conversion": served.conversions} and served.clicks > 0
    clicks = {(event["request_id"], event["item_id"]) for event in told if event["outcome"] == "click"}
    assert len(clicks) == served.clicks and {request_id for request_id, _ in clicks} <= set(served.request_ids)
    assert {(event["request_id"], event["item_id"]) for event in told if event["outcome"] == "conversion"} <= clicks


@pytest.mark.parametrize(
    ("status", "content", "kind", "message"),
    [
        (200, recommended(1, ["i000001"], cold=True), InputError, "knows none of the first"),
        (200, recommended(1, ["film 1"]), InputError, "'film 1' is not of this market"),
        (401, {"detail": "no key"}, InputError, "status 401"),
        (429, {"detail": "busy"}, EnvironmentFaultError, "too busy"),
        (500, {"detail": "broken"}, EnvironmentFaultError, "status 500"),
    ],
)
def test_a_gateway_that_cannot_be_used_is_one_clear_line(truth, gateway, monkeypatch, status, content, kind, message):
    monkeypatch.setattr(experiment_simulation, "ATTEMPTS", 2)
    with pytest.raises(kind, match=message):
        serve_visits(gateway(lambda path, body: (status, content)), truth, CONFIG)


def test_no_gateway_at_all(truth):
    with pytest.raises(EnvironmentFaultError, match="no gateway answers there"):
        serve_visits("http://127.0.0.1:9", truth, CONFIG)


def test_a_gateway_that_fails_on_the_way_leaves_what_it_has_served(truth, gateway):
    calls: Counter[str] = Counter()

    def answer(path, body):
        calls[path] += 1
        if path == "/v1/events":
            return 202, {"accepted": len(body["events"])}
        if calls[path] > 60:  # in the second batch
            return 500, {"detail": "broken"}
        return 200, recommended(calls[path], ["i000003", "i000007", "i000001"])

    served = serve_visits(gateway(answer), truth, CONFIG)
    assert len(served) == len(served.moments) == 50 and served.interrupted and "status 500" in served.fault
