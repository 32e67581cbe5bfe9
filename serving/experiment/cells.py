"""User-days read once, user by user, into the moments of each arm and level of activity.

A *cell* is one stage on one day. The features of a user are the impressions, clicks and conversions in every cell, then
what the user did before the experiment. DuckDB sorts, on disk where memory does not suffice; what is held here is one
batch of users.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.foundation.errors import InputError
from serving.experiment.moments import Moments, leverage
from serving.experiment.tables import DEFAULT_MEMORY, experiment_tables, view
from serving.experiment.user_days import ACTIVITY, USER_DAYS

COUNTS = ("impressions", "clicks", "conversions")
LEVELS = ("L1", "L2", "L3", "L4")
NO_LEVEL = "all"
ROWS_A_BATCH = 2**17


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
    largest_user: int


@dataclass(frozen=True)
class Cells:
    """The moments of an experiment.

    Attributes:
        cells: (stage, day) of each cell, sorted by day, then stage.
        moments: of the users of each arm and level; feature `feature(cell, count)` as below.
        stage_users: users of each arm and stage.
        arms: totals of each arm.
        boundaries: activity up to which a user is of L1, L2 and L3; empty without a table of activity.
        users_in_both_arms: who was served by both, and so is no part of a randomised comparison.
    """

    cells: list[tuple[int, datetime.date]]
    moments: dict[tuple[str, str], Moments]
    stage_users: dict[tuple[str, int], int]
    arms: dict[str, ArmTotals]
    boundaries: list[int]
    users_in_both_arms: int

    def feature(self, cell: int, count: str) -> int:
        """Position of a count in a cell among the features."""
        return len(COUNTS) * cell + COUNTS.index(count)

    @property
    def before(self) -> list[int]:
        """Positions of what users did before the experiment; none without a table of activity."""
        first = len(COUNTS) * len(self.cells)
        return list(range(first, first + len(COUNTS))) if self.boundaries else []

    @property
    def levels(self) -> list[str]:
        """The levels that have users, least active first."""
        return [level for level in LEVELS if any(name == level for _, name in self.moments)]

    def of_arm(self, arm: str) -> Moments:
        """Of all levels together."""
        first, *rest = (moments for (name, _), moments in self.moments.items() if name == arm)
        return sum(rest, first)


def read_cells(
    user_days: pa.Table | Path,
    arms: tuple[str, str],
    stages: Mapping[int, int],
    activity: pa.Table | Path | None = None,
    memory: str = DEFAULT_MEMORY,
) -> Cells:
    """Read what both arms did; rows of other arms are passed over.

    Levels are quartiles of clicks + conversions of before, over the users of both arms. Users with equal activity are
    of one level, the lower one, so where many did nothing a level may have no user.

    Args:
        user_days: `USER_DAYS`, or a Parquet file of it.
        stages: stage of a `state`; one that is not in it is a stage of its own.
        activity: `ACTIVITY`, or a Parquet file of it.
        memory: of the sorting, as "2GiB".

    Raises:
        InputError: a table does not hold its schema, an arm served nobody, or memory or disk do not suffice.
    """
    with experiment_tables(memory) as tables:
        view(tables, "user_days", user_days, USER_DAYS)
        view(tables, "activity", ACTIVITY.empty_table() if activity is None else activity, ACTIVITY)
        # Python's numbers, so that the statement below holds them as constants
        numbers = {int(state): int(stage) for state, stage in stages.items()}
        stage = "CASE state " + " ".join(f"WHEN {state} THEN {number}" for state, number in numbers.items())
        stage = f"{stage} ELSE state END" if numbers else "state"
        tables.execute(
            f"CREATE TEMP TABLE served AS SELECT user_id, arm, {stage} AS stage, day, sum(lists)::BIGINT AS lists, "
            + ", ".join(f"sum({count})::BIGINT AS {count}" for count in COUNTS)
            + " FROM user_days WHERE arm IN (?, ?) GROUP BY ALL",
            list(arms),
        )
        served_arms = ", ".join(
            arm for (arm,) in tables.sql("SELECT DISTINCT arm FROM user_days ORDER BY 1").fetchall()
        )
        cells = tables.sql("SELECT DISTINCT stage, day FROM served ORDER BY day, stage").fetchall()
        boundaries = _boundaries(tables) if activity is not None else []
        sizes = tables.sql(
            "SELECT arm, stage, day, count(*), sum(impressions)::BIGINT FROM served GROUP BY ALL"
        ).fetchall()
        reader = _Reader(arms, cells, boundaries, sizes)
        for batch in _sorted_batches(tables, boundaries):
            reader.add(batch)
        reader.end()
    for arm in arms:
        if reader.totals[arm].users == 0:
            raise InputError(f"arm {arm!r}: no list was served to its users; arms with lists: {served_arms or 'none'}")
    return Cells(
        cells=cells,
        moments={key: moments for key, moments in reader.moments.items() if moments.users > 0},
        stage_users=reader.stage_users,
        arms=reader.totals,
        boundaries=boundaries,
        users_in_both_arms=reader.users_in_both_arms,
    )


def _boundaries(tables: duckdb.DuckDBPyConnection) -> list[int]:
    ((bounds,),) = tables.sql(
        "SELECT quantile_disc(coalesce(done, 0), [0.25, 0.5, 0.75]) FROM (SELECT DISTINCT user_id FROM served) "
        "LEFT JOIN (SELECT user_id, sum(clicks + conversions)::BIGINT AS done FROM activity GROUP BY ALL) "
        "USING (user_id)"
    ).fetchall()
    return bounds or [0, 0, 0]


def _sorted_batches(tables: duckdb.DuckDBPyConnection, boundaries: list[int]) -> Iterator[pa.RecordBatch]:
    """Rows user_id, arm, stage, day, lists and counts, then level (0 to 3) and the counts of before; sorted by user."""
    if boundaries:
        level = " + ".join(f"(coalesce(before_clicks + before_conversions, 0) > {bound})::INT" for bound in boundaries)
        before = ", ".join(f"coalesce(before_{count}, 0) AS before_{count}" for count in COUNTS)
        joined = (
            "served LEFT JOIN (SELECT user_id, "
            + ", ".join(f"sum({count})::BIGINT AS before_{count}" for count in COUNTS)
            + " FROM activity GROUP BY ALL) USING (user_id)"
        )
        query = f"SELECT served.*, {level} AS level, {before} FROM {joined}"
    else:
        query = "SELECT * FROM served"
    return iter(tables.sql(f"{query} ORDER BY user_id, arm").to_arrow_reader(ROWS_A_BATCH))


class _Reader:
    """Adds up sorted batches; the rows of a batch's last user wait for the next one, which may go on with them."""

    def __init__(
        self,
        arms: tuple[str, str],
        cells: list[tuple[int, datetime.date]],
        boundaries: list[int],
        sizes: list[tuple[str, int, datetime.date, int, int]],
    ):
        """`sizes` has, for an arm, stage and day, the users and the impressions."""
        self._arms = arms
        self._cells = {cell: index for index, cell in enumerate(cells)}
        # Users and impressions of each arm by cell.
        self._sizes = {arm: np.zeros((2, len(cells))) for arm in arms}
        for arm, stage, day, *size in sizes:
            self._sizes[arm][:, self._cells[stage, day]] = size
        self._stages = sorted({stage for stage, _ in cells})
        self._has_levels = bool(boundaries)
        self._features = len(COUNTS) * (len(cells) + self._has_levels)
        self._rest: pa.Table | None = None
        empty = Moments(np.zeros(()), np.zeros(self._features), np.zeros((self._features, self._features)))
        names = LEVELS if boundaries else (NO_LEVEL,)
        self.moments = {(arm, name): empty for arm in arms for name in names}
        self.stage_users = {(arm, stage): 0 for arm in arms for stage in self._stages}
        self.totals = {arm: ArmTotals(0, 0, 0, 0, 0, 0) for arm in arms}
        self.users_in_both_arms = 0

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
        is_candidate = pc.equal(table.column("arm"), self._arms[0]).to_numpy()
        new_user = np.append(True, pc.not_equal(user[1:], user[:-1]).to_numpy(zero_copy_only=False))
        other_arm = np.append(False, is_candidate[1:] != is_candidate[:-1]) & ~new_user
        self.users_in_both_arms += int(other_arm.sum())
        first = np.flatnonzero(new_user | other_arm)  # a user of an arm, whose rows end where the next one's begin
        row_user = np.cumsum(new_user | other_arm) - 1
        stage = table.column("stage").to_numpy()
        cell = self._cell_of(stage, table.column("day"))
        features = np.zeros((len(first), self._features))
        for offset, count in enumerate(COUNTS):
            features[row_user, len(COUNTS) * cell + offset] = table.column(count).to_numpy()
            if self._has_levels:
                before = table.column(f"before_{count}").to_numpy()[first]
                features[:, len(COUNTS) * len(self._cells) + offset] = before
        level = table.column("level").to_numpy()[first] if self._has_levels else np.zeros(len(first), int)
        lists = np.add.reduceat(table.column("lists").to_numpy(), first)
        for arm, chosen in ((self._arms[0], is_candidate[first]), (self._arms[1], ~is_candidate[first])):
            users, totals = self._sizes[arm]
            pulls = leverage(features[:, : len(COUNTS) * len(self._cells) : len(COUNTS)], totals, users)
            for index, name in enumerate(LEVELS if self._has_levels else (NO_LEVEL,)):
                rows = chosen & (level == index)
                if rows.any():
                    self.moments[arm, name] += Moments.of(features[rows], pulls[rows])
            for number in self._stages:
                served = row_user[(stage == number) & chosen[row_user]]  # in the order of users
                self.stage_users[arm, number] += int(np.count_nonzero(np.diff(served))) + bool(len(served))
            if chosen.any():
                self.totals[arm] = self._added(arm, features[chosen], lists[chosen])

    def _cell_of(self, stage: np.ndarray, day: pa.ChunkedArray) -> np.ndarray:
        days = day.cast(pa.int32()).to_numpy()
        cell = np.full(len(stage), -1)
        epoch = datetime.date(1970, 1, 1)
        for (cell_stage, cell_day), index in self._cells.items():
            cell[(stage == cell_stage) & (days == (cell_day - epoch).days)] = index
        return cell

    def _added(self, arm: str, features: np.ndarray, lists: np.ndarray) -> ArmTotals:
        before = self.totals[arm]
        impressions, clicks, conversions = (
            features[:, offset : len(COUNTS) * len(self._cells) : len(COUNTS)].sum(axis=1)
            for offset in range(len(COUNTS))
        )
        return ArmTotals(
            users=before.users + len(features),
            lists=before.lists + int(lists.sum()),
            impressions=before.impressions + int(impressions.sum()),
            clicks=before.clicks + int(clicks.sum()),
            conversions=before.conversions + int(conversions.sum()),
            largest_user=max(before.largest_user, int(impressions.max())),
        )
