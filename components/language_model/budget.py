"""What the calls of a language model cost: forecast before the first one, held under ceilings while they last."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from components.foundation.errors import InputError
from components.foundation.settings import Settings

SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True)
class Prices:
    """What is stated about cost; 0 where nothing is. Money is in whatever currency the prices are.

    Attributes:
        prompt: of a million prompt tokens.
        completion: of a million tokens of answers.
        gpu_hour: of an hour of one GPU.
        tokens_per_second: tokens, of prompts and answers together, that one GPU gets through in a second.
    """

    prompt: float = 0.0
    completion: float = 0.0
    gpu_hour: float = 0.0
    tokens_per_second: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The prices that the settings state."""
        return cls(
            settings.prompt_price, settings.completion_price, settings.gpu_hour_price, settings.gpu_tokens_per_second
        )

    def gpu_hours(self, tokens: int) -> float:
        """GPU-hours of so many tokens; 0 where no speed is stated."""
        return tokens / self.tokens_per_second / SECONDS_AN_HOUR if self.tokens_per_second else 0.0

    def money(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What the tokens cost, in the currency of the prices."""
        tokens = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return tokens + self.gpu_hours(prompt_tokens + completion_tokens) * self.gpu_hour

    @property
    def stated(self) -> bool:
        """Whether anything can cost money."""
        return bool(self.prompt or self.completion or (self.gpu_hour and self.tokens_per_second))


@dataclass
class Usage:
    """Calls of a language model and the tokens they took."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def priced(self, prices: Prices) -> dict[str, Any]:
        """The fields of a report, with the GPU-hours and the money that the stated prices make of it."""
        money = prices.money(self.prompt_tokens, self.completion_tokens)
        return {**asdict(self), "gpu_hours": round(prices.gpu_hours(self.tokens), 6), "money": round(money, 6)}

    def describe(self, prices: Prices) -> str:
        """The words of a line of progress; figures for which no price or speed is stated are left out."""
        words = f"{self.calls:,} calls, {self.prompt_tokens:,} prompt tokens, {self.completion_tokens:,} of answers"
        if prices.tokens_per_second:
            words += f", {prices.gpu_hours(self.tokens):.2f} GPU-hours"
        if prices.stated:
            words += f", cost {prices.money(self.prompt_tokens, self.completion_tokens):.2f}"
        return words


@dataclass(frozen=True)
class Ceilings:
    """The most that a run may use; 0 is no ceiling."""

    calls: int = 0
    tokens: int = 0
    money: float = 0.0

    def check(self, prices: Prices) -> None:
        """Refuse ceilings that cannot be kept.

        Raises:
            InputError: a ceiling is negative, or is on money while no price is stated.
        """
        for name, value in (("calls", self.calls), ("tokens", self.tokens), ("cost", self.money)):
            if not value >= 0:
                raise InputError(f"max_{name} {value}: expected a ceiling, or 0 for none")
        if self.money and not prices.stated:
            raise InputError(
                "max_cost needs prices: set RELAND_PROMPT_PRICE and RELAND_COMPLETION_PRICE, or "
                "RELAND_GPU_HOUR_PRICE and RELAND_GPU_TOKENS_PER_SECOND"
            )

    def share(self, shard: int, shards: int) -> "Ceilings":
        """The part of one of `shards` shards; together they are the whole.

        Raises:
            InputError: a ceiling is too low to be shared.
        """
        for name, value in (("calls", self.calls), ("tokens", self.tokens)):
            if 0 < value < shards:
                raise InputError(f"max_{name} {value}: expected at least one for each of the {shards} shards")
        calls, tokens = (value // shards + (shard < value % shards) for value in (self.calls, self.tokens))
        return Ceilings(calls, tokens, self.money / shards)


class Budget:
    """Lets requests through as long as the worst that all those under way can take stays under the ceilings.

    A request counts as its prompt and the longest answer it allows until its response tells what it took.
    """

    def __init__(self, ceilings: Ceilings, prices: Prices):
        self.spent = Usage()
        self.prices = prices
        self._ceilings = ceilings
        self._reserved: dict[str, Usage] = {}
        self._reserved_sum = Usage()

    def admit(self, custom_id: str, worst: Usage) -> str:
        """Reserve what a request can take; the name of the ceiling that keeps it out, empty where none does."""
        ceiling = self.exceeded(self.spent + self._reserved_sum + worst)
        if not ceiling:
            self._reserved[custom_id] = worst
            self._reserved_sum += worst
        return ceiling

    def settle(self, custom_id: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Count what an admitted request took instead of its worst case."""
        self._release(custom_id)
        self.spent += Usage(1, prompt_tokens, completion_tokens)

    def lose(self, custom_id: str) -> None:
        """Count an admitted request as its worst case: its answer did not come through, and may be charged in full."""
        self.spent += self._release(custom_id)

    def repeat(self, custom_id: str) -> str:
        """Lose an admitted request and admit it again; the name of the ceiling that keeps it out, or empty."""
        worst = self._reserved[custom_id]
        self.lose(custom_id)
        return self.admit(custom_id, worst)

    def _release(self, custom_id: str) -> Usage:
        worst = self._reserved.pop(custom_id)
        self._reserved_sum += Usage(-worst.calls, -worst.prompt_tokens, -worst.completion_tokens)
        return worst

    def refuses(self, worst: Usage) -> str:
        """The name of the ceiling that keeps it out even when nothing else is under way; empty: none does."""
        return self.exceeded(self.spent + worst)

    def exceeded(self, usage: Usage) -> str:
        """The name of the first ceiling below this usage; empty: there is none.

        Not its value: a shard has but a share of the one that the user set.
        """
        ceilings = self._ceilings
        money = self.prices.money(usage.prompt_tokens, usage.completion_tokens)
        for name, value, ceiling in (
            ("max_calls", usage.calls, ceilings.calls),
            ("max_tokens", usage.tokens, ceilings.tokens),
            ("max_cost", money, ceilings.money),
        ):
            if ceiling and value > ceiling:
                return name
        return ""
