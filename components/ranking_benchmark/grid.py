"""The grid of a benchmark: data sets x backbones x variants x seeds, read from TOML."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.foundation.configuration import Section
from components.foundation.errors import InputError
from components.foundation.files import read_toml
from components.recommenders.backbones.registry import backbone_entry
from components.recommenders.classics.registry import CLASSICS, check_classic
from components.recommenders.configuration import (
    OPEN,
    PROTOCOLS,
    RECBOLE,
    BackboneConfig,
    TrainingConfig,
    check_backbone,
    check_objective,
    check_variant,
)
from components.recommenders.variants import ID_ONLY, variant_named

SECTIONS = ("data", "encoder", "seeds", "rationales")


@dataclass(frozen=True)
class BenchmarkSection(Section):
    """What a grid says beside its data sets.

    Attributes:
        backbones: names of backbones, separated by commas.
        classics: names of classic recommenders (`recommenders.classics`), which are rows beside the backbones.
        variants: names of variants, separated by commas; `reland@NAME` is `reland` on the features NAME of a data set.
        protocols: under which each ranker is evaluated: recbole, open.
        ranker_seeds: seeds of training, separated by commas: how much of a difference is chance.
        model: what the backbones are made of, unless a data set or a backbone of it says otherwise.
        training: how they are trained, likewise.
    """

    title = "benchmark"

    backbones: str = "sasrec"
    classics: str = ""
    variants: str = "id_only,item_features,reland,reland_shuffled"
    protocols: str = f"{RECBOLE},{OPEN}"
    ranker_seeds: str = "0,1,2,3,4"
    model: BackboneConfig = field(default_factory=BackboneConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True)
class RankerSection(Section):
    """How the rankers of one backbone are made for one data set.

    Attributes:
        model: what the backbone is made of.
        training: how it is trained.
    """

    title = "ranking"

    model: BackboneConfig = field(default_factory=BackboneConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True)
class DataSet:
    """One data set of a grid.

    Attributes:
        name: what the report calls it.
        features: what its features are made of, by their names; those without a name ("") are there always.
        rankers: how they are made here, by their backbones.
    """

    name: str
    features: dict[str, "FeatureDeclaration"]
    rankers: dict[str, RankerSection]


@dataclass(frozen=True)
class FeatureDeclaration:
    """How the features of a data set are made.

    Attributes:
        name: of the data set, and `@` with the name of the features where they have one.
        sections: values of the run's sections (`SECTIONS`) by name.
        environment: settings of the platform for it, as RELAND_ITEMS_NAME.
    """

    name: str
    sections: dict[str, dict[str, Any]]
    environment: dict[str, str]


@dataclass(frozen=True)
class Cell:
    """One training of a grid, evaluated under each protocol; or a classic recommender, in the place of a backbone.

    Attributes:
        variant: as the grid names it: the variant of the ranker, and `@` with the name of features where it has one.
        settings: how the ranker is made; None for a classic recommender.
    """

    data: str
    backbone: str
    variant: str
    seed: int
    settings: RankerSection | None
    protocols: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its path among the results, without an ending."""
        return f"{self.data}/{self.backbone}/{self.variant}/{self.seed}"

    @property
    def ranker_variant(self) -> str:
        """Name of the ranker's variant."""
        return split_variant(self.variant)[0]

    @property
    def features(self) -> str:
        """Name of the features that it is trained on, that of `FeatureDeclaration`."""
        name = split_variant(self.variant)[1]
        return f"{self.data}@{name}" if name else self.data

    def configuration(self) -> dict[str, Any]:
        """What decides its result beside the features: a result with another one is not of this cell."""
        if self.settings is None:
            made_of = {"model": dataclasses.asdict(CLASSICS[self.backbone].settings()), "training": {}}
        else:
            training = dataclasses.replace(self.settings.training, seed=self.seed)
            made_of = {"model": dataclasses.asdict(self.settings.model), "training": dataclasses.asdict(training)}
        return {
            "backbone": self.backbone,
            "variant": self.variant,
            "seed": self.seed,
            **made_of,
            "protocols": list(self.protocols),
        }


@dataclass(frozen=True)
class Grid:
    """A benchmark as it was declared."""

    data_sets: tuple[DataSet, ...]
    backbones: tuple[str, ...]
    classics: tuple[str, ...]
    variants: tuple[str, ...]
    protocols: tuple[str, ...]
    seeds: tuple[int, ...]

    def cells(self) -> Iterator[Cell]:
        """Every training, one seed of everything before the next: a grid that is stopped is whole for some seeds."""
        for data in self.data_sets:
            for classic in self.classics:  # what little is random in them is no reason to run them more than once
                yield Cell(data.name, classic, ID_ONLY, self.seeds[0], None, self.protocols)
        for seed in self.seeds:
            for data in self.data_sets:
                for backbone in self.backbones:
                    for variant in self.variants:
                        yield Cell(data.name, backbone, variant, seed, data.rankers[backbone], self.protocols)


def split_variant(text: str) -> tuple[str, str]:
    """The variant of the ranker, and the name of the features or nothing, of `reland` or `reland@NAME`."""
    variant, _, features = text.partition("@")
    return variant, features


def read_grid(path: Path) -> Grid:
    """Read a grid.

    Raises:
        InputError: the file, a name or a value in it is at fault; the message names it.
    """
    content = read_toml(path)
    try:
        return parse_grid(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_grid(content: Mapping[str, Any]) -> Grid:
    """The grid of the values of a file: `[benchmark]`, and a table `[data_sets.NAME]` for each data set.

    Raises:
        InputError: a name or a value is at fault.
    """
    _check_names(content, ("benchmark", "data_sets"), "")
    section = BenchmarkSection.read(content.get("benchmark", {}))
    backbones = _names("backbones", section.backbones, lambda name: backbone_entry(name))
    classics = _names("classics", section.classics, check_classic) if section.classics.strip() else ()
    variants = _names("variants", section.variants, lambda name: variant_named(split_variant(name)[0]))
    for backbone in backbones:
        for variant in variants:
            try:
                check_variant(backbone, split_variant(variant)[0])
            except InputError as error:
                raise InputError(f"benchmark.variants: {error}") from None
    protocols = _names("protocols", section.protocols, _check_protocol)
    seeds = tuple(int(seed) for seed in _names("ranker_seeds", section.ranker_seeds, _check_seed))
    tables = content.get("data_sets", {})
    if not isinstance(tables, Mapping) or not tables:
        raise InputError("data_sets: none is there, expected a table [data_sets.NAME] for each")
    data_sets = tuple(_data_set(name, table, section, backbones) for name, table in tables.items())
    for variant in variants:
        for data in data_sets:
            if split_variant(variant)[1] not in data.features:
                table = f"[data_sets.{data.name}.features.{split_variant(variant)[1]}]"
                raise InputError(f"benchmark.variants: {variant}: there is no {table}")
    return Grid(data_sets, backbones, classics, variants, protocols, seeds)


def _data_set(name: str, table: Any, section: BenchmarkSection, backbones: tuple[str, ...]) -> DataSet:
    where = f"data_sets.{name}"
    _table(table, where)
    if not name or set(name) & set("/\\@ "):
        raise InputError(f"{where}: a name of a data set has no slash, no space and no @")
    _check_names(table, (*SECTIONS, "environment", "features", "ranking"), where)
    own = table.get("ranking", {})
    _check_names(own, ("model", "training", *backbones), f"{where}.ranking")
    rankers = {}
    for backbone in backbones:
        of_backbone = own.get(backbone, {})
        _check_names(of_backbone, ("model", "training"), f"{where}.ranking.{backbone}")
        values: dict[str, Any] = {}
        for part in ("model", "training"):
            tables = {f"{where}.ranking.{part}": own.get(part, {})}
            tables[f"{where}.ranking.{backbone}.{part}"] = of_backbone.get(part, {})
            values[part] = section.values()[part]
            for at, changes in tables.items():
                values[part] = values[part] | _table(changes, at)
        try:
            rankers[backbone] = RankerSection.read(values)
            check_backbone(backbone, rankers[backbone].model)
            check_objective(backbone, rankers[backbone].training)
        except InputError as error:
            raise InputError(f"{where}.{error}") from None
    features = {"": _features(name, {}, table, where)}
    for own_name, changes in _table(table.get("features", {}), f"{where}.features").items():
        at = f"{where}.features.{own_name}"
        if not own_name or set(own_name) & set("/\\@ "):
            raise InputError(f"{at}: a name of features has no slash, no space and no @")
        _check_names(changes, (*SECTIONS, "environment"), at)
        features[own_name] = _features(f"{name}@{own_name}", table, changes, at)
    return DataSet(name, features, rankers)


def _features(name: str, base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> FeatureDeclaration:
    """What the tables of `base` say, where those of `changes` say nothing else."""
    sections = {
        part: {**base.get(part, {}), **_table(changes.get(part, {}), f"{where}.{part}")}
        for part in SECTIONS
        if part in base or part in changes
    }
    environment = {**base.get("environment", {}), **_table(changes.get("environment", {}), f"{where}.environment")}
    for variable, value in environment.items():
        if not isinstance(value, str):
            raise InputError(f"{where}.environment.{variable}: expected text, in quotation marks")
    return FeatureDeclaration(name, sections, environment)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a table")
    return value


def _names(field_name: str, text: str, check: Any) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"benchmark.{field_name}: none is named")
    for name in names:
        try:
            check(name)
        except InputError as error:
            raise InputError(f"benchmark.{field_name}: {error}") from None
    if len(set(names)) != len(names):
        raise InputError(f"benchmark.{field_name}: {text!r} names one twice")
    return tuple(names)


def _check_protocol(name: str) -> None:
    if name not in PROTOCOLS:
        raise InputError(f"protocol {name!r}: unknown protocol, expected one of {', '.join(PROTOCOLS)}")


def _check_seed(text: str) -> None:
    if not text.isdecimal():
        raise InputError(f"seed {text!r}: expected a whole number, 0 or more")


def _check_names(table: Any, expected: tuple[str, ...], where: str) -> None:
    for name in _table(table, where):
        if name not in expected:
            nearest = difflib.get_close_matches(str(name), expected, n=1)
            meant = f"did you mean {nearest[0]}?" if nearest else f"expected one of {', '.join(expected)}"
            raise InputError(f"{f'{where}.' if where else ''}{name}: there is no such name, {meant}")
