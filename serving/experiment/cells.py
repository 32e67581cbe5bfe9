"""User-days read once, user by user, into the moments of each arm and class of users.

A *cell* is one stage on one day. The features of a user are the impressions, clicks and conversions in every cell, then
what counts once a user, then what the user did before the experiment. DuckDB sorts, on disk where memory does not
suffice; what is held here is one batch of users.

Users who were served by both arms changed groups on the way; they are part of no randomised comparison and left out.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contracts.tables import USERS
from components.foundation.errors import InputError
from serving.experiment.moments import Moments, covariate_leverage, leverage
from serving.experiment.tables import DEFAULT_MEMORY, experiment_tables, text, view
from serving.experiment.user_days import ACTIVITY, USER_DAYS

COUNTS = ("impressions", "clicks", "conversions")
# Once a user: 1; lists; whether the user came again on a later day; value of the conversions, capped.
ONCE = ("users", "lists", "returned", "value")
LEVELS = ("L1", "L2", "L3", "L4")
EVERYBODY = ("all", "all")
TRIGGERED = ("triggered", "yes")
LEVEL = "level"
OTHER, UNKNOWN = "other", "unknown"
CLASSES = 8  # of an attribute: the most frequent values, the others are thrown together
VALUE_QUANTILE = 0.99
ROWS_A_BATCH = 2**17

# A class of users: what they are divided by, and which of them they are.
Class = tuple[str, str]


@dataclass(frozen=True)
class ArmTotals:
    """What an arm served, and to whom.

    Attributes:
        largest_user: impressions of the user who has the most.
    """

    users: int
    lists: int
    impressions: int
    clicks: int
    conversions: int
    value: float
    largest_user: int


@dataclass(frozen=True)
class Cells:
    """The moments of an experiment.

    Attributes:
        cells: (stage, day) of each cell, sorted by day, then stage.
        moments: of the users of each arm and class; feature `feature(cell, count)` as below.
        reached: of each arm and class, how many users have one or more of each count of `COUNTS` in each span;
            int64[counts, spans].
        spans: which cells belong to each span, bool[cells, spans]: of all days, of each day, of each day and all before
            it, then of each stage.
        arms: totals of each arm.
        boundaries: activity up to which a user is of L1, L2 and L3; empty without a table of activity.
        value_cap: what the value of one user's conversions counts as at most; 0 where none has a value.
        users_in_both_arms: who was served by both, and so is left out.
    """

    cells: list[tuple[int, datetime.date]]
    moments: dict[tuple[str, Class], Moments]
    reached: dict[tuple[str, Class], np.ndarray]
    spans: np.ndarray
    arms: dict[str, ArmTotals]
    boundaries: list[int]
    value_cap: float
    users_in_both_arms: int

    def feature(self, cell: int, count: str) -> int:
        """Position of a count in a cell among the features."""
        return len(COUNTS) * cell + COUNTS.index(count)

    def once(self, name: str) -> int:
        """Position of what counts once a user."""
        return len(COUNTS) * len(self.cells) + ONCE.index(name)

    @property
    def before(self) -> list[int]:
        """Positions of what users did before the experiment; none without a table of activity."""
        first = len(COUNTS) * len(self.cells) + len(ONCE)
        return list(range(first, first + len(COUNTS))) if self.boundaries else []

    @property
    def days(self) -> list[datetime.date]:
        """The days of the cells, in order."""
        return sorted({day for _, day in self.cells})

    @property
    def stages(self) -> list[int]:
        """The stages of the cells, in order."""
        return sorted({stage for stage, _ in self.cells})

    def users_of_stage(self, arm: str, stage: int) -> int:
        """Users to whom an arm showed something in a stage."""
        return self.users_with(arm, EVERYBODY, "impressions", [cell for cell in self.cells if cell[0] == stage])

    def users_with(self, arm: str, users: Class, count: str, cells: list[tuple[int, datetime.date]]) -> int:
        """Users of a class with one or more of a count in cells that are a span."""
        chosen = np.array([cell in cells for cell in self.cells])
        (matching,) = np.nonzero((self.spans == chosen[:, None]).all(axis=0))
        return int(self.reached[arm, users][COUNTS.index(count), matching[0]])

    def classes(self, dimension: str) -> list[str]:
        """The classes that have users, in order."""
        names = list(dict.fromkeys(name for _, (by, name) in self.moments if by == dimension))
        return [name for name in LEVELS if name in names] if dimension == LEVEL else names

    @property
    def dimensions(self) -> list[str]:
        """The attributes that users are divided by."""
        own = (EVERYBODY[0], TRIGGERED[0], LEVEL)
        return list(dict.fromkeys(by for _, (by, _) in self.moments if by not in own))


def read_cells(
    user_days: pa.Table | Path,
    arms: tuple[str, str],
    stages: Mapping[int, int],
    activity: pa.Table | Path | None = None,
    attributes: pa.Table | Path | None = None,
    memory: str = DEFAULT_MEMORY,
) -> Cells:
    """Read what both arms did; rows of other arms are passed over.

    Levels are quartiles of clicks + conversions of before, over the users of both arms. Users with equal activity are
    of one level, the lower one, so where many did nothing a level may have no user.

    Args:
        user_days: `USER_DAYS`, or a Parquet file of it.
        stages: stage of a `state`; one that is not in it is a stage of its own.
        activity: `ACTIVITY`, or a Parquet file of it.
        attributes: `contracts.tables.USERS`, or a Parquet file of it: each attribute divides the users once more.
        memory: of the sorting, as "2GiB".

    Raises:
        InputError: a table does not hold its schema, an arm served nobody, or memory or disk do not suffice.
    """
    with experiment_tables(memory) as tables:
        view(tables, "user_days", user_days, USER_DAYS)
        view(tables, "activity", ACTIVITY.empty_table() if activity is None else activity, ACTIVITY)
        view(tables, "attributes", USERS.empty_table() if attributes is None else attributes, USERS)
        in_both = _make_served(tables, arms, stages)
        served_arms = ", ".join(
            arm for (arm,) in tables.sql("SELECT DISTINCT arm FROM user_days ORDER BY 1").fetchall()
        )
        cells = tables.sql("SELECT DISTINCT stage, day FROM served ORDER BY day, stage").fetchall()
        ((cap,),) = tables.sql(
            f"SELECT quantile_disc(value, {VALUE_QUANTILE}) FROM (SELECT sum(value) AS value FROM served "
            "GROUP BY user_id HAVING sum(value) > 0)"
        ).fetchall()
        boundaries = _boundaries(tables) if activity is not None else []
        dimensions = _make_users(tables, boundaries)
        reader = _Reader(tables, arms, cells, boundaries, cap or 0.0, dimensions)
        batches = tables.sql("SELECT * FROM served LEFT JOIN users USING (user_id) ORDER BY user_id, day, stage")
        for batch in batches.to_arrow_reader(ROWS_A_BATCH):
            reader.add(batch)
        reader.end()
    for arm in arms:
        if reader.totals[arm].users == 0:
            served_both = f"; {in_both:,} users of both arms are left out" if in_both else ""
            raise InputError(
                f"arm {arm!r}: no list was served to its users; arms with lists: {served_arms or 'none'}{served_both}"
            )
    return Cells(
        cells=cells,
        moments=reader.moments,
        reached=reader.reached,
        spans=reader.spans,
        arms=reader.totals,
        boundaries=boundaries,
        value_cap=cap or 0.0,
        users_in_both_arms=in_both,
    )


def _make_served(tables: duckdb.DuckDBPyConnection, arms: tuple[str, str], stages: Mapping[int, int]) -> int:
    """The table `served`, what each user was served in each cell; how many users are left out as of both arms."""
    # Python's numbers, so that the statement below holds them as constants
    numbers = {int(state): int(stage) for state, stage in stages.items()}
    stage = "CASE state " + " ".join(f"WHEN {state} THEN {number}" for state, number in numbers.items())
    stage = f"{stage} ELSE state END" if numbers else "state"
    chosen = f"arm IN ({', '.join(map(text, arms))})"
    tables.execute(
        f"CREATE TEMP TABLE in_both AS SELECT user_id FROM user_days WHERE {chosen} "
        "GROUP BY user_id HAVING min(arm) <> max(arm)"
    )
    counts = ("lists", "ranked_lists", *COUNTS)
    tables.execute(
        f"CREATE TEMP TABLE served AS SELECT user_id, arm, {stage} AS stage, day, "
        + ", ".join(f"sum({count})::BIGINT AS {count}" for count in counts)
        + f", sum(value)::DOUBLE AS value FROM user_days ANTI JOIN in_both USING (user_id) WHERE {chosen} GROUP BY ALL"
    )
    ((in_both,),) = tables.sql("SELECT count(*) FROM in_both").fetchall()
    return int(in_both)


def _boundaries(tables: duckdb.DuckDBPyConnection) -> list[int]:
    ((bounds,),) = tables.sql(
        "SELECT quantile_disc(coalesce(done, 0), [0.25, 0.5, 0.75]) FROM (SELECT DISTINCT user_id FROM served) "
        "LEFT JOIN (SELECT user_id, sum(clicks + conversions)::BIGINT AS done FROM activity GROUP BY ALL) "
        "USING (user_id)"
    ).fetchall()
    return bounds or [0, 0, 0]


def _make_users(tables: duckdb.DuckDBPyConnection, boundaries: list[int]) -> dict[str, list[str]]:
    """The table `users`, one row for each, with the level (0 to 3), the counts of before and, for each attribute, the
    place of the class in the attribute's list, which is returned by the attribute's name."""
    level = " + ".join(f"(clicks + conversions > {bound})::INT" for bound in boundaries) or "0"
    columns = [
        f"({level})::BIGINT AS level",
        *(f"{count} AS before_{count}" for count in COUNTS),
    ]
    joins, dimensions = [], {}
    names = tables.sql(
        "SELECT DISTINCT attribute FROM attributes SEMI JOIN served USING (user_id) ORDER BY 1"
    ).fetchall()
    for number, (attribute,) in enumerate(names):
        frequent = tables.sql(
            f"SELECT value FROM attributes SEMI JOIN served USING (user_id) WHERE attribute = {text(attribute)} "
            f"GROUP BY value ORDER BY count(DISTINCT user_id) DESC, value LIMIT {CLASSES}"
        ).fetchall()
        classes = sorted(value for (value,) in frequent)
        dimensions[attribute] = [*classes, OTHER, UNKNOWN]
        place = " ".join(f"WHEN {text(value)} THEN {index}" for index, value in enumerate(classes))
        columns.append(
            f"CASE WHEN class_{number} IS NULL THEN {len(classes) + 1} ELSE CASE class_{number} {place} "
            f"ELSE {len(classes)} END END AS dimension_{number}"
        )
        joins.append(
            f"LEFT JOIN (SELECT user_id, min(value) AS class_{number} FROM attributes "
            f"WHERE attribute = {text(attribute)} GROUP BY 1) USING (user_id)"
        )
    counts = ", ".join(f"coalesce({count}, 0)::BIGINT AS {count}" for count in COUNTS)
    tables.execute(
        f"CREATE TEMP TABLE users AS SELECT user_id, {', '.join(columns)} FROM ("
        f"SELECT user_id, {counts} FROM (SELECT DISTINCT user_id FROM served) LEFT JOIN (SELECT user_id, "
        + ", ".join(f"sum({count}) AS {count}" for count in COUNTS)
        + f" FROM activity GROUP BY 1) USING (user_id)) {' '.join(joins)}"
    )
    return dimensions


class _Reader:
    """Adds up sorted batches; the rows of a batch's last user wait for the next one, which may go on with them."""

    def __init__(
        self,
        tables: duckdb.DuckDBPyConnection,
        arms: tuple[str, str],
        cells: list[tuple[int, datetime.date]],
        boundaries: list[int],
        cap: float,
        dimensions: dict[str, list[str]],
    ):
        self._arms = arms
        self._cells = {cell: index for index, cell in enumerate(cells)}
        self._cap, self._dimensions, self._has_levels = cap, dimensions, bool(boundaries)
        # Users and impressions of each arm by cell.
        self._sizes = {arm: np.zeros((2, len(cells))) for arm in arms}
        for arm, stage, day, *size in tables.sql(
            "SELECT arm, stage, day, count(*), sum(impressions)::BIGINT FROM served GROUP BY ALL"
        ).fetchall():
            self._sizes[arm][:, self._cells[stage, day]] = size
        self._means, self._within = self._covariates(tables)
        self.spans = _spans(cells)
        self._rest: pa.Table | None = None
        self.moments: dict[tuple[str, Class], Moments] = {}
        self.reached: dict[tuple[str, Class], np.ndarray] = {}
        self.totals = {arm: ArmTotals(0, 0, 0, 0, 0, 0.0, 0) for arm in arms}

    def _covariates(self, tables: duckdb.DuckDBPyConnection) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The covariates' means in each arm, and the sum over both arms of their products about these."""
        names = [f"before_{count}" for count in COUNTS]
        sums = ", ".join(f"sum({name}::DOUBLE)" for name in names)
        products = ", ".join(f"sum({one}::DOUBLE * {other})" for one in names for other in names)
        rows = tables.sql(
            f"SELECT arm, count(*), {sums}, {products} FROM users "
            "JOIN (SELECT DISTINCT user_id, arm FROM served) USING (user_id) GROUP BY arm"
        ).fetchall()
        means, within = {}, np.zeros((len(names), len(names)))
        for arm, users, *numbers in rows:
            means[arm] = np.array(numbers[: len(names)]) / users
            squares = np.array(numbers[len(names) :]).reshape(within.shape)
            within += squares - users * np.outer(means[arm], means[arm])
        return means, within

    def add(self, batch: pa.RecordBatch) -> None:
        table = pa.Table.from_batches([batch])
        if self._rest is not None:
            table = pa.concat_tables([self._rest, table])
        user = table.column("user_id").combine_chunks()
        changes = np.flatnonzero(pc.not_equal(user[1:], user[:-1]).to_numpy(zero_copy_only=False)) + 1
        last = int(changes[-1]) if len(changes) else 0
        self._rest = table.slice(last)
        self._count(table.slice(0, last))

    def end(self) -> None:
        if self._rest is not None:
            self._count(self._rest)

    def _count(self, table: pa.Table) -> None:
        if table.num_rows == 0:
            return
        user = table.column("user_id").combine_chunks()
        new_user = np.append(True, pc.not_equal(user[1:], user[:-1]).to_numpy(zero_copy_only=False))
        first = np.flatnonzero(new_user)  # the first row of each user
        last = np.append(first[1:], table.num_rows) - 1
        row_user = np.cumsum(new_user) - 1

        def column(name: str) -> np.ndarray:
            return table.column(name).to_numpy()

        days = table.column("day").cast(pa.int32()).to_numpy()
        cell = self._cell_of(column("stage"), days)
        counted = np.zeros((len(first), len(self._cells), len(COUNTS)))
        for offset, count in enumerate(COUNTS):
            counted[row_user, cell, offset] = column(count)
        before = np.column_stack([column(f"before_{count}")[first] for count in COUNTS]).astype(float)
        lists, value = (np.add.reduceat(column(name), first) for name in ("lists", "value"))
        once = (np.ones(len(first)), lists, days[last] > days[first], np.minimum(value, self._cap))
        parts = [counted.reshape(len(first), -1), np.column_stack(once)]
        features = np.concatenate([*parts, before] if self._has_levels else parts, axis=1)
        classes = self._classes(column, first)
        in_span = np.einsum("ucn,cs->uns", counted, self.spans.astype(float)) > 0
        is_candidate = pc.equal(table.column("arm"), self._arms[0]).to_numpy()[first]
        for arm, of_arm in ((self._arms[0], is_candidate), (self._arms[1], ~is_candidate)):
            if not of_arm.any():
                continue
            users, totals = self._sizes[arm]
            pulls, extremes = np.zeros(len(first)), np.zeros(len(first))
            pulls[of_arm] = leverage(counted[of_arm, :, 0], totals, users)
            if self._has_levels:
                extremes[of_arm] = covariate_leverage(before[of_arm] - self._means[arm], self._within)
            for name, of_class in classes.items():
                rows = of_arm & of_class
                if rows.any():
                    added, reached = (
                        self._moments(features[rows], pulls[rows], extremes[rows]),
                        in_span[rows].sum(axis=0),
                    )
                    key = arm, name
                    self.moments[key] = self.moments[key] + added if key in self.moments else added
                    self.reached[key] = self.reached[key] + reached if key in self.reached else reached
            self.totals[arm] = self._added(arm, counted[of_arm], lists[of_arm], value[of_arm])

    def _moments(self, features: np.ndarray, pulls: np.ndarray, extremes: np.ndarray) -> Moments:
        return Moments.of(features, pulls, extremes if self._has_levels else None)

    def _classes(self, column: Callable[[str], np.ndarray], first: np.ndarray) -> dict[Class, np.ndarray]:
        """Which users are of each class."""
        classes = {EVERYBODY: np.ones(len(first), bool)}
        classes[TRIGGERED] = np.add.reduceat(column("ranked_lists"), first) > 0
        if self._has_levels:
            level = column("level")[first]
            classes |= {(LEVEL, name): level == index for index, name in enumerate(LEVELS)}
        for number, (attribute, names) in enumerate(self._dimensions.items()):
            place = column(f"dimension_{number}")[first]
            classes |= {(attribute, name): place == index for index, name in enumerate(names)}
        return classes

    def _cell_of(self, stage: np.ndarray, days: np.ndarray) -> np.ndarray:
        cell = np.full(len(stage), -1)
        epoch = datetime.date(1970, 1, 1)
        for (cell_stage, cell_day), index in self._cells.items():
            cell[(stage == cell_stage) & (days == (cell_day - epoch).days)] = index
        return cell

    def _added(self, arm: str, counted: np.ndarray, lists: np.ndarray, value: np.ndarray) -> ArmTotals:
        before = self.totals[arm]
        impressions, clicks, conversions = (counted[:, :, offset].sum(axis=1) for offset in range(len(COUNTS)))
        return ArmTotals(
            users=before.users + len(counted),
            lists=before.lists + int(lists.sum()),
            impressions=before.impressions + int(impressions.sum()),
            clicks=before.clicks + int(clicks.sum()),
            conversions=before.conversions + int(conversions.sum()),
            value=before.value + float(value.sum()),
            largest_user=max(before.largest_user, int(impressions.max())),
        )


def _spans(cells: list[tuple[int, datetime.date]]) -> np.ndarray:
    """As `Cells.spans`."""
    days, stages = sorted({day for _, day in cells}), sorted({stage for stage, _ in cells})
    spans = [
        [True for _ in cells],
        *([day == one for _, day in cells] for one in days),
        *([day <= one for _, day in cells] for one in days),
        *([stage == one for stage, _ in cells] for one in stages),
    ]
    return np.array(spans, bool).T
