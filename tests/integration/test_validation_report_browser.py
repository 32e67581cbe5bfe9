"""The validation report of a run that hostile rows stop, in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.contracts.artifacts import VALIDATION_PAGE_FILE
from components.data_preparation.preparation import PreparationConfig, prepare
from components.foundation.errors import InputError

pytestmark = pytest.mark.services

EVIL = '<script>document.body.innerHTML = "owned"</script><img src=x onerror="document.body.innerHTML = 1">'


@pytest.fixture(scope="module")
def seen(
    show_page: Callable[[Path], tuple[dict[str, Any], np.ndarray]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], np.ndarray]:
    folder = tmp_path_factory.mktemp("source")
    good = [f"{user}::{movie}::3::{86_400 * movie + user}" for user in range(6) for movie in range(6)]
    bad = [f"{EVIL}::1::3::soon", f"1::{EVIL * 100}", "x" * 200_000, "1::2::3::-4", good[0]]
    (folder / "ratings.dat").write_text("\n".join(good + bad))
    (folder / "movies.dat").write_text("1::Title::Drama")
    config = PreparationConfig("ml-1m", folder, seed=0, minimum_interactions=5, max_rejected=0.05, stopped=folder)
    with pytest.raises(InputError):
        prepare(config, folder / "out")
    return show_page(folder / VALIDATION_PAGE_FILE)


def test_the_page_says_why_the_run_was_stopped(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, picture = seen
    for text in (
        *("The run was stopped.", "4 of 41 rows", "more than allowed", "too few fields", "negative timestamp"),
        *("user_id is longer than 512 bytes", "Items of interactions that no file describes", "1970-01-01 00:00:00"),
    ):
        assert text in found["text"], text
    height, width, _ = picture.shape
    assert found["bottom"] < height
    assert found["width"] <= width, "the page must be scrolled sideways"
    # It is drawn: the note of the stopped run, in its own colour, and text from top to bottom.
    assert (np.abs(picture.astype(int) - [0xFF, 0xF8, 0xE5]).max(axis=-1) <= 3).sum() > 10_000
    dark = (picture[: round(found["bottom"])].max(axis=-1) < 110).any(axis=1)
    assert np.diff(np.flatnonzero(dark)).max() < 200


def test_markup_of_the_data_stays_text(seen: tuple[dict[str, Any], np.ndarray]) -> None:
    found, _ = seen
    assert found["foreign"] == 0
    assert EVIL in found["text"]
