"""The ledger: what is in it stays in it, whatever happens to the process, the disk or the last line."""

import hashlib
import resource
import subprocess
import sys

import pytest

from components.contracts.batch_format import make_response
from components.foundation.errors import ConflictError, EnvironmentFaultError, InputError
from components.language_model.ledger import PARTITIONS, Ledger, partition_of, shard_of


def custom_id(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def answer(number, content="an answer\twith a tab,\na line and \ud800 half a pair"):
    return make_response(custom_id(number), "m", content, 3, 2)


def fill(folder, numbers, *shard):
    with Ledger(folder, *shard) as ledger:
        for number in numbers:
            ledger.append(answer(number))


def read(folder, numbers, *shard):
    with Ledger(folder, *shard) as ledger:
        return ledger.read([custom_id(number) for number in numbers])


def path_of(folder, number):
    return folder / f"part-{partition_of(custom_id(number)):02d}.tsv"


def test_answers_come_back_as_they_were_and_only_those_asked_for(tmp_path):
    fill(tmp_path, range(100))
    assert read(tmp_path, [3, 99, 100]) == {custom_id(number): answer(number) for number in (3, 99)}


def test_a_line_is_the_id_a_checksum_and_the_response(tmp_path):
    fill(tmp_path, [1])
    key, checksum, response = path_of(tmp_path, 1).read_text().split("\t")
    assert key == custom_id(1) and len(checksum) == 8 and response.startswith('{"id":') and response.endswith("}\n")


@pytest.mark.slow
def test_a_last_line_cut_anywhere_is_dropped_and_spoils_nothing_that_follows(tmp_path):
    first, second, third = [number for number in range(1000) if partition_of(custom_id(number)) == 0][:3]
    only_its_part = (0, PARTITIONS)
    fill(tmp_path, [first])
    path = path_of(tmp_path, first)
    begin = path.stat().st_size
    fill(tmp_path, [second])
    whole = path.read_bytes()
    for end in range(begin, len(whole)):
        path.write_bytes(whole[:end])
        assert set(read(tmp_path, [first, second], *only_its_part)) == {custom_id(first)}, end
        fill(tmp_path, [third], *only_its_part)
        found = read(tmp_path, [first, second, third], *only_its_part)
        assert set(found) == {custom_id(first), custom_id(third)}, end


def test_a_cut_line_longer_than_one_look_back_and_a_file_without_any_whole_line(tmp_path):
    fill(tmp_path, [1])
    path = path_of(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * 200_000)
    assert set(read(tmp_path, [1])) == {custom_id(1)} and path.read_bytes() == whole
    path.write_bytes(b"\0" * 200_000)  # what a lost block of a file reads as
    assert read(tmp_path, [1]) == {} and path.read_bytes() == b""


def test_a_damaged_line_is_told_and_asked_again(tmp_path, capsys):
    fill(tmp_path, [1])
    path = path_of(tmp_path, 1)
    path.write_bytes(path.read_bytes().replace(b"an answer", b"an Answer"))
    assert read(tmp_path, [1]) == {}
    assert "1 damaged lines passed over" in capsys.readouterr().out
    fill(tmp_path, [1])
    assert set(read(tmp_path, [1])) == {custom_id(1)}


@pytest.mark.parametrize(("first", "second"), [((0, 1), (0, 1)), ((0, 2), (2, 4)), ((3, 8), (0, 1))])
def test_two_writers_of_one_part_are_refused_with_one_line(tmp_path, first, second):
    with Ledger(tmp_path, *first), pytest.raises(ConflictError, match=r"part-\d\d.tsv: another run works on this part"):
        Ledger(tmp_path, *second)
    Ledger(tmp_path, *second).close()  # and what was locked before the refusal is free again


def test_shards_work_side_by_side_and_every_number_of_shards_finds_the_answers(tmp_path):
    numbers = range(200)
    ledgers = [Ledger(tmp_path, shard, 3) for shard in range(3)]
    for number in numbers:
        ledgers[shard_of(custom_id(number), 3)].append(answer(number))
    for ledger in ledgers:
        ledger.close()
    for shards in (1, 2, PARTITIONS):
        found = {}
        for shard in range(shards):
            with Ledger(tmp_path, shard, shards) as ledger:
                of_shard = ledger.read([custom_id(number) for number in numbers])
            assert all(shard_of(key, shards) == shard for key in of_shard)
            found |= of_shard
        assert len(found) == len(numbers)


def test_another_attempt_is_kept_with_the_request_it_is_an_attempt_at(tmp_path):
    request, attempt = next(
        (custom_id(a), custom_id(b)) for a in range(9) for b in range(9) if shard_of(custom_id(a), 2) == 0
        and shard_of(custom_id(b), 2) == 1
    )  # fmt: skip
    with Ledger(tmp_path, 0, 2) as ledger:
        ledger.append(make_response(attempt, "m", "x", 1, 1), request_id=request)
    with Ledger(tmp_path, 0, 2) as ledger:
        assert set(ledger.read([attempt])) == {attempt}


def test_a_full_disk_is_one_clear_line(tmp_path):
    path_of(tmp_path, 1).symlink_to("/dev/full")
    with (
        Ledger(tmp_path) as ledger,
        pytest.raises(EnvironmentFaultError, match=r"part-..\.tsv: not writable \(No space left"),
    ):
        ledger.append(answer(1))


def test_what_a_full_disk_cut_off_is_taken_back(tmp_path):
    """Half a line fits, the rest does not: a limit on the size of files stands in for the end of the disk."""
    fill(tmp_path, [1])
    size = path_of(tmp_path, 1).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger(tmp_path) as ledger:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        try:
            with pytest.raises(EnvironmentFaultError, match="run it again to go on"):
                ledger.append({**answer(1), "more": "x" * 1000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path_of(tmp_path, 1).stat().st_size == size
        ledger.append(answer(2))
    assert len(read(tmp_path, [1, 2])) == 2


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/ledger: not usable as a ledger .*RELAND_LEDGER"):
        Ledger(tmp_path / "file" / "ledger")


def test_a_killed_process_loses_nothing_and_unlocks(tmp_path):
    """Killed after its answer is written and before anything is synced or closed."""
    program = (
        "import os, signal, sys; from pathlib import Path; from components.language_model.ledger import Ledger; "
        "from components.contracts.batch_format import make_response; ledger = Ledger(Path(sys.argv[1])); "
        "ledger.append(make_response(sys.argv[2], 'm', 'x', 1, 1)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path), custom_id(1)], check=False)
    assert ended.returncode == -9
    assert set(read(tmp_path, [1])) == {custom_id(1)}
