"""What every behavior encoder must do, over all encoders."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tomli_w
import torch

from components.behavior_encoder.encoder import ITEM_IDS_FILE, USER_IDS_FILE, BehaviorEncoder, EncoderConfig
from components.behavior_encoder.encoders import ENCODERS, configured_encoder, encoder_class, load_encoder, take_encoder
from components.behavior_encoder.gat_encoder import GATConfig
from components.behavior_encoder.histories import read_histories
from components.behavior_encoder.inference import embed_users
from components.behavior_encoder.lightgcn_encoder import LightGCNConfig
from components.behavior_encoder.sasrec_encoder import SASRecConfig
from components.contracts.artifacts import (
    CONFIG_FILE,
    INTERACTIONS_FILE,
    ITEM_TOPICS_FILE,
    ITEMS_FILE,
    METRICS_FILE,
    QUERY_TOPICS_FILE,
    WEIGHTS_FILE,
)
from components.contracts.lineage import training_lineage
from components.contracts.tables import INTERACTIONS, ITEM_TOPICS, ITEMS, QUERY_TOPICS, read_vectors, write_table
from components.foundation.errors import InputError
from components.recommenders.training.checkpoint import CHECKPOINT_FILE
from components.recommenders.training.processes import TrainingResources

# Small networks, and enough steps for a market of two tastes; a new encoder joins with one line.
CONFIGS: dict[str, EncoderConfig] = {
    "gat": GATConfig(dimension=8, steps=60, evaluate_every=20, heads=2, batch_size=64, held_out_share=0.05, seed=5),
    "lightgcn": LightGCNConfig(dimension=8, steps=60, batch_size=256, held_out_share=0.05, seed=5),
    "sasrec": SASRecConfig(dimension=8, steps=60, evaluate_every=20, length=6, batch_size=16, layers=1, seed=5),
}
RESOURCES = TrainingResources()
CATALOGUE = [f"i{number:02d}" for number in range(20)]

Histories = dict[str, list[str]]
Settings = dict[str, Any]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are not worth a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=sorted(CONFIGS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def two_tastes(users: int = 40) -> Histories:
    """The even users stay among the items i00 to i09, the odd ones among i10 to i19; the last two are held out."""
    return {
        f"u{user:02d}": [f"i{user % 2 * 10 + (user * 3 + step * 7) % 10:02d}" for step in range(5 + user % 5)]
        for user in range(users)
    }


def write_prepared(folder: Path, histories: Histories, catalogue: list[str] = CATALOGUE) -> Path:
    """A prepared data set: all items are for training but the last two."""
    rows = []
    for user, items in sorted(histories.items()):
        splits = ["train"] * (len(items) - 2) + ["valid", "test"]
        for moment, (item, split) in enumerate(zip(items, splits, strict=True)):
            row = {"user_id": user, "item_id": item, "timestamp": moment, "behavior": "click", "sequence": len(rows)}
            rows.append({**row, "split_leave_one_out": split})
    items_of = [{"item_id": item, "title": "", "brand": "", "categories": [], "description": ""} for item in catalogue]
    write_table(pa.Table.from_pylist(rows, schema=INTERACTIONS), folder / INTERACTIONS_FILE, INTERACTIONS)
    write_table(pa.Table.from_pylist(items_of, schema=ITEMS), folder / ITEMS_FILE, ITEMS)
    write_table(ITEM_TOPICS.empty_table(), folder / ITEM_TOPICS_FILE, ITEM_TOPICS)
    write_table(QUERY_TOPICS.empty_table(), folder / QUERY_TOPICS_FILE, QUERY_TOPICS)
    return folder


def trained(name: str, prepared: Path, **changes: object) -> BehaviorEncoder:
    encoder = encoder_class(name)(replace(CONFIGS[name], **changes))
    encoder.fit(prepared, RESOURCES)
    return encoder


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("market"), two_tastes())


@pytest.fixture(scope="module")
def encoders(market: Path) -> dict[str, BehaviorEncoder]:
    """One trained encoder of each kind; tests read them."""
    return {name: trained(name, market) for name in CONFIGS}


@pytest.fixture
def saved(encoders: dict[str, BehaviorEncoder], name: str, tmp_path: Path) -> Path:
    encoders[name].save(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_every_encoder_is_in_the_suite() -> None:
    assert set(CONFIGS) == set(ENCODERS)
    for name, config in CONFIGS.items():
        assert encoder_class(name).name == name and type(config) is encoder_class(name).config_type
        assert configured_encoder(name, {}, seed=3).config.seed == 3
    with pytest.raises(InputError, match=r"encoder 'word2vec': unknown encoder, expected one of .*lightgcn, sasrec"):
        configured_encoder("word2vec", {}, seed=0)


def test_a_finite_vector_of_the_configured_length_for_every_user(
    encoders: dict[str, BehaviorEncoder], name: str, market: Path
) -> None:
    vectors = encoders[name].encode(read_histories(market))
    assert vectors.shape == (40, 8) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all() and vectors.any(axis=1).all()


def test_the_seed_decides_everything(encoders: dict[str, BehaviorEncoder], name: str, market: Path) -> None:
    users = read_histories(market)
    again = trained(name, market)
    assert np.array_equal(again.encode(users), encoders[name].encode(users))
    assert again.metrics == encoders[name].metrics
    assert not np.array_equal(trained(name, market, seed=6, steps=2).encode(users), again.encode(users))


def test_users_of_one_taste_come_out_alike_and_own_items_are_told_from_random_ones(
    encoders: dict[str, BehaviorEncoder], name: str, market: Path
) -> None:
    vectors = encoders[name].encode(read_histories(market))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T - 2 * np.eye(40)
    assert (similarity.argmax(axis=1) % 2 == np.arange(40) % 2).mean() > 0.9  # chance is 0.5
    assert encoders[name].metrics["link_auc"] > 0.6  # chance is 0.5
    assert 0 < encoders[name].metrics["best_step"] <= encoders[name].metrics["steps"] <= 60


def test_held_out_interactions_reach_no_vector(name: str, tmp_path: Path) -> None:
    clean, poisoned, seen = two_tastes(), two_tastes(), two_tastes()
    for user in poisoned:
        poisoned[user][-2:] = ["i19", "i00"]
    seen["u00"][0] = "i19"
    vectors = []
    for label, histories in {"clean": clean, "poisoned": poisoned, "seen": seen}.items():
        prepared = write_prepared(tmp_path / label, histories)
        vectors.append(trained(name, prepared, steps=5).encode(read_histories(prepared)))
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])  # the comparison can fail: one training interaction is enough


def test_saved_and_loaded(saved: Path, encoders: dict[str, BehaviorEncoder], name: str, market: Path) -> None:
    loaded, original, users = load_encoder(saved), encoders[name], read_histories(market)
    assert type(loaded) is type(original) and loaded.config == original.config
    assert (loaded.metrics, loaded.lineage) == (original.metrics, training_lineage(market))
    assert np.array_equal(loaded.encode(users), original.encode(users))
    histories = [["i00", "i03"], [], ["i11"]]
    assert np.array_equal(loaded.encode_new(histories), original.encode_new(histories))
    loaded.save(saved.parent / "again")
    assert (saved / WEIGHTS_FILE).read_bytes() == (saved.parent / "again" / WEIGHTS_FILE).read_bytes()
    assert {path.suffix for path in saved.iterdir()} == {".safetensors", ".json", ".arrow"}  # no pickle


def test_an_encoder_trained_elsewhere_is_taken_where_the_data_is_the_same(
    saved: Path, market: Path, tmp_path: Path
) -> None:
    take_encoder(saved, write_prepared(tmp_path / "prepared again", two_tastes()), tmp_path / "taken")
    files = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "taken").iterdir()} == files
    other = write_prepared(tmp_path / "other", two_tastes() | {"u00": CATALOGUE[:7]})
    with pytest.raises(InputError, match=r"encoder .*encoder: trained on other data \(fingerprint [0-9a-f]{12}\)"):
        take_encoder(saved, other, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_a_folder_is_no_encoder_while_it_is_written_over(
    saved: Path, encoders: dict[str, BehaviorEncoder], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("components.behavior_encoder.encoder.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        encoders[name].save(saved)
    with pytest.raises(InputError, match=r"config.json: no such file"):
        load_encoder(saved)


def test_a_history_given_anew_comes_near_the_trained_vector(
    encoders: dict[str, BehaviorEncoder], name: str, market: Path
) -> None:
    users = read_histories(market)
    vectors = encoders[name].encode(users)
    new = encoders[name].encode_new([items[:-2] for _, items in sorted(two_tastes().items())])
    cosine = (vectors * new).sum(axis=1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(new, axis=1)
    assert encoders[name].metrics["inductive_agreement"] == pytest.approx(cosine.mean(), abs=1e-5)
    assert cosine.mean() > 0.8
    of_another = np.roll(new, 1, axis=0)  # the next user has the other taste
    crossed = (vectors * of_another).sum(axis=1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(of_another, axis=1)
    assert (cosine > crossed).mean() > 0.9


def test_new_users_of_one_item_of_unknown_items_and_of_none(encoders: dict[str, BehaviorEncoder], name: str) -> None:
    encoder = encoders[name]
    one, with_unknown, unknown, empty = encoder.encode_new([["i03"], ["x", "i03", "y"], ["x", "y"], []])
    assert one.any() and np.isfinite(one).all()
    assert np.allclose(one, with_unknown, atol=1e-6)
    assert not unknown.any() and not empty.any()
    assert encoder.encode_new([]).shape == (0, 8)


@pytest.mark.parametrize("length", [4, 3, 2])
def test_a_market_of_one_user(name: str, tmp_path: Path, length: int) -> None:
    """With two, one and no training interaction: vectors, or one clear line that there is nothing to learn from."""
    prepared = write_prepared(tmp_path, {"ann": CATALOGUE[:length]})
    try:
        vectors = trained(name, prepared, steps=3).encode(read_histories(prepared))
    except InputError as error:
        assert "training data: no" in str(error) and length < 4
    else:
        assert vectors.shape == (1, 8) and np.isfinite(vectors).all() and vectors.any()


def test_isolated_users_and_users_of_one_interaction_among_others(name: str, tmp_path: Path) -> None:
    histories = two_tastes() | {"v": ["i00", "i01"], "w": ["i05", "i00", "i01"]}
    prepared = write_prepared(tmp_path, histories, [*CATALOGUE, "never"])
    users = read_histories(prepared)
    encoder = trained(name, prepared, steps=10)
    vectors = dict(zip(users.user_ids, encoder.encode(users), strict=True))
    assert not vectors["v"].any()  # all its interactions are held out: nothing is known of it
    assert vectors["w"].any() and np.isfinite(vectors["w"]).all()
    assert np.isfinite(encoder.encode_new([["never"]])).all()


def test_a_hub_that_everybody_has_come_to(name: str, tmp_path: Path) -> None:
    histories = {user: ["hub", *items] for user, items in two_tastes(200).items()}
    prepared = write_prepared(tmp_path, histories, ["hub", *CATALOGUE])
    encoder = trained(name, prepared, steps=3)
    vectors = encoder.encode(read_histories(prepared))
    assert np.isfinite(vectors).all() and len(np.unique(vectors, axis=0)) > 1
    assert encoder.encode_new([["hub"], ["hub", "i03"]]).any(axis=1).all()


def test_shards_of_users_are_encoded_as_all_users_are(
    encoders: dict[str, BehaviorEncoder], name: str, market: Path, tmp_path: Path
) -> None:
    assert embed_users(encoders[name], market, tmp_path / "one") == 40
    assert embed_users(encoders[name], market, tmp_path / "three", shards=3, rows_at_once=16) == 40
    (one_ids, one), (three_ids, three) = (read_vectors(tmp_path / folder, "user_id") for folder in ("one", "three"))
    users = read_histories(market)
    assert one_ids == three_ids == users.user_ids
    np.testing.assert_allclose(one, three, atol=1e-6)
    np.testing.assert_allclose(one, encoders[name].encode(users), atol=1e-6)


def test_data_with_other_items_or_users(saved: Path, name: str, tmp_path: Path) -> None:
    other_items = write_prepared(tmp_path / "items", two_tastes(), [*CATALOGUE, "new"])
    with pytest.raises(InputError, match="encoder: trained with 20 items, not with the 21 of this data"):
        embed_users(load_encoder(saved), other_items, tmp_path / "vectors")
    other_users = write_prepared(tmp_path / "users", two_tastes() | {"zoe": CATALOGUE[:5]})
    if load_encoder(saved).user_ids is None:  # it reads histories alone
        assert embed_users(load_encoder(saved), other_users, tmp_path / "vectors") == 41
    else:
        with pytest.raises(InputError, match="encoder: user 'zoe' is not one of the 40 users it was trained with"):
            embed_users(load_encoder(saved), other_users, tmp_path / "vectors")
        assert not (tmp_path / "vectors").exists()


@pytest.mark.parametrize("file", [WEIGHTS_FILE, CONFIG_FILE, METRICS_FILE, ITEM_IDS_FILE, USER_IDS_FILE])
@pytest.mark.parametrize("keep", [None, 0, 20, 0.9])
def test_a_file_missing_or_cut_short(saved: Path, file: str, keep: float | None) -> None:
    if not (saved / file).exists():
        pytest.skip("an encoder that keeps no users")
    content = (saved / file).read_bytes()
    (saved / file).unlink()
    if keep is not None:
        (saved / file).write_bytes(content[: round(keep * len(content)) if keep < 1 else int(keep)])
    with pytest.raises(InputError, match=file) as caught:
        load_encoder(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "behavior-encoder-v0"}, "schema 'behavior-encoder-v0', expected 'behavior-encoder-v1'"),
        ({"encoder": "word2vec"}, "encoder 'word2vec' is not known"),
        ({"config": {"unknown": 1}}, "not the configuration of"),
        (
            {"config": {"dimension": "8"}},
            "not the configuration of .*dimension '8': expected a whole number, 1 or more",
        ),
        ({"item_ids_sha256": "0" * 64}, "item_ids.arrow: not the ids"),
        ({"data_fingerprint": ...}, "config.json: data_fingerprint missing"),
    ],
)
def test_a_configuration_of_something_else(saved: Path, change: dict[str, object], message: str) -> None:
    description = json.loads((saved / CONFIG_FILE).read_text())
    changed = {key: value for key, value in (description | change).items() if value is not ...}
    (saved / CONFIG_FILE).write_text(json.dumps(changed))
    with pytest.raises(InputError, match=message):
        load_encoder(saved)


def test_weights_of_another_size(saved: Path, name: str, market: Path, tmp_path: Path) -> None:
    trained(name, market, dimension=4, steps=1).save(tmp_path / "other")
    (saved / WEIGHTS_FILE).write_bytes((tmp_path / "other" / WEIGHTS_FILE).read_bytes())
    with pytest.raises(InputError, match=r"weights.safetensors: .* shape .*, expected"):
        load_encoder(saved)


# In processes of their own; all encoders in one test process each, since importing the networks is what costs.
KILLED = """
import json, os, signal, sys
from components.behavior_encoder.encoders import encoder_class
from components.behavior_encoder.train import main
from components.recommenders.training import loop

take_step = loop._take_step


def take_step_or_die(task, plan, step, *rest):
    if step == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    take_step(task, plan, step, *rest)


loop._take_step = take_step_or_die
commands = json.loads(sys.argv[1])
for name in commands:
    encoder_class(name)  # imported once, and forked
for name, arguments in commands.items():
    if not (process := os.fork()):
        main(arguments)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (name, status)
"""
TWO_PROCESSES = """
import json, sys
from components.behavior_encoder.train import main
from components.recommenders.training.processes import process_group

with process_group("cpu"):
    for arguments in json.loads(sys.argv[1]).values():
        main(arguments)
"""


def run_script(folder: Path, launcher: list[str], script: str, prepared: Path, settings: dict[str, Settings]) -> None:
    """Run a script above with the arguments of `behavior_encoder.train` for each encoder, in folder/<its name>."""
    commands = {}
    for name, changes in settings.items():
        (folder / name).mkdir()
        own = {setting: value for setting, value in changes.items() if setting != "seed"}
        content = {"seed": changes.get("seed", 0), "encoder": {"settings": own}}
        (folder / name / "config.toml").write_text(tomli_w.dumps(content))
        options = {"encoder": name, "prepared": prepared, "output": folder / name / "encoder", "device": "cpu"}
        options |= {"config": folder / name / "config.toml", "checkpoint": folder / name / "checkpoint"}
        commands[name] = [f"--{key}={value}" for key, value in options.items()]
    (folder / "script.py").write_text(script)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *launcher, str(folder / "script.py"), json.dumps(commands)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def configured(name: str, settings: Settings) -> BehaviorEncoder:
    return encoder_class(name)(encoder_class(name).config_type(**settings))


@pytest.fixture(scope="module")
def killed(market: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Settings]]:
    """What a SIGKILL in the middle of step 10 leaves, and the settings of the trainings that got it."""
    folder = tmp_path_factory.mktemp("killed")
    common = {"dimension": 8, "steps": 18, "evaluate_every": 4, "patience": 18, "batch_size": 32, "seed": 5}
    settings = {name: dict(common) for name in CONFIGS}
    settings["sasrec"]["dropout"] = 0.3
    run_script(folder, [], KILLED, market, settings)
    return folder, settings


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_vectors(
    name: str,
    killed: tuple[Path, dict[str, Settings]],
    market: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, settings = killed
    assert not (folder / name / "encoder").exists()
    whole, resumed = configured(name, settings[name]), configured(name, settings[name])
    whole.fit(market, RESOURCES)
    whole.save(tmp_path / "whole")
    capsys.readouterr()
    resumed.fit(market, TrainingResources(checkpoint=folder / name / "checkpoint"))
    assert f"{name}: goes on after step 8" in capsys.readouterr().out
    resumed.save(tmp_path / "resumed")
    for file in (WEIGHTS_FILE, METRICS_FILE):
        assert (tmp_path / "resumed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.fixture(scope="module")
def by_two(market: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Settings]]:
    """What two processes under `torchrun`, over gloo, have learned, and with which settings."""
    folder = tmp_path_factory.mktemp("two")
    # A batch of odd size, so that the shares differ.
    common = {"dimension": 8, "steps": 12, "evaluate_every": 6, "batch_size": 31, "seed": 5}
    # Each process drops out and draws neighbours of its own.
    same = {"dropout": 0.0, "neighbors": -1}
    settings = {
        name: common | {key: value for key, value in same.items() if hasattr(config, key)}
        for name, config in CONFIGS.items()
    }
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run_script(folder, launcher, TWO_PROCESSES, market, settings)
    return folder, settings


@pytest.mark.slow
def test_two_processes_learn_what_one_does(name: str, by_two: tuple[Path, dict[str, Settings]], market: Path) -> None:
    folder, settings = by_two
    users = read_histories(market)
    alone, untrained = configured(name, settings[name]), configured(name, settings[name] | {"steps": 1})
    alone.fit(market, RESOURCES)
    # Adam divides gradients by their size: rounding is visible where they are next to nothing.
    np.testing.assert_allclose(load_encoder(folder / name / "encoder").encode(users), alone.encode(users), atol=5e-3)
    untrained.fit(market, RESOURCES)
    assert not np.allclose(untrained.encode(users), alone.encode(users), atol=1e-2)  # the comparison can fail


def test_a_checkpoint_that_is_damaged_or_of_another_training(name: str, market: Path, tmp_path: Path) -> None:
    resources = TrainingResources(checkpoint=tmp_path)
    config = replace(CONFIGS[name], steps=4, evaluate_every=2)
    (tmp_path / f".{CHECKPOINT_FILE}.half").write_bytes(b"of a training that was killed while it wrote")
    encoder_class(name)(config).fit(market, resources)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]
    with pytest.raises(InputError, match=f"{CHECKPOINT_FILE}: of a training with another configuration or other data"):
        encoder_class(name)(replace(config, seed=6)).fit(market, resources)
    content = (tmp_path / CHECKPOINT_FILE).read_bytes()
    for keep in (0, 20, len(content) - 1):
        (tmp_path / CHECKPOINT_FILE).write_bytes(content[:keep])
        with pytest.raises(InputError, match=f"{CHECKPOINT_FILE}: not a checkpoint, or cut short"):
            encoder_class(name)(config).fit(market, resources)
