import asyncio

import pytest

from components.contracts.exclusions import EXCLUDE, ITEM, decide
from components.foundation.errors import InputError
from serving.gateway import exclusions
from serving.gateway.exclusions import FollowedExclusions
from serving.gateway.metrics import Metrics


def test_decisions_are_followed_and_a_damaged_file_leaves_what_is_in_force(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exclusions, "LOOK_SECONDS", 0.01)
    file, metrics = tmp_path / "exclusions.jsonl", Metrics()

    async def until(condition) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    async def scene() -> None:
        followed = FollowedExclusions(file, metrics)
        task = asyncio.create_task(followed.follow())
        assert followed.current.items == frozenset()
        decide(file, EXCLUDE, ITEM, ["a"], "why")
        await until(lambda: followed.current.items == {"a"})
        whole = file.read_bytes()
        file.write_bytes(whole + b"damaged\n")
        await until(lambda: followed.refused is not None)
        assert followed.current.items == {"a"}
        file.write_bytes(whole)
        decide(file, EXCLUDE, ITEM, ["b"], "why")
        await until(lambda: followed.current.items == {"a", "b"})
        assert followed.refused is None
        task.cancel()

    asyncio.run(scene())
    assert metrics.registry.get_sample_value("reland_gateway_excluded_items") == 2
    assert "the exclusions stay as they are: " in capsys.readouterr().out


def test_a_gateway_does_not_start_over_a_damaged_file(tmp_path):
    (tmp_path / "exclusions.jsonl").write_text("damaged\n")
    with pytest.raises(InputError, match=r"exclusions\.jsonl:1: not readable as JSON"):
        FollowedExclusions(tmp_path / "exclusions.jsonl", Metrics())
