"""The account of a run, worked by hand, and that it adds up over shards."""

import pytest

from components.language_model.account import (
    Account,
    Population,
    cost_fields,
    read_account,
    read_population,
    write_account,
)
from components.language_model.budget import Prices, Usage


def test_shards_add_up_and_an_account_comes_back_as_it_was(tmp_path):
    first = Account(Usage(5, 50, 5), Usage(4, 40, 8), 3, 1, 3, 1, Usage(6, 60, 12), "max_calls", 0.5)
    second = Account(Usage(1, 10, 1), Usage(1, 10, 2), 1, 0, 1, 0, Usage(1, 10, 2), "", 0.25)
    both = Account(Usage(6, 60, 6), Usage(5, 50, 10), 4, 1, 4, 1, Usage(7, 70, 14), "max_calls", 0.75)
    assert first + second == both == sum([first, second], Account()) and (second + first).ceiling == "max_calls"
    write_account(tmp_path / "account.json", both)
    assert read_account(tmp_path / "account.json") == both


def test_what_the_pool_took_stands_beside_what_other_methods_would_have_needed():
    # 4 inferences in an hour; behind the pool are 10 calls of 90 + 10 tokens, 6 of them of runs before.
    account = Account(
        forecast=Usage(5, 450, 500), spent=Usage(5, 360, 40), inferences=4, new=3, behind=Usage(10, 900, 100), hours=1.0
    )
    prices = Prices(
        prompt=1e4, completion=1e5, gpu_hour=2.0, tokens_per_second=100 / 3600
    )  # a call is an hour of a GPU
    cost = cost_fields(account, 9, prices, Population(users=500, items=100, interactions=20_000))
    assert (cost["inferences"], cost["reused"], cost["calls"], cost["hours"]) == (4, 6, 5, 1.0)
    # 360 prompt tokens are 3.6, 40 of answers 4; 400 tokens are 4 GPU-hours, 8.
    assert cost["gpu_hours"] == pytest.approx(4) and cost["money"] == pytest.approx(15.6)
    assert cost["per_thousand_users"] == pytest.approx(
        {"calls": 10, "tokens": 800, "gpu_hours": 8, "money": 31.2, "hours": 2.5}
    )
    # A call behind the pool is 0.9 + 1 and an hour of a GPU, 2; by the clock a quarter of an hour.
    for method, calls in (("reland", 10), ("kar", 600), ("slim", 20_000)):
        assert cost["methods"][method] == pytest.approx(
            {"calls": calls, "tokens": 100 * calls, "gpu_hours": calls, "money": 3.9 * calls, "hours": calls / 4}
        )


def test_without_an_inference_there_are_no_hours_of_one_to_tell():
    account = Account(behind=Usage(10, 900, 100))
    cost = cost_fields(account, 10, Prices(), Population(500, 100, 20_000))
    assert cost["reused"] == 10 and "hours" not in cost["methods"]["kar"]


def test_the_population_is_what_is_left_after_filtering(prepared):
    assert read_population(prepared) == Population(users=3, items=6, interactions=14)
