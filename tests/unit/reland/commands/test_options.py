"""Options that are derived from the sections of a run's configuration."""

import sys
from typing import Annotated

import pytest
import typer

from components.foundation.errors import InputError
from pipelines.configuration import RunConfiguration
from reland.commands.options import takes_configuration, takes_options_of


@pytest.fixture
def read(monkeypatch):
    """Call a command that reads the section `data` with such arguments; the configuration that it got."""

    def called(*arguments):
        got = []
        app = typer.Typer()

        @app.command()
        @takes_configuration("data")
        def command(configuration: RunConfiguration) -> None:
            """Keep the configuration."""
            got.append(configuration)

        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        app(standalone_mode=False)
        return got[0]

    return called


def test_an_option_wins_over_assignments_of_which_the_last_counts(read):
    assert read().data.dataset == "simulator"
    assert read("-O", "data.dataset=a=b", "-O", "data.dataset=c d").data.dataset == "c d"
    assert read("-O", "data.dataset=a", "--dataset", "b", "--dataset", "c").data.dataset == "c"
    assert read("-O", "seed=4").seed == 4


def test_an_assignment_that_the_command_would_not_read_is_refused(read, tmp_path):
    with pytest.raises(InputError, match=r"-O ranking\.backbone=sasrec: this command reads the section data and seed"):
        read("-O", "ranking.backbone=sasrec")
    # A file of a whole run is one that `prepare` takes as well.
    (tmp_path / "config.toml").write_text("[ranking]\nbackbone = 'gru4rec'\n[data]\ndataset = 'ml-1m'\n")
    assert read("--config", str(tmp_path / "config.toml")).data.dataset == "ml-1m"


def test_options_that_commands_share_stand_in_place_of_what_is_made_of_them(monkeypatch, capsys):
    def make_size(width: Annotated[int, typer.Option(help="How wide.")] = 2, height: int = 3) -> tuple[int, int]:
        if width < 0:
            raise InputError(f"--width {width}: expected at least 0")
        return width, height

    @takes_options_of(make_size, "size")
    def make_box(depth: int = 4, *, size: tuple[int, int]) -> tuple[int, ...]:
        return (*size, depth)

    boxes = []
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @takes_options_of(make_box, "box")
    def command(name: Annotated[str, typer.Argument()], *, box: tuple[int, ...], as_json: bool = False) -> None:
        """Keep the box."""
        boxes.append((name, box, as_json))

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        return app(standalone_mode=False)

    called("crate")
    called("crate", "--width", "7", "--depth", "5", "--as-json")
    assert boxes == [("crate", (2, 3, 4), False), ("crate", (7, 3, 5), True)]
    with pytest.raises(InputError, match="--width -1: expected at least 0"):
        called("crate", "--width", "-1")
    called("--help")
    lines = capsys.readouterr().out.split()
    named = [word for word in lines if word.startswith("--") and not word.startswith("--no-")]
    assert named[:4] == ["--depth", "--width", "--height", "--as-json"] and "box" not in lines
