"""Options that are derived from the sections of a run's configuration."""

import sys

import pytest
import typer

from components.foundation.errors import InputError
from pipelines.configuration import RunConfiguration
from reland.commands.options import takes_configuration


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
