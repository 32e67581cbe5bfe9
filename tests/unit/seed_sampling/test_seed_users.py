"""The step: tables in, seeds and report out."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import INTERACTIONS_FILE, SEEDS_DIAGNOSTICS_FILE, SEEDS_FILE, SEEDS_PAGE_FILE
from components.contracts.batch_format import make_response, write_lines
from components.contracts.tables import INTERACTIONS, SEEDS, read_table, write_table, write_vectors
from components.foundation.errors import InputError
from components.language_model.configuration import RationalesSection
from components.seed_sampling.component import sample_seeds
from components.seed_sampling.configuration import SeedsSection
from components.seed_sampling.seed_users import count_training_interactions, sample_seed_users

USERS = 40
CONFIG = SeedsSection(0.25, clusters=4)


def write_interactions(folder, held_out_repeats=1):
    """User n has n + 3 training interactions, and two held-out ones, which may be repeated."""
    rows = []
    for user in range(USERS):
        splits = ["train"] * (user + 3) + ["valid", "test"] * held_out_repeats
        rows += [
            {
                "user_id": f"user{user:02}",
                "item_id": f"item{n}",
                "timestamp": n,
                "behavior": "click",
                "sequence": n,
                "split_leave_one_out": split,
            }
            for n, split in enumerate(splits)
        ]
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / "prepared"
    write_interactions(folder)
    return folder


@pytest.fixture
def embeddings(tmp_path):
    folder = tmp_path / "embeddings"
    matrix = np.random.default_rng(0).normal(size=(USERS, 8)).astype(np.float32)
    write_vectors(folder, "user_id", [f"user{user:02}" for user in range(USERS)], matrix)
    return folder


def run_component(prepared, embeddings, output, recorded="", policy="adaptive", previous_seeds=""):
    artifacts = [SimpleNamespace(path=str(path)) for path in (prepared, embeddings)]
    names = ("seeds", "page.html", "report.json")
    seeds, page, report = (SimpleNamespace(path=str(output / name)) for name in names)
    section = SeedsSection(0.25, policy, 4, previous_seeds).values()
    rationales = RationalesSection(recorded_rationales=str(recorded)).values()
    sample_seeds.python_func(*artifacts, section, rationales, 11, seeds, page, report)
    assert (output / "page.html").read_bytes() == (output / "seeds" / SEEDS_PAGE_FILE).read_bytes()
    return (output / "seeds" / SEEDS_FILE), json.loads((output / "report.json").read_text())["seeds"]


def test_only_training_interactions_are_counted(prepared):
    users, activity = count_training_interactions(prepared)
    assert users[:2] == ["user00", "user01"]
    assert activity.tolist() == list(range(3, USERS + 3))


def test_adaptive_seeds(prepared, embeddings, tmp_path):
    path, report = run_component(prepared, embeddings, tmp_path / "a")
    rows = read_table(path, SEEDS).to_pylist()
    assert {name: report[name] for name in ("count", "policy", "representative", "important", "clusters")} == {
        "count": 10,
        "policy": "adaptive",
        "representative": 5,
        "important": 5,
        "clusters": 4,
    }
    assert report["coverage"]["threshold"] == 0.5 and 0.25 <= report["coverage"]["share"] <= 1
    assert [row["user_id"] for row in rows] == sorted({row["user_id"] for row in rows})
    assert {row["origin"] for row in rows} == {"representative", "important"}
    assert all(0 <= row["cluster"] < 4 for row in rows)
    assert all(row["n_interactions"] == int(row["user_id"][4:]) + 3 for row in rows)


def test_held_out_rows_change_no_byte(prepared, embeddings, tmp_path):
    first, _ = run_component(prepared, embeddings, tmp_path / "a")
    write_interactions(prepared, held_out_repeats=7)
    second, _ = run_component(prepared, embeddings, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def write_recorded(path, *users):
    texts = {"model": "m", "preference_summary": "s", "recommendation": "r"}
    write_lines(path, [{"user_id": user, **texts} for user in users])


def test_recorded_users_and_seeds_of_last_week_exclude_each_other(prepared, embeddings, tmp_path):
    recorded = tmp_path / "recorded.jsonl"
    write_recorded(recorded, "user07")
    run_component(prepared, embeddings, tmp_path / "a")
    with pytest.raises(
        InputError, match=r"previous_seeds .*recorded\.jsonl are the seed users, expected one of the two"
    ):
        run_component(
            prepared, embeddings, tmp_path / "b", recorded, previous_seeds=str(next(tmp_path.rglob("seeds.parquet")))
        )


def test_recorded_users_become_the_seeds(prepared, embeddings, tmp_path, capsys):
    recorded = tmp_path / "recorded.jsonl"
    write_recorded(recorded, "user07", "nobody", "user03")
    path, report = run_component(prepared, embeddings, tmp_path / "a", recorded)
    assert report["policy"] == "recorded" and report["clusters"] == report["representative"] == report["important"] == 0
    assert report["count"] == report["recorded"] == 2 and "recommended_count" not in report
    assert read_table(path, SEEDS).to_pylist() == [
        {"user_id": "user03", "origin": "recorded", "cluster": -1, "n_interactions": 6},
        {"user_id": "user07", "origin": "recorded", "cluster": -1, "n_interactions": 10},
    ]
    assert "1 of 3 users with a recorded rationale are not in the data" in capsys.readouterr().out


def test_a_recorded_file_that_covers_nobody(prepared, embeddings, tmp_path):
    recorded = tmp_path / "recorded.jsonl"
    write_recorded(recorded, "nobody")
    with pytest.raises(InputError, match=r"recorded\.jsonl: covers nobody"):
        sample_seed_users(prepared, embeddings, CONFIG, tmp_path / "out", seed=0, recorded_rationales=recorded)


def test_a_recorded_batch_leaves_the_sampling_adaptive(prepared, embeddings, tmp_path):
    recorded = tmp_path / "batch.jsonl"
    write_lines(recorded, [make_response("a", "model", "answer", 1, 1)])
    _, report = run_component(prepared, embeddings, tmp_path / "a", recorded)
    assert report["representative"] == 5


def test_a_user_without_an_embedding(prepared, tmp_path):
    write_vectors(tmp_path / "few", "user_id", ["user00"], np.ones((1, 8), np.float32))
    with pytest.raises(InputError, match="no embedding of 39 of 40 users, the first is 'user01'"):
        sample_seed_users(prepared, tmp_path / "few", CONFIG, tmp_path / "out", seed=0)


@pytest.mark.parametrize("policy", ["random", "representative", "important", "facility_location"])
def test_the_other_policies(prepared, embeddings, tmp_path, policy):
    path, report = run_component(prepared, embeddings, tmp_path / "a", policy=policy)
    rows = read_table(path, SEEDS).to_pylist()
    assert report["policy"] == policy and report[policy] == report["count"] == len(rows) == 10
    assert {row["origin"] for row in rows} == {policy}
    assert all((row["cluster"] >= 0) == (policy == "representative") for row in rows)


def test_the_diagnostics_and_the_page(prepared, embeddings, tmp_path):
    path, report = run_component(prepared, embeddings, tmp_path / "a")
    content = json.loads((path.parent / SEEDS_DIAGNOSTICS_FILE).read_text())
    assert content["coverage"]["share"] == report["coverage"]["share"]
    assert content["number_of_seeds"]["knee"] == report["recommended_count"]
    assert sum(entry["base"] for entry in content["activity"]) == len(content["map"]["users"]) == USERS
    page = (path.parent / SEEDS_PAGE_FILE).read_text()
    assert page.count("<svg") == 4 and "<script" not in page and "user0" not in page
    assert "Since last week" not in page
    again, _ = run_component(prepared, embeddings, tmp_path / "b")
    for name in (SEEDS_FILE, SEEDS_DIAGNOSTICS_FILE, SEEDS_PAGE_FILE):
        assert (path.parent / name).read_bytes() == (again.parent / name).read_bytes()


def test_last_weeks_seeds_stay_where_nothing_has_changed(prepared, embeddings, tmp_path):
    first, _ = run_component(prepared, embeddings, tmp_path / "a")
    config = replace(CONFIG, previous_seeds=str(first))
    report = sample_seed_users(prepared, embeddings, config, tmp_path / "b", seed=11)["seeds"]
    assert (tmp_path / "b" / SEEDS_FILE).read_bytes() == first.read_bytes()
    assert report["refresh"]["calls_saved"] == report["refresh"]["kept"] == 10
    assert report["refresh"]["stability"] == {"jaccard": 1.0, "users_who_keep_their_seed": 1.0}
    assert "Since last week" in (tmp_path / "b" / SEEDS_PAGE_FILE).read_text()


def test_last_weeks_seeds_through_the_component(prepared, embeddings, tmp_path):
    first, _ = run_component(prepared, embeddings, tmp_path / "a")
    second, report = run_component(prepared, embeddings, tmp_path / "b", previous_seeds=str(first))
    assert second.read_bytes() == first.read_bytes() and report["refresh"]["new"] == 0


def test_last_weeks_seeds_with_a_user_twice(prepared, embeddings, tmp_path):
    first, _ = run_component(prepared, embeddings, tmp_path / "a")
    table = read_table(first, SEEDS)
    write_table(pa.concat_tables([table, table.slice(0, 1)]), tmp_path / "last.parquet", SEEDS)
    config = replace(CONFIG, previous_seeds=str(tmp_path / "last.parquet"))
    with pytest.raises(InputError, match=r"previous_seeds .*last\.parquet: a seed user is there twice"):
        sample_seed_users(prepared, embeddings, config, tmp_path / "b", seed=11)


def test_last_weeks_seeds_who_have_left(prepared, embeddings, tmp_path):
    first, _ = run_component(prepared, embeddings, tmp_path / "a")
    table = read_table(first, SEEDS)
    renamed = table.set_column(0, SEEDS.field(0), pa.array(["gone", *table.column("user_id").to_pylist()[1:]]))
    write_table(renamed, tmp_path / "last.parquet", SEEDS)
    config = replace(CONFIG, previous_seeds=str(tmp_path / "last.parquet"))
    weekly = sample_seed_users(prepared, embeddings, config, tmp_path / "b", seed=11)["seeds"]["refresh"]
    assert weekly["left_the_base"] == 1 and weekly["previous"] == 10 and weekly["kept"] + weekly["new"] == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed_policy": "best"}, "seed.policy 'best': expected one of adaptive, random"),
        ({"seed_fraction": 0.0}, "seed_fraction 0.0: expected"),
        ({"clusters": USERS + 1}, "clusters is 41, but there are only 40 users"),
        ({"tokens_per_call": float("nan")}, "tokens_per_call nan"),
        ({"previous_seeds": "none.parquet"}, "previous_seeds none.parquet: no such file"),
        ({"previous_seeds": "none.parquet", "seed_policy": "random"}, "previous_seeds goes with .* adaptive, not"),
    ],
)
def test_bad_settings(prepared, embeddings, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        sample_seed_users(prepared, embeddings, replace(CONFIG, **changes), tmp_path / "out", seed=0)


def test_last_weeks_seeds_of_other_data(prepared, embeddings, tmp_path):
    rows = [{"user_id": "somebody", "origin": "important", "cluster": 0, "n_interactions": 5}]
    write_table(pa.Table.from_pylist(rows, schema=SEEDS), tmp_path / "last.parquet", SEEDS)
    config = replace(CONFIG, previous_seeds=str(tmp_path / "last.parquet"))
    with pytest.raises(InputError, match=r"last\.parquet: none of its 1 seed users is in the data"):
        sample_seed_users(prepared, embeddings, config, tmp_path / "out", seed=0)


def test_embeddings_that_are_not_numbers(prepared, tmp_path):
    matrix = np.ones((USERS, 8), np.float32)
    matrix[7, 3] = np.nan
    write_vectors(tmp_path / "bad", "user_id", [f"user{user:02}" for user in range(USERS)], matrix)
    with pytest.raises(InputError, match="bad: a vector holds a number that is not finite"):
        sample_seed_users(prepared, tmp_path / "bad", CONFIG, tmp_path / "out", seed=0)


def test_no_training_interactions(embeddings, tmp_path):
    write_table(INTERACTIONS.empty_table(), tmp_path / "empty" / INTERACTIONS_FILE, INTERACTIONS)
    with pytest.raises(InputError, match="empty: no training interactions"):
        sample_seed_users(tmp_path / "empty", embeddings, CONFIG, tmp_path / "out", seed=0)


@pytest.mark.filterwarnings("error")  # nothing to warn of: a cluster may be empty
@pytest.mark.parametrize("matrix", [np.ones((USERS, 8)), np.zeros((USERS, 8))], ids=["all equal", "nothing known"])
@pytest.mark.parametrize("clusters", [1, 4, USERS])
def test_users_who_cannot_be_told_apart(prepared, tmp_path, matrix, clusters):
    names = [f"user{user:02}" for user in range(USERS)]
    write_vectors(tmp_path / "equal", "user_id", names, matrix.astype(np.float32))
    config = replace(CONFIG, clusters=clusters)
    report = sample_seed_users(prepared, tmp_path / "equal", config, tmp_path / "out", seed=0)["seeds"]
    assert report["count"] == 10 and report["similarity_mean"] == pytest.approx(matrix[0, 0])
    assert report["recommended_count"] is None
