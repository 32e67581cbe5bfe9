from pathlib import Path

import pytest

from components.contracts.language_model import (
    LANGUAGE_MODEL_FILE,
    LanguageModel,
    read_language_model,
    write_language_model,
)
from components.foundation.errors import InputError
from components.foundation.files import write_json


def test_paths_inside_the_artifact_move_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    model = LanguageModel(name="small", weights=str(folder / "weights"), tokenizer="org/name", context=512)
    write_language_model(folder, model)
    moved = folder.rename(tmp_path / "elsewhere")

    read = read_language_model(moved)

    assert read == LanguageModel(name="small", weights=str(moved / "weights"), tokenizer="org/name", context=512)


def test_an_artifact_folder_can_be_the_weights_themselves(tmp_path: Path) -> None:
    write_language_model(tmp_path, LanguageModel(name="small", weights=str(tmp_path)))

    assert Path(read_language_model(tmp_path).weights) == tmp_path


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / LANGUAGE_MODEL_FILE, {"model": "small"})

    with pytest.raises(InputError, match=LANGUAGE_MODEL_FILE):
        read_language_model(tmp_path)
