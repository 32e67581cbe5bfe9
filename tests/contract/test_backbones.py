"""What every backbone of rankers must do, over all backbones: those of sequences, and the collaborative ones."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from components.contracts.artifacts import ONNX_FILE
from components.contracts.ranking_signature import CANDIDATES, HISTORY, OUTPUTS, RATIONALE, USER_INPUTS
from components.foundation.errors import InputError
from components.fusion_ranker.export import export_ranker, export_user_vector
from components.recommenders.backbones.contract import CollaborativeBackbone, SequenceBackbone
from components.recommenders.backbones.registry import (
    BACKBONES,
    OBJECTIVES,
    USER,
    build_backbone,
    build_collaborative_backbone,
)
from components.recommenders.collaborative_ranker import CollaborativeRanker, load_collaborative_ranker
from components.recommenders.configuration import BackboneConfig, RankerConfig, TrainingConfig
from components.recommenders.evaluation import rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.ranker import Ranker, load_ranker, save_ranker
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.processes import TrainingResources
from components.recommenders.training.rankers import TrainingResult, train_ranker

FIELDS, USERS, TEXT = 16, 64, 3  # items, users, components of a text's vector
SMALL = BackboneConfig(embedding_dimension=16, layers=1, dropout=0.1)
SEQUENTIAL = sorted(name for name, entry in BACKBONES.items() if not entry.is_collaborative)
COLLABORATIVE = sorted(set(BACKBONES) - set(SEQUENTIAL))
TRAINING = TrainingConfig(epochs=6, minimum_steps_per_epoch=20, batch_size=32, learning_rate=1e-2, seed=3)
Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tensors this small are not worth a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=sorted(BACKBONES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def board_of(name: str) -> InteractionSequences:
    """The data whose answer a backbone of this kind can know."""
    return squares() if BACKBONES[name].is_collaborative else checkerboard()


def squares() -> InteractionSequences:
    """The squares of a user are those of one colour, all of them: the two held out are the only ones not seen yet."""
    histories = [
        np.array([(user + 2 * (user // 2 + step)) % FIELDS for step in range(FIELDS // 2)]) + 1 for user in range(USERS)
    ]
    return sequences_of(histories)


def checkerboard() -> InteractionSequences:
    """Users go from field to field of a ring, steps of one and of three by turns; what comes next is known.

    The last step was of one after an even number of visits and of three after an odd one, so the last item alone does
    not tell the next one: the two last do.
    """
    histories = []
    for user in range(USERS):
        fields = [user % FIELDS]
        for visit in range(7 + user % 4):
            fields.append((fields[-1] + (1, 3)[(visit + user // FIELDS) % 2]) % FIELDS)
        histories.append(np.array(fields) + 1)
    return sequences_of(histories)


def sequences_of(histories: list[np.ndarray]) -> InteractionSequences:
    lengths = np.array([len(history) for history in histories])
    return InteractionSequences(
        user_ids=[f"u{user:02d}" for user in range(USERS)],
        item_ids=[f"i{item:02d}" for item in range(FIELDS)],
        items=np.concatenate(histories),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        train_lengths=lengths - 2,
    )


def rationales() -> RationaleAssignments:
    embeddings = torch.randn(4, TEXT, generator=torch.Generator().manual_seed(5))
    embeddings[0] = 0  # no rationale
    return RationaleAssignments(embeddings, torch.arange(USERS)[:, None] % 4)


def make_ranker(name: str, **changes: object) -> Ranker | CollaborativeRanker:
    torch.manual_seed(0)
    described = asdict(SMALL) | {"variant": "reland", "backbone": name, "history_length": 12} | changes
    entry = BACKBONES.get(name, BACKBONES["sasrec"])
    described = {key: described[key] for key in described if key not in asdict(SMALL) or key in entry.settings}
    users = USERS if entry.is_collaborative else 0
    config = RankerConfig(**described, items=FIELDS, text_encoder="test", text_dimension=TEXT, users=users)
    item_text = torch.cat([torch.zeros(1, TEXT), torch.randn(FIELDS, TEXT)])
    if entry.is_collaborative:
        return CollaborativeRanker(config, item_text, pairs_of(squares()))
    return Ranker(config, item_text)


def pairs_of(sequences: InteractionSequences) -> torch.Tensor:
    return torch.from_numpy(np.stack(sequences.training_pairs()))


def trained(
    name: str, training: TrainingConfig, folder: Path | None = None, **changes: object
) -> tuple[Ranker | CollaborativeRanker, TrainingResult]:
    ranker = make_ranker(name, **changes)
    if BACKBONES[name].is_collaborative:
        # A window of a user has six pairs: as many steps as the other backbones take.
        training = replace(training, batch_size=6 * training.batch_size)
    if training.objective not in BACKBONES[name].objectives:
        training = replace(training, objective=BACKBONES[name].objectives[0])
    result = train_ranker(ranker, board_of(name), rationales(), training, TrainingResources(checkpoint=folder))
    return ranker, result


def load(name: str, folder: Path) -> Ranker | CollaborativeRanker:
    return load_collaborative_ranker(folder) if BACKBONES[name].is_collaborative else load_ranker(folder)


def same(first: Weights, second: Weights) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def rankers() -> dict[str, Ranker | CollaborativeRanker]:
    """One trained ranker of each backbone; tests read them."""
    return {name: trained(name, TRAINING)[0] for name in BACKBONES}


def test_the_registry_says_what_is_there(name: str) -> None:
    entry = BACKBONES[name]

    def network(**changes: object) -> torch.nn.Module:
        settings = asdict(replace(SMALL, **changes))
        if not entry.is_collaborative:
            return build_backbone(name, settings, length=12)
        return build_collaborative_backbone(name, settings, USERS, FIELDS, pairs_of(squares()))

    small = network()
    assert isinstance(small, CollaborativeBackbone if entry.is_collaborative else SequenceBackbone)
    assert type(small).__name__ == entry.class_name
    assert entry.inputs == ((USER,) if entry.is_collaborative else (HISTORY,)) and USER not in USER_INPUTS
    assert entry.objectives and set(entry.objectives) <= set(OBJECTIVES)
    for setting in entry.settings:  # each of them changes the network
        value = {"embedding_dimension": 32, "layers": 2, "heads": 4, "dropout": 0.3}[setting]
        assert described(network(**{setting: value})) != described(small) or setting == "heads"


def described(network: torch.nn.Module) -> tuple[str, list[torch.Size]]:
    return str(network), [parameter.shape for parameter in network.parameters()]


def test_a_checkerboard_is_learned(rankers: dict[str, Ranker | CollaborativeRanker], name: str) -> None:
    before = rank_held_out(make_ranker(name).eval(), board_of(name), rationales(), "test").hit_ratio(cutoff=1)
    after = rank_held_out(rankers[name], board_of(name), rationales(), "test").hit_ratio(cutoff=1)
    # Chance is 1/16, and 1/2 for who knows the last item alone; of squares, all 9 that were not seen are candidates.
    assert before < 0.3 and after > 0.9


@pytest.mark.slow
def test_it_is_learned_by_each_objective_and_in_the_variants_of_the_paper(name: str) -> None:
    entry = BACKBONES[name]
    for objective in entry.objectives[1:]:
        ranker, _ = trained(name, replace(TRAINING, objective=objective, negatives=8, epochs=12))
        assert rank_held_out(ranker, board_of(name), rationales(), "test").hit_ratio(cutoff=1) > 0.8, objective
    for variant in ("id_only", "item_features", "reland_shuffled", "rlmrec"):
        ranker, _ = trained(name, TRAINING, variant=variant)
        assert rank_held_out(ranker, board_of(name), rationales(), "test").hit_ratio(cutoff=1) > 0.8, variant


def test_an_objective_that_makes_no_sense_is_refused(name: str) -> None:
    for objective in set(OBJECTIVES) - set(BACKBONES[name].objectives):
        with pytest.raises(InputError, match=f"objective {objective}: backbone {name} is not trained by it, expected"):
            train_ranker(make_ranker(name), board_of(name), rationales(), replace(TRAINING, objective=objective))


@pytest.mark.parametrize("name", COLLABORATIVE)
def test_a_ranker_that_knows_users_by_number_is_not_released_and_knows_no_others(
    rankers: dict[str, Ranker | CollaborativeRanker], name: str, tmp_path: Path
) -> None:
    for export in (export_ranker, export_user_vector):
        with pytest.raises(InputError, match=f"backbone {name}: knows the users of its training by .* not released"):
            export(rankers[name], tmp_path / ONNX_FILE)
    assert not (tmp_path / ONNX_FILE).exists()
    board = squares()
    others = replace(
        board, user_ids=board.user_ids[1:], offsets=board.offsets[1:], train_lengths=board.train_lengths[1:]
    )
    with pytest.raises(InputError, match=f"has vectors of the {USERS} users of its training, not of the {USERS - 1}"):
        rank_held_out(rankers[name], others, rationales(), "test")
    with pytest.raises(InputError, match=f"backbone {name}: knows the users"):
        Ranker(rankers[name].config, torch.zeros(FIELDS + 1, TEXT))


@pytest.mark.parametrize("name", COLLABORATIVE)
def test_all_pairs_score_as_each_does(rankers: dict[str, Ranker | CollaborativeRanker], name: str) -> None:
    ranker = rankers[name]
    assert isinstance(ranker, CollaborativeRanker)
    with torch.no_grad():
        users, items = ranker.vectors()
        assert users.shape == (USERS, ranker.backbone.dimension) and items.shape[0] == FIELDS + 1
        all_pairs = ranker.backbone.score_all(users, items)
        for row, column in ((0, 1), (5, FIELDS), (USERS - 1, 7)):
            one = ranker.backbone.score(users[row : row + 1], items[column : column + 1])
            torch.testing.assert_close(all_pairs[row, column], one[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_state_depends_on_what_came_before_it_alone(name: str) -> None:
    backbone = build_backbone(name, asdict(SMALL), length=12).eval()
    items = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = backbone(items)
        changed = items.clone()
        changed[:, 7:] = 9.0
        assert states.shape == items.shape
        torch.testing.assert_close(backbone(changed)[:, :7], states[:, :7], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(backbone(items[:, :7]), states[:, :7], rtol=1e-5, atol=1e-6)
        changed = items.clone()
        changed[:, 0] = 9.0
        assert not torch.allclose(backbone(changed)[:, 6], states[:, 6], atol=1e-4)


def test_the_seed_decides_everything(name: str) -> None:
    short = replace(TRAINING, epochs=2, minimum_steps_per_epoch=3)
    (first, result), (second, again) = trained(name, short), trained(name, short)
    assert same(first.state_dict(), second.state_dict()) and result == again
    other, _ = trained(name, replace(short, seed=4))
    assert not same(other.state_dict(), first.state_dict())


# In a process of its own; all backbones in one, since importing torch is what costs.
KILLED = """
import os, signal, sys
from pathlib import Path
from components.recommenders.backbones.registry import BACKBONES
from components.recommenders.training import loop

sys.path.insert(0, str(Path(sys.argv[1]).parent))
import test_backbones

take_step = loop._take_step


def take_step_or_die(task, plan, step, *rest):
    if step == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    take_step(task, plan, step, *rest)


loop._take_step = take_step_or_die
for name in BACKBONES:
    if not (process := os.fork()):
        test_backbones.trained(name, test_backbones.TO_BE_KILLED, Path(sys.argv[2]) / name)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    print(name, os.WTERMSIG(status))
"""
TO_BE_KILLED = replace(TRAINING, epochs=4, minimum_steps_per_epoch=3)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a SIGKILL in the middle of step 8 leaves, a folder for each backbone."""
    folder = tmp_path_factory.mktemp("killed")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, __file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    signals = [line for line in done.stdout.splitlines() if line.split(" ")[0] in BACKBONES]
    assert signals == [f"{name} {signal.SIGKILL:d}" for name in BACKBONES], done.stderr
    return folder


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_weights(
    name: str, killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, result = trained(name, TO_BE_KILLED)
    capsys.readouterr()
    resumed, resumed_result = trained(name, TO_BE_KILLED, killed / name)
    assert "goes on after step 6" in capsys.readouterr().out
    assert same(resumed.state_dict(), whole.state_dict()) and resumed_result == result


TWO_PROCESSES = """
import sys
from pathlib import Path
from components.recommenders.backbones.registry import BACKBONES
from components.recommenders.ranker import save_ranker
from components.recommenders.training.processes import current_share, process_group

sys.path.insert(0, str(Path(sys.argv[1]).parent))
import test_backbones

with process_group("cpu"):
    for name in BACKBONES:
        ranker, _ = test_backbones.trained(name, test_backbones.BY_TWO, dropout=0.0)
        if current_share().rank == 0:
            save_ranker(ranker, Path(sys.argv[2]) / name)
"""
BY_TWO = replace(TRAINING, epochs=2, minimum_steps_per_epoch=4, batch_size=31)  # odd, so that the shares differ


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes under `torchrun`, over gloo, have learned, a folder for each backbone."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "script.py").write_text(TWO_PROCESSES)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, str(folder / "script.py"), __file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_two_processes_learn_what_one_does(name: str, by_two: Path) -> None:
    alone, result = trained(name, BY_TWO, dropout=0.0)  # each process drops out other components
    together = load(name, by_two / name).state_dict()
    for key, value in alone.state_dict().items():
        # Adam divides gradients by their size: rounding is visible where they are next to nothing, as those of the
        # keys' biases are, which change no attention.
        torch.testing.assert_close(together[key], value, rtol=0, atol=1e-2)
    untrained = make_ranker(name, dropout=0.0).state_dict()
    assert not all(torch.allclose(untrained[key], together[key], atol=2e-2) for key in together)
    assert result.steps == 8


def test_saved_and_loaded(rankers: dict[str, Ranker | CollaborativeRanker], name: str, tmp_path: Path) -> None:
    save_ranker(rankers[name], tmp_path)
    loaded = load(name, tmp_path)
    assert loaded.config == rankers[name].config and same(loaded.state_dict(), rankers[name].state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("name", SEQUENTIAL)
def test_onnx_answers_as_pytorch_does(
    rankers: dict[str, Ranker | CollaborativeRanker], name: str, tmp_path: Path
) -> None:
    ranker = rankers[name]
    export_ranker(ranker, tmp_path / ONNX_FILE)
    session = onnxruntime.InferenceSession(tmp_path / ONNX_FILE, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == [*ranker.config.inputs, CANDIDATES]
    generator = np.random.default_rng(0)
    for batch, candidates in ((1, 1), (3, 7)):
        inputs = {
            HISTORY: np.zeros((batch, 12), np.int64),
            RATIONALE: generator.normal(size=(batch, 1, TEXT)).astype(np.float32),
            CANDIDATES: generator.integers(1, FIELDS + 1, size=(batch, candidates)),
        }
        for row in range(batch):  # histories: full, none, some
            length = (12, 0, 5)[row]
            inputs[HISTORY][row, :length] = generator.integers(1, FIELDS + 1, size=length)
        with torch.no_grad():
            expected = ranker(**{key: torch.from_numpy(value) for key, value in inputs.items()})
        for answer, ours in zip(session.run(list(OUTPUTS), inputs), expected, strict=True):
            np.testing.assert_allclose(answer, ours.numpy(), rtol=1e-5, atol=1e-5)


def test_a_name_that_is_no_backbone() -> None:
    for call in (lambda: make_ranker("masknet"), lambda: build_backbone("masknet", asdict(SMALL), 12)):
        with pytest.raises(InputError, match=r"backbone 'masknet': unknown backbone, expected one of .*sasrec"):
            call()


def test_weights_of_another_backbone(tmp_path: Path) -> None:
    save_ranker(make_ranker("gru4rec"), tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described | {"backbone": "sasrec"}))
    with pytest.raises(InputError, match="not a ranker"):
        load_ranker(tmp_path)
    save_ranker(make_ranker("neumf"), tmp_path)
    with pytest.raises(InputError, match="backbone neumf: knows the users of its training by their numbers"):
        load_ranker(tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described | {"backbone": "ngcf"}))
    with pytest.raises(InputError, match="not a ranker"):
        load_collaborative_ranker(tmp_path)
