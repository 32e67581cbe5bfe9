"""Sections: read, written, documented, and refused in one line."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from components.foundation.configuration import (
    Section,
    changed,
    dataclass_values,
    descriptions_of,
    options_of,
    parse_assignment,
)
from components.foundation.errors import InputError


@dataclass(frozen=True)
class Oven:
    """How it is baked.

    Attributes:
        degrees: temperature, in degrees Celsius.
        fan: whether the air
            is moved.
        seed: of everything random.
    """

    degrees: int = 180
    fan: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Bread(Section):
    """A loaf.

    Attributes:
        flour: what it is made of.
        water: share of water, above 0.
        oven: how it is baked.
        spices: grams of each.

    Raises:
        InputError: no water.
    """

    title = "bread"

    flour: str = "rye"
    water: float = 0.7
    oven: Oven = field(default_factory=Oven)
    spices: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.water <= 0:
            raise InputError(f"water {self.water}: expected a share above 0")


def test_what_is_not_named_has_its_default():
    assert Bread.read({}) == Bread()
    assert Bread.read({"oven": {"degrees": 220}}) == Bread(oven=Oven(degrees=220))


def test_values_are_read_as_they_were_written():
    bread = Bread("wheat", 0.65, Oven(200, True), {"salt": 2})
    values = bread.values()
    assert values == {
        "flour": "wheat",
        "water": 0.65,
        "oven": {"degrees": 200, "fan": True},
        "spices": {"salt": 2},
    }
    assert Bread.read(values) == bread and dataclass_values(Oven()) == {"degrees": 180, "fan": False}


def test_texts_of_a_command_line_and_floats_of_a_pipeline_get_the_type_of_the_field():
    read = Bread.read({"water": "1", "oven": {"degrees": 220.0, "fan": "true"}, "spices": {"salt": "2", "seed": "all"}})
    assert read == Bread(water=1.0, oven=Oven(220, True), spices={"salt": 2, "seed": "all"})
    assert type(read.water) is float and type(read.oven.degrees) is int


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flower": "rye"}, r"bread\.flower: there is no such parameter, did you mean bread\.flour\?"),
        ({"x": 1}, r"bread\.x: there is no such parameter, expected one of flour, water, oven, spices"),
        ({"degree": 1}, r"bread\.degree: there is no such parameter, did you mean bread\.oven\.degrees\?"),
        ({"oven": {"degree": 1}}, r"bread\.oven\.degree: .* did you mean bread\.oven\.degrees\?"),
        ({"oven": {"seed": 1}}, r"bread\.oven\.seed: the seed is given once, for the whole run"),
        ({"oven": 220}, r"bread\.oven: expected names and values, found 220"),
        ({"oven": {"degrees": 220.5}}, r"bread\.oven\.degrees: expected a whole number, found 220\.5"),
        ({"oven": {"degrees": "hot"}}, r"bread\.oven\.degrees: expected a number, found 'hot'"),
        ({"oven": {"degrees": True}}, r"bread\.oven\.degrees: expected a whole number, found True"),
        ({"oven": {"fan": 1}}, r"bread\.oven\.fan: expected true or false, found 1"),
        ({"flour": 405}, r"bread\.flour: expected a text, found 405"),
        ({"spices": "salt"}, r"bread\.spices: expected names and values, found 'salt'"),
        ({"water": float("nan")}, r"bread\.water: expected a finite number, found nan"),
        ({"water": "-inf"}, r"bread\.water: expected a finite number, found -inf"),
        ({"water": 10**400}, r"bread\.water: expected a number from -2\^53 to 2\^53"),
        ({"oven": {"degrees": 2**53 + 1}}, r"bread\.oven\.degrees: expected a number from -2\^53 to 2\^53"),
        ({"oven": {"degrees": 1e30}}, r"bread\.oven\.degrees: expected a number from -2\^53 to 2\^53"),
        ({"oven": {"degrees": "9" * 5000}}, r"bread\.oven\.degrees: expected a finite number"),
        ({"flour": "rye\nwheat"}, r"bread\.flour: 'rye\\nwheat' holds a line break or another character"),
        ({"flour": "rye\0"}, r"bread\.flour: 'rye\\x00' holds a line break or another character"),
        ({"flour": "\udcff"}, r"bread\.flour: .* that is no text"),
        ({"spices": {"salt": "nan"}}, r"bread\.spices\.salt: expected a finite number, found nan"),
        ({"spices": {"salt": "a\0"}}, r"bread\.spices\.salt: .* that is no text"),
        ({"water": 0}, r"bread: water 0\.0: expected a share above 0"),
    ],
)
def test_a_fault_names_its_place(values, message):
    with pytest.raises(InputError, match=message):
        Bread.read(values)


def test_options_carry_type_default_and_explanation():
    options = {option.path: option for option in options_of(Bread)}
    assert list(options) == [
        ("bread", "flour"),
        ("bread", "water"),
        ("bread", "oven", "degrees"),
        ("bread", "oven", "fan"),
        ("bread", "spices"),
    ]
    fan = options["bread", "oven", "fan"]
    assert (fan.name, fan.kind, fan.default, fan.description) == ("fan", bool, False, "whether the air is moved.")
    assert descriptions_of(Bread)["spices"] == "grams of each."


def test_an_assignment_changes_one_value():
    path, value = parse_assignment("bread.oven.degrees=250")
    assert (path, value) == (("bread", "oven", "degrees"), "250")
    assert changed({"bread": {"flour": "rye"}}, path, value) == {"bread": {"flour": "rye", "oven": {"degrees": "250"}}}
    for text in ("bread", "flour=rye", "bread.=1", "=1"):
        with pytest.raises(InputError, match=r"expected section\.field=value"):
            parse_assignment(text)
    with pytest.raises(InputError, match="flour: holds no further names, found 'rye'"):
        changed({"flour": "rye"}, ("flour", "kind"), 1)
