"""The reference pages say what the code says."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import SecretStr

from components.foundation.configuration import options_of
from components.foundation.settings import ENVIRONMENT_PREFIX, Settings
from components.recommenders.variants import VARIANTS
from pipelines.configuration import section_types
from reland import reference
from reland.reference import FOLDER, PAGES, Row, default_text, parameter_table, type_name


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_says_now(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run `python -m reland.reference`"


def test_no_page_lies_beside_them_that_nothing_writes():
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_every_setting_is_listed_with_its_explanation():
    page = reference.settings_page()
    for name, field in Settings.model_fields.items():
        assert f"| `{ENVIRONMENT_PREFIX}{name.upper()}` |" in page, name
        assert field.description and field.description in page, name


def test_every_field_of_a_section_is_listed_with_its_explanation():
    page = reference.configuration_page()
    for name, section in section_types().items():
        assert f"\n## {name}\n" in page
        for option in options_of(section):
            assert f"| `{'.'.join(option.path)}` |" in page and option.description
            assert option.description.replace("|", "\\|") in page


def test_a_table_is_read_as_a_table_whatever_stands_in_it():
    table = parameter_table([Row("--size", "text", "`1|2`", "small\nor large")], "option")
    assert table.splitlines()[2] == "| `--size` | text | `1\\|2` | small or large |"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (SecretStr(""), ""),
        (False, "no"),
        (0, "`0`"),
        (0.5, "`0.5`"),
        (Path(".reland"), "`.reland`"),
        (Path(reference.sys.prefix).parent / ".venv-triton", "`.venv-triton` beside the running environment"),
    ],
)
def test_defaults_are_written_as_a_user_would(value, text):
    assert default_text(value) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "whole number"),
        (dict[str, int], "names and values"),
        (Path | None, "path"),
        (Literal["keys", "oidc"], "`keys` or `oidc`"),
    ],
)
def test_types_are_written_in_words(kind, text):
    assert type_name(kind) == text


def test_commands_of_all_depths_are_listed(monkeypatch):
    app, inner = typer.Typer(), typer.Typer()

    @app.command()
    def make(
        name: str,
        size: Annotated[int, typer.Option("--size", "-s", help="How large\n it is.")] = 3,
        weight: Annotated[int | None, typer.Option(help="How heavy it is. (default: 5)", show_default=False)] = None,
        length: Annotated[int | None, typer.Option(help="How long.", show_default="as wide")] = None,
        copies: Annotated[int, typer.Option(help="How many more.")] = 0,
        dry: Annotated[bool, typer.Option("--dry", help="Only say so.")] = False,
    ) -> None:
        """Make one.

        It takes a while.

        Args:
            name: said above.
        """

    @inner.command()
    def show() -> None:
        """Show them."""

    app.add_typer(inner, name="list")
    monkeypatch.setattr(reference, "app", app)
    page = reference.commands_page()
    assert "## reland make\n\n`reland make NAME [OPTIONS]`\n\nMake one.\n\nIt takes a while.\n\n| argument" in page
    for row in (
        "| `--size/-s` | whole number | `3` | How large it is. |",
        "| `--weight` | whole number | `5` | How heavy it is. |",
        "| `--length` | whole number | `as wide` | How long. |",
        "| `--copies` | whole number | `0` | How many more. |",
        "| `--dry` | switch |  | Only say so. |",
    ):
        assert f"\n{row}\n" in page
    assert page.endswith("## reland list show\n\n`reland list show`\n\nShow them.\n")


def test_the_guide_on_rankers_names_every_variant():
    guide = (FOLDER.parent / "guides" / "rankers.md").read_text()
    for name, variant in VARIANTS.items():
        assert f"| `{name}` | {variant.description} |" in guide
