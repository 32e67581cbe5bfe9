"""The configuration of one run: the sections of its steps and the seed, checked before the first step.

seed = 0

[data]
dataset = "ml-1m"
data_dir = "/data/ml-1m"

[ranking.training]
epochs = 20
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import tomli_w

from components.behavior_encoder.configuration import EncoderSection
from components.contracts.tables import LEAVE_ONE_OUT
from components.data_preparation.configuration import DataSection
from components.foundation.configuration import SEED, Section, changed, parse_assignment, paths_of, read_value
from components.foundation.errors import InputError
from components.foundation.files import read_toml
from components.foundation.settings import Settings
from components.fusion_ranker.configuration import RankingSection
from components.language_model.configuration import RationalesSection
from components.ranker_release.configuration import ServingSection
from components.seed_sampling.configuration import SeedsSection


@dataclass(frozen=True)
class RunConfiguration:
    """The sections of a run, by the names of the parameters of the pipeline `reland`.

    Attributes:
        data: what is read, how it is filtered and how it is split.
        encoder: which behavior encoder turns histories into vectors.
        seeds: how many users become seed users, and which.
        rationales: which engine and model write the rationales, how, and at what cost at most.
        ranking: which rankers are trained, of what, and for how long.
        serving: what a ranker has to prove before it is released.
        seed: of everything random.
    """

    data: DataSection = field(default_factory=DataSection)
    encoder: EncoderSection = field(default_factory=EncoderSection)
    seeds: SeedsSection = field(default_factory=SeedsSection)
    rationales: RationalesSection = field(default_factory=RationalesSection)
    ranking: RankingSection = field(default_factory=RankingSection)
    serving: ServingSection = field(default_factory=ServingSection)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed}: expected a number from 0 to 2^32 - 1")

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """The configuration of nested values, as TOML has them; what is not named has its default.

        Raises:
            InputError: an unknown section or name, or a value that is not allowed; the message names it.
        """
        sections = section_types()
        for name in values:
            if name != SEED and name not in sections:
                paths = [path for title, section in sections.items() for path in paths_of(section, title)]
                exact = [path for path in paths if path.endswith(f".{name}")]
                nearest = exact or difflib.get_close_matches(str(name), [*sections, SEED], n=1)
                meant = f"did you mean {nearest[0]}?" if nearest else f"expected one of {', '.join([*sections, SEED])}"
                raise InputError(f"{name}: there is no such section, {meant}")
        read: dict[str, Any] = {
            name: read_value(int, content, SEED) if name == SEED else sections[name].read(content)
            for name, content in values.items()
        }
        return cls(**read)

    def values(self) -> dict[str, Any]:
        """Nested values, in the form that `read` takes."""
        return {SEED: self.seed} | {name: getattr(self, name).values() for name in section_types()}

    def resolved(self) -> Self:
        """The same with the paths of this machine absolute."""
        return dataclasses.replace(self, **{name: getattr(self, name).resolved() for name in section_types()})

    def check(self, settings: Settings) -> None:
        """Check what can be checked without reading the data.

        Raises:
            InputError: a value is at fault; the message names its field.
        """
        # Each brings what it needs: torch, Ibis, the engines.
        from components.behavior_encoder.encoders import check_encoder
        from components.data_preparation.preparation import configure
        from components.fusion_ranker.variants import parse_variants
        from components.language_model.checks import check_rationales
        from components.seed_sampling.seed_users import check_seeds

        configure(self.data, self.seed, settings)
        check_encoder(self.encoder.encoder, self.encoder.settings)
        check_seeds(self.seeds)
        check_rationales(self.rationales, settings)
        parse_variants(self.ranking.variants)
        if LEAVE_ONE_OUT not in self.data.splits.split(","):
            raise InputError(f"splits {self.data.splits}: a run needs {LEAVE_ONE_OUT} among them, `prepare` does not")

    def arguments(self) -> dict[str, Any]:
        """As arguments of the pipeline `reland`."""
        return self.resolved().values()

    def changes(self) -> dict[str, Any]:
        """The sections, and the seed, that are not the defaults: what a pipeline has to be given."""
        defaults = type(self)().values()
        return {name: content for name, content in self.values().items() if content != defaults[name]}

    def read_paths(self) -> list[Path]:
        """The files and folders of this machine that the steps read."""
        resolved = self.resolved()
        paths = [path for name in section_types() for path in getattr(resolved, name).read_paths()]
        return [path for path in paths if path.exists()]


def section_types() -> dict[str, type[Section]]:
    """The sections of a run by name, in the order of the chain."""
    annotations = typing.get_type_hints(RunConfiguration)
    return {field.name: annotations[field.name] for field in dataclasses.fields(RunConfiguration) if field.name != SEED}


def read_configuration(path: Path | None, assignments: Iterable[str], given: Mapping[str, Any]) -> RunConfiguration:
    """The configuration of a file, changed by assignments and then by options; the later one wins.

    Args:
        path: TOML file; None: none, so that everything has its default.
        assignments: `section.field=value`.
        given: nested values of what was given by itself.

    Raises:
        InputError: the file or a value is at fault.
    """
    values: dict[str, Any] = read_toml(path) if path else {}
    for text in assignments:
        if text.startswith(f"{SEED}="):
            values = changed(values, (SEED,), text.removeprefix(f"{SEED}="))
        else:
            values = changed(values, *parse_assignment(text))
    for name, content in given.items():
        for names, value in _leaves(content, (name,)):
            values = changed(values, names, value)
    try:
        return RunConfiguration.read(values)
    except InputError as error:
        if path is None:
            raise
        raise InputError(f"{error} (with {path})") from None


def write_configuration(configuration: RunConfiguration, path: Path) -> None:
    """Write a file that `read_configuration` reads as the same configuration."""
    path.write_text(tomli_w.dumps(configuration.values()), encoding="utf-8")


def _leaves(content: Any, path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Any]]:
    if not isinstance(content, Mapping):
        yield path, content
        return
    for name, inner in content.items():
        yield from _leaves(inner, (*path, name))


# Defaults of the pipelines' structured parameters.
DATA = DataSection().values()
ENCODER = EncoderSection().values()
SEEDS = SeedsSection().values()
RATIONALES = RationalesSection().values()
RANKING = RankingSection().values()
SERVING = ServingSection().values()
