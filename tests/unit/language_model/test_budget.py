"""Prices, ceilings and their shares, worked by hand."""

import pytest

from components.foundation.errors import InputError
from components.language_model.budget import Budget, Ceilings, Prices, Usage


def test_money_is_that_of_the_tokens_and_of_the_hours():
    prices = Prices(prompt=2.0, completion=10.0, gpu_hour=3.0, tokens_per_second=1_000)
    # 3.6 million prompt tokens and as many of answers: 7.2 + 36 by tokens; 7,200 s are 2 hours, 6 by hours.
    assert prices.gpu_hours(7_200_000) == 2.0
    assert prices.money(3_600_000, 3_600_000) == pytest.approx(49.2)
    assert Usage(1, 3_600_000, 3_600_000).priced(prices) == {
        "calls": 1,
        "prompt_tokens": 3_600_000,
        "completion_tokens": 3_600_000,
        "gpu_hours": 2.0,
        "money": 49.2,
    }
    assert Prices().money(10**9, 10**9) == 0 and not Prices().stated
    assert not Prices(gpu_hour=3).stated and Prices(completion=1).stated


def test_shares_of_the_shards_are_the_whole():
    shares = [Ceilings(calls=10, tokens=7, money=2.0).share(shard, 4) for shard in range(4)]
    assert [share.calls for share in shares] == [3, 3, 2, 2]
    assert [share.tokens for share in shares] == [2, 2, 2, 1]
    assert [share.money for share in shares] == [0.5] * 4
    assert Ceilings().share(1, 4) == Ceilings()


@pytest.mark.parametrize(
    ("ceilings", "message"),
    [
        (Ceilings(calls=-1), "max_calls -1: expected a ceiling, or 0 for none"),
        (Ceilings(tokens=-1), "max_tokens -1"),
        (Ceilings(money=float("nan")), "max_cost nan"),
        (Ceilings(money=1), "max_cost needs prices: set RELAND_PROMPT_PRICE"),
    ],
)
def test_ceilings_at_fault(ceilings, message):
    with pytest.raises(InputError, match=message):
        ceilings.check(Prices())


def test_a_ceiling_too_low_for_the_shards():
    with pytest.raises(InputError, match="max_calls 3: expected at least one for each of the 4 shards"):
        Ceilings(calls=3).share(0, 4)


def test_an_attempt_that_is_lost_counts_as_its_worst_case_and_leaves_less_for_others():
    budget = Budget(Ceilings(calls=3), Prices())
    worst = Usage(1, 30, 100)
    assert budget.admit("a", worst) == budget.admit("b", worst) == ""
    assert budget.repeat("a") == "" and budget.spent == worst  # and its second attempt is under way
    assert budget.admit("c", worst) == "max_calls" == budget.repeat("b")
    budget.settle("a", 25, 7)
    assert budget.spent == Usage(3, 30 + 30 + 25, 100 + 100 + 7)
