"""From the rows of a data set to the platform's tables: stage, find duplicates, filter, split, describe."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from components.contracts.artifacts import (
    HISTORIES_FILE,
    INTERACTIONS_FILE,
    ITEMS_FILE,
    REJECTED_FILE,
    USERS_FILE,
    VALIDATION_PAGE_FILE,
)
from components.contracts.tables import (
    BEHAVIORS,
    HISTORIES,
    ITEMS,
    REJECTED,
    SPLIT_PREFIX,
    SPLITS,
    TIME,
    USERS,
    interactions_schema,
)
from components.data_preparation.adapters.contract import Source
from components.data_preparation.adapters.registry import (
    SIMULATOR,
    check_name,
    detect,
    is_path,
    is_simulated,
    open_source,
    simulated_market,
)
from components.data_preparation.column_mapping import NO_MAPPING, ColumnMapping
from components.data_preparation.configuration import DataSection
from components.data_preparation.engines import DEFAULT_ENGINE, EngineConfig, drop, read, stream, table_engine
from components.data_preparation.filtering import (
    counting_items,
    k_core,
    later_duplicates,
    later_items,
    numbered,
    numbered_pairs,
)
from components.data_preparation.previous import (
    ACCEPTED_ITEMS,
    check_previous,
    keep_accepted,
    read_progress,
    with_previous_interactions,
    with_previous_items,
    with_previous_rejected,
    with_previous_users,
)
from components.data_preparation.report.statistics_report import write_statistics
from components.data_preparation.report.validation_report import validation, write_validation
from components.data_preparation.source_files import LEGACY_ENCODING, UTF_8
from components.data_preparation.splits import (
    DEFAULT_SPLITS,
    SplitConfig,
    latest_visits,
    moment,
    numbered_visits,
    parse_splits,
    split_rows,
    time_bounds,
)
from components.data_preparation.staging import FileAccount, Staging, write_batches
from components.data_preparation.statistics import size, span, value_counts
from components.data_preparation.timestamps import FORMS, days_as_seconds
from components.data_preparation.topics import write_topics
from components.data_preparation.user_profiles import (
    ROW,
    counting_profiles,
    later_profiles,
    profile_references,
    profiles_of,
)
from components.data_preparation.validation import DUPLICATE, DUPLICATE_ITEM, DUPLICATE_USER_ATTRIBUTE, REPEATS
from components.foundation.errors import InputError, write_failure
from components.foundation.progress import say
from components.foundation.settings import Settings
from components.marketplace.log import write_log
from components.marketplace.truth import make_truth, save_truth

REASONS_SHOWN = 3
FILES_SHOWN = 5
LONGEST_SHOWN = 80  # characters of a row
# What would have been read, by the reason that a row is rejected for.
EXPECTED = {
    "timestamp is not a time": FORMS,
    "timestamp beyond the year 2100": FORMS,
    "unknown behavior": f"{', '.join(BEHAVIORS)} or a common name of one; "
    "name others with behaviors, as in 2=purchase, or raise RELAND_MAX_REJECTED to go on without these rows",
    f"not {UTF_8} text": f"UTF-8; if it is {LEGACY_ENCODING}, convert it with iconv -f {LEGACY_ENCODING} -t utf-8",
}
# A smaller share of the items, or users, of a log that its metadata describe looks like ids that are written otherwise.
LEAST_DESCRIBED = 0.05
SECONDS_OF_1970 = 365 * 86_400


@dataclass(frozen=True)
class PreparationConfig:
    """What is prepared and how.

    Attributes:
        dataset: a name of `adapters.registry.DATASETS` (`simulator:USERS` too), or the path of a file or folder whose
            format is detected.
        folder: of the files of a named data set; None for the simulator and for a path.
        seed: of the simulator.
        minimum_interactions: k of the k-core, see `filtering.k_core`.
        max_rejected: largest share of rejected rows in any one file, 0 to 1.
        splits: by which protocols the rows are split.
        engine: that holds the tables meanwhile.
        previous: prepared folder whose accepted rows the new ones are added to; None: there are none.
        stopped: folder for the validation report of a run that too many rejected rows stop; None: it is not kept.
        mapping: what the columns and behaviors of a team's own file are called.
    """

    dataset: str
    folder: Path | None
    seed: int
    minimum_interactions: int
    max_rejected: float
    splits: SplitConfig = DEFAULT_SPLITS
    engine: EngineConfig = DEFAULT_ENGINE
    previous: Path | None = None
    stopped: Path | None = None
    mapping: ColumnMapping = NO_MAPPING

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed}: expected a number from 0 to 2^32 - 1")


def configure(data: DataSection, seed: int, settings: Settings) -> PreparationConfig:
    """Find the files of `data.dataset`.

    A path stands for itself. The folder of a named data set is `data_dir` where that is not empty; else the subfolder
    of `RELAND_DATA_DIR` named like the data set; else `RELAND_DATA_DIR` itself. The simulator needs none. The fields
    `columns` and `behaviors`, see `ColumnMapping.parse`, are for a path.

    Raises:
        InputError: an unknown data set, one that is read from files whose folder is not given or not there, a path that
            is not there, a path or the simulator together with a `data_dir`, or columns that are not a path's.
    """
    dataset, data_dir = data.dataset, data.data_dir
    splits = parse_splits(data.splits, data.validate_from, data.test_from)
    before = Path(data.previous).absolute() if data.previous else None  # steps run in working folders of their own
    if before is not None:
        check_previous(before)
    mapping = ColumnMapping.parse(data.columns, data.behaviors)
    if mapping and not is_path(dataset):
        raise InputError(f"dataset {dataset} has columns of its own: columns and behaviors are given with a path alone")
    if is_path(dataset):
        if data_dir:
            raise InputError(f"dataset {dataset} is a path and data_dir {data_dir} is given: give one of them")
        path = Path(dataset).absolute()
        detect(path, mapping)
        dataset, folder = str(path), None
    else:
        check_name(dataset)
        if data_dir and is_simulated(dataset):
            raise InputError(f"dataset {dataset} is read from no files, and data_dir {data_dir} is given: leave it out")
        folder = None if is_simulated(dataset) else _find_folder(dataset, data_dir, settings.data_dir)
    return PreparationConfig(
        dataset,
        folder,
        seed,
        data.minimum_interactions,
        settings.max_rejected,
        splits,
        EngineConfig(settings.table_engine, settings.table_memory),
        before,
        settings.home / "stopped",
        mapping,
    )


def prepare(config: PreparationConfig, output: Path, truth: Path | None = None) -> dict[str, Any]:
    """Prepare a data set; see `prepare_source`.

    Args:
        truth: folder for the truth of a simulated market, which no step that learns may read; None: it is not kept.
    """

    def prepare_rows(source: Source) -> dict[str, Any]:
        return prepare_source(
            source,
            config.minimum_interactions,
            config.max_rejected,
            output,
            config.splits,
            config.engine,
            config.previous,
            config.stopped,
        )

    if not is_simulated(config.dataset):
        return prepare_rows(open_source(config.dataset, config.folder, config.mapping))
    with _output_folder(output) as temporary:
        return prepare_rows(_simulate(config, temporary, truth))


def prepare_source(
    source: Source,
    minimum_interactions: int,
    max_rejected: float,
    output: Path,
    splits: SplitConfig = DEFAULT_SPLITS,
    engine: EngineConfig = DEFAULT_ENGINE,
    previous: Path | None = None,
    stopped: Path | None = None,
) -> dict[str, Any]:
    """Prepare rows and write the files of a prepared data set (see `contracts.artifacts`) into the folder `output`.

    What is needed meanwhile is in a hidden folder in `output`. No file is written before all rows are read and
    filtered, so a data set at fault leaves nothing behind.

    Args:
        source: the rows.
        minimum_interactions: k of the k-core, see `filtering.k_core`.
        max_rejected: largest share of rejected rows in any one file, 0 to 1.
        output: folder to write into; made where it is not there.
        splits: by which protocols the rows are split.
        engine: that holds the tables meanwhile.
        previous: prepared folder whose accepted rows these are added to, as if all had been read at once; its own
            files are not read again.
        stopped: folder for the validation report if it is why the run ends; None: it is not kept.

    Returns:
        The fragment {"dataset": ...} of `summary.json`.

    Raises:
        InputError: a file or a setting is at fault, too many rows are, or no interaction is left to one of the splits.
    """
    say(f"reading {source.name}" + (f" from {source.root} as {source.format}" if source.root else ""))
    if source.not_read:
        more = f" and {len(source.not_read) - FILES_SHOWN} more" if len(source.not_read) > FILES_SHOWN else ""
        say(f"not read, no part of {source.format}: {', '.join(source.not_read[:FILES_SHOWN])}{more}")
    with (
        _output_folder(output) as temporary,
        table_engine(temporary, engine) as connection,
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        name, progress = (source.name, None) if previous is None else read_progress(previous)
        staging = Staging(temporary, progress)
        staging.read(source)
        accounts = staging.progress.accounts
        accepted = _without_duplicates(connection, staging, previous)
        report = {"name": name, "format": source.format, **_report(accounts, accepted)}
        judged = validation(
            name,
            source.format,
            dict(sorted(accounts.items(), key=lambda entry: entry[1].order)),
            accepted.rejected,
            accepted.interactions,
            report["references"],
            max_rejected,
        )
        for warning in _warnings(report, judged["time"], accounts, accepted):
            say(f"WARNING: {warning}")
        try:
            _check_rejected(source, accounts, accepted, max_rejected)
        except InputError as error:
            raise _stopped(error, judged, stopped) from None

        users_left, items_left = k_core(connection, accepted.pairs, minimum_interactions)
        users = accepted.users.semi_join(users_left, _.number == users_left.user)
        items = accepted.items.semi_join(items_left, _.number == items_left.item)
        of_users = accepted.pairs.semi_join(users_left, "user")
        pairs_left = of_users.semi_join(items_left, "item")
        left_out = accepted.pairs.anti_join(users_left, "user").union(of_users.anti_join(items_left, "item"))
        left_out = connection.create_table("left_out", left_out.select("sequence"), temp=True)
        bounds = time_bounds(pairs_left, splits) if TIME in splits.protocols else None
        visits = numbered_visits(connection, "visits", pairs_left)
        drop(connection, "pairs")  # its memory is wanted for sorting
        core = split_rows(accepted.interactions, users, items, visits, splits.protocols, bounds)
        schema = interactions_schema(splits.protocols)
        write_batches(stream(connection, core), output / INTERACTIONS_FILE, schema)
        write_batches(stream(connection, _described(items, accepted.metadata)), output / ITEMS_FILE, ITEMS)
        write_batches(stream(connection, accepted.rejected), output / REJECTED_FILE, REJECTED)
        statistics = beside.submit(write_statistics, output, engine.memory)  # reads these three tables
        write_batches(stream(connection, latest_visits(visits, users, items)), output / HISTORIES_FILE, HISTORIES)
        write_batches(stream(connection, profiles_of(users, accepted.profiles)), output / USERS_FILE, USERS)
        left_out = accepted.interactions.semi_join(left_out, "sequence")
        keep_accepted(connection, output, left_out, accepted.metadata, accepted.profiles, name, staging.progress)

        core = read(connection, output / INTERACTIONS_FILE, "core")
        report |= {"after_k_core": size(core), **_split_report(core, splits.protocols, bounds)}
        bare = int(items.anti_join(accepted.metadata, "item_id").count().execute())
        say(
            f"{minimum_interactions}-core: {report['after_k_core']['users']:,} users, "
            f"{report['after_k_core']['items']:,} items, {report['after_k_core']['interactions']:,} interactions; "
            f"{bare:,} items without metadata"
        )
        for protocol, rows in report["splits"].items():
            say(f"split {protocol}: " + ", ".join(f"{split} {count:,}" for split, count in rows.items()))
        report["topics"] = write_topics(connection, output)
        write_validation(judged, output)
        statistics.result()
    return {"dataset": report}


def _simulate(config: PreparationConfig, folder: Path, truth: Path | None) -> Source:
    """Write the log of a simulated market into `folder`, where it is read from as a team's own would be."""
    market = make_truth(simulated_market(config.dataset), config.seed)
    count = write_log(market, folder)
    say(f"simulated {count:,} interactions of {market.config.users:,} users in {market.config.days} days")
    if truth is not None:
        save_truth(market, truth)
    return replace(open_source(str(folder), None), name=SIMULATOR, root=None)


@dataclass(frozen=True)
class _Accepted:
    """What is left without duplicates.

    Attributes:
        interactions: `RAW_INTERACTIONS` and more.
        pairs: of them, see `filtering.numbered_pairs`.
        users: of them, see `filtering.numbered`.
        items: likewise.
        metadata: `previous.ACCEPTED_ITEMS`, one row for an item, whether it is among `items` or not.
        profiles: `user_profiles.counting_profiles`.
        rejected: `contracts.tables.REJECTED`, in the order of the files and their lines.
    """

    interactions: ir.Table
    pairs: ir.Table
    users: ir.Table
    items: ir.Table
    metadata: ir.Table
    profiles: ir.Table
    rejected: ir.Table


def _without_duplicates(connection: ibis.BaseBackend, staging: Staging, previous: Path | None) -> _Accepted:
    """Find duplicates among the staged rows and those of before, and enter them into the accounts of their files."""
    interactions = days_as_seconds(read(connection, staging.interactions, "staged_interactions"))
    metadata = read(connection, staging.items, "staged_items")
    profiles = read(connection, staging.users, "staged_users")
    rejected = read(connection, staging.rejected, "staged_rejected")
    files = staging.progress.accounts
    if previous is not None:
        interactions = with_previous_interactions(connection, interactions, previous)
        metadata = with_previous_items(connection, metadata, previous)
        profiles = with_previous_users(connection, profiles, previous)
        rejected = with_previous_rejected(connection, rejected, previous, files)
    users = numbered(connection, "users", interactions, "user_id")
    items = numbered(connection, "items", interactions, "item_id")
    pairs = numbered_pairs(connection, "pairs", interactions, users, items)

    counting = connection.create_table("counting_items", counting_items(metadata), temp=True)
    again = later_duplicates(interactions, pairs)

    name_of = {account.order: name for name, account in files.items()}
    for name, rows, reason in (
        ("again", again, DUPLICATE),
        ("items_again", later_items(metadata), DUPLICATE_ITEM),
        ("users_again", later_profiles(profiles), DUPLICATE_USER_ATTRIBUTE),
    ):
        rows = connection.create_table(name, rows, temp=True)
        counts = value_counts(rows.file_order)
        for number, count in counts.items():
            files[name_of[number]].rejected[reason] += count
        if counts:
            rows = rows.mutate(file=rows.file_order.cases(*name_of.items()), reason=ibis.literal(reason))
            rejected = rejected.union(rows.select(rejected.columns))
        if counts and name == "again":
            interactions, pairs = (table.anti_join(rows, "sequence") for table in (interactions, pairs))
        if counts and name == "users_again":
            profiles = profiles.anti_join(rows, ROW)
    return _Accepted(
        interactions=interactions,
        pairs=pairs,
        users=users,
        items=items,
        metadata=metadata.semi_join(counting, "position").select(ACCEPTED_ITEMS.names),
        profiles=connection.create_table("profiles", counting_profiles(profiles), temp=True),
        rejected=rejected.order_by(["file_order", "source_line"]).select(REJECTED.names),
    )


def _report(accounts: dict[str, FileAccount], accepted: _Accepted) -> dict[str, Any]:
    """What was read and accepted, as the summary tells it."""
    logs = [account for account in accounts.values() if account.kind == "interactions"]
    reasons = sum((account.rejected for account in logs), Counter[str]())
    count = sum(account.accepted for account in logs)
    users, items = (int(table.count().execute()) for table in (accepted.users, accepted.items))
    days = span(accepted.interactions) if count else {}
    new = sum(account.accepted for account in logs if account.is_new)
    repeated = sum(account.repeated for account in logs)
    frequent = "; ".join(f"{rows:,} for {reason}" for reason, rows in reasons.most_common(REASONS_SHOWN))
    say(
        f"{count:,} interactions accepted"
        + (f" ({users:,} users, {items:,} items, {days['first']} to {days['last']})" if days else "")
        + (f", {new:,} of them new" if new < count else "")
        + f", {reasons.total():,} rejected"
        + (f" ({frequent})" if frequent else "")
        + (f"; {repeated:,} repeat an earlier row, of exact duplicates the first is kept" if repeated else "")
    )
    unknown = accepted.items.anti_join(accepted.metadata, "item_id")
    return {
        "users": users,
        "items": items,
        "interactions": count,
        "accepted": count,
        "rejected": reasons.total(),
        "repeated": repeated,
        "rejected_by_reason": dict(sorted(reasons.items())),
        "files": {
            file: {
                "read": account.read,
                "accepted": account.accepted,
                "rejected": account.rejected.total(),
            }
            for file, account in sorted(accounts.items(), key=lambda entry: entry[1].order)
        },
        "references": {
            "items_without_metadata": int(unknown.count().execute()),
            "interactions_with_them": int(accepted.interactions.semi_join(unknown, "item_id").count().execute()),
            "items_without_interactions": int(accepted.metadata.anti_join(accepted.items, "item_id").count().execute()),
            **profile_references(accepted.users, accepted.profiles),
        },
        "span": days,
    }


def _warnings(
    report: dict[str, Any], time: dict[str, Any] | None, accounts: dict[str, FileAccount], accepted: _Accepted
) -> Iterator[str]:
    """Signs that a log was not understood although its rows were: ids that match nothing, times of another unit."""
    for file, account in accounts.items():
        if account.is_new and account.repeated and not account.accepted:
            yield f"{file}: no row is new, {account.repeated:,} repeat earlier ones: was it read before?"
    references = report["references"]
    undescribed = references["items_without_metadata"]
    described = report["items"] - undescribed
    if report["items"] and references["items_without_interactions"] and described < LEAST_DESCRIBED * report["items"]:
        yield _mismatch("item", described, report["items"], accepted.items, accepted.metadata)
    elif report["items"] and undescribed == report["items"]:
        yield (
            "no item has metadata: titles, brands and categories are empty, and a language model is shown ids alone; "
            "a team's own log takes them from a file items beside it, whose item_id is called as in the log"
        )
    with_profile = report["users"] - references["users_without_profile"]
    if (
        report["users"]
        and references["profiles_without_interactions"]
        and with_profile < LEAST_DESCRIBED * report["users"]
    ):
        yield _mismatch("user", with_profile, report["users"], accepted.users, accepted.profiles)
    if time is None:
        return
    if time["last_timestamp"] < SECONDS_OF_1970:
        yield "every interaction is of 1970: the unit of the times looks wrong"
    elif time["days"] == 1 and time["interactions"] > 1:
        yield f"every interaction is on one day, {report['span']['first']}: the times look wrong"


def _mismatch(kind: str, described: int, count: int, of_log: ir.Table, of_files: ir.Table) -> str:
    """That ids match almost nothing, with one of each side that does not."""
    name = f"{kind}_id"
    of_files = of_files.select(name).distinct()
    examples = [
        rows.select(name).order_by(name).limit(1).to_pyarrow()[name][0].as_py()
        for rows in (of_log.anti_join(of_files, name), of_files.anti_join(of_log, name))
    ]
    return (
        f"of the {count:,} {kind}s of the log {described:,} are described: their ids look written in two ways, "
        f"{examples[0]!r} in the log and {examples[1]!r} in the file of {kind}s"
    )


def _split_report(core: ir.Table, protocols: tuple[str, ...], bounds: tuple[int, int] | None) -> dict[str, Any]:
    """The sizes of the splits by each protocol, and T1 and T2 of the protocol `time`."""
    counts = {protocol: value_counts(core[SPLIT_PREFIX + protocol]) for protocol in protocols}
    report: dict[str, Any] = {
        "splits": {protocol: {split: sizes[split] for split in SPLITS} for protocol, sizes in counts.items()}
    }
    if bounds is not None:
        report["split_moments"] = {"validate_from": moment(bounds[0]), "test_from": moment(bounds[1])}
    return report


def _check_rejected(source: Source, accounts: dict[str, FileAccount], accepted: _Accepted, max_rejected: float) -> None:
    new = {file: account for file, account in accounts.items() if account.is_new}
    for file, account in new.items():
        count, read = account.rejected.total() - account.repeated, account.read
        if account.has_too_many_faults(max_rejected):
            faults = accepted.rejected.filter(_.file == file, _.reason.notin(REPEATS))
            (first,) = faults.order_by("source_line").limit(1).to_pyarrow().to_pylist()
            raw = first["raw"] if len(first["raw"]) <= LONGEST_SHOWN else first["raw"][:LONGEST_SHOWN] + "…"
            expected = EXPECTED.get(first["reason"])
            raise InputError(
                f"{source.location(file)}: {count:,} of {read:,} rows ({count / read:.1%}) are rejected, more than the "
                f"setting RELAND_MAX_REJECTED={max_rejected} allows; "
                f"the first is line {first['source_line']}: {first['reason']}, {raw!r}"
                + (f" (expected {expected})" if expected else "")
            )
    if not any(account.accepted for account in accounts.values() if account.kind == "interactions"):
        first_file = next(iter(new), source.name)
        raise InputError(f"{source.location(first_file)}: no row is left after validation")


def _stopped(error: InputError, judged: dict[str, Any], folder: Path | None) -> InputError:
    """Keep the validation report of a run that is stopped, and say where."""
    if folder is None:
        return error
    try:
        write_validation({**judged, "stopped": str(error)}, folder)
    except OSError as fault:
        return InputError(f"{error} (no report: {folder} cannot be written, {fault.strerror})")
    return InputError(f"{error}; every reason with examples: {folder / VALIDATION_PAGE_FILE}")


def _described(items: ir.Table, metadata: ir.Table) -> ir.Table:
    """`contracts.tables.ITEMS`: one row for each of `items`, sorted by item_id."""
    described = items.select("item_id").left_join(metadata, "item_id").select(ITEMS.names)
    texts = {name: described[name].fill_null("") for name in ("title", "brand", "description")}
    no_categories = ibis.literal([], type="array<string>")
    whole = described.mutate(**texts, categories=ibis.coalesce(described.categories, no_categories))
    return whole.order_by("item_id")


def _find_folder(dataset: str, data_dir: str, default: Path | None) -> Path:
    try:
        if data_dir:
            folder = Path(data_dir).expanduser()
        elif default is None:
            raise InputError(f"the data set {dataset} is read from files: give data_dir or set RELAND_DATA_DIR")
        else:
            folder = default / dataset if (default / dataset).is_dir() else default
        if not folder.is_dir():
            raise InputError(f"{folder}: {'is a file, expected a folder' if folder.exists() else 'no such folder'}")
    except (OSError, RuntimeError) as error:  # a parent that may not be entered, a name too long, an unknown ~user
        raise InputError(f"{data_dir or default}: not readable as a folder ({error})") from error
    return folder


@contextmanager
def _output_folder(output: Path) -> Iterator[Path]:
    """A hidden folder in `output` for what is needed meanwhile; an `output` made here goes with it on failure.

    Readers report their own faults, so an OSError in the block comes from writing: a full disk, for example.
    """
    made = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=output, prefix=".preparing-")
    except OSError as error:
        raise write_failure(f"{output}: cannot be made a folder ({error.strerror})", error) from error
    try:
        with temporary:
            yield Path(temporary.name)
    except BaseException as error:
        if made and not any(output.iterdir()):
            output.rmdir()
        if isinstance(error, OSError):
            raise write_failure(f"{output}: cannot be written ({error.strerror or error})", error) from error
        raise
