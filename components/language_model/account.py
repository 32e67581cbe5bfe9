"""The account of what the answers of a run took: kept for each shard, added up for the run."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from components.contracts.artifacts import ITEMS_FILE
from components.contracts.tables import ITEMS, read_interactions, read_table
from components.foundation.files import read_json, write_json
from components.language_model.budget import Prices, Usage


@dataclass
class Account:
    """What the responses of a shard, or of all shards, took.

    Attributes:
        forecast: the most that one call for each request that the ledger did not answer takes.
        spent: calls of this run, answered or not, and the tokens of their answers.
        inferences: calls of this run that were answered, with a text or without.
        asked_again: calls of this run because an answer was invalid.
        new: requests with an answer that was made in this run.
        not_asked: requests that a ceiling kept out.
        behind: calls and tokens of all answers, whichever run made them.
        ceiling: the name of the ceiling that kept a request from being sent; empty where none did.
        hours: how long the engine took, in this run.
    """

    forecast: Usage = field(default_factory=Usage)
    spent: Usage = field(default_factory=Usage)
    inferences: int = 0
    asked_again: int = 0
    new: int = 0
    not_asked: int = 0
    behind: Usage = field(default_factory=Usage)
    ceiling: str = ""
    hours: float = 0.0

    def __add__(self, other: "Account") -> "Account":
        sums = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        return Account(**{**sums, "ceiling": self.ceiling or other.ceiling})


def write_account(path: Path, account: Account) -> None:
    """Write an account as JSON."""
    write_json(path, asdict(account))


def read_account(path: Path) -> Account:
    """Read what `write_account` wrote."""
    content = read_json(path)
    usage = {name: Usage(**content[name]) for name in ("forecast", "spent", "behind")}
    return Account(**{**content, **usage})


@dataclass(frozen=True)
class Population:
    """How many users, items and interactions there are after filtering: |U|, |I| and |D|."""

    users: int
    items: int
    interactions: int


def read_population(prepared: Path) -> Population:
    """Count them in a prepared data set.

    Raises:
        InputError: a table is missing or does not hold its schema.
    """
    users = read_interactions(prepared, ["user_id"]).column("user_id")
    items = read_table(prepared / ITEMS_FILE, ITEMS, ["item_id"])
    return Population(pc.count_distinct(users).as_py(), len(items), len(users))


def cost_fields(account: Account, answered: int, prices: Prices, population: Population) -> dict[str, Any]:
    """What `generation_cost` of the summary says of calls, tokens, GPU-hours and money.

    `inferences` counts answers that were made in this run, `reused` the seed users whose answer cost no inference of
    its own; calls and tokens are those of this run. GPU-hours and money follow from what the settings state; `hours` is
    how long the engine took.

    `methods` has the columns of the paper's Table 3: what the pool took, in whichever run, beside what KAR (|U| + |I|
    calls) and SLIM (|D| calls) would have taken on these data, each call as dear as the mean one of the pool.

    Args:
        answered: seed users who have an answer.
    """
    calls = {
        "reland": account.behind.calls,
        "kar": population.users + population.items,
        "slim": population.interactions,
    }
    return {
        "inferences": account.inferences,
        "reused": answered - account.new,
        "asked_again": account.asked_again,
        "not_asked": account.not_asked,
        "ceiling": account.ceiling,
        **account.spent.priced(prices),
        "hours": round(account.hours, 6),
        "forecast": account.forecast.priced(prices),
        "per_thousand_users": _scaled(account, prices, account.spent, 1_000 / population.users),
        "methods": {
            name: _scaled(account, prices, account.behind, number / max(1, account.behind.calls)) | {"calls": number}
            for name, number in calls.items()
        },
    }


def _scaled(account: Account, prices: Prices, usage: Usage, factor: float) -> dict[str, float]:
    """`usage` times `factor`; its hours by those of an inference of this run, where there was one."""
    quantities = {
        "calls": usage.calls,
        "gpu_hours": prices.gpu_hours(usage.tokens),
        "money": prices.money(usage.prompt_tokens, usage.completion_tokens),
    }
    if account.inferences:
        quantities["hours"] = account.hours / account.inferences * usage.calls
    scaled = {name: round(value * factor, 6) for name, value in quantities.items()}
    return scaled | {"tokens": round(usage.tokens * factor)}
