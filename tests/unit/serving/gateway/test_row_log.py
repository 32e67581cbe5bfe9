import threading
import time

import pyarrow as pa

from components.contracts.serving import OUTCOME_EVENTS, read_log
from serving.gateway.row_log import RowLog


def event(number: int) -> dict:
    return {"request_id": f"r{number}", "item_id": "i", "outcome": "click", "time": number}


def open_log(folder, lost, **options):
    log = RowLog(folder, OUTCOME_EVENTS, lost.append, **options)
    log.start()
    return log


def wait_until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not come about within 10 s")


def test_rows_come_back_in_order_from_files_that_are_rotated_by_rows_and_the_rest_when_it_closes(tmp_path):
    lost = []
    log = open_log(tmp_path, lost, rows_per_file=64, seconds=60.0)
    assert all(log.append(event(number)) for number in range(64))
    wait_until(lambda: len(list(tmp_path.glob("*.parquet"))) == 1)
    for number in range(64, 100):
        log.append(event(number))
    log.close()
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir()), "what is logged names users"
    table = read_log(tmp_path, OUTCOME_EVENTS)
    assert table["request_id"].to_pylist() == [f"r{number}" for number in range(100)]
    assert table["time"].cast(pa.int64()).to_pylist() == list(range(100))
    assert len(list(tmp_path.glob("*.parquet"))) == 2 and lost == []


def test_rows_are_written_after_some_time_however_few_they_are(tmp_path):
    log = open_log(tmp_path, [], seconds=0.1)
    log.append(event(1))
    wait_until(lambda: read_log(tmp_path, OUTCOME_EVENTS).num_rows == 1)
    log.close()
    assert len(list(tmp_path.iterdir())) == 1


def test_while_the_disk_takes_nothing_rows_wait_then_are_lost_and_counted_and_nothing_raises(tmp_path):
    folder, lost = tmp_path / "log", []
    folder.write_text("a file where the folder should be: every write fails")
    log = open_log(folder, lost, capacity=40, rows_per_file=32, seconds=0.1)
    for number in range(200):
        log.append(event(number))
        time.sleep(0.002)
    assert sum(lost) > 0
    folder.unlink()
    wait_until(lambda: read_log(folder, OUTCOME_EVENTS).num_rows + sum(lost) == 200)
    log.close()


def test_a_full_disk_is_said_at_once_and_no_more_is_acknowledged_than_is_kept(tmp_path, capsys):
    folder, lost, failures = tmp_path / "log", [], []
    folder.write_text("a file where the folder should be: every write fails")
    log = RowLog(folder, OUTCOME_EVENTS, lost.append, lambda: failures.append(1), capacity=40, seconds=0.05)
    log.start()
    assert log.append(event(0))
    wait_until(lambda: log.is_stuck)
    assert "log: cannot be written, up to 40 rows are kept: " in capsys.readouterr().out
    taken = 0
    for number in range(1, 100):
        taken += log.append(event(number))
        time.sleep(0.002)  # rows go from the queue to what waits for the disk, which counts as well
    assert taken == 39 and sum(lost) == 60 and failures
    folder.unlink()
    wait_until(lambda: not log.is_stuck and read_log(folder, OUTCOME_EVENTS).num_rows == 40)
    assert log.append(event(100))
    log.close()


def test_what_cannot_be_written_when_it_closes_is_counted(tmp_path):
    folder, lost = tmp_path / "log", []
    folder.write_text("a file")
    log = open_log(folder, lost, seconds=60.0)
    log.append(event(1))
    log.append({"request_id": 5})  # no row of this schema
    log.close()
    assert sum(lost) == 2
    assert not [thread for thread in threading.enumerate() if thread.name == "log-log"]
