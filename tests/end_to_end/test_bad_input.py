"""Bad input, as a user meets it: one clear line, a non-zero end, no traceback, and the next run is not in the way."""

import gzip
import json
import shutil
import socket

import pytest

GOOD_RATINGS = "".join(
    f"{user}::{item}::5::{978300000 + user * 100 + item}\n" for user in range(1, 8) for item in range(1, 8)
)
GOOD_MOVIES = "".join(f"{item}::Movie {item} (1999)::Drama|Comedy\n" for item in range(1, 8))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "ml-1m"
    path.mkdir()
    (path / "ratings.dat").write_text(GOOD_RATINGS)
    (path / "movies.dat").write_text(GOOD_MOVIES)
    return path


def assert_one_clear_line(outcome, *parts):
    assert outcome.status != 0
    assert "Traceback" not in outcome.error + outcome.output
    (line,) = outcome.error.splitlines()
    assert line.startswith("reland: ")
    for part in parts:
        assert part in line


def damage(folder, name):
    ratings = folder / "ratings.dat"
    match name:
        case "missing":
            ratings.unlink()
        case "empty":
            ratings.write_bytes(b"")
        case "binary":
            ratings.write_bytes(bytes(range(256)) * 20)
        case "wrong separators":
            ratings.write_text(GOOD_RATINGS.replace("::", ","))
        case "folder":
            ratings.unlink()
            ratings.mkdir()
        case "emptied by filtering":
            ratings.write_text("1::1::5::978300000\n2::2::5::978300001\n")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("missing", ["ratings.dat"]),
        pytest.param("empty", ["ratings.dat", "empty"], marks=pytest.mark.slow),
        pytest.param("binary", ["ratings.dat"], marks=pytest.mark.slow),
        pytest.param("wrong separators", ["ratings.dat", "::"], marks=pytest.mark.slow),
        pytest.param("folder", ["ratings.dat", "folder"], marks=pytest.mark.slow),
        ("emptied by filtering", ["minimum_interactions 5"]),
    ],
)
def test_a_damaged_file_is_named_and_leaves_nothing_behind(reland, folder, tmp_path, name, parts):
    damage(folder, name)
    output = tmp_path / "out"
    arguments = ("prepare", "--dataset", "ml-1m", "--data-dir", str(folder), "--output", str(output))
    assert_one_clear_line(reland(*arguments), *parts)
    assert not output.exists()

    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "ratings.dat").write_text(GOOD_RATINGS)
    (folder / "movies.dat").write_text(GOOD_MOVIES)
    assert reland(*arguments).status == 0
    assert json.loads((output / "summary.json").read_text())["dataset"]["accepted"] == 49


def test_damaged_amazon_files(reland, tmp_path):
    folder = tmp_path / "beauty"
    folder.mkdir()
    (folder / "meta_Beauty.json.gz").write_bytes(gzip.compress(b'{"asin": "a", "title": "t"}\n'))
    whole = gzip.compress(b'{"reviewerID": "u", "asin": "a", "unixReviewTime": 1}\n' * 2000)
    (folder / "reviews_Beauty_5.json.gz").write_bytes(whole[: len(whole) // 2])
    outcome = reland(
        "prepare", "--dataset", "amazon-beauty", "--data-dir", str(folder), "--output", str(tmp_path / "o")
    )
    assert_one_clear_line(outcome, "reviews_Beauty_5.json.gz")


def test_rows_at_fault_are_rejected_with_line_and_reason_and_the_run_goes_on(reland, folder, tmp_path):
    lines = GOOD_RATINGS.splitlines()
    lines[1:1] = ["1::2", "1::3::5::soon", "1::4::5::-7", lines[0]]
    (folder / "ratings.dat").write_text("\n".join(lines) + "\n")
    arguments = ["prepare", "--dataset", "ml-1m", "--data-dir", str(folder), "--output", str(tmp_path / "out")]
    page = tmp_path / "home" / "stopped" / "validation.html"
    assert_one_clear_line(reland(*arguments), "RELAND_MAX_REJECTED", "line 2", "ratings.dat", str(page))
    assert "negative timestamp" in page.read_text() and not (tmp_path / "out").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAND_MAX_REJECTED", "0.2")
        outcome = reland(*arguments, "--json")
    assert outcome.status == 0
    dataset = json.loads(outcome.output)["dataset"]
    assert (dataset["accepted"], dataset["rejected"]) == (49, 4)
    import pyarrow.parquet as pq

    rejected = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert [row["source_line"] for row in rejected] == [2, 3, 4, 5]
    assert all(row["reason"] and row["file"] == "ratings.dat" for row in rejected)


def test_the_simulator_of_a_wanted_size_with_its_truth(reland, tmp_path):
    outcome = reland("prepare", "--dataset", "simulator:100", "--output", str(tmp_path / "out"), "--json")
    assert outcome.status == 0 and json.loads(outcome.output)["dataset"]["name"] == "simulator"
    assert {path.name for path in (tmp_path / "out" / "truth").iterdir()} == {
        *("config.json", "users.parquet", "items.parquet")
    }


def test_an_output_that_is_there_already(reland, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("mine")
    assert_one_clear_line(reland("prepare", "--output", str(tmp_path / "out")), "--output")
    assert (tmp_path / "out" / "kept").read_text() == "mine"


def test_a_seed_or_an_output_at_fault_of_the_commands_that_run_no_chain(reland, tmp_path):
    assert_one_clear_line(reland("prepare", "--seed", "-1", "--output", str(tmp_path / "out")), "seed -1")
    (tmp_path / "file").write_text("")
    assert_one_clear_line(reland("compile", "--output", str(tmp_path / "file")), "--output")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--seed-fraction", "0"], ["seed_fraction 0.0"]),
        (["--seed-fraction", "1.01"], ["seed_fraction 1.01"]),
        (["--dataset", "netflix"], ["netflix", "simulator"]),
        (["--dataset", "simulator:many"], ["simulator:many", "simulator:USERS"]),
        (["--rationale-engine", "oracle"], ["oracle", "template"]),
        (["--rationale-engine", "recorded", "--recorded-rationales", "none.jsonl"], ["none.jsonl"]),
        (["--variants", "reland"], ["variants", "id_only"]),
    ],
)
def test_a_setting_at_fault_ends_the_run_before_its_first_step(reland, tmp_path, arguments, parts):
    outcome = reland("run", *arguments)
    assert_one_clear_line(outcome, *parts)
    assert outcome.output == "" and not (tmp_path / "home" / "pipelines").exists()


@pytest.mark.slow
def test_a_recorded_file_that_covers_nobody_and_more_clusters_than_users(reland, tmp_path):
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text(
        json.dumps({"user_id": "nobody", "model": "m", "preference_summary": "s", "recommendation": "r"}) + "\n"
    )
    outcome = reland("run", "--rationale-engine", "recorded", "--recorded-rationales", str(recorded))
    assert_one_clear_line(outcome, "recorded.jsonl", "covers nobody")
    assert_one_clear_line(reland("run", "--clusters", "100000"), "clusters")
    # Neither failure left a run, a registered ranker or features behind.
    assert not (tmp_path / "home" / "runs").exists() and not (tmp_path / "home" / "model_repository").exists()


def test_a_port_in_use(reland, tmp_path):
    with socket.socket() as listener, pytest.MonkeyPatch.context() as patch:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        patch.setenv("RELAND_TRITON_GRPC_PORT", str(port))
        assert_one_clear_line(reland("run"), "RELAND_TRITON_GRPC_PORT", str(port))
    assert not (tmp_path / "home" / "pipelines").exists()


def test_an_unusable_home(reland, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        (tmp_path / "file").write_text("")
        (tmp_path / "used").mkdir()
        (tmp_path / "used" / "logs").write_text("")
        for home in ("file/home", "used"):
            patch.setenv("RELAND_HOME", str(tmp_path / home))
            assert_one_clear_line(reland("run"), "RELAND_HOME")
