"""`reland generations`: found, shown and compared."""

import json
import re
import shutil
import sys

import pytest

from components.contracts.artifacts import CONFIGURATION_FILE, MANIFEST_FILE, SUMMARY_FILE
from components.contracts.serving import Arm, RolloutRecord, rollout_file, write_rollout
from components.foundation.errors import InputError
from components.foundation.files import write_json
from components.foundation.settings import Settings
from pipelines.configuration import RunConfiguration, write_configuration
from reland.generations.comparing import Difference, compare_generations
from reland.generations.finding import arms_by_generation, find_generation, list_generations
from reland.main import main

ONE, TWO = "20260101t000000000", "20260102t120000000"


def write_run(home, number, name, ndcg, epochs):
    summary = {
        "generation": name,
        "dataset": {"name": "shop"},
        "ranking": {"backbone": "sasrec", "reland": {"hr@10": 0.5, "ndcg@10": ndcg}},
        "seconds": {"total": number},
    }
    folder = home / "pipelines" / f"reland-{number}" / "summarize" / "summary"
    write_json(folder / MANIFEST_FILE, {"generation": name, "engine": "template", "ranker_version": str(number)})
    write_json(folder / SUMMARY_FILE, summary)
    write_json(home / "runs" / name / SUMMARY_FILE, summary)
    configuration = RunConfiguration.read({"ranking": {"training": {"epochs": epochs}}})
    write_configuration(configuration, home / "runs" / name / CONFIGURATION_FILE)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path))
    write_run(tmp_path, 2, TWO, 0.25, 3)
    write_run(tmp_path, 1, ONE, 0.2, 12)
    (tmp_path / "pipelines" / "reland-3-that-failed" / "prepare-data").mkdir(parents=True)
    arm = Arm(
        name="champion",
        version=1,
        generation=ONE,
        feature_service="reland_blue",
        slot="blue",
        item_collection="reland_items_1",
        weight=1.0,
    )
    settings = Settings(home=tmp_path)
    write_rollout(rollout_file(settings), RolloutRecord(state=0, salt="", arms=(arm,)))
    return settings


def reland(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reland", "generations", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0


def test_generations_are_those_of_finished_runs_oldest_first(settings, tmp_path):
    generations, faults = list_generations(settings)
    assert [generation.name for generation in generations] == [ONE, TWO] and not faults
    generation = find_generation(settings, TWO)
    assert generation.artifacts == tmp_path / "pipelines" / "reland-2"
    assert generation.rankers == generation.artifacts / "train-rankers" / "rankers"
    assert generation.begun == "2026-01-02 12:00:00"
    assert generation.configuration == tmp_path / "runs" / TWO / CONFIGURATION_FILE
    assert arms_by_generation(settings) == {ONE: ["champion"]}
    with pytest.raises(InputError, match=f"no finished run has made the generation 'three', the newest: {ONE}, {TWO}"):
        find_generation(settings, "three")
    with pytest.raises(InputError, match="no run has finished yet, so there is no generation 'three'"):
        find_generation(Settings(home=tmp_path / "new"), "three")


def test_what_two_generations_have_not_in_common(settings):
    first, second = (find_generation(settings, name) for name in (ONE, TWO))
    assert compare_generations(first, first) == []
    assert compare_generations(first, second) == [
        Difference("configuration", "ranking.training.epochs", 12, 3),
        Difference("manifest", "generation", ONE, TWO),
        Difference("manifest", "ranker_version", "1", "2"),
        Difference("summary", "ranking.reland.ndcg@10", 0.2, 0.25),
    ]


def test_the_commands(settings, monkeypatch, capsys, tmp_path):
    assert reland(monkeypatch, "list", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["generation"], first["arms"], second["arms"]) == (ONE, ["champion"], [])
    assert reland(monkeypatch, "list") == 0 and "champion" in capsys.readouterr().out
    assert reland(monkeypatch, "show", ONE) == 0
    output = capsys.readouterr().out
    assert (
        "NDCG@10 0.2000" in output and f"reland run --config {tmp_path / 'runs' / ONE / CONFIGURATION_FILE}" in output
    )
    assert reland(monkeypatch, "diff", ONE, TWO) == 0 and "ranking.training.epochs: 12 -> 3" in capsys.readouterr().out
    assert reland(monkeypatch, "show", "three") == 2
    assert capsys.readouterr().err.count("\n") == 1


MANIFEST = {"generation": ONE, "engine": "template", "ranker_version": "1"}
SUMMARY = {"dataset": {"name": "shop"}, "ranking": {}}


@pytest.mark.parametrize(
    ("manifest", "summary", "message"),
    [
        ('{"genera', SUMMARY, r"manifest\.json: not readable as JSON"),
        ("\udcff", SUMMARY, r"manifest\.json: not readable as JSON"),
        ("[" * 100_000, SUMMARY, r"manifest\.json: not readable as JSON"),
        ([1], SUMMARY, r"manifest\.json: expected a JSON object, found list"),
        ({}, SUMMARY, r"manifest\.json: generation is missing"),
        (MANIFEST | {"generation": 5}, SUMMARY, r"manifest\.json: generation is of another kind, found 5"),
        (MANIFEST | {"generation": "../../etc"}, SUMMARY, r"manifest\.json: '\.\./\.\./etc' is no id of a generation"),
        ({"generation": ONE, "engine": "template"}, SUMMARY, r"manifest\.json: ranker_version is missing"),
        (MANIFEST, None, r"summary\.json: no such file"),
        (MANIFEST, [], r"summary\.json: expected a JSON object"),
        (MANIFEST, {}, r"summary\.json: dataset is missing"),
        (MANIFEST, {"dataset": {}, "ranking": {}}, r"summary\.json: .*dataset\.name is missing"),
        (MANIFEST, {"dataset": {"name": "shop"}, "ranking": None}, r"summary\.json: ranking is of another kind"),
    ],
)
def test_a_broken_run_hides_no_other(settings, monkeypatch, capsys, manifest, summary, message):
    folder = settings.home / "pipelines" / "reland-1" / "summarize" / "summary"
    (settings.home / "runs" / ONE / SUMMARY_FILE).unlink()
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / MANIFEST_FILE).write_bytes(text.encode(errors="surrogateescape"))
    (folder / SUMMARY_FILE).unlink()
    if summary is not None:
        write_json(folder / SUMMARY_FILE, summary)
    generations, faults = list_generations(settings)
    assert [generation.name for generation in generations] == [TWO]
    assert len(faults) == 1 and re.search(message, str(faults[0]))
    assert reland(monkeypatch, "list", "--json") == 0
    printed = capsys.readouterr()
    assert [row["generation"] for row in json.loads(printed.out)] == [TWO]
    assert printed.err.startswith("WARNING: left out, ") and printed.err.count("\n") == 1
    assert reland(monkeypatch, "show", TWO) == 0
    with pytest.raises(InputError, match=message):
        find_generation(settings, ONE)


def test_two_runs_of_one_name_are_told(settings):
    shutil.copytree(settings.home / "pipelines" / "reland-2", settings.home / "pipelines" / "copy")
    with pytest.raises(InputError, match=f"generation '{TWO}': .*copy and .*reland-2 both hold it"):
        find_generation(settings, TWO)


def test_a_home_that_cannot_be_read_is_not_an_empty_one(tmp_path):
    assert list_generations(Settings(home=tmp_path / "none")) == ([], [])
    (tmp_path / "pipelines").write_text("a file")
    with pytest.raises(InputError, match=r"setting RELAND_HOME: .*pipelines cannot be read"):
        list_generations(Settings(home=tmp_path))
