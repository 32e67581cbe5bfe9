import io

from rich.console import Console

from components.language_model.account import Account, Population, cost_fields
from components.language_model.budget import Prices, Usage
from reland.run_report import _costs, shown_p_value, slowest_steps


def test_a_small_p_value_is_not_shown_as_zero() -> None:
    assert [shown_p_value(p) for p in (1.0, 0.0314, 0.001)] == ["p = 1.000", "p = 0.031", "p = 0.001"]
    assert [shown_p_value(p) for p in (0.00099, 1e-300, 0.0)] == ["p < 0.001"] * 3


def test_the_slowest_steps_come_first() -> None:
    steps = {"prepare-data": 2.0, "train-rankers": 40.4, "release-ranker": 19.6}
    assert slowest_steps({"total": 70.2, "steps": steps}, count=2) == (
        "70 s; the slowest of 3 steps: train-rankers 40 s, release-ranker 20 s"
    )


def test_what_the_pool_cost_stands_beside_other_methods_and_for_a_thousand_users() -> None:
    # 10 calls of 90 + 10 tokens are behind the pool; 4 of this run's 5 calls were answered, in an hour. A prompt token
    # costs 0.01, and nothing is stated of GPUs.
    account = Account(spent=Usage(5, 360, 40), inferences=4, new=3, behind=Usage(10, 900, 100), hours=1.0)
    cost = cost_fields(account, 9, Prices(prompt=1e4), Population(users=500, items=100, interactions=20_000))
    console = Console(file=io.StringIO(), record=True, width=120)
    console.print(_costs(cost | {"model": "m"}))
    text = console.export_text()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines()]
    assert [row for row in rows if len(row) > 1] == [
        ["RELAND", "10", "1,000", "2.50", "9.00"],
        ["KAR (|U| + |I|)", "600", "60,000", "150.00", "540.00"],
        ["SLIM (|D|)", "20,000", "2,000,000", "5,000.00", "18,000.00"],
        ["this run", "5", "400", "1.00", "3.60"],
        ["this run, per 1,000 users", "10.00", "800", "2.50", "7.20"],
    ]
    assert "# inference" in text and "GPU-hours" not in text
