"""The follower of the arms' record, with the reading of a record replaced: what is tested is that it goes on."""

import asyncio

import pytest

from components.foundation.errors import InputError
from serving.gateway import arms
from serving.gateway.arms import Arms
from serving.gateway.metrics import Metrics


@pytest.mark.parametrize("fault", [InputError("a version is not there yet"), RuntimeError("unforeseen")])
def test_a_record_that_is_refused_is_read_again_without_being_touched(tmp_path, monkeypatch, capsys, fault):
    """The file changes once; what it names comes later, without another change of the file."""
    monkeypatch.setattr(arms, "LOOK_SECONDS", 0.01)
    readings = []

    def read(self):
        readings.append(1)
        if 1 < len(readings) < 4:
            raise fault
        self._seen = arms._state_of(self._file)
        return type("Record", (), {"state": len(readings), "arms": ()})(), {}, {}

    monkeypatch.setattr(Arms, "_read", read)
    file = tmp_path / "rollout.json"
    file.write_text("1")
    followed = Arms(file, tmp_path, "", Metrics())

    async def scene():
        task = asyncio.create_task(followed.follow())
        file.write_text("another")
        while len(readings) < 2:
            await asyncio.sleep(0.01)
        assert followed.record.state == 1 and followed.refused is not None
        async with asyncio.timeout(60):
            while followed.refused is not None:
                await asyncio.sleep(0.01)
        assert followed.record.state == 4 and not task.done()
        task.cancel()

    asyncio.run(scene())
    assert capsys.readouterr().out.count("the arms stay as they are") == 1
