"""What a user and a rationale take in a real Redis, from which the sizes of clusters are computed."""

import random
import shutil
import subprocess
import time

import pytest
import redis

from components.feature_push.push import GenerationFeatures, push_features_to
from components.foundation.settings import Settings
from feature_repo.store import Assignment, History, Rationale, feature_store_folder, open_feature_store
from infra.sizes import REDIS_RATIONALE_BYTES, REDIS_USER_BYTES, TEXT_DIMENSION
from serving.triton.server import free_ports

pytestmark = pytest.mark.services
USERS, RATIONALES = 50, 5


@pytest.fixture
def server(missing_dependency, tmp_path, monkeypatch):
    program = shutil.which("redis-server")
    if program is None:
        missing_dependency("no redis-server: `make services` installs it")
    (port,) = free_ports(0)
    monkeypatch.setenv("RELAND_REDIS", f"127.0.0.1:{port}")
    monkeypatch.setenv("RELAND_FEAST_REGISTRY", f"sqlite:///{tmp_path / 'registry.db'}")
    process = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", ""], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 240
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield client
    process.kill()
    process.wait()


def test_rows_are_as_large_as_the_sizes_say(server, tmp_path):
    chance = random.Random(0)

    def vector(dimension: int) -> list[float]:
        return [chance.randrange(64) / 64 for _ in range(dimension)]

    users = [f"{chance.getrandbits(64):016x}" for _ in range(USERS)]
    rationales = {
        f"{chance.getrandbits(128):032x}": Rationale(
            vector(TEXT_DIMENSION), "all-MiniLM-L6-v2", "x" * 300, "20261120t154112826", banned=False
        )
        for _ in range(RATIONALES)
    }
    features = GenerationFeatures(
        rationales,
        {user: Assignment([chance.choice(list(rationales))], [0.75]) for user in users},
        {user: History([f"{chance.getrandbits(40):010x}" for _ in range(50)]) for user in users},
    )
    settings = Settings(home=tmp_path / "home", feature_store="redis")
    for slot in ("blue", "green"):
        push_features_to(open_feature_store(settings), feature_store_folder(settings), slot, features)
    measured = sorted(server.memory_usage(key, samples=0) for key in server.keys("*"))
    assert len(measured) == USERS + RATIONALES
    smaller, larger = sorted([(REDIS_USER_BYTES, USERS), (REDIS_RATIONALE_BYTES, RATIONALES)])
    assert measured[: smaller[1]] == pytest.approx([smaller[0]] * smaller[1], rel=0.1)
    assert measured[smaller[1] :] == pytest.approx([larger[0]] * larger[1], rel=0.1)
