import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.behavior_encoder.encoders import load_encoder
from components.behavior_encoder.train import main
from components.contracts.errors import InputError
from components.contracts.tables import read_vectors
from pipelines.cli import app

WritePrepared = Callable[[str, dict[str, list[str]]], Path]


def test_trained_and_encoded_from_the_command_line(
    write_prepared: WritePrepared, two_tastes: dict[str, list[str]], tmp_path: Path
) -> None:
    prepared, settings = write_prepared("data", two_tastes), tmp_path / "settings.json"
    settings.write_text(json.dumps({"dimension": 4, "steps": 2, "seed": 3}))
    options = {"encoder": "lightgcn", "prepared": prepared, "output": tmp_path / "encoder", "config": settings}
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
    settings = tmp_path / "settings.json"
    settings.write_text('{"heads": 2}')
    with pytest.raises(InputError, match="--config: lightgcn has no setting heads, known are batch_size, dimension"):
        main(["--encoder=lightgcn", "--prepared=none", "--output=none", f"--config={settings}"])
