from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from components.behavior_encoder.encoders import configured_encoder, load_encoder
from components.behavior_encoder.train import main
from components.contracts.tables import read_vectors
from components.foundation.errors import EnvironmentFaultError, InputError
from reland.main import app

WritePrepared = Callable[[str, dict[str, list[str]]], Path]


def test_trained_and_encoded_from_the_command_line(
    write_prepared: WritePrepared, two_tastes: dict[str, list[str]], tmp_path: Path
) -> None:
    prepared, settings = write_prepared("data", two_tastes), tmp_path / "config.toml"
    settings.write_text('seed = 3\n[encoder]\nencoder = "lightgcn"\nsettings = { dimension = 4, steps = 2 }\n')
    options = {"prepared": prepared, "output": tmp_path / "encoder", "config": settings}
    main([f"--{name}={value}" for name, value in options.items()])
    encoder = load_encoder(tmp_path / "encoder")
    assert (encoder.config.dimension, encoder.config.steps, encoder.config.seed) == (4, 2, 3)

    folders = {"encoder": tmp_path / "encoder", "prepared": prepared, "output": tmp_path / "vectors"}
    arguments = ["encode", "--shards=3", *(f"--{name}={value}" for name, value in folders.items())]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and f"written: {tmp_path / 'vectors'}" in result.output
    users, matrix = read_vectors(tmp_path / "vectors", "user_id")
    assert users == sorted(two_tastes) and matrix.shape == (30, 4)


def test_a_setting_that_the_encoder_does_not_have(tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text("[encoder.settings]\nheads = 2\n")
    with pytest.raises(InputError, match=r"encoder\.settings\.heads: there is no such parameter, expected one of "):
        main(["--encoder=lightgcn", "--prepared=none", "--output=none", f"--config={settings}"])


@pytest.mark.parametrize(
    ("encoder", "settings", "message"),
    [
        ("lightgcn", {"steps": "many"}, r"encoder\.settings\.steps: expected a number, found 'many'"),
        ("lightgcn", {"evaluate_every": 0}, r"encoder\.settings: evaluate_every 0: expected a whole number, 1 or more"),
        ("lightgcn", {"dimension": True}, r"encoder\.settings\.dimension: expected a whole number, found True"),
        (
            "lightgcn",
            {"learning_rate": float("nan")},
            r"learning_rate: expected a finite number, found nan",
        ),
        ("lightgcn", {"held_out_share": 1}, "held_out_share 1.0: expected a number, 0 or more and below 1"),
        ("lightgcn", {"seed": 1}, r"encoder\.settings\.seed: the seed is given once, for the whole run"),
        ("sasrec", {"heads": 3}, "dimension 64: expected a multiple of heads, which is 3"),
        ("gat", {"entities": 1}, r"encoder\.settings\.entities: expected true or false, found 1"),
        ("gat", {"neighbors": -2}, "neighbors -2: expected a whole number, -1 or more"),
        ("lightgcn", [1], r"encoder\.settings: expected names and values"),
    ],
)
def test_a_setting_that_is_no_such_value(encoder: str, settings: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        configured_encoder(encoder, settings, seed=0)


def test_settings_at_the_ends_of_their_ranges() -> None:
    ends = {"held_out_share": 0, "dimension": 1, "steps": 1, "learning_rate": 0, "weight_decay": 0.0}
    assert configured_encoder("lightgcn", ends, seed=0).config.held_out_share == 0
    assert configured_encoder("gat", {"neighbors": -1, "entities": False}, seed=0).config.dimension == 64


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(EnvironmentFaultError, match="--device cuda: torch finds no GPU on this machine"):
        main(["--encoder=lightgcn", "--prepared=none", "--output=none", "--device=cuda"])
