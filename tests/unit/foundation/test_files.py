"""Writing is done or not begun; reports are united; generations are named and described."""

import json
import os
import stat
from datetime import UTC, datetime

import pytest

from components.contracts.artifacts import merge_reports
from components.contracts.generation import generation_id, manifest
from components.foundation.errors import InputError
from components.foundation.files import PRIVATE, creating_directory, read_json, replacing_file, write_json
from components.foundation.progress import say


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    with replacing_file(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(RuntimeError), replacing_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one" and names(tmp_path) == ["file"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o644), (0o077, 0o600)])
def test_a_file_has_the_permissions_asked_for_less_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "file", {})
        with replacing_file(tmp_path / "names users", PRIVATE) as temporary:
            temporary.write_text("ann")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)] == [mode, 0o600]


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(RuntimeError), creating_directory(path) as temporary:
        (temporary / "file").write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []
    path.mkdir()  # an empty one is no obstacle
    with creating_directory(path) as temporary:
        (temporary / "file").write_text("one")
    with pytest.raises(FileExistsError), creating_directory(path):
        pytest.fail("the work was begun")
    other = tmp_path / "other"
    with pytest.raises(FileExistsError), creating_directory(other) as temporary:
        (temporary / "file").write_text("two")
        other.mkdir()
        (other / "file").write_text("of somebody else")
    assert (other / "file").read_text() == "of somebody else"
    assert (path / "file").read_text() == "one" and names(tmp_path) == ["folder", "other"]


def test_json_at_fault_is_named(tmp_path):
    write_json(tmp_path / "good.json", {"b": 1, "a": "ü"})
    assert list(read_json(tmp_path / "good.json")) == ["b", "a"]
    (tmp_path / "bad.json").write_bytes(b"\xff{")
    for name, message in (("bad.json", "not readable as JSON"), ("none.json", "no such file")):
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            read_json(tmp_path / name)


def test_reports_are_united_and_may_not_contradict(tmp_path):
    for name, content in (
        ("a", {"pool": {"size": 3}}),
        ("b", {"pool": {"collection": "c"}, "seeds": {"count": 3}}),
        ("c", {"pool": {"size": 4}}),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    assert merge_reports([tmp_path / "a", tmp_path / "b", tmp_path / "a"]) == {
        "pool": {"size": 3, "collection": "c"},
        "seeds": {"count": 3},
    }
    with pytest.raises(InputError, match=r"pool\.size is 4, another step reported 3"):
        merge_reports([tmp_path / "a", tmp_path / "c"])


def test_generations_sort_by_time_and_their_manifest_names_every_part():
    earlier, later = (datetime(2026, 11, 20, 9, 30, second, 7000, UTC) for second in (5, 40))
    assert generation_id(earlier) == "20261120t093005007" < generation_id(later)
    summary = {
        "generation": "g2",
        "registry": {"version": "4", "parent_generation": "g1"},
        "encoder": {"version": "3"},
        "generation_cost": {"engine": "template", "model": "template-v1 (no language model)"},
        "prompt": {"version": "p"},
        "pool": {"collection": "reland_pool_g2"},
        "features": {"slot": "green"},
    }
    assert manifest(summary, data_fingerprint="f", text_encoder="t") == {
        "generation": "g2",
        "parent_generation": "g1",
        "data_fingerprint": "f",
        "encoder_version": "3",
        "text_encoder": "t",
        "prompt_version": "p",
        "engine": "template",
        "model": "template-v1 (no language model)",
        "milvus_collection": "reland_pool_g2",
        "feast_slot": "green",
        "ranker_version": "4",
    }


def test_progress_is_marked(capsys):
    say("hello")
    assert capsys.readouterr().out == "[reland] hello\n"
