"""Checks of single values of a configuration: a value that is not allowed is one line with its name and what is."""

import math
from typing import Any

from components.foundation.errors import InputError


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name} {value!r}: expected one of {', '.join(choices)}")


def check_flag(name: str, value: Any) -> None:
    """Raise InputError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{name} {value!r}: expected true or false")


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise InputError unless `value` is a whole number, `least` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} {value!r}: expected a whole number, {least} or more")


def check_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> None:
    """Raise InputError unless `value` is a finite number, from `least` to `most`, over `above` and under `below`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and least <= value <= most and above < value < below:
        return
    limits = [f"{least} or more"] if least > -math.inf else []
    limits += [f"above {above}"] if above > -math.inf else []
    limits += [f"below {below}"] if below < math.inf else []
    limits += [f"at most {most}"] if most < math.inf else []
    raise InputError(f"{name} {value!r}: expected a number, {' and '.join(limits)}")
