"""Quantities in text form: "250ms", "64KiB", "50%".

A quantity is a whole number and a unit, in quotes. There is no default unit: a number without a
unit is refused with a suggestion, because a reader could not tell seconds from milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from l4lb.config.bounds import DURATION_UNITS, SHOWN_MAX

NUMBER = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) *(?P<unit>[^0-9.\s]*)", re.ASCII)
DIGITS_MAX = 15  # more digits exceed every bound
TYPES = {
    bool: "a boolean",
    str: "a string",
    int: "an integer",
    float: "a number with a point",
    list: "an array",
    dict: "a table",
}


def wrong(text: str, hint: str | None = None) -> PydanticCustomError:
    """Makes an error about one value with a text of ours (l4lb/config/explain.py shows it
    unchanged)."""
    return PydanticCustomError("l4lb", "{text}", {"text": text, "hint": hint})


def type_name(value: object) -> str:
    """Returns TOML's name of a value's type."""
    return TYPES.get(type(value), "a date or time")


def shown(value: object) -> str:
    """Returns an invalid value for use in a message: one line, of limited length."""
    if isinstance(value, str):
        head = value[: SHOWN_MAX + 1]
        clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in head)
        text = '"' + clean.replace('"', '\\"') + '"'
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and abs(value) >= 10**SHOWN_MAX:
        text = "a very large number"  # str() may refuse it
    elif isinstance(value, (list, dict)):
        text = type_name(value)
    else:
        text = str(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


@dataclass(frozen=True)
class Unit:
    """One kind of quantity: its name, an example, and each suffix as a multiple of the smallest."""

    name: str
    example: str
    suffixes: Mapping[str, int]  # from small to large

    def parse(self, value: object) -> int:
        """Returns the quantity in the smallest unit. Raises ValueError with the reason."""
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**DIGITS_MAX:
            raise wrong(f"a {self.name} needs a unit, in quotes", f"write {self._choices(value)}")
        if not isinstance(value, str):
            raise wrong(f"must be a {self.name} such as {shown(self.example)}")
        match = NUMBER.fullmatch(value)
        if match is None or len(match["number"]) > DIGITS_MAX:
            raise wrong(f"{shown(value)} is not a {self.name} such as {shown(self.example)}")
        number, unit = match["number"], match["unit"]
        if not unit:
            raise wrong(f"a {self.name} needs a unit", f"write {self._choices(number)}")
        if unit not in self.suffixes:
            known = ", ".join(self.suffixes)
            raise wrong(f"{shown(value)} has an unknown unit", f"a {self.name} takes {known}")
        if "." in number:
            raise wrong(f"{shown(value)} is not a whole number", self._smaller(number, unit))
        return int(number) * self.suffixes[unit]

    def format(self, quantity: int) -> str:
        """Formats with the largest unit that gives a whole number; parse() reads it back."""
        fits = [s for s, size in self.suffixes.items() if quantity % size == 0]
        suffix = fits[-1] if quantity else fits[0]
        return f"{quantity // self.suffixes[suffix]}{suffix}"

    def _choices(self, number: object) -> str:
        return " or ".join(f'"{number}{suffix}"' for suffix in list(self.suffixes)[:2])

    def _smaller(self, number: str, unit: str) -> str:
        places = len(number.partition(".")[2])
        exact = int(number.replace(".", "")) * self.suffixes[unit]
        if exact % 10**places:
            return "the smallest unit is " + next(iter(self.suffixes))
        return f'write "{self.format(exact // 10**places)}"'

    @property
    def pattern(self) -> str:
        """Returns a regular expression (ECMA 262) of the texts that parse() accepts."""
        return f"^[0-9]{{1,{DIGITS_MAX}}} *({'|'.join(self.suffixes)})$"


DURATION = Unit("duration", "2s", DURATION_UNITS)
SIZE = Unit(
    "size",
    "64KiB",
    {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40},
)
CHARACTERS = Unit("text", "", {" characters": 1})
PERCENT = Unit("percentage", "50%", {"%": 1})


def check_bounds(value: int, bounds: tuple[int, int], unit: Unit | None = None) -> int:
    """Returns value if it is within bounds. Raises ValueError that names them."""
    minimum, maximum = bounds
    if minimum <= value <= maximum:
        return value
    limit, word = (minimum, "least") if value < minimum else (maximum, "most")
    shape = unit.format if unit is not None else shown
    raise wrong(f"must be at {word} {shape(limit)}, not {shape(value)}")


def whole(bounds: tuple[int, int]) -> tuple[Any, ...]:
    """Makes an `int` field a whole number within bounds: Annotated[int, *whole(...)]."""
    minimum, maximum = bounds
    return (
        AfterValidator(lambda value: check_bounds(value, bounds)),
        Field(json_schema_extra={"minimum": minimum, "maximum": maximum}),
    )


def duration(bounds: tuple[int, int]) -> tuple[Any, ...]:
    """Makes an `int` field a duration in milliseconds."""
    return _quantity(DURATION, bounds)


def percent(bounds: tuple[int, int]) -> tuple[Any, ...]:
    """Makes an `int` field a share in percent."""
    return _quantity(PERCENT, bounds)


def size(bounds: tuple[int, int]) -> tuple[Any, ...]:
    """Makes an `int` field a number of bytes."""
    return _quantity(SIZE, bounds)


def _quantity(unit: Unit, bounds: tuple[int, int]) -> tuple[Any, ...]:
    schema = {
        "type": "string",
        "pattern": unit.pattern,
        "x-l4lb-type": unit.name,
        "x-l4lb-bounds": [unit.format(limit) for limit in bounds],
    }
    return (
        BeforeValidator(lambda value: check_bounds(unit.parse(value), bounds, unit)),
        PlainSerializer(unit.format, return_type=str),
        WithJsonSchema(schema),
    )
