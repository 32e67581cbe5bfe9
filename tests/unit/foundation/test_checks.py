import math
from collections.abc import Callable

import pytest

from components.foundation.checks import check_choice, check_flag, check_number, check_whole
from components.foundation.errors import InputError


@pytest.mark.parametrize(
    ("check", "value", "limits", "message"),
    [
        (check_choice, "decay ", {"choices": ("constant", "decay")}, "x 'decay ': expected one of constant, decay"),
        (check_flag, 1, {}, "x 1: expected true or false"),
        (check_whole, 0, {"least": 1}, "x 0: expected a whole number, 1 or more"),
        (check_whole, 2.0, {"least": 1}, "x 2.0: expected a whole number, 1 or more"),
        (check_whole, True, {"least": 0}, "x True: expected a whole number, 0 or more"),
        (check_number, "1", {"least": 0}, "x '1': expected a number, 0 or more"),
        (check_number, True, {"least": 0}, "x True: expected a number, 0 or more"),
        (check_number, 0.0, {"above": 0}, "x 0.0: expected a number, above 0"),
        (check_number, 1, {"least": 0, "below": 1}, "x 1: expected a number, 0 or more and below 1"),
        (check_number, math.nan, {"least": 0}, "x nan: expected a number, 0 or more"),
        (check_number, math.inf, {"least": 0}, "x inf: expected a number, 0 or more"),
    ],
)
def test_a_value_that_is_not_allowed_is_one_line(check: Callable, value: object, limits: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check("x", value, **limits)
    assert str(caught.value) == message


def test_values_at_the_ends_of_their_ranges() -> None:
    check_choice("x", "decay", ("constant", "decay"))
    check_flag("x", False)
    check_whole("x", -1, -1)
    check_number("x", 0, least=0)
    check_number("x", 0.999, least=0, below=1)
    check_number("x", 1e-9, above=0)
